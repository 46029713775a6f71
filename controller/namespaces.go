package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// namespaceLabels reads the labels of namespaces; one that does not exist is left out.
func (w *World) namespaceLabels(ctx context.Context, names ...string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, name := range names {
		if _, ok := out[name]; ok {
			continue
		}
		ns := &corev1.Namespace{}
		err := w.Get(ctx, client.ObjectKey{Name: name}, ns)
		if apierrors.IsNotFound(err) { // it may have been created a moment ago
			err = w.Live.Get(ctx, client.ObjectKey{Name: name}, ns)
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read namespace: %w", err)
		}
		if err == nil {
			out[name] = ns.Labels
		}
	}
	return out, nil
}

// podsNamespace is where the pods run that a configuration gives credentials to.
func podsNamespace(c *v1beta1.BackupConfiguration) string {
	if c.Spec.Target == nil {
		return c.Namespace
	}
	return target.Namespace(c.Spec.Target.Ref, c.Namespace)
}

// mayUse tells whether a Repository admits a namespace: by its usagePolicy and, where a blueprint
// made it, as long as the blueprint admits the namespace that it was made for.
func (w *World) mayUse(ctx context.Context, repo *v1alpha1.Repository, namespace string) (bool, error) {
	if repo.Namespace == namespace {
		return true, nil
	}
	labels, err := w.namespaceLabels(ctx, namespace)
	if err != nil {
		return false, err
	}
	ok, err := target.Admits(repo.Spec.UsagePolicy, repo.Namespace, namespace, labels[namespace])
	if err != nil || !ok {
		return false, nil //nolint:nilerr // a selector that cannot be read admits nobody
	}
	why, err := w.blueprintRefusal(ctx, repo)
	return why == "", err
}

// refusal says why a configuration may not use a Repository, empty if it may. The webhook says so
// before; policies, blueprints and the labels of namespaces change afterwards.
func (w *World) refusal(ctx context.Context, c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) (string, error) {
	if why, err := w.blueprintRefusal(ctx, c); err != nil || why != "" {
		return why, err
	}
	return w.repositoryRefusal(ctx, repo, c.Namespace, podsNamespace(c))
}

// repositoryRefusal says which of the namespaces a Repository does not admit.
func (w *World) repositoryRefusal(ctx context.Context, repo *v1alpha1.Repository, namespaces ...string) (string, error) {
	for _, ns := range namespaces {
		ok, err := w.mayUse(ctx, repo, ns)
		if err != nil {
			return "", err
		}
		if ok {
			continue
		}
		if why, err := w.blueprintRefusal(ctx, repo); err != nil || why != "" {
			return why, err
		}
		return fmt.Sprintf("Repository \"%s/%s\" does not admit namespace %q: %s", repo.Namespace, repo.Name, ns, blueprint.AdmitElsewhere(repo.Annotations)), nil
	}
	return "", nil
}

// blueprintRefusal says why the blueprint that an object was expanded from would not be expanded for
// its target now; empty for objects of people, and where the blueprint is gone: what it made stays.
func (w *World) blueprintRefusal(ctx context.Context, o client.Object) (string, error) {
	kind, name, ok := strings.Cut(o.GetAnnotations()[api.AnnotationExpandedBlueprint], "/")
	from := strings.Split(o.GetAnnotations()[api.AnnotationExpandedFrom], "/")
	if !ok || len(from) != 3 {
		return "", nil
	}
	var spec *v1beta1.BackupBlueprintSpec
	var err error
	switch b, t := (&v1beta1.BackupBlueprint{}), (&v1beta1.BackupTemplate{}); kind {
	case v1beta1.KindBackupBlueprint:
		err, spec = w.Get(ctx, client.ObjectKey{Name: name}, b), &b.Spec
	case v1beta1.KindBackupTemplate:
		err, spec = w.Get(ctx, client.ObjectKey{Name: name}, t), &t.Spec
	default:
		return "", nil
	}
	if err != nil {
		if client.IgnoreNotFound(err) == nil {
			return "", nil
		}
		return "", fmt.Errorf("read %s: %w", kind, err)
	}
	namespace := from[1]
	labels, err := w.namespaceLabels(ctx, namespace)
	if err != nil {
		return "", err
	}
	if ok, err := blueprint.Admits(spec, namespace, labels[namespace]); ok && err == nil {
		return "", nil
	}
	return fmt.Sprintf("%s %q does not admit namespace %q: its spec.allowedNamespaces leaves it out", kind, name, namespace), nil
}

// admittedUsers are the configurations that use a Repository and may. Naming one makes nobody its user,
// and neither does one that was found invalid: at another's place its retention would delete.
func (w *World) admittedUsers(ctx context.Context, repo *v1alpha1.Repository) ([]v1beta1.BackupConfiguration, error) {
	users, err := w.UsersOf(ctx, repo)
	if err != nil {
		return nil, err
	}
	var out []v1beta1.BackupConfiguration
	for i := range users {
		why, err := w.refusal(ctx, &users[i], repo)
		if err != nil {
			return nil, err
		}
		if why == "" && !api.IsFalse(users[i].Status.Conditions, api.ValidationPassed) {
			out = append(out, users[i])
		}
	}
	return out, nil
}

// settleFor is how long a restore that is not admitted waits before it fails: policy and labels may
// have been written a moment ago.
const settleFor = 10 * time.Second

// admitted replaces what a restore would do next where its Repository does not admit it. Agents that
// restore already have all that they need.
func (r *RestoreSessions) admitted(ctx context.Context, o *session.Restore, next session.Action) (session.Action, error) {
	rs := o.Session
	works := func(a v1beta1.Assignment) bool { return a.Lost == nil && a.Acknowledged != nil }
	switch next.Kind {
	case session.KindNone, session.KindFail, session.KindFinish:
		return next, nil
	default:
	}
	if o.Repository == nil || slices.ContainsFunc(rs.Status.Assignments, works) {
		return next, nil
	}
	why, err := r.repositoryRefusal(ctx, o.Repository, rs.Namespace, targetNamespace(rs))
	switch {
	case err != nil || why == "":
		return next, err
	case r.Now().Before(rs.CreationTimestamp.Add(settleFor)):
		return session.Wait(why, settleFor/5), nil
	}
	return session.Fail("RepositoryNotAvailable", why), nil
}

// configsReaching lists the configurations that stand in a namespace or whose target does: labels
// decide what they may use.
func (w *World) configsReaching(ctx context.Context, o client.Object) []client.ObjectKey {
	return w.configsWhere(ctx, func(c *v1beta1.BackupConfiguration) bool {
		return c.Namespace == o.GetName() || podsNamespace(c) == o.GetName()
	})
}

// configsOfBlueprint lists the configurations that were expanded from a blueprint or template.
func (w *World) configsOfBlueprint(kind string) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, o client.Object) []client.ObjectKey {
		return w.configsWhere(ctx, func(c *v1beta1.BackupConfiguration) bool {
			return c.Annotations[api.AnnotationExpandedBlueprint] == kind+"/"+o.GetName()
		})
	}
}

func (w *World) configsWhere(ctx context.Context, match func(*v1beta1.BackupConfiguration) bool) []client.ObjectKey {
	list := &v1beta1.BackupConfigurationList{}
	if err := w.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var out []client.ObjectKey
	for i := range list.Items {
		if match(&list.Items[i]) {
			out = append(out, client.ObjectKeyFromObject(&list.Items[i]))
		}
	}
	return out
}

// relabelled lets namespaces pass whose labels changed, other than those that are ours: selectors of
// policies and blueprints may read another answer from them. What a new namespace can answer is
// asked when something in it is looked at.
func relabelled() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !sameForeign(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
		},
	}
}

// sameForeign compares labels beside ours.
func sameForeign(a, b map[string]string) bool {
	count := func(labels map[string]string) (n int) {
		for k := range labels {
			if !strings.HasPrefix(k, api.Group+"/") {
				n++
			}
		}
		return n
	}
	for k, v := range a {
		if other, ok := b[k]; (!ok || other != v) && !strings.HasPrefix(k, api.Group+"/") {
			return false
		}
	}
	return count(a) == count(b)
}
