package parts

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// elasticsearch prepares a node: the distribution that is published for tests, which is the real server
// with fewer modules, and a plugin that has what is missing.
func (n *SearchNode) elasticsearch(version string, settings map[string]string, options SearchOptions) error {
	least, most := 17, 21 // its security manager was taken out of Java after 23
	if strings.HasPrefix(version, "9.") {
		least, most = 21, newest
	}
	java, err := javaHome(least, most)
	if err != nil {
		return err
	}
	home, err := n.elasticsearchHome(version, java)
	if err != nil {
		return err
	}
	config := filepath.Join(n.dir, "config")
	if err := os.CopyFS(config, os.DirFS(filepath.Join(home, "config"))); err != nil {
		return fmt.Errorf("copy the configuration of %s: %w", n.Name, err)
	}
	for _, below := range []string{"data", "logs", "tmp"} {
		if err := os.Mkdir(filepath.Join(n.dir, below), 0o755); err != nil {
			return err
		}
	}
	settings["path.data"], settings["path.logs"] = filepath.Join(n.dir, "data"), filepath.Join(n.dir, "logs")
	settings["xpack.security.enabled"] = strconv.FormatBool(options.Secured)
	if options.Secured {
		if err := n.secureElasticsearch(config, settings, options.Mutual); err != nil {
			return err
		}
	}
	maps.Copy(settings, options.Settings)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s: %s\n", key, settings[key])
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(config, "elasticsearch.yml"), []byte(lines.String()), 0o644),
		keepLines(filepath.Join(config, "jvm.options")),
	); err != nil {
		return err
	}
	n.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(home, "bin", "elasticsearch"))
		cmd.Dir = n.dir
		cmd.Env = []string{
			"PATH=/usr/bin:/bin", "HOME=" + n.dir, "JAVA_HOME=" + java, "ES_JAVA_HOME=" + java,
			"ES_PATH_CONF=" + config, "ES_TMPDIR=" + filepath.Join(n.dir, "tmp"), "ES_JAVA_OPTS=-Xms512m " + strings.Join(javaFlags(512), " "),
		}
		cmd.SysProcAttr = asSomebody()
		return cmd
	}
	return nil
}

// asSomebody makes of root a user without its number, in a namespace of users, since Elasticsearch
// refuses to run as root. It stays the owner of root's files.
func asSomebody() *syscall.SysProcAttr {
	if os.Geteuid() != 0 {
		return nil
	}
	const user = 1000
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: 0, Size: 1}},
		Credential:  &syscall.Credential{Uid: user, Gid: user, NoSetGroups: true},
	}
}

// notOurs are lines of jvm.options by which a node writes beside its directory.
var notOurs = regexp.MustCompile(`(?m)^.*(file=logs|loggc:|ErrorFile=|HeapDumpPath).*\n`)

func keepLines(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, notOurs.ReplaceAll(text, nil), 0o644)
}

// elasticsearchHome returns a directory of the cache with the distribution and the plugin.
func (n *SearchNode) elasticsearchHome(version, java string) (string, error) {
	sources, release, err := missingParts(version)
	if err != nil {
		return "", err
	}
	dir, err := cached(n.Name+"-"+sumOf(sources), func(dir string) error {
		artifact := "org.elasticsearch.distribution.integ-test-zip:elasticsearch:" + version + ":zip"
		if err := unpacked(artifact, dir); err != nil {
			return err
		}
		home := filepath.Join(dir, n.Name)
		plugin := filepath.Join(home, "plugins", "missing")
		if err := compile(java, filepath.Join(home, "lib"), sources, release, plugin); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(plugin, "plugin-descriptor.properties"), []byte(fmt.Sprintf(
			"name=missing\ndescription=what the distribution for tests lacks\nversion=%[1]s\nelasticsearch.version=%[1]s\njava.version=%[2]s\nclassname=missing.Missing\n",
			version, release)), 0o644)
	})
	return filepath.Join(dir, n.Name), err
}

// handedOver is what version 8 hands to a plugin as arguments, and 9 as one.
var handedOver = regexp.MustCompile(`(?s)/\* what 8 hands over: \*/.*/\* until here \*/`)

// missingParts are the sources of the plugin for a version, and the release of Java that they are
// compiled for.
func missingParts(version string) (sources map[string][]byte, release string, err error) {
	major, _, _ := strings.Cut(version, ".")
	from, release := "Missing8.java", map[string]string{"7": "11", "8": "17", "9": "21"}[major]
	if major == "7" {
		from = "Missing7.java"
	}
	plugin, err := javaSources.ReadFile("search/" + from)
	analysis, err2 := javaSources.ReadFile("search/Analysis.java")
	if err := cmp.Or(err, err2); err != nil {
		return nil, "", err
	}
	if major == "9" {
		plugin = handedOver.ReplaceAll(plugin, []byte("ActionPlugin.RestHandlersServices services,"))
	}
	return map[string][]byte{"Missing.java": bytes.TrimSpace(plugin), "Analysis.java": analysis}, release, nil
}
