package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/controller"
	"github.com/seed-731df569/stash/metrics"
	"github.com/seed-731df569/stash/webhook"
)

// newWebhooks prints what the operator installs at run time, so that it can be read beforehand.
func newWebhooks() *cobra.Command {
	in := webhook.Installation{}
	hooks := hookOptions{}
	docs := false
	cmd := &cobra.Command{
		Use:   "webhooks",
		Short: "Print the webhook configurations that the operator makes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := hooks.parse(); err != nil {
				return err
			}
			for _, warning := range hooks.settings.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "Warning:", warning)
			}
			in.Settings = hooks.settings
			if docs {
				_, err := fmt.Fprint(cmd.OutOrStdout(), webhook.Docs())
				return err //nolint:wrapcheck // it is the standard output's
			}
			out, err := webhook.Render(in)
			if err != nil {
				return fmt.Errorf("print webhook configurations: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err //nolint:wrapcheck // as above
		},
	}
	cmd.Flags().StringVar(&in.Namespace, "namespace", "stash", "namespace of the operator")
	cmd.Flags().StringVar(&in.Service, "webhook-service", "stash-webhook", "Service of the webhooks")
	hooks.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&docs, "docs", false, "print the table as Markdown instead")
	return cmd
}

// addWebhooks adds the admission server, on every replica.
func (a *assembly) addWebhooks(ctx context.Context) error {
	admission := controller.NewAdmission(a.world)
	if err := a.watchPlans(ctx, admission); err != nil {
		return err
	}
	asker, err := reviewClient(a.mgr.GetConfig(), a.mgr.GetScheme())
	if err != nil {
		return err
	}
	handler, err := webhook.Handler(webhook.Options{
		Pods: admission, Workloads: admission, Own: admission, Policies: admission, Access: &controller.Rights{Client: asker}, Settings: a.options.hooks.settings,
		Observer: observer{a.runtime}, Log: a.log,
	})
	if err != nil {
		return fmt.Errorf("make webhooks: %w", err)
	}
	serve := everywhere(func(ctx context.Context) error {
		return a.admitting().serve(ctx, a.options.webhookAddress, a.source, handler)
	})
	if err := a.mgr.Add(serve); err != nil {
		return fmt.Errorf("add webhooks: %w", err)
	}
	return nil
}

// watchPlans has plans made anew when something that they are made of changes.
func (a *assembly) watchPlans(ctx context.Context, admission *controller.Admission) error {
	all := toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { admission.Changed() },
		UpdateFunc: func(older, newer any) { changed(older, newer, admission) },
		DeleteFunc: func(any) { admission.Changed() },
	}
	one := toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, o any) { forget(o, admission) },
		DeleteFunc: func(o any) { forget(o, admission) },
	}
	for obj, h := range map[client.Object]toolscache.ResourceEventHandler{
		&v1beta1.BackupConfiguration{}: all,
		&v1beta1.BackupBlueprint{}:     all,
		&v1beta1.BackupTemplate{}:      all,
		&v1beta1.ProtectionPolicy{}:    all,
		&v1alpha1.Repository{}:         all,
		&corev1.Namespace{}:            all,
		&corev1.ResourceQuota{}:        all,
		&appsv1.Deployment{}:           one,
		&appsv1.StatefulSet{}:          one,
		&appsv1.DaemonSet{}:            one,
	} {
		informer, err := a.mgr.GetCache().GetInformer(ctx, obj)
		if err != nil {
			return fmt.Errorf("watch %T: %w", obj, err)
		}
		if _, err := informer.AddEventHandler(h); err != nil {
			return fmt.Errorf("watch %T: %w", obj, err)
		}
	}
	return nil
}

// changed tells the plans of an update, unless only a status changed.
func changed(older, newer any, admission *controller.Admission) {
	o, ok := older.(client.Object)
	n, same := newer.(client.Object)
	if _, isNamespace := newer.(*corev1.Namespace); ok && same && !isNamespace && o.GetGeneration() == n.GetGeneration() && n.GetGeneration() != 0 {
		return
	}
	admission.Changed()
}

func forget(o any, admission *controller.Admission) {
	if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if obj, ok := o.(client.Object); ok {
		admission.Forget(obj.GetUID())
	}
}

// observer counts decisions in the metrics.
type observer struct{ runtime *metrics.Runtime }

func (o observer) Observe(hook string, d webhook.Decision, r webhook.Reason, seconds float64) {
	o.runtime.Observe(hook, string(d), string(r), seconds)
}
