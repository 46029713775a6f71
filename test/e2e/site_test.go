package e2e_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// site is where a test takes place: a namespace, a bucket and a gate to the storage of its own.
type site struct {
	*testing.T

	ns     string
	bucket string
	// password is that of the test's repositories.
	password string
	gate     *gate
	vars     vars
}

// vars are what manifests in testdata name as {{.Name}}.
type vars map[string]any

func newSite(t *testing.T) *site {
	t.Helper()
	random := make([]byte, 3)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	ns := "e2e-" + hex.EncodeToString(random)
	s := &site{T: t, ns: ns, bucket: ns, password: "password-of-" + rand.Text()}
	storage := suite.cluster.Storage()
	s.secret("the password of "+ns, s.password)
	s.secret("the storage's access key", storage.AccessKey())
	s.secret("the storage's secret key", storage.SecretKey())
	if err := storage.CreateBucket(s.bucket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := storage.DeleteBucket(s.bucket); err != nil {
			t.Error(err)
		}
	})
	s.gate = newGate(t)
	s.vars = vars{
		"NS": ns, "Bucket": s.bucket, "Endpoint": s.gate.endpoint(), "Blueprint": ns,
		"AccessKey": storage.AccessKey(), "SecretKey": storage.SecretKey(), "Password": s.password,
		"Schedule": "0 3 29 2 *", "Retention": "{name: keep, keepLast: 5, prune: true}",
		"Name": "web", "Kind": "Deployment", "Replicas": 1, "Annotated": true,
		"History": 5, "Paused": false, "TimeOut": "", "Connections": 5, "Vault": "", "Tier": "", "Prefix": "${TARGET_KIND}/${TARGET_NAME}",
	}
	s.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	t.Cleanup(s.leave)
	t.Cleanup(func() { s.nothingShown(ns) })
	t.Cleanup(s.dump)
	s.apply("secret.yaml")
	t.Logf("namespace %s", ns)
	return s
}

// leave removes the namespace and what stands beside it. It waits for nothing: TestNothingIsLeft
// looks whether all of it went.
func (s *site) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s.gate.heal()
	for _, obj := range []client.Object{
		&v1beta1.BackupBlueprint{ObjectMeta: metav1.ObjectMeta{Name: s.ns}},
		&v1beta1.BackupTemplate{ObjectMeta: metav1.ObjectMeta{Name: s.ns}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.ns}},
	} {
		if err := suite.client.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
			s.Errorf("delete %T: %v", obj, err)
		}
	}
}

func (s *site) create(obj client.Object) {
	s.Helper()
	if err := again(s.Context(), func() error { return suite.client.Create(s.Context(), obj) }); err != nil {
		s.Fatalf("create %T: %v", obj, err)
	}
}

// render fills in a manifest of testdata.
func (s *site) render(file string, more ...vars) string {
	s.Helper()
	t, err := template.New(file).Option("missingkey=error").ParseFiles(filepath.Join("testdata", file))
	if err != nil {
		s.Fatal(err)
	}
	values := maps.Clone(s.vars)
	for _, m := range more {
		maps.Copy(values, m)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		s.Fatal(err)
	}
	return out.String()
}

// apply applies a manifest of testdata with kubectl and returns what that says.
func (s *site) apply(file string, more ...vars) string {
	s.Helper()
	out, err := s.tryApply(file, more...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *site) tryApply(file string, more ...vars) (out string, err error) {
	s.Helper()
	err = again(s.Context(), func() (err error) {
		out, err = suite.kubectl.Run(s.Context(), s.render(file, more...), "apply", "--namespace="+s.ns, "--filename=-")
		return err
	})
	return out, err
}

// kubectl runs kubectl in the test's namespace.
func (s *site) kubectl(args ...string) string {
	s.Helper()
	out, err := s.tryKubectl(args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *site) tryKubectl(args ...string) (string, error) {
	return suite.kubectl.Run(s.Context(), "", append([]string{"--namespace=" + s.ns}, args...)...)
}

// get reads an object of the test's namespace.
func get[T client.Object](s *site, name string, obj T) T {
	s.Helper()
	if err := suite.client.Get(s.Context(), client.ObjectKey{Namespace: s.ns, Name: name}, obj); err != nil {
		s.Fatalf("read %T: %v", obj, err)
	}
	return obj
}

// list reads all objects of a kind in the test's namespace.
func list[T client.ObjectList](s *site, objects T, options ...client.ListOption) T {
	s.Helper()
	if err := suite.client.List(s.Context(), objects, append(options, client.InNamespace(s.ns))...); err != nil {
		s.Fatalf("list %T: %v", objects, err)
	}
	return objects
}

// says fails the test unless text has every part.
func (s *site) says(text string, parts ...string) {
	s.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			s.Errorf("does not say %q:\n%s", p, text)
		}
	}
}
