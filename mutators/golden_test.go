package mutators_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	matt "github.com/mattbaird/jsonpatch"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// input is what a golden case starts from, beside the pod.
type input struct {
	Backups []struct {
		Name  string                          `json:"name"`
		Spec  v1beta1.BackupConfigurationSpec `json:"spec"`
		Local *v1alpha1.LocalSpec             `json:"local"`
	} `json:"backups"`
	Restore *struct {
		Name  string                     `json:"name"`
		UID   string                     `json:"uid"`
		Spec  v1beta1.RestoreSessionSpec `json:"spec"`
		Local *v1alpha1.LocalSpec        `json:"local"`
	} `json:"restore"`
	Template       *corev1.PodTemplateSpec `json:"template"`
	ClaimTemplates []string                `json:"claimTemplates"`
	PodSecurity    mutators.Level          `json:"podSecurity"`
	LimitsRequired bool                    `json:"limitsRequired"`
	Classic        bool                    `json:"classic"`
	PullSecrets    []string                `json:"pullSecrets"`
}

func settings() mutators.Settings {
	return mutators.Settings{
		Image: "stash:test", ImagePullPolicy: corev1.PullIfNotPresent,
		BrokerAddress: "stash-broker.stash.svc:8444", ServerName: "stash-broker.stash.svc",
		NativeSidecar: true, InjectionVersion: 1,
	}
}

func (in input) plans(t *testing.T, pod []byte) ([]mutators.Plan, []mutators.Problem) {
	t.Helper()
	template := corev1.PodTemplateSpec{}
	if in.Template != nil {
		template = *in.Template
	} else if err := json.Unmarshal(pod, &template); err != nil {
		t.Fatal(err)
	}
	s := settings()
	s.NativeSidecar, s.PullSecrets = !in.Classic, in.PullSecrets
	ns := mutators.Namespace{PodSecurity: in.PodSecurity, LimitsRequired: in.LimitsRequired}
	var plans []mutators.Plan
	var problems []mutators.Problem
	if r := in.Restore; r != nil {
		spec, _ := r.Spec.Shipped()
		p, q := mutators.NewRestorePlan(mutators.RestoreInput{
			Template: template, ClaimTemplates: in.ClaimTemplates, Name: r.Name, UID: r.UID,
			Spec: spec, Local: r.Local, Namespace: ns, Settings: s,
		})
		plans, problems = append(plans, p), append(problems, q...)
	}
	if len(in.Backups) > 0 {
		b := mutators.BackupInput{Template: template, ClaimTemplates: in.ClaimTemplates, Namespace: ns, Settings: s}
		for _, c := range in.Backups {
			spec, _ := c.Spec.Shipped()
			b.Configurations = append(b.Configurations, mutators.Configuration{Name: c.Name, Spec: spec, Local: c.Local})
		}
		p, q := mutators.NewBackupPlan(b)
		plans, problems = append(plans, p), append(problems, q...)
	}
	return plans, problems
}

func TestPodGoldens(t *testing.T) {
	forEachGolden(t, "testdata/pod", func(t *testing.T, files map[string]string) map[string]string {
		var in input
		if err := yaml.UnmarshalStrict([]byte(files["input.yaml"]), &in); err != nil {
			t.Fatal(err)
		}
		raw, err := yaml.YAMLToJSON([]byte(files["pod.yaml"]))
		if err != nil {
			t.Fatal(err)
		}
		plans, problems := in.plans(t, raw)
		ops, reason := mutators.Pod(raw, plans...)
		patched := apply(t, raw, ops)
		decodes(t, patched)
		if again, why := mutators.Pod(patched, plans...); len(again) != 0 || reason == mutators.Injected && why != mutators.AlreadyInjected {
			t.Errorf("second run: %d operations, %s", len(again), why)
		}
		sameAsApply(t, raw, patched, plans)
		out, err := yaml.JSONToYAML(patched)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"want.yaml": string(out), "reasons": report(plans, problems, reason)}
	})
}

func TestWorkloadGoldens(t *testing.T) {
	forEachGolden(t, "testdata/workload", func(t *testing.T, files map[string]string) map[string]string {
		var want mutators.Stamp
		if err := yaml.UnmarshalStrict([]byte(files["input.yaml"]), &want); err != nil {
			t.Fatal(err)
		}
		raw, err := yaml.YAMLToJSON([]byte(files["workload.yaml"]))
		if err != nil {
			t.Fatal(err)
		}
		ops, reason := mutators.Workload(raw, want)
		patched := apply(t, raw, ops)
		if again, why := mutators.Workload(patched, want); len(again) != 0 || reason == mutators.Stamped && why != mutators.AlreadyStamped {
			t.Errorf("second run: %d operations, %s", len(again), why)
		}
		out, err := yaml.JSONToYAML(patched)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"want.yaml": string(out), "reasons": string(reason) + "\n"}
	})
}

// forEachGolden runs every txtar archive of a folder; what run returns is compared with the files of
// those names.
func forEachGolden(t *testing.T, dir string, run func(*testing.T, map[string]string) map[string]string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens in %s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range a.Files {
				files[f.Name] = string(f.Data)
			}
			got := run(t, files)
			if *update {
				rewrite(t, path, a, got)
				return
			}
			for name, text := range got {
				if diff := cmp.Diff(files[name], text); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			for name := range files {
				if _, ok := got[name]; !ok && (strings.HasPrefix(name, "want") || name == "problem") {
					t.Errorf("%s is an orphan", name)
				}
			}
		})
	}
}

func rewrite(t *testing.T, path string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	var kept []txtar.File
	for _, f := range a.Files {
		if _, ok := got[f.Name]; !ok {
			kept = append(kept, f)
		}
	}
	for _, name := range []string{"want.yaml", "reasons", "problem"} {
		if text, ok := got[name]; ok {
			kept = append(kept, txtar.File{Name: name, Data: []byte(text)})
		}
	}
	a.Files = kept
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func report(plans []mutators.Plan, problems []mutators.Problem, reason mutators.Reason) string {
	var b strings.Builder
	fmt.Fprintln(&b, reason)
	for _, p := range plans {
		fmt.Fprintf(&b, "hash %q\n", p.Hash())
	}
	for _, p := range problems {
		fmt.Fprintf(&b, "%s refuses=%v %s\n", p.Reason, p.Refuses(), p)
	}
	return b.String()
}

// apply is what the API server does with a patch.
func apply(t failer, raw []byte, ops []matt.JsonPatchOperation) []byte {
	if len(ops) == 0 {
		return raw
	}
	encoded, err := json.Marshal(pointers(ops))
	if err != nil {
		t.Fatalf("encode the patch: %v", err)
	}
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		t.Fatalf("decode the patch: %v", err)
	}
	out, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("apply %s: %v", encoded, err)
	}
	return out
}

// pointers, since the operation encodes itself by a method of its pointer.
func pointers(ops []matt.JsonPatchOperation) []*matt.JsonPatchOperation {
	out := make([]*matt.JsonPatchOperation, len(ops))
	for i := range ops {
		out[i] = &ops[i]
	}
	return out
}

func decodes(t failer, raw []byte) corev1.Pod {
	var pod corev1.Pod
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatalf("the patched pod does not decode: %v", err)
	}
	return pod
}

// sameAsApply holds the typed form of the addition against the patch.
func sameAsApply(t failer, raw, patched []byte, plans []mutators.Plan) {
	before, after := decodes(t, raw), decodes(t, patched)
	got, _, err := mutators.Apply(&before, plans...)
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(after)
	if string(a) != string(b) {
		t.Fatalf("Apply differs from the patch: %s", cmp.Diff(string(a), string(b)))
	}
}

type failer interface {
	Fatalf(format string, args ...any)
}
