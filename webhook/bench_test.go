package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/webhook"
)

// body is the API server's request for a pod of about size bytes.
func body(t testing.TB, size int) []byte {
	t.Helper()
	request := podRequest(t, "a", "")
	var pod corev1.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		t.Fatal(err)
	}
	for i := 0; len(request.Object.Raw) < size; i++ {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("config-%d", i), VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}},
		}})
		c := corev1.Container{Name: fmt.Sprintf("app-%d", i), Image: "registry.example/some/application:v1.2.3", Args: []string{"--config", "/etc/config/main.yaml"}}
		for j := range 12 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", j), Value: `{"a": "value with \"quotes\""}`})
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: fmt.Sprintf("/data/%d", j)})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
		request.Object = raw(t, pod)
	}
	request.UID = "5f0c1d5e-6f5b-4d3c-9b1a-3a1d5c1b7e2f"
	b, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	code   int
	n      int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) Write(b []byte) (int, error) {
	s.n += len(b)
	return len(b), nil
}

func (s *sink) WriteHeader(code int) { s.code = code }

// BenchmarkPodHandler is the time from the request's body to the response. Of B/op, body-bytes are
// the body itself.
func BenchmarkPodHandler(b *testing.B) {
	backup, _ := plans(b)
	h := handler(b, &cluster{backup: backup}, nil)
	content := body(b, 20<<10)
	reader := bytes.NewReader(content)
	request := httptest.NewRequest(http.MethodPost, "/mutate/pods/backup", nil)
	request.Body, request.ContentLength = io.NopCloser(reader), int64(len(content))
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(content)
		w.code, w.n = 0, 0
		h.ServeHTTP(w, request)
		if w.code > 299 || w.n < 1000 {
			b.Fatalf("%d, %d bytes", w.code, w.n)
		}
	}
	b.ReportMetric(float64(len(content)), "body-bytes")
}

// BenchmarkDecodedPod is what decoding and encoding the same pod alone would cost.
func BenchmarkDecodedPod(b *testing.B) {
	content := body(b, 20<<10)
	b.ReportAllocs()
	for b.Loop() {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		if json.Unmarshal(content, &review) != nil || json.Unmarshal(review.Request.Object.Raw, &pod) != nil {
			b.Fatal("decode")
		}
		if _, err := json.Marshal(pod); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPodHandlerKeepsItsAllocations(t *testing.T) {
	backup, _ := plans(t)
	h := handler(t, &cluster{backup: backup}, nil)
	content := body(t, 20<<10)
	reader := bytes.NewReader(content)
	request := httptest.NewRequest(http.MethodPost, "/mutate/pods/backup", nil)
	request.Body, request.ContentLength = io.NopCloser(reader), int64(len(content))
	w := &sink{header: http.Header{}}
	n := testing.AllocsPerRun(100, func() {
		reader.Reset(content)
		h.ServeHTTP(w, request)
	})
	if n > 100 {
		t.Errorf("%.0f allocations for one pod, the budget is 100", n)
	}
}

func FuzzReview(f *testing.F) {
	f.Add(0, body(f, 1<<10))
	f.Add(3, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"apps","kind":"Deployment"},"object":{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"annotations":{"stash.appscode.com/backup-blueprint":"gold"}},"spec":{"template":{}}}}}`))
	f.Add(6, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"stash.appscode.com","kind":"Repository"},"operation":"DELETE","object":null}}`))
	backup, restore := plans(f)
	hooks := webhook.Hooks()
	c := &cluster{backup: backup, restore: restore, state: webhook.RestoreActive, blueprints: blueprints()}
	seen := &counts{}
	h := handler(f, c, seen)
	f.Fuzz(func(t *testing.T, n int, content []byte) {
		seen.seen = nil
		hook := hooks[uint(n)%uint(len(hooks))]
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, hook.Path, bytes.NewReader(content)))
		if len(seen.seen) != 1 || strings.Contains(seen.seen[0], string(webhook.Panicked)) {
			t.Fatalf("%s: %v", hook.Name, seen.seen)
		}
		if rec.Code == http.StatusOK && !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%s answers %s", hook.Name, rec.Body)
		}
	})
}

func TestAnswersToBytesOfNoPod(t *testing.T) {
	backup, _ := plans(t)
	request := podRequest(t, "a", "")
	request.Object.Raw = []byte(`{"metadata":{"labels":{"` + api.LabelInject + `":"a"}},"spec":null}`)
	if response, _, what := ask(t, &cluster{backup: backup}, "/mutate/pods/backup", request); !response.Allowed || what != "allowed Malformed" {
		t.Error(what)
	}
	if response, _, what := ask(t, &cluster{backup: backup}, "/mutate/pods/restore", request); response.Allowed || what != "denied Malformed" {
		t.Error(what)
	}
}
