package protection_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

func some[T any](t *rapid.T, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, label)
}

func selector(t *rapid.T, label string) *metav1.LabelSelector {
	return some(t, label, nil, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}},
		&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}}})
}

func duration(t *rapid.T, label string, low, high int) *metav1.Duration {
	if some(t, label+" is given", true, false) {
		return &metav1.Duration{Duration: time.Duration(rapid.IntRange(low, high).Draw(t, label)) * time.Hour}
	}
	return nil
}

func anyPolicy(t *rapid.T) *v1beta1.ProtectionPolicy {
	p := &v1beta1.ProtectionPolicy{ObjectMeta: metav1.ObjectMeta{Name: some(t, "policy", "a", "b", "c")}}
	s := &p.Spec
	s.Action = some(t, "action", v1beta1.ActionAudit, v1beta1.ActionWarn, v1beta1.ActionDeny, v1beta1.ActionDefault, "")
	s.NamespaceSelector, s.ObjectSelector = selector(t, "namespaces"), selector(t, "objects")
	s.Kinds = some(t, "kinds", nil, []v1beta1.ProtectionKind{"Deployment"}, []v1beta1.ProtectionKind{"PersistentVolumeClaim", "StatefulSet"})
	s.Storage = some(t, "storage", "", v1beta1.StorageAny, v1beta1.StoragePersistent)
	s.Existing = some(t, "existing", "", v1beta1.ExistingDeny, v1beta1.ExistingWarn)
	s.Require.Blueprints = some(t, "blueprints", nil, []string{"daily"}, []string{"daily", "hourly"})
	s.Require.Repositories = some(t, "repositories", nil, []v1beta1.RequiredRepository{{Namespace: "vault"}, {Location: "s3://h/b"}})
	s.Require.MaxInterval, s.Require.MinRetention = duration(t, "interval", 1, 200), duration(t, "retention", 1, 2000)
	if s.Action == v1beta1.ActionDefault {
		s.Default = &v1beta1.ProtectionDefault{Blueprint: "daily"}
	}
	return p
}

func anyObject(t *rapid.T) *protection.Object {
	labels := func(label string) map[string]string {
		return some(t, label, nil, map[string]string{"tier": "gold"}, map[string]string{"tier": "silver"})
	}
	o := &protection.Object{
		Kind:      some(t, "kind", target.Deployment(), target.StatefulSet(), target.PersistentVolumeClaim()),
		Namespace: protection.Namespace{Name: some(t, "namespace", "demo", "kube-system", "stash"), Labels: labels("labels of the namespace")},
		Name:      "web", Labels: labels("labels"), Persistent: some(t, "persistent", true, false),
	}
	if some(t, "exempt", true, false) {
		o.Annotations = map[string]string{api.AnnotationExemption: some(t, "why", "", " ", "a cache")}
	}
	for range rapid.IntRange(0, 3).Draw(t, "backups") {
		c := &v1beta1.BackupConfiguration{ObjectMeta: metav1.ObjectMeta{Name: some(t, "configuration", "x", "y")}}
		c.Namespace, c.Spec.Target = "demo", &v1beta1.BackupTarget{Ref: v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}
		if by := some(t, "blueprint", "", "daily", "weekly"); by != "" {
			c.Annotations = map[string]string{
				api.AnnotationExpandedBlueprint: "BackupBlueprint/" + by,
				api.AnnotationExpandedFrom:      some(t, "expanded from", "", "Deployment/demo/web", "Deployment/demo/other"),
			}
		}
		c.Spec.Schedule = some(t, "schedule", "", "@hourly", "@daily", "0 3 * * 0", "nonsense", "@every 90m")
		c.Spec.Paused = some(t, "paused", true, false)
		c.Spec.Repository.Namespace = some(t, "repository", "", "vault")
		c.Spec.RetentionPolicy.KeepLast = int64(rapid.IntRange(0, 100).Draw(t, "keepLast"))
		c.Spec.RetentionPolicy.KeepDaily = int64(rapid.IntRange(0, 100).Draw(t, "keepDaily"))
		o.Backups = append(o.Backups, protection.Backup{Configuration: c, Location: some(t, "location", "", "s3://h/b/x", "s3://h/bb")})
	}
	return o
}

func read(t *rapid.T, p *v1beta1.ProtectionPolicy) *protection.Policy {
	out, err := protection.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Nothing that is exempt, not selected or protected is ever refused, or warned of.
func TestOnlyWhatIsUnprotectedIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, o, old := read(t, anyPolicy(t)), anyObject(t), anyObject(t)
		before, after := p.Judge(old, own), p.Judge(o, own)
		a := p.Admit(some(t, "operation", nil, &before), after)
		_, exempt := protection.Exemption(o.Annotations, nil)
		namespace := o.Namespace.Name
		if (exempt || namespace != "demo" || after.State != protection.Unprotected) && len(a.Refused)+len(a.Warnings) > 0 {
			t.Fatalf("%+v of %+v", a, after)
		}
		if len(a.Refused) > 0 && p.Spec.Action != v1beta1.ActionDeny {
			t.Fatalf("%s refuses", p.Spec.Action)
		}
		if (after.State == protection.Unprotected) != (len(after.Faults) > 0) {
			t.Fatalf("%+v", after)
		}
	})
}

// A request that changes nothing of it is refused only where the policy says so.
func TestWhatIsAsUnprotectedAsItWasPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, o := read(t, anyPolicy(t)), anyObject(t)
		v := p.Judge(o, own)
		if a := p.Admit(&v, v); len(a.Refused) > 0 && p.Spec.Existing != v1beta1.ExistingDeny {
			t.Fatalf("%+v", a)
		}
	})
}

// What a stricter policy takes for protected, a laxer one does too, and refuses no more.
func TestAStricterPolicyNeverAcceptsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored := anyPolicy(t)
		strict := stored.DeepCopy()
		r := &strict.Spec.Require
		if r.MaxInterval == nil {
			r.MaxInterval = duration(t, "new interval", 1, 200)
		} else {
			r.MaxInterval.Duration /= time.Duration(rapid.IntRange(1, 5).Draw(t, "divisor"))
		}
		if r.MinRetention == nil {
			r.MinRetention = duration(t, "new retention", 1, 2000)
		} else {
			r.MinRetention.Duration *= time.Duration(rapid.IntRange(1, 5).Draw(t, "factor"))
		}
		r.Blueprints = r.Blueprints[:min(len(r.Blueprints), 1)]
		r.Repositories = r.Repositories[:min(len(r.Repositories), 1)]
		o := anyObject(t)
		lax := read(t, stored)
		a, b := lax.Judge(o, own), read(t, strict).Judge(o, own)
		if b.State == protection.Protected && a.State != protection.Protected {
			t.Fatalf("lax %+v, strict %+v", a, b)
		}
		if len(lax.Admit(nil, a).Refused) > 0 && len(read(t, strict).Admit(nil, b).Refused) == 0 {
			t.Fatalf("the stricter one refuses less: %+v, %+v", a, b)
		}
	})
}

// A blueprint is applied to what is selected, wants none of its own and is not exempt.
func TestADefaultIsAppliedToNobodyWhoOptsOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObject(t)
		policies := []*protection.Policy{read(t, anyPolicy(t)), read(t, anyPolicy(t))}
		d := protection.DefaultFor(o, false, policies, own)
		reversed := slices.Clone(policies)
		slices.Reverse(reversed)
		if policies[0].Name != policies[1].Name && cmp.Diff(d, protection.DefaultFor(o, false, reversed, own)) != "" {
			t.Fatal("the order of the policies decides")
		}
		if len(d.Blueprints) == 0 {
			return
		}
		_, exempt := protection.Exemption(o.Annotations, nil)
		selected := slices.ContainsFunc(policies, func(p *protection.Policy) bool { return p.Selects(o, own) })
		if exempt || !selected || !o.Persistent || o.Namespace.Name != "demo" || !o.Kind.Supported {
			t.Fatalf("%v for %+v", d, o)
		}
		if left := protection.DefaultFor(o, true, policies, own); len(left.Blueprints) > 0 {
			t.Fatal("what somebody wrote is backed up twice")
		}
	})
}

// The status does not depend on the order in which objects are looked at, and counts each once.
func TestACensusCountsEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := read(t, anyPolicy(t))
		var objects []*protection.Object
		for i := range rapid.IntRange(0, 70).Draw(t, "objects") {
			o := anyObject(t)
			o.Name = string(rune('a'+i%26)) + string(rune('a'+i/26))
			objects = append(objects, o)
		}
		status := func(list []*protection.Object) v1beta1.ProtectionPolicyStatus {
			var c protection.Census
			for _, o := range list {
				c.Add(o, p.Judge(o, own))
			}
			var s v1beta1.ProtectionPolicyStatus
			c.Write(&s)
			return s
		}
		a := status(objects)
		slices.Reverse(objects)
		if d := cmp.Diff(a, status(objects)); d != "" {
			t.Fatal(d)
		}
		if a.Selected != a.Protected+a.Unprotected+a.Exempt || len(a.UnprotectedObjects) > 50 || len(a.ExemptObjects) > 50 ||
			len(a.UnprotectedObjects) < min(50, int(a.Unprotected)) || protection.Summary(&a) == "" {
			t.Fatalf("%+v", a)
		}
	})
}

// FuzzExemption: whatever somebody writes becomes one short line, or no exemption at all.
func FuzzExemption(f *testing.F) {
	for _, seed := range []string{"", " ", "true", "\"Yes!\"", "1", "n/a", "ÿ", "a cache", "a\nb\x1b[31m", "\xff\xfe", "\u202e", string(make([]byte, 1000))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		annotations := map[string]string{api.AnnotationExemption: text}
		reason, ok := protection.Exemption(annotations, nil)
		if ok == (reason == "") || ok == (protection.Unreasoned(annotations) != "") || len(reason) > 256 {
			t.Fatalf("%q: %q, %v", text, reason, ok)
		}
		for _, r := range reason {
			if r < ' ' || r == 0x7f || r == '\u202e' || r == 0x2028 {
				t.Fatalf("%q", reason)
			}
		}
		if again, _ := protection.Exemption(map[string]string{api.AnnotationExemption: reason}, nil); again != reason {
			t.Fatalf("%q becomes %q", reason, again)
		}
	})
}
