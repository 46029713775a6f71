package certs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Why there is nothing of cert-manager's to serve.
var (
	// ErrNotInstalled: the cluster has no cert-manager.
	ErrNotInstalled = errors.New("cert-manager is not installed in this cluster; install it, or remove --cert-manager-certificate from the operator's arguments")
	// ErrNoCertificate: nobody asked cert-manager for a certificate.
	ErrNoCertificate = errors.New("it does not exist; apply deploy/cert-manager as a component")
	// ErrNotIssued: cert-manager has not issued it.
	ErrNotIssued = errors.New("cert-manager has not issued it")
)

// Getter reads objects from the API server, not from a cache. Its scheme knows the kinds of
// cert-manager.
type Getter interface {
	Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error
}

// CertManager reads what cert-manager issued. It only reads: Issuer and Certificate belong to whoever
// installs Stash.
type CertManager struct {
	// Client of the API server.
	Client Getter
	// Namespace and Name of the Certificate; the namespace is the operator's own.
	Namespace, Name string
}

// Issued returns what is to be served. Its errors say why there is nothing, and what to do.
func (c *CertManager) Issued(ctx context.Context, now time.Time, t Terms) (*Issued, error) {
	issued, err := c.read(ctx, now, t)
	if err != nil {
		return nil, fmt.Errorf("certificate %q of cert-manager: %w", c.Namespace+"/"+c.Name, err)
	}
	return issued, nil
}

func (c *CertManager) read(ctx context.Context, now time.Time, t Terms) (*Issued, error) {
	certificate := &cmapi.Certificate{}
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Name}, certificate)
	switch {
	case meta.IsNoMatchError(err):
		return nil, ErrNotInstalled
	case apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) && apierrors.IsNotFound(err):
		return nil, ErrNotInstalled // no longer
	case apierrors.IsNotFound(err):
		return nil, ErrNoCertificate
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the operator may not read it; apply deploy/cert-manager as a component: %w", err)
	case err != nil:
		return nil, fmt.Errorf("read: %w", err)
	}
	secret := &corev1.Secret{}
	err = c.Client.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: certificate.Spec.SecretName}, secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no Secret %q%s", ErrNotIssued, certificate.Spec.SecretName, because(certificate))
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %q: %w", certificate.Spec.SecretName, err)
	}
	issued, err := NewIssued(now, secret.Data, t)
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w%s", certificate.Spec.SecretName, err, because(certificate))
	}
	return issued, nil
}

// because is what cert-manager says of a certificate that is not ready.
func because(c *cmapi.Certificate) string {
	var told strings.Builder
	for _, condition := range c.Status.Conditions {
		if condition.Type == cmapi.CertificateConditionReady && condition.Status != cmmeta.ConditionTrue ||
			condition.Type == cmapi.CertificateConditionIssuing && condition.Reason != "" && condition.Status == cmmeta.ConditionFalse {
			fmt.Fprintf(&told, "; %s: %s: %s", condition.Type, condition.Reason, condition.Message)
		}
	}
	text := told.String()
	if text == "" && len(c.Status.Conditions) == 0 {
		return "; it has no status: the controllers of cert-manager seem not to run"
	}
	return text
}
