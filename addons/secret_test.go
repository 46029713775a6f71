package addons_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/addons"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
)

func transforms(t *testing.T, text string) []appcatalog.SecretTransform {
	t.Helper()
	var out []appcatalog.SecretTransform
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func secret() map[string][]byte {
	return map[string][]byte{"POSTGRES_USER": []byte("root"), "POSTGRES_PASSWORD": []byte("hunter2")}
}

func others() map[string]map[string][]byte {
	return map[string]map[string][]byte{"more": {"POSTGRES_USER": []byte("admin"), "ca.crt": []byte("pem")}, "empty": nil}
}

func TestTransform(t *testing.T) {
	const user, password = "POSTGRES_USER: root", "POSTGRES_PASSWORD: hunter2"
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                        {"[]", "{POSTGRES_USER: root, POSTGRES_PASSWORD: hunter2}"},
		"keys are renamed":               {"[{renameKey: {from: POSTGRES_USER, to: username}}, {renameKey: {from: POSTGRES_PASSWORD, to: password}}]", "{username: root, password: hunter2}"},
		"a key keeps its name":           {"[{renameKey: {from: POSTGRES_USER, to: POSTGRES_USER}}]", "{" + user + ", " + password + "}"},
		"a renamed key replaces another": {"[{renameKey: {from: POSTGRES_PASSWORD, to: POSTGRES_USER}}]", "{POSTGRES_USER: hunter2}"},
		"two keys change places":         {"[{renameKey: {from: POSTGRES_USER, to: x}}, {renameKey: {from: POSTGRES_PASSWORD, to: POSTGRES_USER}}, {renameKey: {from: x, to: POSTGRES_PASSWORD}}]", "{POSTGRES_USER: hunter2, POSTGRES_PASSWORD: root}"},
		"a key in words":                 {"[{addKey: {key: port, stringValue: '5432'}}]", "{" + user + ", " + password + ", port: '5432'}"},
		"a key in base64":                {"[{addKey: {key: port, value: NTQzMg==}}]", "{" + user + ", " + password + ", port: '5432'}"},
		"words hold before base64":       {"[{addKey: {key: port, value: NTQzMg==, stringValue: ''}}]", "{" + user + ", " + password + ", port: ''}"},
		"an added key replaces another":  {"[{addKey: {key: POSTGRES_USER, stringValue: me}}]", "{POSTGRES_USER: me, " + password + "}"},
		"keys of another Secret":         {"[{addKeysFrom: {secretRef: {name: more}}}]", "{POSTGRES_USER: admin, " + password + ", ca.crt: pem}"},
		"an empty Secret":                {"[{addKeysFrom: {secretRef: {name: empty}}}]", "{" + user + ", " + password + "}"},
		"a removed key":                  {"[{removeKey: {key: POSTGRES_USER}}, {removeKey: {key: POSTGRES_USER}}]", "{" + password + "}"},
		"order":                          {"[{removeKey: {key: POSTGRES_USER}}, {addKeysFrom: {secretRef: {name: more}}}, {renameKey: {from: POSTGRES_USER, to: username}}]", "{" + password + ", username: admin, ca.crt: pem}"},
	} {
		t.Run(name, func(t *testing.T) {
			var want map[string]string
			if err := yaml.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			data, more := secret(), others()
			out, err := addons.Transform(data, transforms(t, c.in), more, field.NewPath("spec", "secretTransforms"))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for k, v := range out {
				got[k] = string(v)
				clear(v)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
			if diff := cmp.Diff(secret(), data) + cmp.Diff(others(), more); diff != "" {
				t.Fatalf("what was passed in was changed:\n%s", diff)
			}
		})
	}
}

func TestTransformRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a key that is missing":       {"[{removeKey: {key: POSTGRES_USER}}, {renameKey: {from: POSTGRES_USER, to: x}}]", `spec.secretTransforms[1].renameKey.from: Invalid value: "POSTGRES_USER": the Secret has no such key here; it has ["POSTGRES_PASSWORD"]`},
		"a name that no key can have": {"[{renameKey: {from: POSTGRES_USER, to: a b}}]", `spec.secretTransforms[0].renameKey.to: Invalid value: "a b": must be the name of a Secret's key`},
		"no name":                     {"[{addKey: {key: '', stringValue: hunter2}}]", `spec.secretTransforms[0].addKey.key: Invalid value: "": must be`},
		"a Secret that is missing":    {"[{addKeysFrom: {secretRef: {name: none}}}]", `spec.secretTransforms[0].addKeysFrom.secretRef.name: Invalid value: "none": there is no such Secret`},
		"no Secret":                   {"[{addKeysFrom: {}}]", "spec.secretTransforms[0].addKeysFrom.secretRef.name: Required value"},
		"nothing":                     {"[{}]", "spec.secretTransforms[0]: Invalid value: exactly one of"},
		"two at once":                 {"[{removeKey: {key: a}, addKey: {key: b, stringValue: hunter2}}]", "spec.secretTransforms[0]: Invalid value: exactly one of"},
		"too many":                    {"[" + strings.Repeat("{removeKey: {key: a}}, ", 100) + "]", "spec.secretTransforms: Too many: 100"},
		"too much":                    {"[{addKey: {key: a, stringValue: " + strings.Repeat("hunter2", 200000) + "}}]", "spec.secretTransforms[0]: Too long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := addons.Transform(secret(), transforms(t, c.in), others(), field.NewPath("spec", "secretTransforms"))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestNoErrorHoldsAValue(t *testing.T) {
	const value = "hunter2"
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom([]string{"a", "b", "c", "", "bad key", strings.Repeat("k", 300)})
		words := value
		var list []appcatalog.SecretTransform
		for range rapid.IntRange(0, 8).Draw(t, "transforms") {
			list = append(list, rapid.SampledFrom([]appcatalog.SecretTransform{
				{RenameKey: &appcatalog.RenameKey{From: key.Draw(t, "from"), To: key.Draw(t, "to")}},
				{AddKey: &appcatalog.AddKey{Key: key.Draw(t, "key"), StringValue: &words}},
				{RemoveKey: &appcatalog.RemoveKey{Key: key.Draw(t, "gone")}},
				{AddKeysFrom: &appcatalog.AddKeysFrom{SecretRef: appcatalog.SecretReference{Name: key.Draw(t, "secret")}}},
				{},
			}).Draw(t, "transform"))
		}
		out, err := addons.Transform(map[string][]byte{"a": []byte(value)}, list, map[string]map[string][]byte{"b": {"z": []byte(value)}}, field.NewPath("t"))
		switch {
		case err != nil && (out != nil || strings.Contains(err.Error(), value) || !strings.HasPrefix(err.Error(), "t[") || len(err.Error()) > 2000):
			t.Fatalf("got %v, %v", out, err)
		case err == nil && out == nil:
			t.Fatal("no data and no error")
		}
	})
}
