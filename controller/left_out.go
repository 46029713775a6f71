package controller

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// leftOut says, after retention, whose snapshots are all kept since the host's newest backup failed; it is
// empty where there is no such host, or the configuration is gone.
func (g *Agents) leftOut(ctx context.Context, w v1alpha1.RepositoryWork) (string, error) {
	if w.Operation != v1alpha1.OperationForget {
		return "", nil
	}
	_, key, err := parseSubject(w.Subject)
	if err != nil {
		return "", nil //nolint:nilerr // it would not be read the next time either
	}
	c := &v1beta1.BackupConfiguration{}
	if err := g.Get(ctx, key, c); err != nil {
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "", fmt.Errorf("read BackupConfiguration: %w", err)
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
		return "", nil
	}
	return fmt.Sprintf("; all snapshots are kept of hosts whose last backup failed: %s", strings.Join(hosts, ", ")), nil
}
