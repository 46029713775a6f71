package controller

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/validators"
)

// The hooks leave these namespaces out, for good: whoever was let in before they were refused, or
// while the webhook was down, is told so, and nothing is begun.
func TestNothingInAnExcludedNamespaceIsATarget(t *testing.T) {
	for _, name := range []string{"kube-system", "kube-node-lease", "stash"} {
		t.Run(name, func(t *testing.T) {
			c := configuration()
			c.Spec.Target.Ref.Namespace = name
			c.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "db", Annotations: map[string]string{api.AnnotationBlueprint: "daily"}}}
			bs := newSession(c, "shop-1")
			w := newWorld(t, interceptor.Funcs{}, c, set, repository(), keys(), bs, namespace(name, ""), namespace("demo", ""))

			got := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{})
			if _, err := (&BackupConfigurations{World: w, Schedule: NewSchedule(w)}).update(t.Context(), got); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{api.ValidationPassed, api.BackupTargetFound} {
				if cond := api.FindCondition(got.Status.Conditions, kind); cond == nil || cond.Status != metav1.ConditionFalse || !strings.Contains(cond.Message, name) {
					t.Errorf("%s: %+v", kind, cond)
				}
			}
			if _, ok := read(t, w, "", name, &corev1.Namespace{}).Labels[api.LabelManaged]; ok {
				t.Error("its workloads are sent through the hook")
			}
			if o, err := (&BackupSessions{World: w}).observe(t.Context(), bs); err != nil || !strings.Contains(o.NotReady, name) {
				t.Errorf("a session: %q, %v", o.NotReady, err)
			}
			rs := restoring()
			rs.Spec.Target.Ref.Namespace = name
			facts, err := w.Facts(t.Context(), rs)
			if res := validators.RestoreSession(rs, nil, facts); err != nil || !strings.Contains(res.Errors.ToAggregate().Error(), "leaves the pods of namespace") {
				t.Errorf("a restore: %v, %v", res.Errors, err)
			}
			target, _ := blueprint.TargetOf(set, name)
			in, err := w.ExpansionInput(t.Context(), target)
			if out, problems := blueprint.Expand(in); err != nil || len(out.Pairs) > 0 || len(problems) != 1 || problems[0].Reason != blueprint.ReasonNamespaceExcluded {
				t.Errorf("the annotation: %+v, %v", problems, err)
			}
		})
	}
}
