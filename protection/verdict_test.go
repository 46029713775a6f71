package protection_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

var update = flag.Bool("update", false, "rewrite the wanted results in testdata")

const own = "stash"

// backup is a BackupConfiguration of a case, with what is known beside it.
type backup struct {
	Configuration *v1beta1.BackupConfiguration `json:"configuration"`
	Location      string                       `json:"location"`
	Problem       string                       `json:"problem"`
}

// TestVerdicts runs the cases in testdata. Each holds policy.yaml and object.yaml, perhaps
// namespace.yaml, backups.yaml and, of a request, old.yaml: what the object was before. Wanted are the
// verdict, the answer to the request, and the blueprint that is applied by default.
func TestVerdicts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txtar"), "-", " "), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string][]byte{}
			var kept []txtar.File
			for _, f := range archive.Files {
				switch f.Name {
				case "policy.yaml", "object.yaml", "old.yaml", "namespace.yaml", "backups.yaml", "old-backups.yaml":
					parts[f.Name] = f.Data
					kept = append(kept, f)
				case "verdict", "refused", "warnings", "default":
				default:
					t.Fatalf("nothing reads %q", f.Name)
				}
			}
			got := results(t, parts)
			if again := results(t, parts); cmp.Diff(got, again) != "" {
				t.Fatalf("a second run differs:\n%s", cmp.Diff(got, again))
			}
			if *update {
				out := &txtar.Archive{Comment: archive.Comment, Files: append(kept, got...)}
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := txtar.Format(&txtar.Archive{Files: archive.Files[len(kept):]})
			if d := cmp.Diff(string(want), string(txtar.Format(&txtar.Archive{Files: got}))); d != "" {
				t.Errorf("-want +got (-update rewrites):\n%s", d)
			}
		})
	}
}

func results(t *testing.T, parts map[string][]byte) []txtar.File {
	t.Helper()
	var stored v1beta1.ProtectionPolicy
	decode(t, parts["policy.yaml"], &stored)
	p, err := protection.New(&stored)
	if err != nil {
		return []txtar.File{{Name: "verdict", Data: []byte(err.Error() + "\n")}}
	}
	o, byHand := object(t, parts, "object.yaml", "backups.yaml")
	v := p.Judge(o, own)
	out := []txtar.File{{Name: "verdict", Data: []byte(text(v))}}
	var before *protection.Verdict
	if _, is := parts["old.yaml"]; is {
		backups := "old-backups.yaml"
		if _, differ := parts[backups]; !differ {
			backups = "backups.yaml"
		}
		old, _ := object(t, parts, "old.yaml", backups)
		was := p.Judge(old, own)
		before = &was
	}
	a := p.Admit(before, v)
	if len(a.Refused) > 0 {
		out = append(out, txtar.File{Name: "refused", Data: []byte(lines(a.Refused))})
	}
	if len(a.Warnings) > 0 {
		out = append(out, txtar.File{Name: "warnings", Data: []byte(strings.Join(a.Warnings, "\n") + "\n")})
	}
	if d := protection.DefaultFor(o, byHand, []*protection.Policy{p}, own); len(d.Blueprints) > 0 {
		out = append(out, txtar.File{Name: "default", Data: []byte(strings.Join(d.Blueprints, ", ") + " by " + d.Source + ", " + d.Field + "\n")})
	}
	return out
}

// Whoever lists what is exempt wants to read why: whether is what policies ask already.
func TestAReasonIsInWords(t *testing.T) {
	for text, is := range map[string]bool{
		"": false, " ": false, "true": false, "True": false, "\"true\"": false, "false": false, "yes": false, "No.": false, "1": false, "0": false,
		"x": false, "-": false, "n/a": false, "2026-01-01": false, "on": false, "enabled": false, "exempt": false, "none": false, "null": false, "TODO": false,
		"cache": true, "a cache": true, "OPS-1234": true, "true copy of another volume": true, "no data": true, "暫存": true, "кэш": true, "キャッシュ": true,
	} {
		annotations := map[string]string{api.AnnotationExemption: text}
		if _, ok := protection.Exemption(annotations, nil); ok != is {
			t.Errorf("%q exempts: %v", text, ok)
		}
		if said := protection.Unreasoned(annotations); is == (said != "") || len(said) > 256 || !is && !strings.Contains(said, "say in words why") {
			t.Errorf("%q: %q", text, said)
		}
	}
	if said := protection.Unreasoned(nil); said != "" {
		t.Errorf("without an annotation: %q", said)
	}
	if said := protection.Unreasoned(map[string]string{api.AnnotationExemption: strings.Repeat("1", 1000)}); len(said) > 256 {
		t.Errorf("%d bytes", len(said))
	}
}

func lines(list field.ErrorList) string {
	var out strings.Builder
	for _, e := range list {
		out.WriteString(e.Error() + "\n")
	}
	return out.String()
}

func text(v protection.Verdict) string {
	out := string(v.State)
	if v.Exemption != "" {
		out += ": " + v.Exemption
	}
	out += "\n"
	for _, f := range v.Faults {
		out += fmt.Sprintf("%s: %s\n", f.Reason, f.Detail)
	}
	return out
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(data, into); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
}

// object reads an object with its namespace and its backups, and whether somebody wrote one of these.
func object(t *testing.T, parts map[string][]byte, name, backupsName string) (*protection.Object, bool) {
	t.Helper()
	n := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	if data, is := parts["namespace.yaml"]; is {
		decode(t, data, &n)
	}
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(parts[name], &meta); err != nil {
		t.Fatal(err)
	}
	o := &protection.Object{
		Kind: target.PersistentVolumeClaim(), Namespace: protection.NamespaceOf(&n), Name: meta.Name, Labels: meta.Labels,
		Annotations: meta.Annotations, Persistent: true,
	}
	if k, err := target.Find(meta.APIVersion, meta.Kind); err == nil {
		obj := k.New()
		decode(t, parts[name], obj)
		tgt, ok := blueprint.TargetOf(obj, n.Name)
		if !ok {
			t.Fatal("no target")
		}
		made := protection.ObjectOf(&tgt, o.Namespace)
		o = &made
	}
	var backups []backup
	decode(t, parts[backupsName], &backups)
	for _, b := range backups {
		o.Backups = append(o.Backups, protection.Backup{Configuration: b.Configuration, Location: b.Location, Problem: b.Problem})
	}
	return o, slices.ContainsFunc(backups, func(b backup) bool { return blueprint.Holder(b.Configuration.Annotations) == "" })
}
