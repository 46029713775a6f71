package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/controller"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

// operatorName is who the webhooks of deploy/ act as.
const operatorName = "system:serviceaccount:stash:stash-operator"

// admission is our webhooks, served by the test with the operator's rights and no more.
type admission struct {
	*controller.Rights

	mu           sync.Mutex
	users        []authenticationv1.UserInfo
	seen         []string
	installation webhook.Installation
	// busy counts the requests that were asked to come again.
	busy int
}

// comesAgain is the name of an object that there is no room for at first.
const comesAgain = "comes-again"

// busyOnce answers one request as the webhook does when there are too many.
func (a *admission) busyOnce(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		a.mu.Lock()
		refuse := a.busy == 0 && bytes.Contains(body, []byte(comesAgain))
		if refuse {
			a.busy++
		}
		a.mu.Unlock()
		if refuse {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many", http.StatusTooManyRequests)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Allowed asks the API server and remembers of whom.
func (a *admission) Allowed(ctx context.Context, user authenticationv1.UserInfo, access validators.Access) (allowed bool, reason string, err error) {
	a.mu.Lock()
	a.users = append(a.users, user)
	a.mu.Unlock()
	return a.Rights.Allowed(ctx, user, access) //nolint:wrapcheck // it is passed on as it is
}

// Observe remembers which hooks were asked.
func (a *admission) Observe(hook string, d webhook.Decision, r webhook.Reason, _ float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, fmt.Sprint(hook, " ", d, " ", r))
}

// since returns who was asked about, and which hooks were asked, since the last call.
func (a *admission) since() (users []authenticationv1.UserInfo, seen []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	users, seen, a.users, a.seen = a.users, a.seen, nil, nil
	return users, seen
}

// serve installs the webhooks until the test ends.
func serve(t *testing.T, s *apiserver.Server) *admission {
	t.Helper()
	a, handler := answering(t, s)
	installation := webhook.Installation{Namespace: "stash"}
	installation.URL, installation.CABundle = listen(t, s.MachineIP, a.busyOnce(handler))
	a.installation = installation
	for _, o := range []client.Object{webhook.Mutating(installation), webhook.Validating(installation)} {
		if err := s.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// answering is what serves admission, until the test ends.
func answering(t *testing.T, s *apiserver.Server) (*admission, http.Handler) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	config := rest.CopyConfig(s.Config)
	config.Impersonate.UserName = operatorName
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(), Client: controller.ClientOptions(), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.AddIndexes(t.Context(), mgr.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	world := &controller.World{Client: mgr.GetClient(), Live: direct, Options: controller.Options{Namespace: "stash", Log: quiet}.WithDefaults()}
	source, a := controller.NewAdmission(world), &admission{Rights: &controller.Rights{Client: direct}}
	handler, err := webhook.Handler(webhook.Options{Pods: source, Workloads: source, Own: source, Policies: source, Access: a, Observer: a, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return a, handler
}

// listen serves at an address that the API server reaches, with a certificate of its own.
func listen(t *testing.T, host string, h http.Handler) (url string, bundle []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(host, "0"), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo)}
	go func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = srv.Close() })
	return "https://" + listener.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// writers may write all of our kinds, and nothing that Stash does for them.
const writers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: writers}
rules:
  - apiGroups: [stash.appscode.com]
    resources: ["*"]
    verbs: [get, create, update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: writers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: writers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: writers}]
`

func testAdmission(t *testing.T, s *apiserver.Server) {
	a := serve(t, s)
	for _, ns := range []string{"shop", "vault"} {
		s.Kubectl(t, "", "create", "namespace", ns)
	}
	s.Kubectl(t, writers, "apply", "--filename=-")
	t.Run("people", func(t *testing.T) {
		eachCase(t, "testdata/rights/*.txtar", func(t *testing.T, parts map[string]*txtar.File) { testPerson(t, s, parts) })
	})
	t.Run("answers", func(t *testing.T) { testAnswers(t, s) })
	t.Run("the operator is not asked", func(t *testing.T) { testOperator(t, s, a) })
	t.Run("the whole user is asked about", func(t *testing.T) { testUser(t, s, a) })
	t.Run("a busy webhook is asked again", func(t *testing.T) { testBusy(t, s, a) })
	t.Run("policies", func(t *testing.T) { testPolicies(t, s, a) })
	t.Run("nobody answers", func(t *testing.T) {
		s.Kubectl(t, "", "delete", "clusterrolebinding", "stash-operator")
		eachCase(t, "testdata/rights_unknown.txtar", func(t *testing.T, parts map[string]*txtar.File) { testPerson(t, s, parts) })
	})
}

// testPerson has the user create new.yaml, or change old.yaml to it, after the administrator has run
// the commands in grants. Where rights are missing, the commands in the answer must check and grant
// them as it says.
func testPerson(t *testing.T, s *apiserver.Server, parts map[string]*txtar.File) {
	who := strings.Fields(string(parts["user"].Data))
	if grants := parts["grants"]; grants != nil {
		for line := range strings.Lines(string(grants.Data)) {
			s.Kubectl(t, "", strings.Fields(line)...)
		}
	}
	verb := "create"
	if old := parts["old.yaml"]; old != nil {
		s.Kubectl(t, string(old.Data), "create", "--filename=-")
		t.Cleanup(func() { s.Kubectl(t, string(old.Data), "delete", "--ignore-not-found", "--filename=-") })
		if object := parse(t, old); object.GetKind() == parse(t, parts["new.yaml"]).GetKind() {
			verb = "replace"
		}
	}
	request := func() (string, error) {
		return s.TryKubectl(t, string(parts["new.yaml"].Data), append([]string{verb, "--filename=-"}, who...)...)
	}
	t.Cleanup(func() { s.Kubectl(t, string(parts["new.yaml"].Data), "delete", "--ignore-not-found", "--filename=-") })
	answer, _ := request()
	golden(t, parts["answer"], answer)
	checks, grants := commands(answer)
	if len(grants) == 0 {
		return
	}
	may := func(want string) {
		t.Helper()
		for _, c := range checks {
			out, _ := s.TryKubectl(t, "", c...)
			if lines := strings.Fields(out); len(lines) == 0 || lines[len(lines)-1] != want {
				t.Errorf("kubectl %s: %s, want %s", strings.Join(c, " "), out, want)
			}
		}
	}
	may("no")
	for _, g := range grants {
		// A role of that name grants the same: an earlier answer asked for it.
		if out, err := s.TryKubectl(t, "", g...); err != nil && !strings.Contains(out, "AlreadyExists") {
			t.Fatalf("kubectl %s: %s", strings.Join(g, " "), out)
		}
	}
	may("yes")
	// Authorizers see new rules a moment later.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := request()
		if err == nil {
			return
		}
		if time.Now().After(end) || !strings.Contains(out, "lacks") {
			t.Fatalf("after all was granted: %s", out)
		}
	}
}

// commands takes the arguments of kubectl out of an answer.
func commands(answer string) (checks, grants [][]string) {
	for line := range strings.Lines(answer) {
		where, command, ok := strings.Cut(line, "kubectl ")
		switch {
		case !ok:
		case strings.TrimSpace(where) == "check:":
			checks = append(checks, strings.Fields(command))
		case strings.TrimSpace(where) == "grant:", strings.TrimSpace(where) == "":
			grants = append(grants, strings.Fields(command))
		}
	}
	return checks, grants
}

// testOperator: the operator's writes do not reach our webhooks; those of a user with its name do.
func testOperator(t *testing.T, s *apiserver.Server, a *admission) {
	const manifest = `{apiVersion: stash.appscode.com/v1beta1, kind: BackupConfiguration, metadata: {name: %s, namespace: shop}, spec: {
  repository: {name: web}, retentionPolicy: {name: keep, keepLast: 5}, target: {
    ref: {apiVersion: apps/v1, kind: Deployment, name: web, namespace: vault}, paths: [/data], volumeMounts: [{name: data, mountPath: /data}]}}}`
	a.since()
	s.Kubectl(t, fmt.Sprintf(manifest, "by-operator"), "create", "--filename=-", "--as="+operatorName)
	if _, seen := a.since(); len(seen) > 0 {
		t.Errorf("the operator was asked: %v", seen)
	}
	out, err := s.TryKubectl(t, fmt.Sprintf(manifest, "by-name"), "create", "--filename=-", "--as="+operatorName, "--as-group=writers")
	if _, seen := a.since(); err == nil || len(seen) != 1 || seen[0] != "backupconfigurations denied MissingRight" {
		t.Errorf("a user with the operator's name: %v: %s", seen, out)
	}
}

// testBusy: the API server tries again by itself, within the time of the hook.
func testBusy(t *testing.T, s *apiserver.Server, a *admission) {
	a.since()
	repository := parse(t, file(`{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: `+comesAgain+`, namespace: shop},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: backups}}}}`))
	if err := s.Client.Create(t.Context(), repository, client.DryRunAll); err != nil {
		t.Error(err)
	}
	if _, seen := a.since(); a.busy != 1 || len(seen) != 1 {
		t.Errorf("refused %d times, then %v", a.busy, seen)
	}
}

// testUser: what authentication says of a user reaches those who authorize.
func testUser(t *testing.T, s *apiserver.Server, a *admission) {
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "scoped", UID: "4711", Groups: []string{"writers", "team"}, Extra: map[string][]string{"example.com/scopes": {"read", "write"}},
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.since()
	err = c.Create(t.Context(), parse(t, &txtar.File{Data: []byte(`{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: scoped, namespace: shop},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: b}}}}`)}))
	if err == nil {
		t.Error("the Secret was not asked for")
	}
	users, _ := a.since()
	want := authenticationv1.UserInfo{
		Username: "scoped", UID: "4711", Groups: []string{"writers", "team", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"example.com/scopes": {"read", "write"}},
	}
	if diff := cmp.Diff([]authenticationv1.UserInfo{want}, users); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
