package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// TestPolicies runs the cases in testdata/policies. Each holds policy.yaml and stored.yaml, what else
// there is; wanted are the policy's status and the events.
func TestPolicies(t *testing.T) {
	files, err := filepath.Glob("testdata/policies/*.txtar")
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
				case "policy.yaml", "stored.yaml":
					parts[f.Name] = f.Data
					kept = append(kept, f)
				case "status.yaml", "events":
				default:
					t.Fatalf("nothing reads %q", f.Name)
				}
			}
			got := looked(t, parts)
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

func looked(t *testing.T, parts map[string][]byte) []txtar.File {
	t.Helper()
	scheme := newWorld(t, interceptor.Funcs{}).Scheme()
	policy := object(t, scheme, parts["policy.yaml"])
	policy.SetGeneration(3)
	objs := []client.Object{policy}
	for doc := range strings.SplitSeq(string(parts["stored.yaml"]), "\n---\n") {
		if o := object(t, scheme, []byte(doc)); strings.TrimSpace(doc) != "" {
			objs = append(objs, o)
		}
	}
	w := newWorld(t, interceptor.Funcs{}, objs...)
	r := &ProtectionPolicies{World: w, Changed: func() {}}
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(policy)}
	// Once more, as it is done all the time: nothing more is said.
	for i := range 2 {
		w.Now = func() time.Time { return noon().Add(time.Duration(i) * time.Hour) }
		if _, err := r.Reconcile(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	text, err := yaml.Marshal(read(t, w, "", policy.GetName(), &v1beta1.ProtectionPolicy{}).Status)
	if err != nil {
		t.Fatal(err)
	}
	out := []txtar.File{{Name: "status.yaml", Data: text}}
	if text := told(t, w); text != "" {
		out = append(out, txtar.File{Name: "events", Data: []byte(text)})
	}
	return out
}

func policyOf(action v1beta1.ProtectionAction) *v1beta1.ProtectionPolicy {
	return &v1beta1.ProtectionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "production", Generation: 1},
		Spec:       v1beta1.ProtectionPolicySpec{Action: action},
	}
}

// However much changes, all objects are looked at now and then only, and what is as it was is not written.
func TestAPolicyIsLookedAtNowAndThen(t *testing.T) {
	writes, changed := 0, 0
	w := newWorld(t, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
		writes++
		return c.SubResource(sub).Update(ctx, obj, opts...)
	}}, policyOf(v1beta1.ActionDeny), namespace("demo", ""))
	r := &ProtectionPolicies{World: w, Changed: func() { changed++ }}
	at := noon()
	w.Now = func() time.Time { return at }
	look := func() time.Duration {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "production"}})
		if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter
	}
	if wait := look(); wait < judgeEvery || writes != 1 || changed != 1 {
		t.Errorf("the first look: again after %s, %d writes, told %d times", wait, writes, changed)
	}
	at = at.Add(4 * time.Second)
	if wait := look(); wait != 6*time.Second || writes != 1 {
		t.Errorf("a change after 4 s: again after %s, %d writes", wait, writes)
	}
	p := read(t, w, "", "production", &v1beta1.ProtectionPolicy{})
	p.Generation, p.Spec.Action = 2, v1beta1.ActionWarn
	if err := w.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if look(); writes != 2 || changed != 2 {
		t.Errorf("a change of the policy itself: %d writes, told %d times", writes, changed)
	}
	at = at.Add(time.Hour)
	if look(); writes != 2 || changed != 2 {
		t.Errorf("nothing changed: %d writes, told %d times", writes, changed)
	}
	if err := w.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if look(); changed != 3 || len(r.looked) > 0 {
		t.Errorf("it is gone: told %d times, remembered %v", changed, r.looked)
	}
}

// Claims are read some at a time.
func TestAllClaimsAreLookedAt(t *testing.T) {
	p := policyOf(v1beta1.ActionAudit)
	p.Spec.Kinds = []v1beta1.ProtectionKind{"PersistentVolumeClaim"}
	w := newWorld(t, interceptor.Funcs{}, p, namespace("demo", ""))
	const n = 3
	live := &pages{Reader: w.Live, t: t, n: n}
	w.Live = live
	r := &ProtectionPolicies{World: w, Changed: func() {}}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "production"}}); err != nil {
		t.Fatal(err)
	}
	got := read(t, w, "", "production", &v1beta1.ProtectionPolicy{}).Status
	if got.Unprotected != n || len(live.asked) != n || !slices.IsSorted(live.asked) {
		t.Errorf("%d claims in pages %q", got.Unprotected, live.asked)
	}
}

// pages is an API server that lists one claim at a time.
type pages struct {
	client.Reader
	t     *testing.T
	n     int
	asked []string
}

func (p *pages) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	out, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok || o.Limit == 0 {
		p.t.Fatalf("a %T at once", list)
	}
	p.asked = append(p.asked, o.Continue)
	i := len(p.asked)
	out.Items = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: fmt.Sprint("data-", i)}}}
	if i < p.n {
		out.Continue = fmt.Sprint("page-", i)
	}
	return nil
}
