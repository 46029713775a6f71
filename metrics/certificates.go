package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificates tells when certificates expire, on every replica: each may have loaded others.
type Certificates struct {
	// Expiry returns the times by what the certificate is for.
	Expiry func() map[string]time.Time

	desc *prometheus.Desc
}

// NewCertificates returns the collector.
func NewCertificates(expiry func() map[string]time.Time) *Certificates {
	return &Certificates{Expiry: expiry, desc: prometheus.NewDesc(
		"stash_certificate_expiry_time_seconds",
		"Unix time at which a certificate that this replica uses expires: serving, that of webhooks and broker; ca, the last that clients trust.",
		[]string{"certificate"}, nil,
	)}
}

// Describe implements prometheus.Collector.
func (c *Certificates) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *Certificates) Collect(ch chan<- prometheus.Metric) {
	for name, at := range c.Expiry() {
		if m, err := prometheus.NewConstMetric(c.desc, prometheus.GaugeValue, float64(at.Unix()), name); err == nil {
			ch <- m
		}
	}
}
