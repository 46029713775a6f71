package e2e_test

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// A restore chooses its snapshots at once and then waits for the one before it. Meanwhile pods of the
// target still wait for that one.
func secondRestoreWaits(s *site) {
	dir, want := s.filled()
	pod := s.slowRestore(dir)
	s.restore("second", "repo", workload("Deployment", "web"), data())
	s.eventually(soon, "the second restore has chosen and waits", func(ctx context.Context) error {
		rs := &v1beta1.RestoreSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "second"}, rs); err != nil {
			return err
		}
		if !api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned) || !strings.Contains(rs.Status.Reason, `waiting for RestoreSession "back"`) {
			return notYet("%s: %s", rs.Status.Phase, rs.Status.Reason)
		}
		return nil
	})
	running := get(s, pod, &corev1.Pod{})
	set := get(s, metav1.GetControllerOf(running).Name, &appsv1.ReplicaSet{})
	bare := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, GenerateName: set.Name + "-", Labels: map[string]string{"app": "web"}, OwnerReferences: running.OwnerReferences},
		Spec:       set.Spec.Template.Spec,
	}
	err := suite.client.Create(s.Context(), bare, client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), `RestoreSession "back" restores the volumes`) {
		s.Errorf("a pod without the restore is let in while the first restores: %v", err)
	}
	s.gate.heal()
	s.restored("back")
	s.restored("second")
	s.running(1)
	s.same("the volume", want, dir)
	s.notClosed()
}
