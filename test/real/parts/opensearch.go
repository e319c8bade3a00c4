package parts

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const openSearchClass = "OpenSearchNode"

// openSearchLogging is the log4j that each version was built with; another does not do.
var openSearchLogging = map[string]string{
	OpenSearch1: "2.17.1", OpenSearch2: "2.25.4", OpenSearch3: "2.25.4", OpenSearchSecured: "2.21.0",
}

// openSearch prepares a node: the published jars, and a class that makes a node of them.
func (n *SearchNode) openSearch(version string, settings map[string]string, options SearchOptions) error {
	if options.Secured != (n.Name == OpenSearchSecured) {
		return fmt.Errorf("start %s: of OpenSearch %s is secured, and nothing else", n.Name, OpenSearchSecured)
	}
	if options.Mutual {
		return fmt.Errorf("start %s: its administrator is known by a certificate, so its clients are not asked for one here", n.Name)
	}
	least, most, release := 17, 21, "11" // its security manager was taken out of Java after 23
	if strings.HasPrefix(version, "3.") {
		least, most, release = 21, newest, "21"
	}
	java, err := javaHome(least, most)
	if err != nil {
		return err
	}
	lib, err := n.openSearchJars(version)
	if err != nil {
		return err
	}
	text, err := javaSources.ReadFile("search/" + openSearchClass + ".java")
	if err != nil {
		return err
	}
	source := map[string][]byte{openSearchClass + ".java": text}
	class, err := cached(n.Name+"-node-"+sumOf(source), func(dir string) error { return compile(java, lib, source, release, dir) })
	if err != nil {
		return err
	}
	for _, below := range []string{"data", "tmp", "config", "plugins"} {
		if err := os.Mkdir(filepath.Join(n.dir, below), 0o755); err != nil {
			return err
		}
	}
	if options.Secured {
		if err := n.secureOpenSearch(settings); err != nil {
			return err
		}
	}
	settings["path.home"], settings["path.data"] = n.dir, filepath.Join(n.dir, "data")
	maps.Copy(settings, options.Settings)
	logging := filepath.Join(n.dir, "log4j2.properties")
	if err := os.WriteFile(logging, []byte(log4j2), 0o600); err != nil {
		return err
	}
	n.command = func() *exec.Cmd {
		args := append(javaFlags(512),
			"-Djava.io.tmpdir="+filepath.Join(n.dir, "tmp"),
			"-Dlog4j2.disable.jmx=true", "-Dlog4j2.configurationFile="+logging,
			"-cp", filepath.Join(lib, "*")+":"+filepath.Join(class, "*"), openSearchClass)
		for _, key := range slices.Sorted(maps.Keys(settings)) {
			args = append(args, key+"="+settings[key])
		}
		return exec.Command(filepath.Join(java, "bin", "java"), args...)
	}
	return nil
}

func (n *SearchNode) openSearchJars(version string) (string, error) {
	artifacts := []string{"org.opensearch:opensearch:" + version, "org.apache.logging.log4j:log4j-core:" + openSearchLogging[n.Name]}
	if n.Name == OpenSearchSecured {
		artifacts = append(artifacts, "org.opensearch:opensearch-plugin-classloader:2.19.1")
	} else {
		for _, module := range []string{"transport-netty4-client", "reindex-client", "mapper-extras-client"} {
			artifacts = append(artifacts, "org.opensearch.plugin:"+module+":"+version)
		}
	}
	return jars(n.Name, artifacts...)
}
