package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"go.uber.org/goleak"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is what handlers look at.
type cluster struct {
	backup, restore mutators.Plan
	state           webhook.RestoreState
	active          string
	wanted          webhook.Wanted
	blueprints      map[string]*v1beta1.BackupBlueprint
	users           []string
	answer          protection.Answer
	asked           *webhook.PolicyRequest
	withdrawn       *webhook.Withdrawal
	problems        blueprint.Problems
	byDefault       blueprint.Default
	rights          *rights
	err             error
	panics          bool
}

func (c *cluster) BackupPlan(context.Context, webhook.PodRef) (mutators.Plan, error) {
	if c.panics {
		panic("a bug")
	}
	return c.backup, c.err
}

func (c *cluster) RestorePlan(context.Context, webhook.PodRef) (mutators.Plan, webhook.RestoreState, error) {
	if c.panics {
		panic("a bug")
	}
	return c.restore, c.state, c.err
}

func (c *cluster) ActiveRestore(context.Context, webhook.PodRef) (name, hash string, err error) {
	return "back", c.active, c.err
}

func (c *cluster) ExpansionInput(_ context.Context, t blueprint.Target) (blueprint.Input, error) {
	return blueprint.Input{Target: t, Blueprints: c.blueprints, Default: c.byDefault}, c.err
}

func (c *cluster) Wanted(context.Context, webhook.Workload) (webhook.Wanted, error) {
	return c.wanted, c.err
}

func (c *cluster) Facts(context.Context, runtime.Object) (validators.Facts, error) {
	return validators.Facts{}, c.err
}

func (c *cluster) PairFacts(context.Context, blueprint.Pair, []blueprint.Pair) (validators.Facts, error) {
	return validators.Facts{}, c.err
}

func (c *cluster) Users(context.Context, *v1alpha1.Repository) ([]string, error) {
	return c.users, c.err
}

// counts remembers what was observed.
type counts struct {
	mu   sync.Mutex
	seen []string
}

func (c *counts) Observe(hook string, d webhook.Decision, r webhook.Reason, seconds float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seconds < 0 {
		panic("time runs backwards")
	}
	c.seen = append(c.seen, hook+" "+string(d)+" "+string(r))
}

func handler(t testing.TB, c *cluster, o webhook.Observer) http.Handler {
	t.Helper()
	h, err := webhook.Handler(webhook.Options{Pods: c, Workloads: c, Own: c, Policies: c, Access: c.access(), Observer: o, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func encode(t testing.TB, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// ask sends one request to a row of the real mux and returns the response and the patched object.
func ask(t testing.TB, c *cluster, path string, request *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, []byte, string) {
	t.Helper()
	request.UID = "7e1d"
	body := encode(t, request)
	seen := &counts{}
	rec := httptest.NewRecorder()
	handler(t, c, seen).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
	if rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(rec.Body.Bytes(), &review); err != nil {
		t.Fatalf("%s: %v in %s", path, err, rec.Body)
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1" || review.Response.UID != request.UID {
		t.Fatalf("not an answer: %s", rec.Body)
	}
	patched := request.Object.Raw
	if review.Response.Patch != nil {
		if *review.Response.PatchType != admissionv1.PatchTypeJSONPatch {
			t.Fatal("patch type")
		}
		patch, err := jsonpatch.DecodePatch(review.Response.Patch)
		if err == nil {
			patched, err = patch.Apply(patched)
		}
		if err != nil {
			t.Fatalf("%s: %v in %s", path, err, review.Response.Patch)
		}
	}
	if len(seen.seen) != 1 {
		t.Fatalf("observed %v", seen.seen)
	}
	_, what, _ := strings.Cut(seen.seen[0], " ")
	return review.Response, patched, what
}

func template() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "demo"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "app", Image: "app:1", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
}

func plans(t testing.TB) (backup, restore mutators.Plan) {
	t.Helper()
	s := mutators.Settings{Image: "stash:test", BrokerAddress: "broker:443", ServerName: "broker", NativeSidecar: true, InjectionVersion: 1}
	mounts := []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	backup, p := mutators.NewBackupPlan(mutators.BackupInput{Template: template(), Settings: s, Configurations: []mutators.Configuration{{
		Name: "demo/demo", Spec: v1beta1.BackupConfigurationSpec{BackupTemplatePart: v1beta1.BackupTemplatePart{Target: &v1beta1.BackupTarget{VolumeMounts: mounts}}},
	}}})
	restore, q := mutators.NewRestorePlan(mutators.RestoreInput{
		Template: template(), Settings: s, Name: "demo/back", UID: "u", Spec: v1beta1.RestoreSessionSpec{Target: &v1beta1.RestoreTarget{VolumeMounts: mounts}},
	})
	if len(p)+len(q) > 0 {
		t.Fatal(p, q)
	}
	return backup, restore
}

func raw(t testing.TB, o any) runtime.RawExtension {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: b}
}

func podRequest(t testing.TB, inject, restore string) *admissionv1.AdmissionRequest {
	t.Helper()
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Spec: template().Spec}
	pod.GenerateName = "demo-5b9-"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "demo-5b9", UID: types.UID("rs"), Controller: new(true)}}
	pod.Labels = map[string]string{"app": "demo"}
	if inject != "" {
		pod.Labels[api.LabelInject] = inject
	}
	if restore != "" {
		pod.Labels[api.LabelRestore] = restore
	}
	return &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Operation: admissionv1.Create, Namespace: "demo", Object: raw(t, pod),
	}
}

func TestPods(t *testing.T) {
	backup, restore := plans(t)
	const backupPath, restorePath, restoringPath = "/mutate/pods/backup", "/mutate/pods/restore", "/validate/pods/restoring"
	for name, c := range map[string]struct {
		path            string
		inject, restore string
		cluster         cluster
		want            string
		containers      string
	}{
		"the sidecar is added":                            {backupPath, "a", "", cluster{backup: backup}, "patched Injected", "stash app"},
		"a pod without a plan starts as it is":            {backupPath, "a", "", cluster{}, "allowed NoPlan", "app"},
		"a failed lookup starts the pod without sidecar":  {backupPath, "a", "", cluster{err: errors.New("gone")}, "allowed LookupFailed", "app"},
		"a bug starts the pod without sidecar":            {backupPath, "a", "", cluster{panics: true}, "allowed Panicked", "app"},
		"restore and sidecar come together":               {restorePath, "a", "b", cluster{backup: backup, restore: restore, state: webhook.RestoreActive}, "patched Injected", "stash-init stash app"},
		"a restore without sidecar":                       {restorePath, "", "b", cluster{backup: backup, restore: restore, state: webhook.RestoreActive}, "patched Injected", "stash-init app"},
		"the restore comes although there is no sidecar":  {restorePath, "a", "b", cluster{restore: restore, state: webhook.RestoreActive}, "patched Injected", "stash-init app"},
		"an unknown restore is denied":                    {restorePath, "a", "b", cluster{backup: backup}, "denied UnknownRestore", ""},
		"a restore of another workload is denied":         {restorePath, "a", "b", cluster{backup: backup, state: webhook.RestoreForeign}, "denied ForeignRestore", ""},
		"an active restore without a plan is denied":      {restorePath, "", "b", cluster{state: webhook.RestoreActive}, "denied NoPlan", ""},
		"a finished restore lets the pod start":           {restorePath, "", "b", cluster{state: webhook.RestoreFinished}, "allowed FinishedRestore", "app"},
		"a finished restore, and the sidecar":             {restorePath, "a", "b", cluster{backup: backup, state: webhook.RestoreFinished}, "patched Injected", "stash app"},
		"a failed lookup of the restore is denied":        {restorePath, "a", "b", cluster{err: errors.New("gone")}, "denied LookupFailed", ""},
		"a bug in a restore is denied":                    {restorePath, "a", "b", cluster{panics: true}, "denied Panicked", ""},
		"a pod of the target without stamp is held back":  {restoringPath, "", "", cluster{active: "b"}, "denied UnderRestore", ""},
		"a pod with the stamp of before is held back":     {restoringPath, "", "x", cluster{active: "b"}, "denied UnderRestore", ""},
		"a pod with the stamp alone is held back":         {restoringPath, "", "b", cluster{active: "b"}, "denied UnderRestore", ""},
		"other pods of the namespace pass":                {restoringPath, "", "", cluster{}, "allowed NotUnderRestore", "app"},
		"whose pod it is cannot be looked up: held back":  {restoringPath, "", "", cluster{err: errors.New("gone")}, "denied LookupFailed", ""},
		"a sidecar that cannot be added keeps no restore": {restorePath, "a", "b", cluster{backup: foreign(t), restore: restore, state: webhook.RestoreActive}, "patched Injected", "stash-init app"},
	} {
		t.Run(name, func(t *testing.T) {
			response, patched, what := ask(t, &c.cluster, c.path, podRequest(t, c.inject, c.restore))
			if what != c.want {
				t.Errorf("got %q, want %q", what, c.want)
			}
			if strings.HasPrefix(what, "denied") {
				if response.Allowed || response.Result == nil || response.Result.Message == "" {
					t.Errorf("not denied with a message: %+v", response)
				}
				return
			}
			var pod corev1.Pod
			if err := json.Unmarshal(patched, &pod); err != nil || !response.Allowed {
				t.Fatalf("allowed=%v %v", response.Allowed, err)
			}
			var names []string
			for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
				for i := range list {
					names = append(names, list[i].Name)
				}
			}
			if got := strings.Join(names, " "); got != c.containers {
				t.Errorf("containers %q, want %q", got, c.containers)
			}
		})
	}
}

// foreign is a backup plan that needs a volume that the pod does not have.
func foreign(t testing.TB) mutators.Plan {
	t.Helper()
	other := template()
	other.Spec.Volumes[0].Name = "other"
	p, _ := mutators.NewBackupPlan(mutators.BackupInput{Template: other, Configurations: []mutators.Configuration{{
		Name: "demo/demo", Spec: v1beta1.BackupConfigurationSpec{BackupTemplatePart: v1beta1.BackupTemplatePart{
			Target: &v1beta1.BackupTarget{VolumeMounts: []corev1.VolumeMount{{Name: "other", MountPath: "/data"}}},
		}},
	}}})
	return p
}

// The mutating configuration may be missing for a moment: what was not completed does not start.
func TestAPodUnderRestorePassesWithItsInitContainer(t *testing.T) {
	_, restore := plans(t)
	request := podRequest(t, "", "b")
	_, patched, _ := ask(t, &cluster{restore: restore, state: webhook.RestoreActive}, "/mutate/pods/restore", request)
	request.Object.Raw = patched
	if _, _, what := ask(t, &cluster{active: "b"}, "/validate/pods/restoring", request); what != "allowed Valid" {
		t.Error(what)
	}
	request.Object.Raw = bytes.Replace(patched, []byte(mutators.AgentCommand), []byte("/bin/true"), 1)
	if _, _, what := ask(t, &cluster{active: "b"}, "/validate/pods/restoring", request); what != "denied UnderRestore" {
		t.Errorf("another program in its name: %s", what)
	}
}

func TestAProbeMeetsTheHookOfAClosedNamespace(t *testing.T) {
	request := podRequest(t, "", "")
	request.Object.Raw = bytes.Replace(request.Object.Raw, []byte(`"app":"demo"`), []byte(`"`+api.LabelProbe+`":"closed"`), 1)
	response, _, what := ask(t, &cluster{}, "/validate/pods/restoring", request)
	if what != "denied UnderRestore" || response.Result.Reason != metav1.StatusReasonForbidden || response.Result.Message != webhook.ClosedMessage {
		t.Errorf("%s: %+v", what, response.Result)
	}
}

func TestWrongKindsAreDenied(t *testing.T) {
	for _, h := range webhook.Hooks() {
		for name, request := range map[string]*admissionv1.AdmissionRequest{
			"another kind": {Kind: metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Object: runtime.RawExtension{Raw: []byte(`{}`)}},
			"an object that disagrees with its request": {
				Kind:   metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
				Object: runtime.RawExtension{Raw: []byte(`{"apiVersion":"v1","kind":"Pod","spec":{"template":{}}}`)},
			},
		} {
			if response, _, what := ask(t, &cluster{}, h.Path, request); response.Allowed || what != "denied WrongKind" {
				t.Errorf("%s, %s: %s", h.Name, name, what)
			}
		}
	}
}

func TestUnreadableRequestsAreHTTPErrors(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"no JSON":        {http.MethodPost, "/mutate/pods/backup", "x", 400},
		"no UID":         {http.MethodPost, "/mutate/pods/backup", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, 400},
		"old version":    {http.MethodPost, "/mutate/pods/backup", `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"1"}}`, 400},
		"too large":      {http.MethodPost, "/mutate/pods/backup", strings.Repeat(" ", 7<<20+1), 413},
		"another path":   {http.MethodPost, "/mutate", "", 404},
		"another method": {http.MethodGet, "/mutate/pods/backup", "", 405},
	} {
		rec := httptest.NewRecorder()
		handler(t, &cluster{}, nil).ServeHTTP(rec, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if rec.Code != c.want {
			t.Errorf("%s: %d, want %d", name, rec.Code, c.want)
		}
	}
	request := httptest.NewRequest(http.MethodPost, "/mutate/pods/backup", io.MultiReader(strings.NewReader(strings.Repeat(" ", 7<<20+1))))
	request.ContentLength = -1
	rec := httptest.NewRecorder()
	if handler(t, &cluster{}, nil).ServeHTTP(rec, request); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large without a length: %d", rec.Code)
	}
}

func deployment(annotations map[string]string, change func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "demo", Annotations: annotations},
		Spec:       appsv1.DeploymentSpec{Template: template()},
	}
	if change != nil {
		change(d)
	}
	return d
}

func workloadRequest(t testing.TB, object, old *appsv1.Deployment) *admissionv1.AdmissionRequest {
	t.Helper()
	r := &admissionv1.AdmissionRequest{
		Kind:     metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
		Resource: metav1.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, Operation: admissionv1.Create,
		Namespace: "demo", Name: "demo", Object: raw(t, object),
	}
	if old != nil {
		r.Operation, r.OldObject = admissionv1.Update, raw(t, old)
	}
	return r
}
