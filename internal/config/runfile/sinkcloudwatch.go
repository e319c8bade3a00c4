package runfile

import (
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/template"
)

// CloudWatchSink sends to CloudWatch Logs.
type CloudWatchSink struct {
	Group  *template.Template
	Stream *template.Template

	Region         string // "" if the environment or the instance metadata service is to tell
	Endpoint       string // a URL; "" means that of the region
	CredentialsURL string // a whole URL; "" means the usual chain
	AWS            config.AWS
	CreateGroup    bool
	CreateStream   bool

	Format        RecordFormat // FormatJSON, FormatText or FormatEMF; a line of text is sent as it is
	LogKey        string       // the key whose value FormatText sends
	FlushInterval time.Duration
}

// ecsAgent answers paths of credentials; Docker's driver has the address built in.
const ecsAgent = "http://169.254.170.2"

// cloudWatchRows is the table of the sink cloudwatch.
func cloudWatchRows() []row[CloudWatchSink] {
	type sink = CloudWatchSink
	return []row[sink]{
		{Option: Option{Name: "group", Takes: "template", Required: true, Help: "Names the log group, with " + template.Placeholders + "."},
			set: func(p *parser, s *sink, v value) (expected string) {
				p.warnOfDates(v)
				s.Group, expected = checkedTemplate(v.Text, setting.LogGroup)
				return expected
			}},
		{Option: Option{Name: "stream", Takes: "template", Default: "{tag}", Help: "Names the log stream likewise; what of a tag may not stand in a name is percent-encoded, in a group it becomes _."},
			set: func(p *parser, s *sink, v value) (expected string) {
				p.warnOfDates(v)
				s.Stream, expected = checkedTemplate(v.Text, setting.LogStream)
				return expected
			}},
		{Option: Option{Name: "region", From: "awslogs-region", Help: "Names the region; unset means AWS_REGION, else the region of the instance."},
			check: setting.Region, set: text(func(s *sink) *string { return &s.Region })},
		{Option: Option{Name: "endpoint", From: "awslogs-endpoint", Takes: "URL", Help: "Names the URL of the service; unset means that of the region."},
			check: setting.HTTPURL, set: text(func(s *sink) *string { return &s.Endpoint })},
		{Option: Option{Name: "credentials-endpoint", Takes: "URL or path",
			Help: "Names where the credentials are: a path at " + ecsAgent + " (an ECS task role), or a whole URL; unset means the usual places."},
			check: setting.CredentialsEndpoint, set: func(_ *parser, s *sink, v value) string {
				if s.CredentialsURL = v.Text; strings.HasPrefix(v.Text, "/") {
					s.CredentialsURL = ecsAgent + v.Text
				}
				return ""
			}},
		{Option: Option{Name: "create-group", Kind: setting.Bool, Default: "false", From: "awslogs-create-group", Help: "Creates groups that are missing."},
			set: flag(func(s *sink) *bool { return &s.CreateGroup })},
		{Option: Option{Name: "create-stream", Kind: setting.Bool, Default: "true", From: "awslogs-create-stream", Help: "Creates streams that are missing."},
			set: flag(func(s *sink) *bool { return &s.CreateStream })},
		{Option: Option{Name: "format", Kind: setting.Enum, Default: string(FormatJSON), Enum: []string{string(FormatJSON), string(FormatText), string(FormatEMF)},
			Help: "Says what an event is: the record as a JSON object, the value of log-key alone, or an object in CloudWatch's embedded metric format; a line of text is sent as it is."},
			set: text(func(s *sink) *RecordFormat { return &s.Format })},
		{Option: Option{Name: "log-key", Default: defaultLogKey, Help: "Names the key whose value is the event in format text; a record without it is sent as JSON."},
			set: text(func(s *sink) *string { return &s.LogKey })},
		{Option: Option{Name: "force-flush-interval-seconds", Kind: setting.Int, Default: "5", From: "awslogs-force-flush-interval-seconds",
			Help: "Limits how long a record waits for a fuller request, in seconds."},
			check: setting.Seconds, set: func(_ *parser, s *sink, v value) string {
				s.FlushInterval = time.Duration(v.Number) * time.Second
				return ""
			}},
	}
}

// checkedTemplate reads a template whose own text is part of a name.
func checkedTemplate(text string, check setting.Check) (*template.Template, string) {
	t, expected := parseTemplate(text)
	if expected != "" {
		return nil, expected
	}
	t.Literals(func(literal string) {
		if expected == "" {
			expected = check(setting.Value{Text: literal})
		}
	})
	return t, expected
}

// cloudWatchSink checks what the options say together.
func (p *parser) cloudWatchSink(s *CloudWatchSink, have given) {
	if s.Region == "" {
		if region := p.getenv("AWS_REGION"); region != "" {
			if expected := setting.Region(setting.Value{Text: region}); expected != "" {
				p.problem("the environment variable AWS_REGION", setting.Quote(region), expected, "")
			}
			s.Region = region
		}
	}
	p.formatRules(s.Format, have)
}
