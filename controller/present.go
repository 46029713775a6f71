package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// maxElsewhere bounds the BackupConfigurations of a workload in other namespaces that are read one by one;
// more are taken as they are known.
const maxElsewhere = 16

// present reads namespaces, workloads and their BackupConfigurations from the API server, and all else from the
// cache, which is milliseconds behind: what was deleted just now covers nothing, and needs nothing.
type present struct {
	client.Client
	world *World
}

// Get implements client.Reader.
func (p present) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	_, workload := target.Of(obj)
	switch obj.(type) {
	case *corev1.Namespace, *v1beta1.BackupConfiguration:
		workload = true
	}
	if workload {
		return p.world.Live.Get(ctx, key, obj, opts...) //nolint:wrapcheck // it stands for the client
	}
	return p.Client.Get(ctx, key, obj, opts...) //nolint:wrapcheck // as above
}

// List implements client.Reader.
func (p present) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := p.Client.List(ctx, list, opts...); err != nil {
		return err //nolint:wrapcheck // as above
	}
	configs, is := list.(*v1beta1.BackupConfigurationList)
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if !is || o.FieldSelector == nil {
		return nil
	}
	key, exact := o.FieldSelector.RequiresExactMatch(indexTarget)
	parts := strings.Split(key, "/")
	if !exact || len(parts) != 3 {
		return nil
	}
	found, err := p.ofTarget(ctx, key, parts[1])
	if err != nil {
		return err
	}
	configs.Items, err = p.elsewhere(ctx, configs.Items, parts[1])
	configs.Items = append(configs.Items, found...)
	return err
}

// ofTarget are the configurations of a target in its namespace.
func (p present) ofTarget(ctx context.Context, key, namespace string) ([]v1beta1.BackupConfiguration, error) {
	var out []v1beta1.BackupConfiguration
	empty := func() *v1beta1.BackupConfigurationList { return &v1beta1.BackupConfigurationList{} }
	_, err := anyPage(ctx, p.world, empty, func(page *v1beta1.BackupConfigurationList) bool {
		for i := range page.Items {
			c := &page.Items[i]
			if spec, _ := c.Spec.Shipped(); spec.Target != nil && target.KeyOf(spec.Target.Ref, c.Namespace) == key {
				out = append(out, *c)
			}
		}
		return false
	}, client.InNamespace(namespace))
	return out, err
}

// elsewhere are those of other namespaces, as far as they are there still.
func (p present) elsewhere(ctx context.Context, known []v1beta1.BackupConfiguration, namespace string) ([]v1beta1.BackupConfiguration, error) {
	out := slices.DeleteFunc(slices.Clone(known), func(c v1beta1.BackupConfiguration) bool { return c.Namespace == namespace })
	for i := len(out) - 1; i >= 0; i-- {
		if i >= maxElsewhere {
			continue
		}
		now := &v1beta1.BackupConfiguration{}
		switch err := p.world.Live.Get(ctx, client.ObjectKeyFromObject(&out[i]), now); {
		case err == nil:
			out[i] = *now
		case client.IgnoreNotFound(err) == nil:
			out = slices.Delete(out, i, i+1)
		default:
			return nil, fmt.Errorf("read BackupConfiguration: %w", err)
		}
	}
	return out, nil
}

// presently is the world with nothing in it that is gone.
func (a *Admission) presently() *Admission {
	return &Admission{World: &World{Client: present{a.Client, a.World}, Live: a.Live, Events: a.Events, Options: a.Options, Bundle: a.Bundle}}
}
