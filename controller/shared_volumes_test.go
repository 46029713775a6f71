package controller

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// A pod of another workload on the same claim keeps a restore from beginning, not from ending: until it
// is gone the application goes on.
func TestARestoreWaitsForOthersBeforeItTakesTheTargetDown(t *testing.T) {
	mounts := func(name, claim string, owned bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: typesUID("uid-" + name)}}
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
		if owned {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "sts", Controller: new(true)}}
		}
		return p
	}
	for name, c := range map[string]struct {
		own, other *corev1.Pod
		phase      corev1.PodPhase
		begun      bool
		want       session.Kind
	}{
		"a pod of another workload on the claim": {mounts("db-0", "data", true), mounts("other", "data", false), corev1.PodRunning, false, session.KindWait},
		"one that has ended":                     {mounts("db-0", "data", true), mounts("other", "data", false), corev1.PodSucceeded, false, session.KindClose},
		"one on another claim":                   {mounts("db-0", "data", true), mounts("other", "logs", false), corev1.PodRunning, false, session.KindClose},
		"another pod of the target":              {mounts("db-0", "data", true), mounts("db-1", "data", true), corev1.PodRunning, false, session.KindClose},
		"no pod of the target lives":             {mounts("away", "logs", false), mounts("other", "data", false), corev1.PodRunning, false, session.KindClose},
		"the restore has begun":                  {mounts("db-0", "data", true), mounts("other", "data", false), corev1.PodRunning, true, session.KindClose},
	} {
		t.Run(name, func(t *testing.T) {
			rs, sts, repo := pinning(2)
			rs.Status.Conditions = []api.Condition{{Type: api.SnapshotsPinned, Status: metav1.ConditionTrue}}
			rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			sts.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
			if c.begun {
				rs.Status.Hash = "h"
			}
			c.other.Status.Phase = c.phase
			r := &RestoreSessions{World: newWorld(t, interceptor.Funcs{}, rs, sts, repo, c.own, c.other), Probe: func(context.Context, *v1beta1.RestoreSession) (bool, string, error) { return false, "", nil }}
			o, err := r.observe(t.Context(), rs)
			if err != nil {
				t.Fatal(err)
			}
			a := session.NextRestore(o, noon())
			if a.Kind != c.want || c.want == session.KindWait && !strings.Contains(a.Message, `pod "other"`) {
				t.Errorf("it does %s: %s", a.Kind, a.Message)
			}
		})
	}
}
