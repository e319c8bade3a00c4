package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spillway/spillway/internal/config"
)

// Bounds of the question for a container's environment.
const (
	environmentTimeout = 5 * time.Second
	environmentMax     = 1 << 20 // bytes
)

// withEnvironment completes the container by the environment that its endpoint
// has, where the options choose from it. A container starts without it, too.
func withEnvironment(names []string, pattern string, c config.Container) (config.Container, []string) {
	if c.EnvEndpoint == "" || len(c.Env) > 0 || len(names) == 0 && pattern == "" {
		return c, nil
	}
	env, err := fetchEnvironment(c.EnvEndpoint)
	if err != nil {
		return c, []string{"the attributes of env and env-regex are missing: " + err.Error()}
	}
	c.Env = env
	return c, nil
}

// fetchEnvironment asks for {"env":{NAME:value}}. An error says nothing of the
// address, which is as good as a secret.
func fetchEnvironment(url string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), environmentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("container-env-endpoint is no URL")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.New("container-env-endpoint gave no answer within " + environmentTimeout.String())
	}
	defer resp.Body.Close()
	var answer struct {
		Env map[string]string `json:"env"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, environmentMax))
	if err == nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("container-env-endpoint answered %s, and no object with the key env", resp.Status)
	}
	return answer.Env, nil
}
