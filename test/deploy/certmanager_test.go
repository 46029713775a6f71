package deploy_test

import (
	"slices"
	"strings"
	"testing"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/test/manifest"
)

// object decodes the object of a kind and name from a file of the component, strictly.
func object[T any](t *testing.T, path, kind, name string) T {
	t.Helper()
	objects, err := manifest.Parse(read(t, "cert-manager/"+path))
	if err != nil {
		t.Fatal(err)
	}
	var out T
	for _, o := range objects {
		if o.GetKind() != kind || o.GetName() != name {
			continue
		}
		text, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Fatalf("%s has no %s %q", path, kind, name)
	return out
}

// What the component asks cert-manager for is what the operator serves, and may read.
func TestTheCertificateOfTheComponentIsTheOperators(t *testing.T) {
	leaf := object[cmapi.Certificate](t, "certificates.yaml", "Certificate", "stash")
	root := object[cmapi.Certificate](t, "certificates.yaml", "Certificate", "stash-root")
	issuer := object[cmapi.Issuer](t, "certificates.yaml", "Issuer", leaf.Spec.IssuerRef.Name)
	object[cmapi.Issuer](t, "certificates.yaml", "Issuer", root.Spec.IssuerRef.Name)
	if d := cmp.Diff(certs.Names("stash", "stash-webhook", "stash-broker"), leaf.Spec.DNSNames); d != "" {
		t.Errorf("names of the certificate (-want +got):\n%s", d)
	}
	if issuer.Spec.CA == nil || issuer.Spec.CA.SecretName != root.Spec.SecretName || !root.Spec.IsCA {
		t.Errorf("the issuer signs with %+v, the root is in %q", issuer.Spec.CA, root.Spec.SecretName)
	}
	if leaf.Spec.SecretName == certs.SecretName {
		t.Error("cert-manager would write the operator's own Secret")
	}
	// cert-manager does not issue anew when a root is replaced: each certificate must end before it.
	if root.Spec.RenewBefore.Duration <= leaf.Spec.Duration.Duration {
		t.Errorf("the root is replaced %s before its end, what it signs lives for %s", root.Spec.RenewBefore.Duration, leaf.Spec.Duration.Duration)
	}
	role := object[rbacv1.Role](t, "rbac.yaml", "Role", "stash-operator-cert-manager")
	want := []rbacv1.PolicyRule{{APIGroups: []string{"cert-manager.io"}, Resources: []string{"certificates"}, ResourceNames: []string{leaf.Name}, Verbs: []string{"get"}}}
	if d := cmp.Diff(want, role.Rules); d != "" {
		t.Errorf("rights about objects of cert-manager (-want +got):\n%s", d)
	}
	if component := string(read(t, "cert-manager/kustomization.yaml")); !strings.Contains(component, "--cert-manager-certificate="+leaf.Name+"}") {
		t.Error("the operator is told of another certificate")
	}
}

// Without the component the operator has no right about any object of cert-manager.
func TestRightsAboutCertManagerAreInItsComponentOnly(t *testing.T) {
	var rules []rbacv1.PolicyRule
	for _, r := range deployed[*rbacv1.ClusterRole](t) {
		rules = append(rules, r.Rules...)
	}
	for _, r := range deployed[*rbacv1.Role](t) {
		rules = append(rules, r.Rules...)
	}
	if len(rules) == 0 {
		t.Fatal("no rules were read")
	}
	for _, r := range rules {
		if slices.Contains(r.APIGroups, "cert-manager.io") || slices.Contains(r.APIGroups, "*") {
			t.Errorf("%+v", r)
		}
	}
}
