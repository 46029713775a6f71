package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/controller"
	"github.com/seed-731df569/stash/test/manifest"
	"github.com/seed-731df569/stash/webhook"
)

var update = flag.Bool("update", false, "rewrite the golden")

const patience = 30 * time.Second

// apiServer stands in for one: it serves the kinds that metrics are made of, and keeps whoever lists
// them waiting until it is opened.
type apiServer struct {
	objects map[string][]*unstructured.Unstructured // by resource
	open    chan struct{}
}

// kinds are those that the server knows: by group and version, the kind of each resource.
func kinds() map[string]map[string]string {
	return map[string]map[string]string{
		"v1":                          {"pods": "Pod", "nodes": "Node", "configmaps": "ConfigMap"},
		"batch/v1":                    {"jobs": "Job"},
		"stash.appscode.com/v1alpha1": {"repositories": "Repository"},
		"stash.appscode.com/v1beta1": {
			"backupconfigurations": v1beta1.KindBackupConfiguration,
			"backupsessions":       v1beta1.KindBackupSession, "restoresessions": v1beta1.KindRestoreSession,
			"protectionpolicies": v1beta1.KindProtectionPolicy,
		},
	}
}

func newAPIServer(t *testing.T) (*apiServer, *rest.Config) {
	t.Helper()
	data, err := os.ReadFile("testdata/objects.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	s := &apiServer{objects: map[string][]*unstructured.Unstructured{}, open: make(chan struct{})}
	for _, o := range objects {
		for resource, kind := range kinds()[o.GetAPIVersion()] {
			if kind == o.GetKind() {
				s.objects[resource] = append(s.objects[resource], o)
			}
		}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, &rest.Config{Host: server.URL}
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, resource := split(r.URL.Path)
	var answer any
	switch {
	case r.URL.Path == "/api":
		answer = metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case r.URL.Path == "/apis":
		answer = groups()
	case resource == "":
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: version}
		for name, kind := range kinds()[version] {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name, Kind: kind, Namespaced: true, Verbs: metav1.Verbs{"list", "watch"}})
		}
		answer = list
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
		return
	default:
		<-s.open
		list := object(version, kinds()[version][resource]+"List", nil)
		list["items"] = s.objects[resource]
		answer = list
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// watch sends what there is where the request asks for that, and then nothing.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	version, resource := split(r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		<-s.open
		for _, o := range s.objects[resource] {
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "ADDED", "object": o})
		}
		end := object(version, kinds()[version][resource], map[string]any{metav1.InitialEventsAnnotationKey: "true"})
		_ = json.NewEncoder(w).Encode(map[string]any{"type": "BOOKMARK", "object": end})
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// split returns group and version, and the resource, of a path.
func split(path string) (version, resource string) {
	words := strings.Split(strings.Trim(path, "/"), "/")
	n := min(len(words), 3)
	if words[0] == "api" {
		n = min(len(words), 2)
	}
	return strings.Join(words[1:n], "/"), strings.Join(words[n:], "/")
}

func object(version, kind string, annotations map[string]any) map[string]any {
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"resourceVersion": "1", "annotations": annotations}}
}

func groups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList"}}
	for _, name := range []string{"batch", api.Group} {
		group := metav1.APIGroup{Name: name}
		for version := range kinds() {
			if g, v, _ := strings.Cut(version, "/"); g == name {
				group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: version, Version: v})
			}
		}
		group.PreferredVersion = group.Versions[0]
		list.Groups = append(list.Groups, group)
	}
	return list
}

// served is an operator's assembly that serves probes and metrics, and nothing else yet.
type served struct {
	*assembly
	api *apiServer
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func serve(t *testing.T) *served {
	t.Helper()
	server, config := newAPIServer(t)
	before := ctrlmetrics.Registry
	ctrlmetrics.Registry = prometheus.NewRegistry()
	t.Cleanup(func() { ctrlmetrics.Registry = before })
	o := runOptions{
		namespace: "stash", webhookService: "stash-webhook", brokerService: "stash-broker", drain: time.Hour,
		webhookAddress: freePort(t), brokerAddress: freePort(t), metricsAddress: freePort(t), probeAddress: freePort(t),
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := newManager(config, scheme, o)
	if err != nil {
		t.Fatal(err)
	}
	source := &certs.Source{}
	keeper := &certs.Keeper{
		Client: fake.NewClientBuilder().WithScheme(scheme).Build(), Namespace: "stash", Source: source,
		Names: certs.Names("stash", o.webhookService, o.brokerService),
	}
	if err := keeper.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a := &assembly{
		options: o, log: log, mgr: mgr, source: source, broker: &broker.Server{}, drained: make(chan struct{}),
		direct: fake.NewClientBuilder().WithScheme(scheme).Build(),
		world:  &controller.World{Client: mgr.GetClient(), Options: controller.Options{Log: log}},
	}
	for _, add := range []func(context.Context) error{a.addMetrics, a.addProbes} {
		if err := add(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, obj := range []client.Object{&v1alpha1.Repository{}, &v1beta1.BackupConfiguration{}, &v1beta1.BackupSession{}, &v1beta1.RestoreSession{}} {
		if _, err := mgr.GetCache().GetInformer(t.Context(), obj, cache.BlockUntilSynced(false)); err != nil {
			t.Fatal(err)
		}
	}
	return &served{assembly: a, api: server}
}

// get returns the answer of one of the operator's addresses, once it answers.
func get(t *testing.T, address, path string) (code int, body string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r, err := http.Get("http://" + address + path)
		if err != nil && time.Now().Before(end) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(data)
	}
}

// failing returns the checks of the readiness probe that fail, once they are those that are wanted.
func (s *served) failing(t *testing.T, want ...string) {
	t.Helper()
	var failed []string
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		code, body := get(t, s.options.probeAddress, "/readyz?verbose")
		failed = nil
		for line := range strings.Lines(body) {
			if name, found := strings.CutPrefix(strings.TrimSpace(line), "[-]"); found {
				failed = append(failed, strings.Fields(name)[0])
			}
		}
		if cmp.Equal(failed, want) && (code == http.StatusOK) == (want == nil) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("checks that fail (-want +got), with code %d:\n%s", code, cmp.Diff(want, failed))
		}
	}
}

// A replica is ready when it knows the cluster and answers; it leads, and tells what it knows.
func TestAReplicaIsReadyWhenItKnowsAndAnswers(t *testing.T) {
	s := serve(t)
	if _, ok := s.objects(t.Context()); ok {
		t.Error("a replica that does not lead has metrics of objects")
	}
	running, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	begin := func(part func() error) {
		parts.Go(func() {
			if err := part(); err != nil {
				t.Error(err)
			}
		})
	}
	begin(func() error { return s.mgr.Start(running) })
	answer := func(address string) {
		begin(func() error { return s.admitting().serve(running, address, s.source, http.NotFoundHandler()) })
	}

	s.failing(t, "broker", "caches", "registered", "webhook")
	close(s.api.open)
	s.failing(t, "broker", "registered", "webhook")
	answer(s.options.webhookAddress)
	s.failing(t, "broker", "registered")
	answer(s.options.brokerAddress)
	s.failing(t, "registered")
	configuration := webhook.Validating(webhook.Installation{Namespace: "stash"})
	if err := s.direct.Create(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	s.failing(t)
	// Somebody who deletes it later must not take the webhooks' endpoints away, too.
	if err := s.direct.Delete(t.Context(), configuration); err != nil {
		t.Fatal(err)
	}
	s.failing(t)
	if code, _ := get(t, s.options.probeAddress, "/healthz"); code != http.StatusOK {
		t.Errorf("the process is not alive: %d", code)
	}

	select {
	case <-s.mgr.Elected():
	case <-time.After(patience):
		t.Fatal("it does not lead")
	}
	goldenMetrics(t, s.options.metricsAddress)

	close(s.drained)
	s.failing(t, "not-stopping")
}

// goldenMetrics compares what /metrics says of Stash.
func goldenMetrics(t *testing.T, address string) {
	t.Helper()
	const golden = "testdata/metrics.prom"
	code, body := get(t, address, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	var got bytes.Buffer
	for line := range strings.Lines(body) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if strings.HasPrefix(name, "stash_certificate_expiry_time_seconds{") {
			line = line[:strings.LastIndexByte(line, ' ')] + " <a time>\n" // made for each run
		}
		if strings.HasPrefix(name, "stash_") {
			fmt.Fprint(&got, line)
		}
	}
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("/metrics (-want +got; -update rewrites):\n%s", d)
	}
}
