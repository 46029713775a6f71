package controller

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Between a pod and its replacement a node has none, and is a host all the same while it exists.
func TestANodeBetweenTwoPodsIsAHost(t *testing.T) {
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	for alias, prefix := range map[string]string{"": "", "till": "till-"} {
		rs := restoring()
		for _, h := range []string{"n1", "n2", "gone"} {
			rs.Status.Pinned = append(rs.Status.Pinned, v1beta1.PinnedSnapshot{Hostname: prefix + h, ID: "a", Path: "/data"})
		}
		r := &RestoreSessions{World: newWorld(t, interceptor.Funcs{}, node("n1"), node("n2"), node("n3"))}
		got, err := r.nodeHosts(t.Context(), rs, target.DaemonSet(), alias, []string{prefix + "n1"})
		if want := []string{prefix + "n1", prefix + "n2"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("alias %q: %v, %v, want %v", alias, got, err, want)
		}
	}
}
