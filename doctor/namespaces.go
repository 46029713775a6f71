package doctor

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/controller"
)

// namespaces looks for the CA by which the agents of a namespace trust the operator.
func (d *Doctor) namespaces(ctx context.Context, s *site) []Finding {
	if s.noSecret != nil {
		return unread("the CA", s.noSecret)
	}
	repositories, configurations, all, stored := &v1alpha1.RepositoryList{}, &v1beta1.BackupConfigurationList{}, &corev1.NamespaceList{}, &corev1.ConfigMapList{}
	for what, list := range map[string]client.ObjectList{"the Repositories": repositories, "the BackupConfigurations": configurations, "the namespaces": all} {
		if err := d.client.List(ctx, list); err != nil {
			return unread(what, err)
		}
	}
	// Only by this name may ConfigMaps be read.
	if err := d.client.List(ctx, stored, client.MatchingFields{"metadata.name": api.ConfigMapCA}); err != nil {
		return unread("the ConfigMaps of the CA", err)
	}
	needed := controller.AgentNamespaces(repositories.Items, configurations.Items)
	for i := range all.Items {
		if all.Items[i].DeletionTimestamp != nil {
			delete(needed, all.Items[i].Name)
		}
	}
	have := map[string]string{}
	for i := range stored.Items {
		have[stored.Items[i].Namespace] = stored.Items[i].Data[api.ConfigMapCAKey]
	}
	return judgeNamespaces(needed, have, string(s.secret.Bundle()))
}

func judgeNamespaces(needed map[string]bool, have map[string]string, bundle string) []Finding {
	const do = "the leading replica writes it within five minutes: see check leader, and its log for why it does not. Agents there cannot connect, and what they back up waits"
	var missing, other []string
	for _, ns := range slices.Sorted(maps.Keys(needed)) {
		switch text, ok := have[ns]; {
		case !ok:
			missing = append(missing, ns)
		case text != bundle:
			other = append(other, ns)
		}
	}
	var out []Finding
	if len(missing) > 0 {
		out = append(out, fail(do, "ConfigMap %s is missing in %s", api.ConfigMapCA, some(missing)))
	}
	if len(other) > 0 {
		out = append(out, fail(do, "ConfigMap %s has another CA than the operator in %s", api.ConfigMapCA, some(other)))
	}
	if len(out) == 0 {
		out = append(out, fine("%d namespaces with agents have the operator's CA", len(needed)))
	}
	return out
}
