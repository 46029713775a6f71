package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/controller"
	"github.com/seed-731df569/stash/doctor"
	"github.com/seed-731df569/stash/guard"
	"github.com/seed-731df569/stash/metrics"
)

// leaderID is the name of the Lease of the leader.
const leaderID = doctor.LeaseName

// run assembles the operator and runs it until ctx ends.
func run(ctx context.Context, o runOptions, log *slog.Logger) error {
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	config.QPS, config.Burst = 200, 400
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if o.image == "" {
		if o.image, err = ownImage(ctx, direct, o.namespace, o.podName); err != nil {
			return err
		}
	}
	source := &certs.Source{}
	keeper := &certs.Keeper{
		Client: direct, Namespace: o.namespace, Source: source, Log: log,
		Names: certs.Names(o.namespace, o.webhookService, o.brokerService), Overlap: o.caOverlap,
	}
	if o.certificate != "" {
		keeper.CertManager = &certs.CertManager{Client: direct, Namespace: o.namespace, Name: o.certificate}
	}
	if err := firstCertificate(ctx, keeper); err != nil {
		return err
	}
	if err := waitForKinds(ctx, direct, log); err != nil {
		return err
	}
	mgr, err := newManager(config, scheme, o)
	if err != nil {
		return err
	}
	world := &controller.World{
		Client: mgr.GetClient(), Live: direct, Events: mgr.GetEventRecorder("stash"), Bundle: source.Bundle,
		Options: controller.Options{
			Namespace: o.namespace, Image: o.image, TrustedImages: o.trustedImages, PullSecrets: o.pullSecrets, WorkerIdle: o.workerIdle, MaxRollouts: o.maxRollouts, ClassicSidecars: o.nativeSidecars == "never",
			BrokerAddress: net.JoinHostPort(o.brokerService+"."+o.namespace+".svc", "443"),
			BrokerName:    o.brokerService + "." + o.namespace + ".svc",
			Limits:        o.limits, Log: log,
		}.WithDefaults(),
	}
	a := &assembly{options: o, log: log, mgr: mgr, world: world, source: source, keeper: keeper, direct: direct, drained: make(chan struct{})}
	if err := a.assemble(ctx); err != nil {
		return err
	}
	log.Info("starting", "version", version, "image", o.image)
	return a.start(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme, cmapi.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register kinds: %w", err)
		}
	}
	return s, nil
}

// ownImage is the image of the operator's own container: agents are in it too.
func ownImage(ctx context.Context, c client.Reader, namespace, name string) (string, error) {
	pod := &corev1.Pod{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
		return "", fmt.Errorf("read own pod to learn the image (or give --image): %w", err)
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == "operator" {
			return c.Image, nil
		}
	}
	return "", errors.New("own pod has no container \"operator\": give --image")
}

// firstCertificate waits for a certificate, since nothing can be served without one.
func firstCertificate(ctx context.Context, k *certs.Keeper) error {
	for {
		err := k.Reconcile(ctx)
		if err == nil {
			return nil
		}
		ctrl.Log.Error(err, "no serving certificate yet")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// waitForKinds waits until the API server serves our kinds: kubectl apply creates the definitions
// and the operator at the same time.
func waitForKinds(ctx context.Context, c client.Client, log *slog.Logger) error {
	for {
		var err error
		for _, list := range []client.ObjectList{
			&v1alpha1.RepositoryList{}, &v1beta1.BackupConfigurationList{}, &v1beta1.BackupSessionList{},
			&v1beta1.RestoreSessionList{}, &v1beta1.BackupBlueprintList{}, &v1beta1.BackupTemplateList{},
			&v1beta1.ProtectionPolicyList{},
		} {
			if err = c.List(ctx, list, client.Limit(1)); err != nil {
				break
			}
		}
		if err == nil {
			return nil
		}
		log.Warn("the kinds of Stash are not served yet", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

func newManager(config *rest.Config, scheme *runtime.Scheme, o runOptions) (ctrl.Manager, error) {
	grace := 20 * time.Second
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controller.CacheOptions(),
		Client:                        controller.ClientOptions(),
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaderID,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.leaseDuration,
		RenewDeadline:                 &o.renewDeadline,
		RetryPeriod:                   &o.retry,
		GracefulShutdownTimeout:       &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return mgr, nil
}

// assembly is the operator while it is put together.
type assembly struct {
	options runOptions
	log     *slog.Logger
	mgr     ctrl.Manager
	world   *controller.World
	source  *certs.Source
	keeper  *certs.Keeper
	direct  client.Client
	broker  *broker.Server
	runtime *metrics.Runtime
	// drained is closed when requests are to be refused by the readiness probe.
	drained chan struct{}
}

// assemble adds all parts to the manager.
func (a *assembly) assemble(ctx context.Context) error {
	if err := controller.AddIndexes(ctx, a.mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("add indexes: %w", err)
	}
	agents := controller.NewAgents(a.world)
	reviewer, err := reviewClient(a.mgr.GetConfig(), a.mgr.GetScheme())
	if err != nil {
		return err
	}
	a.broker = &broker.Server{
		Identify: &broker.Authenticator{Client: reviewer, Reader: reviewer, AgentCommand: controller.AgentCommand, Image: a.options.image, TrustedImages: a.options.trustedImages},
		Work:     agents, Results: agents, Log: a.log,
	}
	for _, add := range []func(context.Context) error{a.addMetrics, a.addServers, a.addWebhooks, a.addControllers, a.addProbes} {
		if err := add(ctx); err != nil {
			return err
		}
	}
	return nil
}

// addMetrics adds what /metrics tells of Stash.
func (a *assembly) addMetrics(context.Context) error {
	a.runtime = metrics.NewRuntime(a.broker.Streams, metrics.Known{
		Refusals: texts(broker.Refusals()), Servers: []string{serverBroker, serverWebhook}, Closed: texts(guard.Reasons()),
	})
	a.broker.Refused = func(why broker.Refusal) { a.runtime.Refused(string(why)) }
	if err := a.runtime.Register(ctrlmetrics.Registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	for _, c := range []prometheus.Collector{metrics.NewStatus(a.objects), metrics.NewCertificates(func() map[string]time.Time { return expiries(a.source) })} {
		if err := ctrlmetrics.Registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func texts[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, t := range list {
		out = append(out, string(t))
	}
	return out
}

// reviewClient is for the proof of identities, or of rights, alone: whoever reaches the broker or
// writes our kinds makes it ask the API server, and must not use up what everything else is allowed
// to ask.
func reviewClient(config *rest.Config, scheme *runtime.Scheme) (client.Client, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.RateLimiter = 100, 200, nil
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}

// addControllers adds what runs on the leader.
func (a *assembly) addControllers(context.Context) error {
	schedule := controller.NewSchedule(a.world)
	schedule.Lag = a.runtime.Lag
	configurations := controller.NewWebhookConfigurations(a.world, a.options.webhookService)
	configurations.Settings = a.options.hooks.settings
	if err := controller.Setup(a.mgr, a.world, schedule, configurations); err != nil {
		return fmt.Errorf("add controllers: %w", err)
	}
	return nil
}

// start runs the manager. After the signal to stop, requests are served for a little longer: the
// endpoints of this replica are not gone everywhere at once.
func (a *assembly) start(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		select {
		case <-a.mgr.Elected():
			a.world.Lead()
			a.log.Info("this replica leads")
		case <-running.Done():
		}
	}()
	go func() {
		<-ctx.Done()
		close(a.drained)
		a.log.Info("stopping: draining", "for", a.options.drain.String())
		select {
		case <-time.After(a.options.drain):
		case <-running.Done():
		}
		stop()
	}()
	if err := a.mgr.Start(running); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// objects lists what metrics are derived from, on the leader only. They are the cache's own: metrics
// only read them, and a copy of 100,000 sessions at each scrape would be most of the memory.
func (a *assembly) objects(ctx context.Context) (metrics.Objects, bool) {
	var o metrics.Objects
	select {
	case <-a.mgr.Elected():
	default:
		return o, false
	}
	var configs v1beta1.BackupConfigurationList
	var backups v1beta1.BackupSessionList
	var restores v1beta1.RestoreSessionList
	var repos v1alpha1.RepositoryList
	var policies v1beta1.ProtectionPolicyList
	for _, list := range []client.ObjectList{&configs, &backups, &restores, &repos, &policies} {
		if err := a.world.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			a.log.Warn("metrics could not be derived", "err", err)
			return o, false
		}
	}
	return metrics.Objects{
		Configurations: configs.Items, Backups: backups.Items, Restores: restores.Items, Repositories: repos.Items, Policies: policies.Items,
	}, true
}
