package task_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/task"
)

// text draws strings that hold variables, all of which have a value or a default.
func text() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"${TARGET_NAME}", "${own}", "${empty}", "${no:=${TARGET_NAME}}", "${no:=}", "${own^^}", "${own//a/${TARGET_NAME}}", "${#own}",
		"x", " ", "\"", "\\", "{", "}", "$ ", "$(host)", "--a=", "\n", "ä", "/",
	})
	return rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces"), "") })
}

func function() *rapid.Generator[*v1beta1.Function] {
	return rapid.Custom(func(t *rapid.T) *v1beta1.Function {
		f := &v1beta1.Function{}
		f.Spec.Image = "registry.example/${TARGET_NAME}:v1"
		f.Spec.Command = rapid.SliceOfN(text(), 0, 3).Draw(t, "command")
		f.Spec.Args = rapid.SliceOfN(text(), 0, 5).Draw(t, "args")
		f.Spec.WorkingDir = text().Draw(t, "dir")
		f.Spec.Ports = []corev1.ContainerPort{{Name: text().Draw(t, "port"), ContainerPort: rapid.Int32Range(1, 65535).Draw(t, "number")}}
		f.Spec.RuntimeSettings = &v1beta1.ContainerRuntimeSettings{Env: []corev1.EnvVar{{Name: "A", Value: text().Draw(t, "env")}}}
		return f
	})
}

func TestEveryVariableIsReplacedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		functions := map[string]*v1beta1.Function{}
		tk := &v1beta1.Task{}
		for i := range rapid.IntRange(1, 5).Draw(t, "steps") {
			name := fmt.Sprintf("f%d", rapid.IntRange(0, i).Draw(t, "function"))
			functions[name] = function().Draw(t, name)
			tk.Spec.Steps = append(tk.Spec.Steps, v1beta1.TaskStep{Name: name, Params: []v1beta1.Param{{Name: "own", Value: text2(t)}, {Name: "empty"}}})
		}
		plan, problems := task.Resolve(tk, functions, task.Inputs{Computed: map[string]string{"TARGET_NAME": "web"}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if len(plan.Steps) != len(tk.Spec.Steps) {
			t.Fatalf("%d containers for %d steps", len(plan.Steps), len(tk.Spec.Steps))
		}
		names := map[string]bool{}
		for i := range plan.Steps {
			c := &plan.Steps[i].Container
			f := functions[tk.Spec.Steps[i].Name]
			names[c.Name] = true
			was := corev1.Container{Name: c.Name, Image: "x", ImagePullPolicy: c.ImagePullPolicy, Command: f.Spec.Command, Args: f.Spec.Args, WorkingDir: f.Spec.WorkingDir, Ports: f.Spec.Ports, Env: f.Spec.RuntimeSettings.Env}
			if diff := cmp.Diff(shape(t, was), shape(t, *c)); diff != "" {
				t.Fatalf("more than strings changed:\n%s", diff)
			}
			if all := encodeJSON(t, c); strings.Contains(all, "${TARGET_NAME}") || strings.Contains(all, "${own") || strings.Contains(all, "${no") || strings.Contains(all, "${empty") {
				t.Fatalf("a variable is left in %s", all)
			}
		}
		if len(names) != len(plan.Steps) {
			t.Fatalf("two containers have one name: %v", names)
		}
	})
}

// text2 draws values, which may hold anything but a variable.
func text2(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", `"}, "image": "evil`, "a b", "", `\`, "$(x)", "$a"}).Draw(t, "value")
}

func encodeJSON(t *rapid.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shape is a value without what its strings say; empty strings count as none.
func shape(t *rapid.T, c corev1.Container) any {
	var plain any
	if err := json.Unmarshal([]byte(encodeJSON(t, c)), &plain); err != nil {
		t.Fatal(err)
	}
	m, ok := plain.(map[string]any)
	if !ok {
		t.Fatal("no object")
	}
	for _, key := range []string{"workingDir", "name"} {
		delete(m, key)
	}
	for _, list := range []any{m["ports"], m["env"]} {
		items, _ := list.([]any)
		for _, item := range items {
			if fields, isMap := item.(map[string]any); isMap {
				delete(fields, "name")
				delete(fields, "value")
			}
		}
	}
	return withoutText(m)
}

// withoutText empties all strings but keys.
func withoutText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			out[k] = withoutText(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutText(item)
		}
		return out
	case string:
		return ""
	}
	return v
}

// FuzzResolve gives whole documents to the substitution and to Resolve: nothing panics, only strings
// change, what comes out and what is said of it is bounded, and nothing that was passed in changes.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{
		"spec: {image: '${a}', args: ['${a:=b}', '$${c}', 1, null], steps: [{name: f, params: [{name: a, value: '${TARGET_NAME}'}]}]}",
		"spec: {container: {image: a, env: [{name: A, value: '${x//a/${x}}'}]}, functions: [{name: F, inputs: {a: '${outputDir}'}}]}",
		"spec: {steps: [{name: update-status}, {name: '${'}], volumes: [{name: '${a}', secret: {secretName: '${a%%*.}'}}]}",
		"metadata: {name: '${a}'}", "[1, '${a', {b: '${#a}'}]", "'${big}${big}'",
	} {
		f.Add([]byte(s))
	}
	values := map[string]string{"a": "web", "TARGET_NAME": "db", "x": "aaaa", "big": strings.Repeat("a", 200)}
	f.Fuzz(func(t *testing.T, data []byte) {
		var doc, before any
		if yaml.Unmarshal(data, &doc) != nil || yaml.Unmarshal(data, &before) != nil {
			return
		}
		broken := task.CheckIn(&doc, "")
		if diff := cmp.Diff(before, doc); diff != "" {
			t.Fatalf("a check changed the document:\n%s", diff)
		}
		err := task.SubstituteIn(&doc, "", values)
		if err == nil && broken != nil {
			t.Fatalf("what cannot be read is resolved: %v", broken)
		}
		if err == nil && !cmp.Equal(withoutText(before), withoutText(doc)) {
			t.Fatalf("more than strings changed:\n%s", cmp.Diff(before, doc))
		}
		var tk v1beta1.Task
		var fn v1beta1.Function
		if yaml.Unmarshal(data, &tk) != nil || yaml.Unmarshal(data, &fn) != nil {
			return
		}
		taskBefore, functionBefore := tk.DeepCopy(), fn.DeepCopy()
		functions := map[string]*v1beta1.Function{"f": &fn}
		plan, problems := task.Resolve(&tk, functions, task.Inputs{Computed: values, Params: []v1beta1.Param{{Name: "p", Value: "hunter2"}}})
		if diff := cmp.Diff(taskBefore, &tk) + cmp.Diff(functionBefore, &fn); diff != "" {
			t.Fatalf("what was passed in was changed:\n%s", diff)
		}
		if len(problems) == 0 && len(plan.Steps) != max(len(tk.Spec.Steps), len(tk.Spec.Functions)) && (len(tk.Spec.Steps) == 0 || len(plan.Steps) != len(tk.Spec.Steps)) {
			t.Fatalf("%d containers", len(plan.Steps))
		}
		if text := problems.ToAggregate(); text != nil && len(text.Error()) > 64<<10 {
			t.Fatalf("%d bytes of problems", len(text.Error()))
		}
	})
}
