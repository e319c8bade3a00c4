package parts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// pomFrame is a project that builds nothing: Maven resolves what it depends on.
const pomFrame = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.github.spillway</groupId>
  <artifactId>part</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
%s  </dependencies>
</project>
`

// jars returns a directory of the cache with the jars of some artifacts, each `group:artifact:version`,
// and of all that they need to run.
func jars(name string, artifacts ...string) (string, error) {
	sum := sha256.Sum256([]byte(strings.Join(artifacts, "\n")))
	return cached(name+"-"+hex.EncodeToString(sum[:6]), func(dir string) error {
		var dependencies strings.Builder
		for _, artifact := range artifacts {
			part := strings.Split(artifact, ":")
			fmt.Fprintf(&dependencies, "    <dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n",
				part[0], part[1], part[2])
		}
		pom := fmt.Sprintf(pomFrame, dependencies.String())
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o644); err != nil {
			return err
		}
		return maven("-f", dir, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+dir)
	})
}

// maven runs Maven to its end.
func maven(args ...string) error {
	program, err := lookPath("maven", "mvn")
	if err != nil {
		return err
	}
	run := exec.Command(program, append([]string{"-q", "-B"}, args...)...)
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("%v (it needs Maven's central repository): %w: %s", run.Args, err, out)
	}
	return nil
}
