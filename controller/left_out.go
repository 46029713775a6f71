package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// leftOut says, after retention, whose snapshots are all kept since the host's newest backup failed; it is
// empty where there is no such host, or the configuration is gone.
func (g *Agents) leftOut(ctx context.Context, w v1alpha1.RepositoryWork) string {
	_, key, err := parseSubject(w.Subject)
	c := &v1beta1.BackupConfiguration{}
	if err != nil || w.Operation != v1alpha1.OperationForget || g.Get(ctx, key, c) != nil {
		return ""
	}
	const few = 10
	var hosts []string
	for _, h := range c.Status.Hosts {
		if session.KeepsAll(h) {
			hosts = append(hosts, h.Hostname)
		}
	}
	if len(hosts) > few {
		hosts = append(hosts[:few], fmt.Sprintf("and %d more", len(hosts)-few))
	}
	if len(hosts) == 0 {
		return ""
	}
	return fmt.Sprintf("; all snapshots are kept of hosts whose last backup failed: %s", strings.Join(hosts, ", "))
}
