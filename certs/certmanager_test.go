package certs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/certs"
)

func certificate(conditions ...cmapi.CertificateCondition) *cmapi.Certificate {
	return &cmapi.Certificate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "stash"}, Spec: cmapi.CertificateSpec{SecretName: "stash-issued"},
		Status: cmapi.CertificateStatus{Conditions: conditions},
	}
}

func issuedSecret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "stash-issued"}, Data: data}
}

// cluster is one with the kinds of cert-manager; refuse may answer for its Certificates.
func cluster(t *testing.T, refuse error, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), cmapi.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, ok := obj.(*cmapi.Certificate); ok && refuse != nil {
				return refuse
			}
			return c.Get(ctx, key, obj, opts...)
		},
	}).Build()
}

func TestWhyThereIsNothingOfCertManagersIsSaid(t *testing.T) {
	kind := schema.GroupResource{Group: "cert-manager.io", Resource: "certificates"}
	failed := cmapi.CertificateCondition{Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionFalse, Reason: "DoesNotExist", Message: "Issuing certificate as Secret does not exist"}
	i := newIssuer(t, start())
	good := issuedSecret(i.secret(start(), 24*time.Hour, names()...))
	for name, c := range map[string]struct {
		refuse  error
		objects []client.Object
		want    string
	}{
		"it is not installed": {
			&meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "cert-manager.io", Kind: "Certificate"}}, nil,
			"cert-manager is not installed in this cluster; install it, or remove --cert-manager-certificate",
		},
		"it was removed": {
			apierrors.NewGenericServerResponse(404, "GET", kind, "stash", "404 page not found", 0, true), nil, "cert-manager is not installed in this cluster",
		},
		"there is no Certificate":      {nil, nil, "it does not exist; apply deploy/cert-manager as a component"},
		"it may not be read":           {apierrors.NewForbidden(kind, "stash", errors.New("no")), nil, "the operator may not read it; apply deploy/cert-manager as a component"},
		"the API server is away":       {errors.New("connection refused"), nil, "read: connection refused"},
		"nothing runs":                 {nil, []client.Object{certificate()}, `there is no Secret "stash-issued"; it has no status: the controllers of cert-manager seem not to run`},
		"it is not issued yet":         {nil, []client.Object{certificate(failed)}, `there is no Secret "stash-issued"; Ready: DoesNotExist: Issuing certificate as Secret does not exist`},
		"it is for other names":        {nil, []client.Object{certificate(), issuedSecret(i.secret(start(), 24*time.Hour, "a.example.com"))}, "it is not for stash-webhook.stash.svc"},
		"it is good":                   {nil, []client.Object{certificate(), good}, ""},
		"it is good and being renewed": {nil, []client.Object{certificate(failed), good}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := &certs.CertManager{Client: cluster(t, c.refuse, c.objects...), Namespace: "stash", Name: "stash"}
			issued, err := m.Issued(t.Context(), start(), ours())
			switch {
			case c.want == "" && (err != nil || issued == nil):
				t.Errorf("error = %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), `certificate "stash/stash" of cert-manager: `) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

// Replicas serve their own certificate without cert-manager, then that of cert-manager, and find it
// again when their Secret is lost; what is wrong is said once.
func TestAKeeperServesWhatThereIs(t *testing.T) {
	c := cluster(t, nil)
	now := start()
	var log bytes.Buffer
	s := &certs.Source{}
	k := keeper(c, s, func() time.Time { return now })
	k.CertManager = &certs.CertManager{Client: c, Namespace: "stash", Name: "stash"}
	k.Log = slog.New(slog.NewTextHandler(io.MultiWriter(&log, t.Output()), nil))
	for range 3 {
		reconcile(t, k)
	}
	if n := strings.Count(log.String(), "it does not exist"); !s.Loaded() || n != 1 {
		t.Errorf("loaded: %v; said %d times: %s", s.Loaded(), n, log.String())
	}
	i := newIssuer(t, now)
	for _, o := range []client.Object{certificate(), issuedSecret(i.secret(now, 30*24*time.Hour, names()...))} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, k)
	now = now.Add(certs.Overlap)
	reconcile(t, k)
	theirs := stored(t, c)
	if got, err := s.GetCertificate(nil); err != nil || !bytes.Equal(got.Certificate[0], parse(t, theirs[certs.KeyLeafCert]).Raw) || string(theirs[certs.KeyIssuer]) != certs.IssuerCertManager {
		t.Errorf("what was issued is not served: %v", err)
	}
	if strings.Count(log.String(), "cert-manager has issued what can be served") != 1 {
		t.Error(log.String())
	}
	// Without either Secret, memory has what clients trust.
	for _, o := range []client.Object{secret(nil), issuedSecret(nil)} {
		if err := c.Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	reconcile(t, k)
	if after := stored(t, c); !bytes.Equal(after[certs.KeyLeafKey], theirs[certs.KeyLeafKey]) || !bytes.Equal(after[certs.KeyOldCert], theirs[certs.KeyOldCert]) {
		t.Error("another certificate is served, or a CA is lost")
	}
}
