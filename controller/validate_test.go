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

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// What admission warns of is read by whoever runs kubectl. A GitOps controller does not pass it on, so it
// stands in the condition, too; of two configurations that claim one place the younger is refused.
func TestWarningsStandInTheCondition(t *testing.T) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	for _, name := range []string{"data", "uploads", "log"} {
		set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	made := func(name string, age time.Duration, volumes ...string) *v1beta1.BackupConfiguration {
		c := configuration()
		c.Name, c.UID, c.CreationTimestamp = name, "", ago(age)
		c.Spec.Schedule, c.Spec.RetentionPolicy.KeepLast = "* * * * *", 5
		c.Spec.Target.Paths = nil
		for _, v := range volumes {
			c.Spec.Target.VolumeMounts = append(c.Spec.Target.VolumeMounts, corev1.VolumeMount{Name: v, MountPath: "/" + v})
			c.Spec.Target.Paths = append(c.Spec.Target.Paths, "/"+v)
		}
		return c
	}
	first, second, rival := made("first", 3*time.Hour, "data"), made("second", 2*time.Hour, "uploads"), made("rival", time.Hour, "data")
	first.Spec.Schedule = "@daily"
	w := newWorld(t, interceptor.Funcs{}, repository(), keys(), set, namespace("demo", ""), first, second, rival)
	said := func(c client.Object) (metav1.ConditionStatus, string) {
		got := read(t, w, "demo", c.GetName(), &v1beta1.BackupConfiguration{})
		if _, err := (&BackupConfigurations{World: w, Schedule: NewSchedule(w)}).update(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		cond := api.FindCondition(got.Status.Conditions, api.ValidationPassed)
		return cond.Status, cond.Message
	}
	if status, text := said(first); status != metav1.ConditionTrue || text != `the configuration is valid; StatefulSet "db" keeps data that no backup holds, in volumes: log; `+
		`mount each in spec.target.volumeMounts, and name its folders in spec.target.paths; BackupConfiguration "demo/second" backs up the same target; BackupConfiguration "demo/rival" backs up the same target` {
		t.Errorf("the first: %s %s", status, text)
	}
	if status, text := said(second); status != metav1.ConditionTrue || !strings.Contains(text, "60 seconds apart") {
		t.Errorf("the second: %s %s", status, text)
	}
	if status, text := said(rival); status != metav1.ConditionFalse || !strings.Contains(text, `the same target, of BackupConfiguration "demo/first", keeps the same host and path`) {
		t.Errorf("the rival: %s %s", status, text)
	}
}
