package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/session"
)

// The owner of an application looks at the configuration: it is not Ready while nothing can be backed up.
func TestAConfigurationThatCannotBackUpIsNotReady(t *testing.T) {
	const denied = "the backend refused the keys"
	cases := map[string]struct {
		change func(c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository)
		want   v1beta1.BackupConfigurationPhase
		says   string
	}{
		"nobody has asked the backend yet": {
			func(_ *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) { repo.Status.Conditions = nil }, v1beta1.BackupInvokerReady, "",
		},
		"the backend answers": {func(*v1beta1.BackupConfiguration, *v1alpha1.Repository) {}, v1beta1.BackupInvokerReady, "answered"},
		"the backend refuses the keys": {
			func(_ *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) {
				repo.Status.Conditions = []api.Condition{condition(api.BackendReachable, false, "AccessDenied", denied, 2)}
			}, v1beta1.BackupInvokerNotReady, `Repository "demo/repo": ` + denied,
		},
		"it refused those of an earlier spec": {
			func(_ *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) {
				repo.Status.Conditions = []api.Condition{condition(api.BackendReachable, false, "AccessDenied", denied, 1)}
			}, v1beta1.BackupInvokerReady, "",
		},
		"the repository is gone": {
			func(_ *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) {
				repo.Status.Conditions = append(repo.Status.Conditions, condition(api.BackendRepositoryInitialized, false, session.ReasonGone, "it is gone", 2))
			}, v1beta1.BackupInvokerNotReady, `Repository "demo/repo": it is gone`,
		},
		"no pod has the sidecar": {
			func(c *v1beta1.BackupConfiguration, _ *v1alpha1.Repository) {
				c.Status.Conditions = []api.Condition{condition(api.StashSidecarInjected, false, "SidecarInjectionFailed", "exceeded quota", 0)}
			}, v1beta1.BackupInvokerNotReady, "answered",
		},
		"some have it": {
			func(c *v1beta1.BackupConfiguration, _ *v1alpha1.Repository) {
				c.Status.Conditions = []api.Condition{condition(api.StashSidecarInjected, true, "RollingOut", "1 of 2", 0)}
			}, v1beta1.BackupInvokerReady, "answered",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, repo := configuration(), repository()
			c.Spec.RetentionPolicy.KeepLast = 3
			c.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
			set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}}
			repo.Generation = 2
			repo.Status.Conditions = []api.Condition{condition(api.BackendReachable, true, "BackendAnswered", "the backend answered", 2)}
			tc.change(c, repo)
			w := newWorld(t, interceptor.Funcs{}, c, repo, keys(), set)
			r := &BackupConfigurations{World: w, Schedule: NewSchedule(w)}
			res, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: "shop"}})
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{})
			if got.Status.Phase != tc.want {
				t.Errorf("it is %s: %+v", got.Status.Phase, got.Status.Conditions)
			}
			says := ""
			if cond := api.FindCondition(got.Status.Conditions, api.BackendReachable); cond != nil {
				says = cond.Message
			}
			if !strings.Contains(says, tc.says) || tc.says == "" && says != "" {
				t.Errorf("it says %q, want %q", says, tc.says)
			}
			// Its Repository and its sidecar are watched: many that wait for them cost nothing.
			if res.RequeueAfter < time.Hour {
				t.Errorf("it is looked at again after %s", res.RequeueAfter)
			}
		})
	}
}

// A password that was changed is noticed by the next session: the Repository says so from then on.
func TestABackendThatAnAgentCouldNotUseIsAskedAnew(t *testing.T) {
	for reason, asked := range map[restic.Reason]bool{
		restic.ReasonWrongPassword: true, restic.ReasonAccessDenied: true, restic.ReasonNoBucket: true, restic.ReasonNoRepository: true,
		restic.ReasonUnreachable: true, restic.ReasonLocked: false, restic.ReasonOther: false,
	} {
		t.Run(string(reason), func(t *testing.T) {
			repo := repository()
			repo.Status.LastProbeTime = agoP(time.Hour)
			w := newWorld(t, interceptor.Funcs{}, configuration(), repo, running())
			r := protocol.Result{ID: "s1/host-0/1", Error: "it failed", Reason: reason, Finished: noon()}
			if err := NewAgents(w).Result(t.Context(), sidecar("db-0", "p0"), r); err != nil {
				t.Fatal(err)
			}
			if got := read(t, w, "demo", "repo", &v1alpha1.Repository{}); (got.Status.LastProbeTime == nil) != asked {
				t.Errorf("last asked %v", got.Status.LastProbeTime)
			}
		})
	}
}
