package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/seed-731df569/stash/doctor"
)

// errUnhealthy ends the program after the report has said why.
var errUnhealthy = errors.New("at least one check failed")

// newDoctor looks at an installation, from within its own image or from anywhere.
func newDoctor() *cobra.Command {
	namespace, output := os.Getenv("POD_NAMESPACE"), "text"
	if namespace == "" {
		namespace = "stash"
	}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at the installation: what is wrong, and what to do",
		Long: `Look at the installation of Stash in the cluster: versions, kinds, rights, replicas, certificates,
policies, webhooks, and the CA in each namespace with agents. It changes nothing, shows no secret, and
needs no right that the operator does not have.

Each check is OK, a warning (it works, and should be looked at) or a failure, with what was seen and
what to do. The exit code is 1 where a check failed, else 0.`,
		Example: `  kubectl exec -n stash deploy/stash-operator -- stash doctor
  KUBECONFIG=~/.kube/config stash doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output: expected text or json, found %q", output)
			}
			d := &doctor.Doctor{Version: version, Namespace: namespace, Parse: parseArguments}
			if os.Getenv("POD_NAME") != "" {
				d.Restic = resticVersion
			}
			return examine(cmd, d, output)
		},
	}
	cmd.Flags().StringVar(&namespace, "namespace", namespace, "namespace of the operator")
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}

func examine(cmd *cobra.Command, d *doctor.Doctor, output string) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	if err := d.Connect(config); err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	report := d.Examine(cmd.Context())
	write := report.Text
	if output == "json" {
		write = report.JSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err //nolint:wrapcheck // it says what was written
	}
	if !report.Healthy() {
		return errUnhealthy
	}
	return nil
}

// parseArguments reads what an operator was started with.
func parseArguments(args []string) (doctor.Options, error) {
	cmd, o := runCommand()
	if len(args) == 0 || args[0] != cmd.Name() {
		return doctor.Options{}, fmt.Errorf("expected the arguments of stash run, found %q", args)
	}
	if err := cmd.ParseFlags(args[1:]); err != nil {
		return doctor.Options{}, fmt.Errorf("parse flags: %w", err)
	}
	if err := o.hooks.parse(); err != nil {
		return doctor.Options{}, err
	}
	return doctor.Options{
		WebhookService: o.webhookService, BrokerService: o.brokerService, Hooks: o.hooks.settings,
		Certificate: o.certificate, Overlap: o.caOverlap, Image: o.image, TrustedImages: o.trustedImages,
	}, nil
}

// resticVersion runs the restic that agents run: theirs is this image.
func resticVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "restic", "version").Output()
	if err != nil {
		return "", fmt.Errorf("run restic: %w", err)
	}
	return string(out), nil
}
