package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/webhook"
)

// each bounds a check: what takes longer is something to be told.
const each = 20 * time.Second

// Options are what the operator was started with, as far as it matters here.
type Options struct {
	WebhookService, BrokerService string
	// Hooks are the settings of single hooks.
	Hooks webhook.Settings
	// Image of agents, empty where it is the operator's own; TrustedImages are further ones.
	Image         string
	TrustedImages []string
	// Certificate of cert-manager that is to be served; empty where the operator's own CA signs.
	Certificate string
	// Overlap is how long a CA is trusted before it signs.
	Overlap time.Duration
}

// Doctor looks at one installation.
type Doctor struct {
	// Version of this program.
	Version string
	// Namespace of the operator.
	Namespace string
	// Parse reads the operator's arguments.
	Parse func(args []string) (Options, error)
	// Restic returns what `restic version` prints; nil outside of the operator's image.
	Restic func(ctx context.Context) (string, error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	client client.Client
	http   *http.Client
	host   string
}

// Connect prepares to look at the cluster that config leads to.
func (d *Doctor) Connect(config *rest.Config) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme, cmapi.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register kinds: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = 100, 200
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme, HTTPClient: http})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	url, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	d.client, d.http, d.host = c, http, url.String()
	return nil
}

// site is what several checks look at.
type site struct {
	pods        []corev1.Pod
	deployments []appsv1.Deployment
	options     Options
	// image is that of the operator.
	image string
	// unread says why the options are not known.
	unread error
	// secret is that of the certificates; noSecret says why it is not known.
	secret   certs.Inspected
	noSecret error
}

// check is one thing that must be right.
type check struct {
	name string
	look func(d *Doctor, ctx context.Context, s *site) []Finding
}

// checks are all, in the order in which one needs the other.
func checks() []check {
	return []check{
		{"kubernetes", (*Doctor).kubernetes},
		{"clock", (*Doctor).clock},
		{"kinds", (*Doctor).kinds},
		{"rights", (*Doctor).rights},
		{"replicas", (*Doctor).replicas},
		{"leader", (*Doctor).leader},
		{"restic", (*Doctor).restic},
		{"certificates", (*Doctor).certificates},
		{"policies", (*Doctor).policies},
		{"webhooks", (*Doctor).webhooks},
		{"settings", (*Doctor).settings},
		{"reached", (*Doctor).reached},
		{"namespaces", (*Doctor).namespaces},
		{"agents", (*Doctor).agents},
	}
}

// Examine makes all checks.
func (d *Doctor) Examine(ctx context.Context) Report {
	r := Report{Version: d.Version, Namespace: d.Namespace}
	s := d.survey(ctx)
	for _, c := range checks() {
		limit, cancel := context.WithTimeout(ctx, each)
		for _, f := range c.look(d, limit, s) {
			f.Check = c.name
			r.Findings = append(r.Findings, f)
		}
		cancel()
	}
	return r
}

// survey reads what several checks look at.
func (d *Doctor) survey(ctx context.Context) *site {
	limit, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	s := &site{}
	pods := &corev1.PodList{}
	if err := d.client.List(limit, pods, client.InNamespace(d.Namespace), operatorLabels()); err != nil {
		s.unread = fmt.Errorf("list pods of the operator: %w", err)
	}
	deployments := &appsv1.DeploymentList{}
	if err := d.client.List(limit, deployments, client.InNamespace(d.Namespace), operatorLabels()); err != nil && s.unread == nil {
		s.unread = fmt.Errorf("list Deployments of the operator: %w", err)
	}
	s.pods, s.deployments = pods.Items, deployments.Items
	if s.unread == nil {
		s.image, s.options, s.unread = d.started(s.pods, s.deployments)
	}
	secret := &corev1.Secret{}
	if err := d.client.Get(limit, client.ObjectKey{Namespace: d.Namespace, Name: certs.SecretName}, secret); err != nil {
		s.noSecret = fmt.Errorf("read Secret %s/%s: %w", d.Namespace, certs.SecretName, err)
	} else {
		s.secret = certs.Inspect(secret.Data)
	}
	return s
}

func (d *Doctor) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// unread is the finding of a check that could not look.
func unread(what string, err error) []Finding {
	if apierrors.IsForbidden(err) {
		return []Finding{warn("apply deploy/rbac.yaml of this version; or run stash doctor from a checkout, with the KUBECONFIG of an administrator",
			"not checked: %s: %v", what, err)}
	}
	return []Finding{fail(remedy(err), "not checked: %s: %v", what, err)}
}

// remedy is what to do about something that could not be read; empty where the error has to say it.
func remedy(err error) string {
	switch status := apierrors.APIStatus(nil); {
	case errors.Is(err, errNoOperator):
		return "see check replicas"
	case errors.As(err, &status) && apierrors.IsNotFound(err) && status.Status().Details != nil && status.Status().Details.Name == certs.SecretName:
		return "a running operator makes it anew within half a minute: see check replicas, and the operator's log for what keeps it"
	}
	return ""
}
