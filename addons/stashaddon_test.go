package addons_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/addons"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func at() *field.Path { return field.NewPath("spec", "parameters") }

func parse(t *testing.T, text string) (addons.StashAddon, field.ErrorList) {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return addons.Parse(&runtime.RawExtension{Raw: raw}, at())
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want addons.StashAddon
	}{
		"both Tasks": {
			"{apiVersion: appcatalog.appscode.com/v1alpha1, kind: StashAddon, stash: {addon: {backupTask: {name: b, params: [{name: a, value: x}]}, restoreTask: {name: r, params: [{name: p, value: 'y'}]}}}}",
			addons.StashAddon{
				Backup:  v1beta1.TaskRef{Name: "b", Params: []v1beta1.Param{{Name: "a", Value: "x"}}},
				Restore: v1beta1.TaskRef{Name: "r", Params: []v1beta1.Param{{Name: "p", Value: "y"}}},
			},
		},
		"one Task":                      {"{kind: StashAddon, stash: {addon: {backupTask: {name: b}}}}", addons.StashAddon{Backup: v1beta1.TaskRef{Name: "b"}}},
		"fields of other readers":       {"{kind: StashAddon, more: 1, stash: {addon: {restoreTask: {name: r, x: 1}, later: {}}}}", addons.StashAddon{Restore: v1beta1.TaskRef{Name: "r"}}},
		"parameters of another product": {"{kind: PostgresConfiguration, stash: {addon: {backupTask: {name: 7}}}}", addons.StashAddon{}},
		"a kind that is none":           {"{kind: 7}", addons.StashAddon{}},
		"no object":                     {"[1, 2]", addons.StashAddon{}},
		"nothing about Tasks":           {"{kind: StashAddon}", addons.StashAddon{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, errs := parse(t, c.in)
			if diff := cmp.Diff(c.want, got); diff != "" || len(errs) > 0 {
				t.Fatalf("%v\n%s", errs, diff)
			}
		})
	}
	if got, errs := addons.Parse(nil, at()); len(errs) > 0 || !cmp.Equal(got, addons.StashAddon{}) {
		t.Fatalf("without parameters: %v, %v", got, errs)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a name that is no string":  {"{kind: StashAddon, stash: {addon: {backupTask: {name: 7}}}}", "spec.parameters: Invalid value: cannot be read as a StashAddon"},
		"a value that is no string": {"{kind: StashAddon, stash: {addon: {backupTask: {name: a, params: [{name: a, value: [hunter2]}]}}}}", "with strings as names and values"},
		"params without a Task":     {"{kind: StashAddon, stash: {addon: {restoreTask: {params: [{name: a, value: hunter2}]}}}}", "spec.parameters.stash.addon.restoreTask.name: Required value"},
		"a param without a name":    {"{kind: StashAddon, stash: {addon: {backupTask: {name: a, params: [{value: hunter2}]}}}}", "spec.parameters.stash.addon.backupTask.params[0].name: Required value"},
		"too many params":           {"{kind: StashAddon, stash: {addon: {backupTask: {name: a, params: [" + strings.Repeat("{name: a, value: b}, ", 300) + "]}}}}", "must have at most 256 items"},
		"too much":                  {"{kind: StashAddon, x: " + strings.Repeat("a", 300<<10) + "}", "spec.parameters: Too long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := parse(t, c.in)
			if len(errs) == 0 || !strings.Contains(errs[0].Error(), c.want) || strings.Contains(errs.ToAggregate().Error(), "hunter2") {
				t.Fatalf("got %v, want %q", errs, c.want)
			}
		})
	}
}

func TestTask(t *testing.T) {
	ref := func(name string, pairs ...string) v1beta1.TaskRef {
		out := v1beta1.TaskRef{Name: name}
		for i := 0; i < len(pairs); i += 2 {
			out.Params = append(out.Params, v1beta1.Param{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	for name, c := range map[string]struct{ addon, user, want v1beta1.TaskRef }{
		"the addon's alone":               {ref("a", "x", "1"), ref(""), ref("a", "x", "1")},
		"the user's alone":                {ref(""), ref("u", "x", "1"), ref("u", "x", "1")},
		"the user's name":                 {ref("a"), ref("u"), ref("u")},
		"the user's params over others":   {ref("a", "x", "1", "y", "2"), ref("", "y", "3", "z", "4"), ref("a", "x", "1", "y", "3", "z", "4")},
		"an empty value is one":           {ref("a", "x", "1"), ref("", "x", ""), ref("a", "x", "")},
		"the last of two with one name":   {ref("a"), ref("", "x", "1", "x", "2"), ref("a", "x", "2")},
		"neither":                         {ref(""), ref(""), ref("")},
		"the user's Task, addon's params": {ref("a", "x", "1"), ref("u", "y", "2"), ref("u", "x", "1", "y", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			addon := *c.addon.DeepCopy()
			if diff := cmp.Diff(c.want, addons.Task(c.addon, c.user)); diff != "" {
				t.Fatal(diff)
			}
			if diff := cmp.Diff(addon, c.addon); diff != "" {
				t.Fatalf("the addon was changed:\n%s", diff)
			}
		})
	}
}

// The existing Stash laid a restore's params over those of the backup.
func TestARestoreGetsNothingOfTheBackup(t *testing.T) {
	a, errs := parse(t, "{kind: StashAddon, stash: {addon: {backupTask: {name: b, params: [{name: backup, value: x}]}, restoreTask: {name: r, params: [{name: restore, value: 'y'}]}}}}")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got := addons.Task(a.Restore, v1beta1.TaskRef{Params: []v1beta1.Param{{Name: "user", Value: "z"}}})
	want := v1beta1.TaskRef{Name: "r", Params: []v1beta1.Param{{Name: "restore", Value: "y"}, {Name: "user", Value: "z"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"StashAddon","stash":{"addon":{"backupTask":{"name":"b","params":[{"name":"a","value":"x"}]}}}}`))
	f.Add([]byte(`{"kind":"StashAddon","stash":{"addon":{"backupTask":null,"restoreTask":{"params":[null]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, errs := addons.Parse(&runtime.RawExtension{Raw: data}, at())
		if len(errs) == 0 && a.Backup.Name == "" && len(a.Backup.Params) > 0 {
			t.Fatalf("params without a Task: %v", a)
		}
	})
}
