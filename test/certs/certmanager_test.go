package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/webhook"
)

// TestCertManager goes from the operator's own CA to cert-manager's, through a renewal and another
// root, and back, with two replicas of the real program, cert-manager's real controllers, and clients
// that never pause.
func TestCertManager(t *testing.T) {
	s := apiserver.Start(t, "certs", 94)
	t.Run("it is a component", func(t *testing.T) { testComponent(t, s) })
	program, crds := s.CertManager(t)
	o := newOperators(t, s)
	o.start()
	o.start()
	s.Install(t) // our kinds are closed without their webhooks again
	s.Kubectl(t, "", "create", "namespace", "shop")
	s.Kubectl(t, "", "create", "secret", "generic", "storage", "--namespace=shop", "--from-literal=RESTIC_PASSWORD=x", "--from-literal=AWS_ACCESS_KEY_ID=x", "--from-literal=AWS_SECRET_ACCESS_KEY=x")
	s.Kubectl(t, fmt.Sprintf(repository, "kept"), "create", "--filename=-") // its worker needs the CA
	o.served("stash-ca", 1)
	c := o.connect(t)

	t.Log("cert-manager is missing: the operators go on with their own CA, and say so")
	o.apply("rbac.yaml")
	o.roll("--cert-manager-certificate=stash")
	o.said("cert-manager is not installed in this cluster", 1)
	o.served("stash-ca", 1)

	t.Log("cert-manager comes: what it issues is served")
	s.Kubectl(t, "", "create", "--filename="+crds)
	s.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	controllers := o.certManager(program)
	o.apply("certificates.yaml")
	o.served("stash-root", 1)

	t.Log("a renewal is served")
	first := o.leaf()
	o.renew("stash")
	o.await("renewal", func() error {
		if o.leaf().SerialNumber.Cmp(first.SerialNumber) == 0 {
			return errors.New("the certificate is that of before")
		}
		return nil
	})

	t.Log("another root: old and new are trusted together")
	root := o.secret("stash-root", "tls.crt")
	o.renew("stash-root")
	o.await("root", func() error {
		if slices.Equal(o.secret("stash-root", "tls.crt"), root) {
			return errors.New("the root is that of before")
		}
		return nil
	})
	o.await("a certificate of the new root", func() error {
		if slices.Equal(o.secret("stash-issued", "ca.crt"), o.secret("stash-root", "tls.crt")) {
			return nil
		}
		o.renew("stash") // again, where the issuer had not heard of its new root yet
		time.Sleep(3 * time.Second)
		return errors.New("it is of the root of before")
	})
	o.await("both roots", func() error { return o.trusted(2) })
	o.served("stash-root", 1)
	if o.leaf().CheckSignatureFrom(decode(t, root)) == nil {
		t.Error("the old root has signed what is served")
	}

	t.Log("cert-manager goes: what it issued stays")
	controllers()
	s.Kubectl(t, "", "delete", "--filename="+crds)
	o.said("cert-manager is not installed in this cluster", 2)
	o.served("stash-root", 1)
	// It knows the operator's arguments from the Deployment's pods, which have none of that here.
	if report := o.doctor(t.Context()); !strings.Contains(report, "what cert-manager issued is still served") || strings.Contains(report, "PRIVATE KEY") {
		t.Errorf("the doctor says:\n%s", report)
	}

	t.Log("back to the operator's own CA")
	o.roll()
	o.served("stash-ca", 1)
	admitted, connected := c.stop()
	t.Logf("%d requests were admitted, %d connections made", admitted, connected)
	if admitted < 50 || connected < 50 {
		t.Errorf("too few to tell: %d requests, %d connections", admitted, connected)
	}
}

const repository = `{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: %s, namespace: shop},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: backups}}}}`

// apply applies a file of deploy/cert-manager.
func (o *operators) apply(file string) {
	o.t.Helper()
	o.Kubectl(o.t, "", "apply", "--filename="+filepath.Join(apiserver.Root, "deploy", "cert-manager", file))
}

// certManager runs cert-manager's controllers until the returned function is called.
func (o *operators) certManager(program string) (stop func()) {
	o.t.Helper()
	log := &output{}
	cmd := exec.Command(program, "--kubeconfig="+o.Kubeconfig())
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				o.t.Errorf("cert-manager ended: %v: %s", err, log)
			}
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			o.t.Error("cert-manager did not end")
		}
	})
	o.t.Cleanup(stop)
	return stop
}

// renew asks cert-manager to issue anew, as `cmctl renew` does.
func (o *operators) renew(name string) {
	o.t.Helper()
	o.await("renew "+name, func() error {
		certificate := &unstructured.Unstructured{}
		certificate.SetGroupVersionKind(schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"})
		if err := o.Client.Get(o.t.Context(), client.ObjectKey{Namespace: "stash", Name: name}, certificate); err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(certificate.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = slices.DeleteFunc(conditions, func(c any) bool {
			condition, ok := c.(map[string]any)
			return ok && condition["type"] == "Issuing"
		})
		conditions = append(conditions, map[string]any{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by the test"})
		if err := unstructured.SetNestedSlice(certificate.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		return o.Client.Status().Update(o.t.Context(), certificate)
	})
}

// served waits until every replica serves what a CA of that name signed, and so many CAs are trusted.
func (o *operators) served(by string, authorities int) {
	o.t.Helper()
	o.await("what "+by+" signed is served", func() error {
		for _, r := range o.running {
			for _, address := range []string{r.webhook, r.broker} {
				conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
				if err != nil {
					return err
				}
				leaf := conn.ConnectionState().PeerCertificates[0]
				_ = conn.Close()
				if leaf.Issuer.CommonName != by {
					return fmt.Errorf("%s serves what %s signed", r.name, leaf.Issuer.CommonName)
				}
			}
		}
		return o.trusted(authorities)
	})
}

// trusted tells whether the agents of a namespace, and the API server, trust so many CAs.
func (o *operators) trusted(want int) error {
	text, err := o.bundle(o.t.Context())
	if err != nil {
		return err
	}
	v := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := o.Client.Get(o.t.Context(), client.ObjectKey{Name: webhook.ConfigurationName}, v); err != nil {
		return err
	}
	if n := strings.Count(text, "BEGIN CERTIFICATE"); n != want || string(v.Webhooks[0].ClientConfig.CABundle) != text {
		return fmt.Errorf("agents trust %d CAs, want %d; the API server the same: %v", n, want, string(v.Webhooks[0].ClientConfig.CABundle) == text)
	}
	return nil
}

func (o *operators) bundle(ctx context.Context) (string, error) {
	cm := &corev1.ConfigMap{}
	if err := o.Client.Get(ctx, client.ObjectKey{Namespace: "shop", Name: api.ConfigMapCA}, cm); err != nil {
		return "", err
	}
	return cm.Data[api.ConfigMapCAKey], nil
}

func (o *operators) secret(name, key string) []byte {
	o.t.Helper()
	secret := &corev1.Secret{}
	if err := o.Client.Get(o.t.Context(), client.ObjectKey{Namespace: "stash", Name: name}, secret); err != nil {
		o.t.Fatal(err)
	}
	return secret.Data[key]
}

// leaf is what the operators serve.
func (o *operators) leaf() *x509.Certificate {
	o.t.Helper()
	return decode(o.t, o.secret(certs.SecretName, certs.KeyLeafCert))
}

func decode(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// testComponent builds what a user applies, from a folder beside deploy.
func testComponent(t *testing.T, s *apiserver.Server) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(filepath.Join(apiserver.Root, "deploy"))); err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(dir, "site")
	if err := os.Mkdir(site, 0o755); err != nil {
		t.Fatal(err)
	}
	kustomization := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../deploy]\ncomponents: [../deploy/cert-manager]\n"
	if err := os.WriteFile(filepath.Join(site, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	built := s.Kubectl(t, "", "kustomize", site)
	for _, want := range []string{"- --cert-manager-certificate=stash\n", "kind: Issuer\n", "kind: Certificate\n", "name: stash-operator-cert-manager\n"} {
		if !strings.Contains(built, want) {
			t.Errorf("it lacks %q", want)
		}
	}
}
