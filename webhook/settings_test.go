package webhook_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/seed-731df569/stash/webhook"
)

func TestSettingsThatAreWrongOrUnsafeAreRefused(t *testing.T) {
	const names = "backup.pods, restore.pods, restoring.pods, annotated.workloads, managed.workloads, restoring.workloads, default.workloads, protection, namespaces, withdrawal.namespaces, withdrawal.backupconfigurations, repositories"
	early := "a pod would start before its data is restored, and the data would be lost; write "
	for name, c := range map[string]struct {
		policies, timeouts []string
		want               []string
	}{
		"the hook that completes restore pods fails open": {
			policies: []string{"restore.pods=Ignore"},
			want:     []string{`--webhook-failure-policy: "restore.pods=Ignore": ` + early + "restore.pods=Fail, or leave it out"},
		},
		"the hook that holds back pods fails open, by its full name": {
			policies: []string{"restoring.pods.stash.appscode.com=Ignore"},
			want:     []string{`--webhook-failure-policy: "restoring.pods.stash.appscode.com=Ignore": ` + early + "restoring.pods=Fail, or leave it out"},
		},
		"the hook that stamps workloads under restore fails open": {
			policies: []string{"restoring.workloads=Ignore"},
			want:     []string{`--webhook-failure-policy: "restoring.workloads=Ignore": ` + early + "restoring.workloads=Fail, or leave it out"},
		},
		"nobody is asked for rights": {
			policies: []string{"repositories=Ignore"},
			want: []string{`--webhook-failure-policy: "repositories=Ignore": objects would be stored without asking whether their authors have the rights that Stash will use;` +
				" write repositories=Fail, or leave it out"},
		},
		"no hook":                {policies: []string{"pods=Fail"}, want: []string{`--webhook-failure-policy: "pods=Fail": there is no hook "pods"; write one of ` + names}},
		"no policy":              {policies: []string{"backup.pods=fail"}, want: []string{`"backup.pods=fail": expected Fail or Ignore; for example backup.pods=Ignore`}},
		"a policy without hook":  {policies: []string{"Fail"}, want: []string{`"Fail": expected HOOK=POLICY; for example annotated.workloads=Fail`}},
		"a timeout without hook": {timeouts: []string{"3"}, want: []string{`--webhook-timeout: "3": expected HOOK=SECONDS; for example backup.pods=1`}},
		"no time":                {timeouts: []string{"backup.pods=0"}, want: []string{`"backup.pods=0": expected whole seconds from 1 to 10, when the operator ends a request; for example backup.pods=2`}},
		"too much time":          {timeouts: []string{"restore.pods=11"}, want: []string{`"restore.pods=11": expected whole seconds from 1 to 10`}},
		"a duration":             {timeouts: []string{"restore.pods=3s"}, want: []string{`"restore.pods=3s": expected whole seconds from 1 to 10`}},
		"twice":                  {timeouts: []string{"backup.pods=1", "backup.pods.stash.appscode.com=2"}, want: []string{`hook backup.pods is set twice; write it once`}},
		"all faults are told at once": {
			policies: []string{"pods=Fail", "repositories=Ignore"}, timeouts: []string{"backup.pods=0"},
			want: []string{`"pods=Fail"`, `"repositories=Ignore"`, `"backup.pods=0"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webhook.ParseSettings(c.policies, c.timeouts)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q", err, want)
				}
			}
		})
	}
}

func TestSettingsReachTheConfigurations(t *testing.T) {
	s, err := webhook.ParseSettings([]string{"backup.pods=Fail", " annotated.workloads=Ignore"}, []string{"backup.pods=1", "restoring.pods=10", "repositories=7", "managed.workloads=4"})
	if err != nil {
		t.Fatal(err)
	}
	in := webhook.Installation{Namespace: "stash", Settings: s}
	got := map[string][2]any{}
	for _, h := range webhook.Mutating(in).Webhooks {
		got[h.Name] = [2]any{*h.FailurePolicy, *h.TimeoutSeconds}
	}
	for _, h := range webhook.Validating(in).Webhooks {
		got[h.Name] = [2]any{*h.FailurePolicy, *h.TimeoutSeconds}
	}
	set := map[string][2]any{
		"backup.pods":       {admissionregistrationv1.Fail, int32(1)},
		"restoring.pods":    {admissionregistrationv1.Fail, int32(10)},
		"repositories":      {admissionregistrationv1.Fail, int32(7)},
		"managed.workloads": {admissionregistrationv1.Ignore, int32(4)},
	}
	for _, h := range webhook.Hooks() {
		if len(h.Policies) > 0 {
			continue // those are there for policies only
		}
		want, ok := set[h.Name]
		if !ok {
			want = [2]any{h.FailurePolicy, h.TimeoutSeconds}
		}
		if d := cmp.Diff(want, got[h.FullName()]); d != "" {
			t.Errorf("%s (-want +got):\n%s", h.Name, d)
		}
	}
	warnings := []string{
		"hook backup.pods has the failure policy Fail instead of Ignore: while no replica answers, no pod of a protected workload starts: not on another node when one is lost, and not when the cluster starts",
		"hook managed.workloads has a timeout of 4 s instead of 3 s: while no replica answers, each of its requests may wait that long before it passes",
	}
	if d := cmp.Diff(warnings, s.Warnings()); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
	if none := (webhook.Settings{}).Warnings(); len(none) > 0 {
		t.Errorf("warnings about the table itself: %q", none)
	}
}

// What is answered where no answer can be had follows the policy that was set, not that of the table.
func TestSettingsReachTheHandlers(t *testing.T) {
	s, err := webhook.ParseSettings([]string{"backup.pods=Fail"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for want, settings := range map[string]webhook.Settings{"backup.pods allowed Panicked": {}, "backup.pods denied Panicked": s} {
		c, seen := &cluster{panics: true}, &counts{}
		h, err := webhook.Handler(webhook.Options{Pods: c, Workloads: c, Own: c, Access: c.access(), Settings: settings, Observer: seen, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		request := podRequest(t, "a", "")
		request.UID = "7e1d"
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mutate/pods/backup", bytes.NewReader(encode(t, request))))
		if d := cmp.Diff([]string{want}, seen.seen); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

// Each hook says what the other failure policy would do, or why it cannot be had.
func TestEachHookSaysWhatItsOtherFailurePolicyMeans(t *testing.T) {
	for _, h := range webhook.Hooks() {
		if (h.Unsafe == "") == (h.Risk == "") {
			t.Errorf("%s: unsafe %q, risk %q: one of them is said", h.Name, h.Unsafe, h.Risk)
		}
		if h.FailurePolicy == admissionregistrationv1.Fail && h.Unsafe == "" {
			t.Errorf("%s can be made to fail open", h.Name)
		}
	}
}
