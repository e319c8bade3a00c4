package parts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// securityPlugin is OpenSearch's, of the version of OpenSearchSecured.
const securityPlugin = "org.opensearch.plugin:opensearch-security:2.19.4.0:zip"

// secureElasticsearch lets in the two users, whose passwords stand in its files as bcrypt, and nobody
// else, by TLS.
func (n *SearchNode) secureElasticsearch(config string, settings map[string]string, mutual bool) error {
	const prefix = "xpack.security.http.ssl."
	settings[prefix+"enabled"] = "true"
	settings[prefix+"key"], settings[prefix+"certificate"] = "node.key", "node.pem"
	settings[prefix+"certificate_authorities"], settings[prefix+"client_authentication"] = "ca.pem", "optional"
	if mutual {
		settings[prefix+"client_authentication"] = "required"
	}
	write := func(name, text string) error {
		return os.WriteFile(filepath.Join(config, name), []byte(text), 0o644)
	}
	return errors.Join(
		n.layCertificates(config),
		write("users", SearchAdmin+":$2a$04$iKndTwuTtyAFMl1vca6ysOexsmxwrYp5t7El8nTH8xAYqgztDHMcO\n"+
			SearchLimited+":$2a$04$uceZSikabI2w3Y4sKpq7B.EWH6aGh2dcATY9lox1OEEwOz3B9Z3Pu\n"),
		write("users_roles", "superuser:"+SearchAdmin+"\nlimited:"+SearchLimited+"\n"),
		write("roles.yml", "limited: {cluster: [monitor, manage_index_templates], indices: [{names: ['logstash-*'], privileges: [all]}]}\n"),
	)
}

// secureOpenSearch lays the plugin and its files. Its users are those that it comes with, among them
// the two of ours.
func (n *SearchNode) secureOpenSearch(settings map[string]string) error {
	plugin, err := cached("opensearch-security-2.19.4.0", func(dir string) error { return unpacked(securityPlugin, dir) })
	if err != nil {
		return err
	}
	const prefix = "plugins.security."
	settings[prefix+"allow_default_init_securityindex"] = "true"
	settings[prefix+"restapi.roles_enabled"] = "all_access"
	settings[prefix+"authcz.admin_dn"] = "CN=client"
	settings[prefix+"ssl.transport.enforce_hostname_verification"] = "false"
	settings[prefix+"ssl.http.enabled"] = "true"
	for _, layer := range []string{"transport", "http"} {
		layer := prefix + "ssl." + layer + "."
		settings[layer+"pemcert_filepath"], settings[layer+"pemkey_filepath"] = "node.pem", "node.key"
		settings[layer+"pemtrustedcas_filepath"] = "ca.pem"
	}
	config := filepath.Join(n.dir, "config")
	if err := os.CopyFS(filepath.Join(config, "opensearch-security"), os.DirFS(filepath.Join(plugin, "config"))); err != nil {
		return fmt.Errorf("copy the configuration of the security plugin: %w", err)
	}
	return errors.Join(n.layCertificates(config), os.Symlink(plugin, filepath.Join(n.dir, "plugins", "opensearch-security")))
}

// layCertificates copies what a node reads, which it does only in its own configuration.
func (n *SearchNode) layCertificates(config string) error {
	return errors.Join(
		join(filepath.Join(config, "ca.pem"), n.Certificates.CA),
		join(filepath.Join(config, "node.pem"), n.Certificates.Certificate),
		join(filepath.Join(config, "node.key"), n.Certificates.Key),
	)
}
