package config

import (
	"net/url"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
)

// AWS is the section aws of the node file, which the containers of a node
// share.
type AWS struct {
	CredentialsFile string // a shared credentials file; "" means the SDK's places
	Profile         string // a profile of that file; "" means the default one
	IMDS            bool   // whether the instance metadata service may be asked
	Proxy           string // the URL of an HTTP proxy; "" means that of the environment; may hold a password
	CAFile          string // certificates to trust beside the system's; "" means none
}

// The rows of awsKeys.
const (
	awsCredentialsFile = iota
	awsProfile
	awsIMDS
	awsProxy
	awsCAFile
)

// awsKeys are the keys of the section. They have the form of options, but no
// container can give them.
var awsKeys = []Option{
	{Name: "credentials-file", Help: "Names a credentials file of AWS.", check: absolutePath},
	{Name: "profile", Help: "Names the profile in that file."},
	{Name: "imds", Kind: KindBool, Default: "true",
		Help: "Says whether the instance metadata service may be asked for credentials and region; AWS_EC2_METADATA_DISABLED=true says no as well."},
	{Name: "proxy", Kind: KindSecret, Help: "Names the URL of a proxy for all requests to AWS; its password is never shown; unset means that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment.", check: setting.HTTPURL},
	{Name: "ca-file", Help: "Names a file of certificates in PEM form, to be trusted beside the system's; unset means AWS_CA_BUNDLE, which replaces them.", check: absolutePath},
}

// AWSKeys returns a copy of the keys of the node file's section aws.
func AWSKeys() []Option { return append([]Option(nil), awsKeys...) }

func awsKeyNames() []string {
	names := make([]string, len(awsKeys))
	for i := range awsKeys {
		names[i] = awsKeys[i].Name
	}
	return names
}

// awsKey takes one key of the section.
func (p *nodeParser) awsKey(e yamlfile.Entry) {
	for i := range awsKeys {
		if awsKeys[i].Name != e.Name {
			continue
		}
		if v, ok := p.scalar(e, &awsKeys[i]); ok {
			p.node.aws[i] = v
		}
		return
	}
	names := awsKeyNames()
	p.problems.Add(&Problem{Where: e.Where, Found: "the unknown key " + setting.Quote(e.Name),
		Expected: setting.Or(names) + `, the nearest is "` + setting.NearestOf(e.Name, names) + `"`})
}

// AWS returns the section aws of the file, with the built-in values where it is
// silent.
func (n *Node) AWS() AWS {
	imds := true
	if v := n.aws[awsIMDS]; v.given {
		imds = v.Flag
	}
	return AWS{
		CredentialsFile: n.aws[awsCredentialsFile].Text,
		Profile:         n.aws[awsProfile].Text,
		IMDS:            imds,
		Proxy:           n.aws[awsProxy].Text,
		CAFile:          n.aws[awsCAFile].Text,
	}
}

// redactURL hides the password of a URL; other text stays.
func redactURL(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
