package webhook

import (
	"crypto/tls"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// NewServer returns controller-runtime's webhook server with all routes, for a manager to run: every
// replica serves, no leader is needed. The certificate comes from the TLS configuration's
// GetCertificate, so that it is replaced without a restart.
func NewServer(host string, port int, config *tls.Config, o Options) (webhook.Server, error) {
	routes, err := Routes(o)
	if err != nil {
		return nil, fmt.Errorf("make the webhook server: %w", err)
	}
	s := webhook.NewServer(webhook.Options{
		Host: host, Port: port,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = config.MinVersion
			c.GetCertificate = config.GetCertificate
			c.NextProtos = config.NextProtos
		}},
	})
	for _, r := range routes {
		s.Register(r.Hook.Path, r.Handler)
	}
	return s, nil
}
