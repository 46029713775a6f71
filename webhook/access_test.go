package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

// rights are those of everybody but for what is listed.
type rights struct {
	// lacks are written <verb> <resource>/<name>; "all" lacks every right.
	lacks  []string
	reason string
	err    error
	// hang keeps the answer back until the question is given up.
	hang bool

	mu      sync.Mutex
	asked   []validators.Access
	of      []authenticationv1.UserInfo
	now     int
	highest int
}

func (c *cluster) access() webhook.Access {
	if c.rights == nil {
		return &rights{}
	}
	return c.rights
}

func (r *rights) Allowed(ctx context.Context, user authenticationv1.UserInfo, a validators.Access) (allowed bool, reason string, err error) {
	r.mu.Lock()
	r.asked, r.of = append(r.asked, a), append(r.of, user)
	r.now++
	r.highest = max(r.highest, r.now)
	r.mu.Unlock()
	if r.hang {
		<-ctx.Done()
		return false, "", ctx.Err()
	}
	time.Sleep(time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	lacks := slices.Contains(r.lacks, "all") || slices.Contains(r.lacks, a.Verb+" "+a.Resource+"/"+a.Name)
	return !lacks, r.reason, r.err
}

// TestMissingRights runs the cases in testdata/access. Each holds user.yaml, new.yaml and perhaps
// old.yaml; the user has no right at all. What is wanted is the message.
func TestMissingRights(t *testing.T) {
	files, err := filepath.Glob("testdata/access/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]*txtar.File{}
			for i := range archive.Files {
				parts[archive.Files[i].Name] = &archive.Files[i]
			}
			var user authenticationv1.UserInfo
			if err := yaml.UnmarshalStrict(parts["user.yaml"].Data, &user); err != nil {
				t.Fatal(err)
			}
			request := requestOf(t, parts["new.yaml"].Data)
			request.UserInfo = user
			c := &cluster{err: errors.New("what strangers ask about is not looked up"), rights: &rights{lacks: []string{"all"}, reason: reason(parts)}}
			response, _, what := ask(t, c, "/validate/"+request.Resource.Resource, request)
			if what != "denied MissingRight" || response.Result.Code != http.StatusForbidden || response.Result.Reason != metav1.StatusReasonForbidden {
				t.Fatalf("%s: %+v", what, response.Result)
			}
			if len(response.Result.Details.Causes) != len(c.rights.asked) {
				t.Errorf("%d causes of %d missing rights", len(response.Result.Details.Causes), len(c.rights.asked))
			}
			want := parts["message"]
			if *update {
				if want == nil {
					archive.Files = append(archive.Files, txtar.File{Name: "message"})
					want = &archive.Files[len(archive.Files)-1]
				}
				want.Data = []byte(response.Result.Message + "\n")
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), response.Result.Message+"\n"); diff != "" {
				t.Errorf("-want +got (-update rewrites):\n%s", diff)
			}
		})
	}
}

func reason(parts map[string]*txtar.File) string {
	if f := parts["reason"]; f != nil {
		return string(f.Data)
	}
	return ""
}

// requestOf makes the request that creates an object.
func requestOf(t *testing.T, data []byte) *admissionv1.AdmissionRequest {
	t.Helper()
	var meta metav1.PartialObjectMetadata
	if err := yaml.Unmarshal(data, &meta); err != nil {
		t.Fatal(err)
	}
	body, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	gvk := meta.GroupVersionKind()
	i := slices.IndexFunc(webhook.Hooks(), func(h webhook.Hook) bool { return h.Kind == gvk.Kind })
	if i < 0 {
		t.Fatalf("no hook is for kind %q", gvk.Kind)
	}
	h := webhook.Hooks()[i]
	return &admissionv1.AdmissionRequest{
		Kind:     metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind},
		Resource: metav1.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: h.Rules[0].Resources[0]},
		Name:     meta.Name, Namespace: meta.Namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: body},
	}
}

func restoreRequest(t *testing.T) *admissionv1.AdmissionRequest {
	t.Helper()
	rs := &v1beta1.RestoreSession{}
	rs.Spec.Repository = v1beta1.KindRepositoryRef{Name: "repo", Namespace: "vault"}
	rs.Spec.Target = &v1beta1.RestoreTarget{Ref: v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}
	request := ownRequest(t, v1beta1.KindRestoreSession, admissionv1.Create, rs, nil)
	request.UserInfo = authenticationv1.UserInfo{
		Username: "tenant", UID: "42", Groups: []string{"team", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"example.com/scopes": {"a", "b"}},
	}
	return request
}

func TestEveryRightIsAskedOfWhoAsks(t *testing.T) {
	request := restoreRequest(t)
	for range 2 { // nothing is remembered
		c := &cluster{rights: &rights{}}
		if _, _, what := ask(t, c, "/validate/restoresessions", request); what != "denied Invalid" { // it has no rules
			t.Fatal(what)
		}
		if len(c.rights.asked) != 2 {
			t.Fatalf("asked for %v", c.rights.asked)
		}
		for _, of := range c.rights.of {
			if diff := cmp.Diff(request.UserInfo, of); diff != "" {
				t.Errorf("asked of another (-want +got):\n%s", diff)
			}
		}
	}
	c := &cluster{rights: &rights{lacks: []string{"update deployments/web"}}}
	response, _, what := ask(t, c, "/validate/restoresessions", request)
	if what != "denied MissingRight" || len(response.Result.Details.Causes) != 1 || response.Result.Details.Causes[0].Field != "spec.target.ref" {
		t.Errorf("%s: %+v", what, response.Result)
	}
}

// Whoever cannot be asked about is refused, and told to come back.
func TestAnUnknownRightRefusesForNow(t *testing.T) {
	c := &cluster{rights: &rights{err: errors.New("the authorizer is away")}}
	response, _, what := ask(t, c, "/validate/restoresessions", restoreRequest(t))
	if what != "denied LookupFailed" || response.Result.Code != http.StatusServiceUnavailable || !strings.Contains(response.Result.Message, "could not be checked: the authorizer is away; try again") {
		t.Errorf("%s: %+v", what, response.Result)
	}
	start := time.Now()
	c = &cluster{rights: &rights{hang: true}}
	_, _, what = ask(t, c, "/validate/restoresessions", restoreRequest(t))
	if took := time.Since(start); what != "denied LookupFailed" || took >= 3*time.Second {
		t.Errorf("%s after %s: the API server has given up by then", what, took)
	}
	request := restoreRequest(t)
	body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request})
	if err != nil || !strings.Contains(string(body), `"userInfo":{`) {
		t.Fatal(err)
	}
	if _, err := webhook.Routes(webhook.Options{}); err == nil {
		t.Error("hooks are served without anybody to ask for rights")
	}
}

func TestAChangeThatNeedsNothingAsksNothing(t *testing.T) {
	spec := v1alpha1.RepositorySpec{Backend: v1alpha1.Backend{StorageSecretName: "s3", S3: &v1alpha1.S3Spec{Endpoint: "https://s3.example", Bucket: "bucket"}}}
	old := &v1alpha1.Repository{Spec: spec}
	labelled := &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}, Finalizers: []string{"example.com/x"}}, Spec: spec}
	moved := old.DeepCopy()
	moved.Spec.Backend.StorageSecretName = "other"
	gone := moved.DeepCopy()
	gone.DeletionTimestamp = new(metav1.Unix(1, 0))
	for name, c := range map[string]struct {
		object *v1alpha1.Repository
		want   string
		asked  int
	}{
		"the same":                           {old, "allowed Valid", 0},
		"labels and finalizers":              {labelled, "allowed Valid", 0},
		"another Secret":                     {moved, "denied MissingRight", 1},
		"another Secret while it is deleted": {gone, "denied MissingRight", 1},
	} {
		r := &rights{lacks: []string{"all"}}
		_, _, what := ask(t, &cluster{rights: r}, "/validate/repositories", ownRequest(t, "Repository", admissionv1.Update, c.object, old))
		if what != c.want || len(r.asked) != c.asked {
			t.Errorf("%s: %s, asked for %v", name, what, r.asked)
		}
	}
}

// A request's rights are asked for together, within limits.
func TestRightsAreAskedForAtOnce(t *testing.T) {
	b := &v1beta1.BackupBlueprint{}
	b.Spec.Backend = v1alpha1.Backend{StorageSecretName: "s", Local: &v1alpha1.LocalSpec{}}
	r := &rights{lacks: []string{"all"}}
	if _, _, what := ask(t, &cluster{rights: r}, "/validate/backupblueprints", ownRequest(t, v1beta1.KindBackupBlueprint, admissionv1.Create, b, nil)); what != "denied MissingRight" {
		t.Fatal(what)
	}
	if len(r.asked) != 2 || r.highest != 2 {
		t.Errorf("%d of %d at once", r.highest, len(r.asked))
	}
}

// Only the operator's ServiceAccount is let through, which its groups prove.
func TestTheOperatorIsKnownByNameAndGroups(t *testing.T) {
	for operator, want := range map[string]string{
		"":                                  `!(request.userInfo.username == "system:serviceaccount:vault:stash-operator" && has(request.userInfo.groups) && "system:serviceaccounts:vault" in request.userInfo.groups)`,
		"system:serviceaccount:other:stash": `!(request.userInfo.username == "system:serviceaccount:other:stash" && has(request.userInfo.groups) && "system:serviceaccounts:other" in request.userInfo.groups)`,
		"somebody":                          `!(request.userInfo.username == "somebody")`,
	} {
		for _, w := range webhook.Validating(webhook.Installation{Namespace: "vault", Operator: operator}).Webhooks {
			if !strings.HasSuffix(w.Name, "s."+api.Group) || len(w.MatchConditions) == 0 {
				continue
			}
			if got := w.MatchConditions[0].Expression; got != want {
				t.Errorf("%s of %q: %s", w.Name, operator, got)
			}
		}
	}
}

// A Repository's annotations of the operator's ask for a right though its spec stays.
func TestARepositoryThatSaysWhereItComesFrom(t *testing.T) {
	plain := &v1alpha1.Repository{}
	plain.Namespace, plain.Name = "shop", "deploy-web"
	says := plain.DeepCopy()
	says.Annotations = map[string]string{api.AnnotationExpandedFrom: "Deployment/shop/web", api.AnnotationExpandedBlueprint: "BackupBlueprint/daily"}
	for name, c := range map[string]struct {
		now, old *v1alpha1.Repository
		want     string
	}{
		"it comes to say so": {says, plain, "denied MissingRight"},
		"it said so before":  {says, says, "allowed Valid"},
		"it does not say so": {plain, plain, "allowed Valid"},
		"it is taken off":    {plain, says, "allowed Valid"},
	} {
		cl := &cluster{rights: &rights{lacks: []string{"all"}}}
		if _, _, what := ask(t, cl, "/validate/repositories", ownRequest(t, "Repository", admissionv1.Update, c.now, c.old)); what != c.want {
			t.Errorf("%s: %s", name, what)
		}
	}
}
