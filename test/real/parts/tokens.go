package parts

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TokenIssuer signs the tokens of OAUTHBEARER that a broker takes.
type TokenIssuer struct {
	key  *rsa.PrivateKey
	keys string // a file: a JSON web key set (RFC 7517)
}

// The names in a token.
const (
	tokenIssuer   = "https://issuer.test"
	tokenAudience = "brokers"
	tokenKey      = "one"
)

func newTokenIssuer(dir string) (*TokenIssuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "kid": tokenKey, "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}})
	if err != nil {
		return nil, err
	}
	i := &TokenIssuer{key, filepath.Join(dir, "keys.json")}
	return i, os.WriteFile(i.keys, set, 0o600)
}

// Token is one for a user, as a JSON web token signed by RS256 (RFC 7515, 7519), which holds until a time.
func (i *TokenIssuer) Token(t testing.TB, user string, until time.Time) string {
	t.Helper()
	part := func(v map[string]any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "RS256", "kid": tokenKey, "typ": "JWT"}) + "." + part(map[string]any{
		"iss": tokenIssuer, "aud": tokenAudience, "sub": user, "iat": time.Now().Add(-time.Hour).Unix(), "exp": until.Unix(),
	})
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// settings are those of a broker that takes the issuer's tokens, beside the other mechanisms.
func (i *TokenIssuer) settings() map[string]string {
	const login = "org.apache.kafka.common.security.oauthbearer."
	settings := map[string]string{"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER"}
	for _, listener := range []string{"saslpt", "saslssl"} {
		prefix := "listener.name." + listener + ".oauthbearer."
		settings[prefix+"sasl.jaas.config"] = login + "OAuthBearerLoginModule required;"
		settings[prefix+"sasl.server.callback.handler.class"] = login + "OAuthBearerValidatorCallbackHandler"
		settings[prefix+"sasl.oauthbearer.jwks.endpoint.url"] = "file://" + i.keys
		settings[prefix+"sasl.oauthbearer.expected.issuer"] = tokenIssuer
		settings[prefix+"sasl.oauthbearer.expected.audience"] = tokenAudience
	}
	return settings
}

// flags are what the broker's Java needs for that: it reads keys from nowhere else.
func (i *TokenIssuer) flags() []string {
	return []string{"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://" + i.keys}
}
