package protection_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

func TestWhatARequestTakesFromOthers(t *testing.T) {
	unprotected := func(reason protection.Reason) protection.Verdict {
		return protection.Verdict{State: protection.Unprotected, Faults: []protection.Fault{{Reason: reason, Detail: "detail of " + string(reason)}}}
	}
	none, paused := unprotected(protection.NoBackup), unprotected(protection.Paused)
	covered, outside := protection.Verdict{State: protection.Protected}, protection.Verdict{State: protection.NotSelected}
	for name, c := range map[string]struct {
		action        v1beta1.ProtectionAction
		existing      v1beta1.ProtectionExisting
		objects       int
		before, after protection.Verdict
		refused       string
		warned        string
		pauses        bool
	}{
		"a backup that goes":                                 {action: v1beta1.ActionDeny, objects: 1, before: covered, after: none, refused: `spec: Forbidden: ProtectionPolicy "production": it would leave unprotected: Deployment "demo/web-0": detail of NoBackup`},
		"what was not selected comes under the policy":       {action: v1beta1.ActionDeny, objects: 1, before: outside, after: none, refused: `"demo/web-0": detail of NoBackup`},
		"one more fault":                                     {action: v1beta1.ActionDeny, objects: 1, before: none, after: paused, refused: "detail of Paused"},
		"what was as unprotected before":                     {action: v1beta1.ActionDeny, objects: 3, before: none, after: none},
		"nor is it refused where existing objects are":       {action: v1beta1.ActionDeny, existing: v1beta1.ExistingDeny, objects: 3, before: none, after: none},
		"what gains":                                         {action: v1beta1.ActionDeny, objects: 3, before: none, after: covered},
		"what leaves the policy":                             {action: v1beta1.ActionDeny, objects: 3, before: covered, after: outside},
		"a warning":                                          {action: v1beta1.ActionWarn, objects: 1, before: covered, after: none, warned: "spec: ProtectionPolicy \"production\": it would leave unprotected"},
		"a pause is warned of, whatever the policy does":     {action: v1beta1.ActionDeny, objects: 1, before: covered, after: paused, warned: "spec: ProtectionPolicy \"production\": it would leave unprotected", pauses: true},
		"a pause that a policy only looks at":                {action: v1beta1.ActionAudit, objects: 1, before: covered, after: paused, pauses: true},
		"several are named":                                  {action: v1beta1.ActionDeny, objects: 2, before: covered, after: none, refused: `Deployment "demo/web-0" (NoBackup), Deployment "demo/web-1" (NoBackup); have them backed up first`},
		"of many the first":                                  {action: v1beta1.ActionDeny, objects: 9, before: covered, after: none, refused: `"demo/web-4" (NoBackup) and more; have`},
		"a policy that only looks says nothing, nor refuses": {action: v1beta1.ActionAudit, objects: 1, before: covered, after: none},
	} {
		t.Run(name, func(t *testing.T) {
			p := &protection.Policy{Name: "production", Spec: &v1beta1.ProtectionPolicySpec{Action: c.action, Existing: c.existing}}
			w := &protection.Withdrawal{Policy: p, Warned: c.pauses}
			for i := range c.objects {
				w.Add(&protection.Object{Kind: target.Deployment(), Namespace: protection.Namespace{Name: "demo"}, Name: fmt.Sprint("web-", i)}, c.before, c.after)
			}
			got := w.Answer(field.NewPath("spec"))
			refused, warned := strings.TrimSpace(lines(got.Refused)), strings.Join(got.Warnings, "\n")
			for _, x := range []struct{ got, want string }{{refused, c.refused}, {warned, c.warned}} {
				if (x.got == "") != (x.want == "") || !strings.Contains(x.got, x.want) {
					t.Errorf("%q, want %q", x.got, x.want)
				}
			}
		})
	}
}
