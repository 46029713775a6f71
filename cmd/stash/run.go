package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/session"
)

// runOptions are the flags of `stash run`.
type runOptions struct {
	namespace, podName, image           string
	webhookAddress, brokerAddress       string
	metricsAddress, probeAddress        string
	webhookService, brokerService       string
	leaderElect                         bool
	leaseDuration, renewDeadline, retry time.Duration
	drain                               time.Duration
	workerIdle                          time.Duration
	maxRollouts                         int
	pullSecrets                         []string
	limits                              session.Limits
	trustedImages                       []string
	hooks                               hookOptions
	certificate                         string
	caOverlap                           time.Duration
	logLevel, logFormat, nativeSidecars string
}

func newRun() *cobra.Command {
	cmd, _ := runCommand()
	return cmd
}

// runCommand returns the options too, which its flags are parsed into.
func runCommand() (*cobra.Command, *runOptions) {
	o := &runOptions{limits: session.DefaultLimits()}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the operator",
		Long: `Run the operator: on every replica the admission webhooks and the broker that agents
connect to; on the leader also the controllers and the scheduler.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			log, err := newLogger(o.logLevel, o.logFormat)
			if err != nil {
				return err
			}
			// Credentials pass through the memory. With a limit of 0 a program that takes the dumps would
			// still be given one.
			if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1}); err != nil {
				return fmt.Errorf("forbid core dumps: %w", err)
			}
			for _, warning := range o.hooks.settings.Warnings() {
				log.Warn("a webhook is set at a cost", "warning", warning)
			}
			if o.caOverlap < 5*time.Minute {
				log.Warn("kubelets may take longer to bring a new CA into pods than --ca-overlap; agents would lose the operator for a while", "overlap", o.caOverlap.String())
			}
			return run(cmd.Context(), *o, log)
		},
	}
	o.addFlags(cmd.Flags())
	return cmd, o
}

// validate refuses values that flags themselves do not.
func (o *runOptions) validate() error {
	if o.namespace == "" || o.podName == "" {
		return errors.New("the environment has no POD_NAMESPACE and POD_NAME, and neither --namespace nor --pod-name is given")
	}
	if o.nativeSidecars != "auto" && o.nativeSidecars != "never" {
		return fmt.Errorf("--native-sidecars: expected auto or never, found %q", o.nativeSidecars)
	}
	for _, name := range o.pullSecrets {
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
			return fmt.Errorf("--image-pull-secrets: expected names of Secrets, found %q", name)
		}
	}
	if errs := validation.IsDNS1123Subdomain(o.certificate); o.certificate != "" && len(errs) > 0 {
		return fmt.Errorf("--cert-manager-certificate: expected the name of a Certificate in namespace %s, found %q; for example stash", o.namespace, o.certificate)
	}
	if o.caOverlap < time.Second {
		return fmt.Errorf("--ca-overlap: clients would not have the time to learn a CA within %s; write 15m, or leave it out", o.caOverlap)
	}
	return o.hooks.parse()
}

func (o *runOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace that the operator runs in")
	f.StringVar(&o.podName, "pod-name", os.Getenv("POD_NAME"), "name of the operator's own pod")
	f.StringVar(&o.image, "image", "", "image of the agents (default: that of the operator's own pod)")
	f.StringSliceVar(&o.pullSecrets, "image-pull-secrets", nil, "names of pull secrets for the agents' image, used in each namespace that has a Secret of that name")
	f.StringSliceVar(&o.trustedImages, "trusted-images", nil, "images whose repositories agents may come from, beside the operator's own: those of a mirror that rewrites pods, or of before a move")
	f.StringVar(&o.webhookAddress, "webhook-address", ":9443", "address of the admission webhooks")
	f.StringVar(&o.brokerAddress, "broker-address", ":9444", "address of the broker")
	f.StringVar(&o.metricsAddress, "metrics-address", ":8080", "address of /metrics")
	f.StringVar(&o.probeAddress, "probe-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.webhookService, "webhook-service", "stash-webhook", "Service of the webhooks, in the operator's namespace")
	f.StringVar(&o.brokerService, "broker-service", "stash-broker", "Service of the broker, in the operator's namespace")
	o.hooks.addFlags(f)
	f.StringVar(&o.certificate, "cert-manager-certificate", "", "name of a Certificate of cert-manager, in the operator's namespace, to serve (default: the operator's own CA signs)")
	f.DurationVar(&o.caOverlap, "ca-overlap", certs.Overlap, "how long a CA is trusted before it signs, and after: agents see a changed ConfigMap within it")
	f.BoolVar(&o.leaderElect, "leader-elect", true, "run the controllers on one replica only")
	f.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "how long a leader that is silent stays leader")
	f.DurationVar(&o.renewDeadline, "renew-deadline", 10*time.Second, "how long the leader tries to renew its lease")
	f.DurationVar(&o.retry, "lease-retry", 2*time.Second, "time between two attempts to get or renew the lease")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "how long requests are still served after SIGTERM, until endpoints are gone everywhere")
	f.DurationVar(&o.workerIdle, "worker-idle", 2*time.Minute, "how long a repository worker waits for more work")
	f.StringVar(&o.nativeSidecars, "native-sidecars", "auto", "auto: init-containers that go on, where every kubelet is 1.29 or newer; never: ordinary containers")
	f.IntVar(&o.maxRollouts, "max-rollouts", 10, "workloads that are rolled out for their sidecar at the same time")
	f.DurationVar(&o.limits.Accept, "accept-limit", o.limits.Accept, "how long an agent may take to accept its work")
	f.DurationVar(&o.limits.Heartbeat, "heartbeat-limit", o.limits.Heartbeat, "how long an agent may be silent before it counts as lost")
	f.DurationVar(&o.limits.Progress, "progress-limit", o.limits.Progress, "how long restic may stand still before its host fails")
	f.DurationVar(&o.limits.Repository, "repository-limit", o.limits.Repository, "how long a session waits for its repository")
	f.DurationVar(&o.limits.Pods, "pods-limit", o.limits.Pods, "how long a session waits for a pod that can do its work")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "json", "json or text")
}

func newLogger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, errors.New("--log-level: expected debug, info, warn or error")
	}
	opts := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, opts)), nil
	}
	return nil, errors.New("--log-format: expected json or text")
}
