package controller

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
)

func TestAdmissionNamesWhatDoesNotExist(t *testing.T) {
	set := func() client.Object {
		return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	}
	for name, c := range map[string]struct {
		there []client.Object
		want  []string
	}{
		"all is there":      {[]client.Object{repository(), set()}, nil},
		"no Repository":     {[]client.Object{set()}, []string{`Repository "demo/repo"`}},
		"no target":         {[]client.Object{repository()}, []string{`StatefulSet "demo/db"`}},
		"neither of either": {nil, []string{`Repository "demo/repo"`, `StatefulSet "demo/db"`}},
	} {
		t.Run("a restore: "+name, func(t *testing.T) {
			f, err := NewAdmission(newWorld(t, interceptor.Funcs{}, c.there...)).Facts(t.Context(), restoreNamed("r", 0))
			if d := cmp.Diff(c.want, f.Missing); err != nil || d != "" {
				t.Errorf("%v, missing (-want +got):\n%s", err, d)
			}
		})
		t.Run("a backup: "+name, func(t *testing.T) {
			f, err := NewAdmission(newWorld(t, interceptor.Funcs{}, c.there...)).Facts(t.Context(), configuration())
			if d := cmp.Diff(c.want, f.Missing); err != nil || d != "" {
				t.Errorf("%v, missing (-want +got):\n%s", err, d)
			}
		})
	}
	for name, c := range map[string]struct {
		task v1beta1.TaskRef
		want []string
	}{
		"without a Task":                    {v1beta1.TaskRef{}, []string{`PersistentVolumeClaim "demo/data"`}},
		"with the Task that it has anyway":  {v1beta1.TaskRef{Name: "pvc-backup"}, []string{`PersistentVolumeClaim "demo/data"`}},
		"with a Task that needs no such":    {v1beta1.TaskRef{Name: "mine"}, nil},
		"with parameters, which is refused": {v1beta1.TaskRef{Name: "pvc-backup", Params: []v1beta1.Param{{Name: "a", Value: "b"}}}, nil},
	} {
		t.Run("a backup of a claim "+name, func(t *testing.T) {
			config := configurationOfClaim()
			config.Spec.Task = c.task
			f, err := NewAdmission(newWorld(t, interceptor.Funcs{}, repository())).Facts(t.Context(), config)
			if d := cmp.Diff(c.want, f.Missing); err != nil || d != "" {
				t.Errorf("%v, missing (-want +got):\n%s", err, d)
			}
		})
	}
	for name, c := range map[string]struct {
		there []client.Object
		want  []string
	}{
		"no Secret":                        {nil, []string{`Secret "demo/keys"`}},
		"the Secret is there":              {[]client.Object{keys()}, nil},
		"the Repository says it by itself": {[]client.Object{repository()}, nil},
	} {
		t.Run("an annotation: "+name, func(t *testing.T) {
			p := blueprint.Pair{Repository: repository(), Configuration: configuration()}
			f, err := NewAdmission(newWorld(t, interceptor.Funcs{}, c.there...)).PairFacts(t.Context(), p, nil)
			if d := cmp.Diff(c.want, f.Missing); err != nil || d != "" {
				t.Errorf("%v, missing (-want +got):\n%s", err, d)
			}
		})
	}
}

func restoreNamed(name string, age time.Duration) *v1beta1.RestoreSession {
	rs := &v1beta1.RestoreSession{}
	rs.Namespace, rs.Name, rs.UID, rs.CreationTimestamp = "demo", name, typesUID("u-"+name), ago(age)
	rs.Spec.Repository.Name = "repo"
	rs.Spec.Target = &v1beta1.RestoreTarget{
		Ref: configuration().Spec.Target.Ref, Rules: []v1beta1.Rule{{Snapshots: []string{"latest"}}},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
	}
	return rs
}

// One whose Repository is misspelt waits for it; a right one that is created after it does not wait for
// that one.
func TestARestoreWithoutItsRepositoryDoesNotHoldUpALaterOne(t *testing.T) {
	for name, c := range map[string]struct {
		later  *v1beta1.RestoreSession
		age    time.Duration
		failed bool
	}{
		"alone it waits":                           {nil, time.Minute, false},
		"a later one can begin":                    {restoreNamed("right", time.Second), time.Minute, true},
		"both have come just now":                  {restoreNamed("right", time.Second), 2 * time.Second, false},
		"an earlier one is none of its business":   {restoreNamed("right", time.Hour), time.Minute, false},
		"the later one waits for the same as this": {withRepository(restoreNamed("right", time.Second), "wrong"), time.Minute, false},
		"the later one has failed":                 {inPhase(restoreNamed("right", time.Second), v1beta1.RestoreFailed), time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := withRepository(restoreNamed("wrong", c.age), "wrong")
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "w1"}}
			set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}}
			objs := []client.Object{wrong, repository(), set}
			if c.later != nil {
				objs = append(objs, c.later)
			}
			w := newWorld(t, interceptor.Funcs{}, objs...)
			r := &RestoreSessions{World: w, Ended: func() {}}
			if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(wrong)}); err != nil {
				t.Fatal(err)
			}
			got := read(t, w, "demo", "wrong", &v1beta1.RestoreSession{})
			if (got.Status.Phase == v1beta1.RestoreFailed) != c.failed {
				t.Errorf("it is %s: %s", got.Status.Phase, got.Status.Reason)
			}
			if !c.failed || c.later == nil {
				return
			}
			o, err := r.observe(t.Context(), c.later)
			if err != nil || o.Other != "" {
				t.Errorf("the later one waits for %q, %v", o.Other, err)
			}
		})
	}
}

func withRepository(rs *v1beta1.RestoreSession, name string) *v1beta1.RestoreSession {
	rs.Spec.Repository.Name = name
	return rs
}

func inPhase(rs *v1beta1.RestoreSession, phase v1beta1.RestorePhase) *v1beta1.RestoreSession {
	rs.Status.Phase = phase
	return rs
}
