package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-731df569/stash/metrics"
)

func TestCertificatesTellWhenTheyExpire(t *testing.T) {
	c := metrics.NewCertificates(func() map[string]time.Time {
		return map[string]time.Time{"serving": time.Unix(1800000000, 0), "ca": time.Unix(1900000000, 0)}
	})
	const want = `# HELP stash_certificate_expiry_time_seconds Unix time at which a certificate that this replica uses expires: serving, that of webhooks and broker; ca, the last that clients trust.
# TYPE stash_certificate_expiry_time_seconds gauge
stash_certificate_expiry_time_seconds{certificate="ca"} 1.9e+09
stash_certificate_expiry_time_seconds{certificate="serving"} 1.8e+09
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if faults, err := testutil.CollectAndLint(c); err != nil || len(faults) > 0 {
		t.Errorf("%v, %v", faults, err)
	}
}
