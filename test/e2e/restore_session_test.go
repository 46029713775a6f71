package e2e_test

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// restore creates a RestoreSession into a workload whose volume "data" is at /data.
func (s *site) restore(name, repository string, ref v1beta1.TargetRef, rules ...v1beta1.Rule) {
	s.Helper()
	s.create(s.restoreOf(name, repository, ref, rules...))
}

func (s *site) restoreOf(name, repository string, ref v1beta1.TargetRef, rules ...v1beta1.Rule) *v1beta1.RestoreSession {
	return &v1beta1.RestoreSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name},
		Spec: v1beta1.RestoreSessionSpec{
			Repository: v1beta1.KindRepositoryRef{Name: repository},
			Target: &v1beta1.RestoreTarget{
				Ref: ref, Rules: rules, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			},
		},
	}
}

func workload(kind, name string) v1beta1.TargetRef {
	return v1beta1.TargetRef{APIVersion: "apps/v1", Kind: kind, Name: name}
}

// data is the rule that restores all of /data.
func data() v1beta1.Rule { return v1beta1.Rule{Paths: []string{"/data"}} }

// restoreEnded waits for the end of a restore and returns it.
func (s *site) restoreEnded(name string) *v1beta1.RestoreSession {
	s.Helper()
	rs := &v1beta1.RestoreSession{}
	s.eventually(longest, "RestoreSession "+name+" ends", func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, rs); err != nil {
			return err
		}
		if !session.RestoreFinished(rs.Status.Phase) {
			return notYet("it is %q: %s %s", rs.Status.Phase, rs.Status.Reason, rs.Status.Progress)
		}
		return nil
	})
	return rs
}

// restored waits for the end of a restore and fails the test unless it succeeded.
func (s *site) restored(name string) *v1beta1.RestoreSession {
	s.Helper()
	rs := s.restoreEnded(name)
	if rs.Status.Phase != v1beta1.RestoreSucceeded {
		s.Fatalf("RestoreSession %s is %s: %s", name, rs.Status.Phase, rs.Status.Reason)
	}
	return rs
}

// notRestored waits for the end of a restore and fails the test unless it failed for that reason.
func (s *site) notRestored(name string, why ...string) *v1beta1.RestoreSession {
	s.Helper()
	rs := s.restoreEnded(name)
	if rs.Status.Phase != v1beta1.RestoreFailed {
		s.Fatalf("RestoreSession %s is %s: %s", name, rs.Status.Phase, rs.Status.Reason)
	}
	s.says(rs.Status.Reason, why...)
	return rs
}

// restoring waits until restic has written some bytes for a restore, and returns the pod that works.
func (s *site) restoring(name string) string {
	s.Helper()
	var pod string
	s.eventually(long, "RestoreSession "+name+" progresses", func(ctx context.Context) error {
		rs := &v1beta1.RestoreSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, rs); err != nil {
			return err
		}
		if session.RestoreFinished(rs.Status.Phase) {
			return final{notYet("it is over already: %s %s", rs.Status.Phase, rs.Status.Reason)}
		}
		for _, a := range rs.Status.Assignments {
			if a.Progress != nil && a.Progress.BytesDone > 0 {
				pod = a.Pod
				return nil
			}
		}
		return notYet("%q: %s", rs.Status.Phase, rs.Status.Reason)
	})
	return pod
}
