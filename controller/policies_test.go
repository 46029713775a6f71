package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// stateful is a StatefulSet with a claim, as BackupConfigurations of these tests target it.
func stateful(annotations map[string]string) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", Annotations: annotations}}
	s.Spec.Template.Spec.Containers = []corev1.Container{{Name: "db", Image: "db", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}}
	s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	return s
}

func byBlueprint(name string) map[string]string {
	return map[string]string{
		api.AnnotationBlueprint: name, api.AnnotationTargetPaths: "/data", api.AnnotationVolumeMounts: "data:/data",
	}
}

func dailyBlueprint() *v1beta1.BackupBlueprint {
	b := &v1beta1.BackupBlueprint{ObjectMeta: metav1.ObjectMeta{Name: "daily"}}
	b.Spec.Backend = repository().Spec.Backend
	b.Spec.Schedule, b.Spec.RetentionPolicy.KeepDaily = "@daily", 7
	return b
}

// fromBlueprint is what the annotation was expanded into.
func fromBlueprint() *v1beta1.BackupConfiguration {
	c := configuration()
	c.Name = "sts-db"
	c.Annotations = map[string]string{api.AnnotationExpandedFrom: "StatefulSet/demo/db", api.AnnotationExpandedBlueprint: "BackupBlueprint/daily"}
	return c
}

func TestWhatARequestWouldLeave(t *testing.T) {
	deleted := stateful(nil)
	deleted.DeletionTimestamp, deleted.Finalizers = agoP(0), []string{"x/y"}
	for name, c := range map[string]struct {
		now, old *appsv1.StatefulSet
		stored   []client.Object
		refused  bool
		warned   bool
	}{
		"a new workload without a backup":                          {now: stateful(nil), refused: true},
		"a new workload with an annotation":                        {now: stateful(byBlueprint("daily"))},
		"a new workload whose blueprint is missing":                {now: stateful(byBlueprint("nightly")), refused: true},
		"a new workload with a configuration that was there first": {now: stateful(nil), stored: []client.Object{configuration(), repository()}},
		"an annotation is taken away":                              {now: stateful(nil), old: stateful(byBlueprint("daily")), stored: []client.Object{fromBlueprint()}, refused: true},
		"a hotfix":                                                 {now: stateful(nil), old: stateful(nil), warned: true},
		"a hotfix while the blueprint is missing":                  {now: stateful(byBlueprint("nightly")), old: stateful(byBlueprint("nightly")), stored: []client.Object{fromBlueprint()}},
		"the end of a workload":                                    {now: deleted, old: stateful(byBlueprint("daily"))},
		"an exemption":                                             {now: stateful(map[string]string{api.AnnotationExemption: "a cache"})},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, append(c.stored, policyOf(v1beta1.ActionDeny), dailyBlueprint(), namespace("demo", ""))...)
			r := webhook.PolicyRequest{Policy: "production", Namespace: "demo", Kind: target.StatefulSet(), Object: c.now}
			if c.old != nil {
				r.Old = c.old
			}
			got, err := NewAdmission(w).Protection(t.Context(), r)
			if err != nil || (len(got.Refused) > 0) != c.refused || (len(got.Warnings) > 0) != c.warned {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestAPolicyThatIsGoneDecidesNothing(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, namespace("demo", ""))
	got, err := NewAdmission(w).Protection(t.Context(), webhook.PolicyRequest{Policy: "production", Namespace: "demo", Kind: target.StatefulSet(), Object: stateful(nil)})
	if err != nil || len(got.Refused)+len(got.Warnings) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAClaimOfAProtectedWorkloadPasses(t *testing.T) {
	p := policyOf(v1beta1.ActionDeny)
	p.Spec.Kinds = []v1beta1.ProtectionKind{"PersistentVolumeClaim"}
	w := newWorld(t, interceptor.Funcs{}, p, namespace("demo", ""), stateful(nil), configuration(), repository())
	for name, refused := range map[string]bool{"data-db-0": false, "data-db-10": false, "data-db-x": true, "other": true, "data-web-0": true} {
		o := runtime.Object(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name}})
		got, err := NewAdmission(w).Protection(t.Context(), webhook.PolicyRequest{Policy: "production", Namespace: "demo", Kind: target.PersistentVolumeClaim(), Object: o})
		if err != nil || (len(got.Refused) > 0) != refused {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Whoever may create claims decides how often it is asked: of what is in other namespaces nothing is read,
// and of its own once, for the claim as it was and as it is to be.
func TestARequestOnAClaimReadsItsNamespaceOnce(t *testing.T) {
	p := policyOf(v1beta1.ActionDeny)
	p.Spec.Kinds = []v1beta1.ProtectionKind{"PersistentVolumeClaim"}
	elsewhere, theirs := configuration(), repository()
	elsewhere.Namespace, theirs.Namespace = "other", "other"
	vault := configuration()
	vault.Namespace, vault.Name, vault.Spec.Target.Ref.Namespace = "vault", "far", "demo"
	vault.Spec.Repository.Namespace = "demo"
	listed, read := map[string]int{}, 0
	count := interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			var o client.ListOptions
			o.ApplyOptions(opts)
			kind := fmt.Sprintf("%T", list)
			if o.Namespace == "" && o.FieldSelector == nil {
				kind += " of the cluster"
			}
			listed[kind]++
			return c.List(ctx, list, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, is := obj.(*v1alpha1.Repository); is {
				read++
			}
			return c.Get(ctx, key, obj, opts...)
		},
	}
	for name, c := range map[string]struct {
		stored       []client.Object
		refused      bool
		repositories int
	}{
		"a workload's":                              {[]client.Object{configuration(), repository()}, false, 1},
		"one that is backed up from elsewhere":      {[]client.Object{vault, repository()}, false, 1},
		"one that only others have a backup of":     {nil, true, 0},
		"one whose Repository does not exist (yet)": {[]client.Object{configuration()}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, count, append(c.stored, p, namespace("demo", ""), stateful(nil), elsewhere, theirs)...)
			clear(listed)
			read = 0
			claim := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data-db-0"}}
			old := claim.DeepCopy()
			old.Name = "data-web-0" // so that both are judged
			for _, o := range []*metav1.PartialObjectMetadata{claim, old} {
				clear(listed)
				read = 0
				got, err := NewAdmission(w).Protection(t.Context(), webhook.PolicyRequest{
					Policy: "production", Namespace: "demo", Kind: target.PersistentVolumeClaim(), Object: runtime.Object(o), Old: runtime.Object(old),
				})
				if err != nil || o == claim && (len(got.Refused)+len(got.Warnings) > 0) != c.refused {
					t.Errorf("%s: %+v, %v", o.Name, got, err)
				}
				if read != c.repositories {
					t.Errorf("%s: %d Repositories were read", o.Name, read)
				}
				for what, n := range listed {
					if n > 1 || strings.HasSuffix(what, " of the cluster") {
						t.Errorf("%s: %s was listed %d times", o.Name, what, n)
					}
				}
			}
		})
	}
}

// Hooks of policies come and go with them.
func TestWebhookConfigurationsFollowPolicies(t *testing.T) {
	k := newKeeper(t)
	of := func(v *validatingHooks) (n int) {
		for _, h := range v.Webhooks {
			if strings.HasSuffix(h.Name, ".protection.stash.appscode.com") {
				n++
			}
		}
		return n
	}
	if _, v, _ := k.kept(); of(v) != 0 {
		t.Error("there is a hook without a policy")
	}
	broken := policyOf(v1beta1.ActionDeny)
	broken.Name, broken.Spec.ObjectSelector = "broken", &metav1.LabelSelector{MatchLabels: map[string]string{"no key": "x"}}
	for _, p := range []client.Object{policyOf(v1beta1.ActionDeny), broken} {
		if err := k.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if _, v, _ := k.kept(); of(v) != 1 {
		t.Errorf("%d hooks of one policy that can be read", of(v))
	}
	if err := k.Delete(t.Context(), policyOf(v1beta1.ActionDeny)); err != nil {
		t.Fatal(err)
	}
	if _, v, _ := k.kept(); of(v) != 0 {
		t.Error("the hook of a policy that is gone stays")
	}
}
