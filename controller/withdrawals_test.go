package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/webhook"
)

// described is a namespace with labels and annotations.
func described(labels, annotations map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo", Labels: labels, Annotations: annotations}}
}

// promising is a configuration that meets the policy of these tests, changed.
func promising(change func(*v1beta1.BackupConfiguration)) *v1beta1.BackupConfiguration {
	c := configuration()
	c.Spec.Schedule, c.Spec.RetentionPolicy.KeepDaily = "@daily", 40
	c.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	change(c)
	return c
}

func TestWhatARequestTakesFromWorkloads(t *testing.T) {
	tier, by := map[string]string{"tier": "production"}, map[string]string{api.AnnotationBlueprint: "daily"}
	asIs := func(*v1beta1.BackupConfiguration) {}
	paused := promising(func(c *v1beta1.BackupConfiguration) { c.Spec.Paused = true })
	seldom := promising(func(c *v1beta1.BackupConfiguration) { c.Spec.Schedule = "@weekly" })
	weak := promising(func(c *v1beta1.BackupConfiguration) { c.Spec.RetentionPolicy.KeepDaily = 2 })
	more := promising(func(c *v1beta1.BackupConfiguration) { c.Spec.RetentionPolicy.KeepDaily = 90 })
	away := promising(func(c *v1beta1.BackupConfiguration) { c.Spec.Target.Ref.Name = "other" })
	second := promising(func(c *v1beta1.BackupConfiguration) { c.Name, c.UID = "second", "c2" })
	made := promising(func(c *v1beta1.BackupConfiguration) {
		c.Name, c.Annotations = "sts-db", map[string]string{api.AnnotationExpandedFrom: "StatefulSet/demo/db", api.AnnotationExpandedBlueprint: "BackupBlueprint/daily"}
	})
	going := stateful(nil)
	going.DeletionTimestamp, going.Finalizers = agoP(0), []string{"x/y"}
	ending := described(tier, nil)
	ending.DeletionTimestamp, ending.Finalizers = agoP(0), []string{"x/y"}
	gone, stays := ending.DeepCopy(), described(nil, nil)
	gone.Name, stays.Name = "abroad", "abroad"
	abroad := promising(func(c *v1beta1.BackupConfiguration) {
		c.Namespace, c.Spec.Target.Ref.Namespace, c.Spec.Repository.Namespace = "abroad", "demo", "demo"
	})
	annotations := func(before, after map[string]string) webhook.Withdrawal {
		return webhook.Withdrawal{NamespaceBefore: described(tier, before), NamespaceAfter: described(tier, after)}
	}
	change := func(after *v1beta1.BackupConfiguration) webhook.Withdrawal {
		return webhook.Withdrawal{ConfigurationBefore: promising(asIs), ConfigurationAfter: after}
	}
	of := func(objs ...client.Object) []client.Object { return objs }
	for name, c := range map[string]struct {
		request webhook.Withdrawal
		stored  []client.Object
		says    string
	}{
		"the annotation of a namespace is taken away":                {annotations(by, nil), of(described(tier, by), stateful(nil)), `StatefulSet "demo/db": nothing backs it up`},
		"and where the workload has its own, nothing is lost":        {annotations(by, nil), of(described(tier, by), stateful(byBlueprint("daily"))), ""},
		"another blueprint, which is not there":                      {annotations(by, map[string]string{api.AnnotationBlueprint: "typo"}), of(described(tier, by), stateful(nil)), "nothing backs it up"},
		"the exemption of a namespace is taken away":                 {annotations(map[string]string{api.AnnotationExemption: "made anew each night"}, nil), of(described(tier, nil), stateful(nil)), "nothing backs it up"},
		"an annotation comes":                                        {annotations(nil, by), of(described(tier, nil), stateful(nil)), ""},
		"a label brings what is unprotected under the policy":        {webhook.Withdrawal{NamespaceBefore: described(nil, nil), NamespaceAfter: described(tier, nil)}, of(described(nil, nil), stateful(nil)), "nothing backs it up"},
		"a label that says nothing to the policy":                    {webhook.Withdrawal{NamespaceBefore: described(tier, nil), NamespaceAfter: described(map[string]string{"tier": "production", "x": "y"}, nil)}, of(described(tier, nil), stateful(nil)), ""},
		"a label by which it leaves the policy":                      {webhook.Withdrawal{NamespaceBefore: described(tier, by), NamespaceAfter: described(nil, by)}, of(described(tier, by), stateful(nil)), ""},
		"a configuration is paused":                                  {change(paused), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "is paused: set spec.paused to false"},
		"a configuration is paused, and nothing else":                {webhook.Withdrawal{ConfigurationBefore: promising(asIs), ConfigurationAfter: paused, Pauses: true}, of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "Warning: "},
		"a longer interval":                                          {change(seldom), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "at most 24h are allowed"},
		"a weaker retention":                                         {change(weak), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "at least 720h are required"},
		"a stronger one":                                             {change(more), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), ""},
		"another target":                                             {change(away), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "nothing backs it up"},
		"it is deleted":                                              {change(nil), of(described(tier, nil), stateful(nil), repository(), promising(asIs)), "nothing backs it up"},
		"it is deleted, and another one holds the same":              {change(nil), of(described(tier, nil), stateful(nil), repository(), promising(asIs), second), ""},
		"it is deleted after its workload":                           {change(nil), of(described(tier, nil), repository(), promising(asIs)), ""},
		"it is deleted while its workload is":                        {change(nil), of(described(tier, nil), going, repository(), promising(asIs)), ""},
		"it is deleted while its namespace is":                       {change(nil), of(ending, stateful(nil), repository(), promising(asIs)), ""},
		"it is deleted with its own namespace, but not its workload": {webhook.Withdrawal{ConfigurationBefore: abroad}, of(described(tier, nil), gone, stateful(nil), repository(), abroad), ""},
		"it is deleted in another namespace":                         {webhook.Withdrawal{ConfigurationBefore: abroad}, of(described(tier, nil), stays, stateful(nil), repository(), abroad), "nothing backs it up"},
		"one that the operator makes again":                          {webhook.Withdrawal{ConfigurationBefore: made}, of(described(tier, nil), stateful(byBlueprint("daily")), made), ""},
		"a configuration of a workload that no policy looks at":      {change(nil), of(described(nil, nil), stateful(nil), repository(), promising(asIs)), ""},
		"a request that is judged by a policy that went just now":    {webhook.Withdrawal{Policy: "gone", NamespaceBefore: described(nil, nil), NamespaceAfter: described(tier, nil)}, of(described(nil, nil), stateful(nil)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := policyOf(v1beta1.ActionDeny)
			p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: tier}
			p.Spec.Require.MaxInterval, p.Spec.Require.MinRetention = &metav1.Duration{Duration: 24 * time.Hour}, &metav1.Duration{Duration: 720 * time.Hour}
			daily := dailyBlueprint()
			daily.Spec.RetentionPolicy.KeepDaily = 40
			c.request.At = field.NewPath("spec")
			got, err := NewAdmission(newWorld(t, interceptor.Funcs{}, append(c.stored, p, daily)...)).Withdrawal(t.Context(), c.request)
			text := ""
			if len(got.Refused) > 0 {
				text = got.Refused.ToAggregate().Error()
			}
			if len(got.Warnings) > 0 {
				text = "Warning: " + strings.Join(got.Warnings, "\n")
			}
			if err != nil || (text == "") != (c.says == "") || !strings.Contains(text, c.says) {
				t.Errorf("%q, %v; want %q", text, err, c.says)
			}
		})
	}
}

// A namespace may hold more than can be judged while the API server waits: what was not looked at is said.
func TestAWithdrawalEndsInTime(t *testing.T) {
	objs := []client.Object{policyOf(v1beta1.ActionDeny), described(nil, nil), dailyBlueprint()}
	for i := range 9 {
		s := stateful(nil)
		s.Name = fmt.Sprint("db-", i)
		objs = append(objs, s)
	}
	w := newWorld(t, interceptor.Funcs{}, objs...)
	r := webhook.Withdrawal{
		NamespaceBefore: described(nil, map[string]string{api.AnnotationBlueprint: "daily"}), NamespaceAfter: described(nil, nil), At: field.NewPath("metadata", "annotations"),
	}
	got, err := NewAdmission(w).Withdrawal(t.Context(), r)
	if err != nil || len(got.Refused) != 1 || !strings.Contains(got.Refused[0].Detail, `"demo/db-4" (NoBackup) and more;`) {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), withdrawalMargin)
	defer cancel()
	got, err = NewAdmission(w).Withdrawal(ctx, r)
	if err != nil || len(got.Refused) > 0 || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "of 9 workloads only 0 could be looked at in time") {
		t.Errorf("%+v, %v", got, err)
	}
}
