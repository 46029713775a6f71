package controller

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// Two configurations at one place were stored while nobody could refuse the second: retention of either
// would delete the snapshots of both.
func TestOfTwoAtOnePlaceTheYoungerDoesNothing(t *testing.T) {
	elder, younger := configuration(), configuration()
	younger.Name, younger.UID, younger.CreationTimestamp = "twin", "c2", metav1.NewTime(elder.CreationTimestamp.Add(time.Second))
	younger.Spec.Target.Ref.Name = "other"
	for _, c := range []*v1beta1.BackupConfiguration{elder, younger} {
		c.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		c.Spec.RetentionPolicy = v1beta1.RetentionPolicy{Name: "keep", KeepLast: 3}
	}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}}
	other := set.DeepCopy()
	other.Name = "other"
	first, second := newSession(elder, "shop-1"), newSession(younger, "twin-1")
	first.UID, second.UID = "s1", "s2"
	repo := repository()
	w := newWorld(t, interceptor.Funcs{}, elder, younger, set, other, first, second, repo, keys(), namespace("demo", "shop"))
	sessions := &BackupSessions{World: w}
	o, err := sessions.observe(t.Context(), first)
	if err != nil || strings.Contains(o.NotReady, "invalid") {
		t.Errorf("the elder: %q, %v", o.NotReady, err)
	}
	o, err = sessions.observe(t.Context(), second)
	if err != nil || !strings.Contains(o.NotReady, "retention would delete the snapshots of both") {
		t.Errorf("the younger: %q, %v", o.NotReady, err)
	}
	// Nobody looks for its retention, once that was noticed.
	younger = read(t, w, "demo", "twin", &v1beta1.BackupConfiguration{})
	api.SetCondition(&younger.Status.Conditions, condition(api.ValidationPassed, false, "ResourceValidationFailed", "", 1), metav1.NewTime(w.Now()))
	if err := w.Status().Update(t.Context(), younger); err != nil {
		t.Fatal(err)
	}
	users, err := w.admittedUsers(t.Context(), read(t, w, "demo", "repo", &v1alpha1.Repository{}))
	if err != nil || len(users) != 1 || users[0].Name != elder.Name {
		t.Errorf("users: %v, %v", users, err)
	}
}

// Their sessions are due in the same second.
func TestSessionsOfOneTargetTakeTurns(t *testing.T) {
	one, two := configuration(), configuration()
	two.Name, two.UID = "shop-offsite", "c2"
	two.Spec.Repository.Name = "offsite"
	a, b, again := newSession(one, "shop-1"), newSession(two, "shop-offsite-1"), newSession(one, "shop-2")
	a.UID, b.UID, again.UID = "s1", "s2", "s3"
	a.CreationTimestamp, b.CreationTimestamp, again.CreationTimestamp = ago(0), ago(0), ago(-time.Second)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	r := &BackupSessions{World: newWorld(t, interceptor.Funcs{}, one, two, a, b, again, set, repository(), keys(), namespace("demo", "shop"))}
	for _, c := range []struct {
		session         *v1beta1.BackupSession
		earlier, others string
	}{{a, "", ""}, {b, "", "shop-1"}, {again, "shop-1", "shop-offsite-1"}} {
		o, err := r.observe(t.Context(), c.session)
		if err != nil || o.Earlier != c.earlier || o.Others != c.others {
			t.Errorf("%s comes after %q of its own and %q of others, %v", c.session.Name, o.Earlier, o.Others, err)
		}
	}
}

// Where nobody asked the webhook that adds the init-container, a pod with the stamp runs on what is there.
func TestAPodWithTheStampAloneIsNoPodOfTheRestore(t *testing.T) {
	pod := func(name string, inits ...corev1.Container) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID("u-" + name), Labels: map[string]string{api.LabelRestore: "h"}},
			Spec: corev1.PodSpec{InitContainers: inits, NodeName: "n1", Volumes: []corev1.Volume{
				{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			}},
		}
	}
	restores := corev1.Container{Name: api.ContainerRestore, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
	good, bare := pod("db-0", restores), pod("db-1")
	r := &RestoreSessions{World: newWorld(t, interceptor.Funcs{}, good, bare)}
	o := &session.Restore{Session: restoring(), Pods: map[string]session.Pod{}}
	for _, p := range []*corev1.Pod{good, bare} {
		if err := r.observePod(t.Context(), o, p, target.StatefulSet(), o.Session.Spec, "h"); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.OldPods) != 1 || o.OldPods[0].Name != "db-1" || len(o.Hosts) != 1 || o.Hosts[0].Pods[0].Name != "db-0" {
		t.Errorf("old: %+v, hosts: %+v", o.OldPods, o.Hosts)
	}
	with, err := r.sharedWith(t.Context(), good, restoredPlaces(good), "h")
	if err != nil || with != "db-1" {
		t.Errorf("the volume is shared with %q, %v", with, err)
	}
}
