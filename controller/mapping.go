package controller

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// keysOf returns the keys of typed objects.
func keysOf[T any, P interface {
	*T
	client.Object
}](items []T,
) []client.ObjectKey {
	out := make([]client.ObjectKey, 0, len(items))
	for i := range items {
		out = append(out, client.ObjectKeyFromObject(P(&items[i])))
	}
	return out
}

func repositoryKeys(ref v1beta1.KindRepositoryRef, namespace string) []client.ObjectKey {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	return []client.ObjectKey{{Namespace: namespace, Name: ref.Name}}
}

func (w *World) usersOfRepository(ctx context.Context, o client.Object) []client.ObjectKey {
	repo, ok := o.(*v1alpha1.Repository)
	if !ok {
		return nil
	}
	users, err := w.UsersOf(ctx, repo)
	if err != nil {
		return nil
	}
	return keysOf(users)
}

// sessionsOfRepository are the unfinished sessions that wait for a Repository.
func (w *World) sessionsOfRepository(ctx context.Context, o client.Object) []client.ObjectKey {
	repo, ok := o.(*v1alpha1.Repository)
	if !ok {
		return nil
	}
	users, err := w.UsersOf(ctx, repo)
	if err != nil {
		return nil
	}
	var out []client.ObjectKey
	for i := range users {
		list, err := w.SessionsOf(ctx, users[i].Namespace, users[i].Name)
		if err != nil {
			return nil
		}
		for j := range list {
			if !session.Finished(list[j].Status.Phase) {
				out = append(out, client.ObjectKeyFromObject(&list[j]))
			}
		}
	}
	return out
}

func (w *World) repositoryOfSession(ctx context.Context, o client.Object) []client.ObjectKey {
	bs, ok := o.(*v1beta1.BackupSession)
	if !ok {
		return nil
	}
	c := &v1beta1.BackupConfiguration{}
	if err := w.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, c); err != nil {
		return nil
	}
	return repositoryKeys(c.Spec.Repository, c.Namespace)
}

func (w *World) repositoriesIn(ctx context.Context, o client.Object) []client.ObjectKey {
	list := &v1alpha1.RepositoryList{}
	if err := w.List(ctx, list, client.InNamespace(o.GetNamespace())); err != nil {
		return nil
	}
	return keysOf(list.Items)
}

func (w *World) configsOfWorkload(k target.Kind) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, o client.Object) []client.ObjectKey {
		list, err := w.ConfigsOf(ctx, k.Ref("", o.GetName()), o.GetNamespace())
		if err != nil {
			return nil
		}
		return keysOf(list)
	}
}

// workloadOfPod finds the workload of a kind that a pod belongs to.
func (w *World) workloadOfPod(k target.Kind) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, o client.Object) []client.ObjectKey {
		pod, ok := o.(*corev1.Pod)
		if !ok {
			return nil
		}
		ref := metav1.GetControllerOfNoCopy(pod)
		if ref == nil {
			return nil
		}
		if ref.Kind == "ReplicaSet" {
			set := &metav1.PartialObjectMetadata{}
			set.SetGroupVersionKind(replicaSetKind())
			if err := w.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: ref.Name}, set); err != nil {
				return nil
			}
			if ref = metav1.GetControllerOfNoCopy(set); ref == nil {
				return nil
			}
		}
		if ref.Kind != k.String() {
			return nil
		}
		return []client.ObjectKey{{Namespace: pod.Namespace, Name: ref.Name}}
	}
}

// annotated lists the workloads of a kind that a blueprint is expanded for, by their annotations or by
// default: an edited blueprint is expanded anew.
func (w *World) annotated(k target.Kind) func(context.Context, client.Object) []client.ObjectKey {
	return func(ctx context.Context, _ client.Object) []client.ObjectKey {
		policies, err := w.policies(ctx)
		if err != nil {
			return nil
		}
		in, err := w.inventory(ctx)
		if err != nil {
			return nil
		}
		var out []client.ObjectKey
		err = w.objects(ctx, k, in, func(o judgedObject) {
			// Whether somebody wrote a configuration is asked when it is expanded.
			if names(o.Annotations) || len(protection.DefaultFor(&o.Object, false, policies, w.Namespace).Blueprints) > 0 {
				out = append(out, client.ObjectKeyFromObject(o.object))
			}
		})
		if err != nil {
			return nil
		}
		return out
	}
}

// names tells whether annotations ask for a blueprint or template.
func names(annotations map[string]string) bool {
	return slices.ContainsFunc([]string{api.AnnotationBlueprint, api.AnnotationDraftTemplate, api.AnnotationDraftTemplateHyphen},
		func(k string) bool { return annotations[k] != "" })
}

// eachWorkload calls fn for every workload of a kind in the cache.
func (w *World) eachWorkload(ctx context.Context, k target.Kind, fn func(client.Object), opts ...client.ListOption) error {
	gvk := k.GVK
	gvk.Kind += "List"
	obj, err := w.Scheme().New(gvk)
	if err != nil {
		return err //nolint:wrapcheck // the scheme knows all supported kinds
	}
	list, ok := obj.(client.ObjectList)
	if !ok {
		return nil
	}
	if err := w.List(ctx, list, opts...); err != nil {
		return err //nolint:wrapcheck // the caller says what it listed
	}
	return meta.EachListItem(list, func(o runtime.Object) error {
		if c, ok := o.(client.Object); ok {
			fn(c)
		}
		return nil
	})
}

// backupOfJob is the BackupSession that a Job or its pod works for.
func (w *World) backupOfJob(ctx context.Context, o client.Object) []client.ObjectKey {
	uid := o.GetLabels()[api.LabelSession]
	if uid == "" {
		return nil
	}
	list := &v1beta1.BackupSessionList{}
	if err := w.List(ctx, list, client.MatchingFields{indexUID: uid}); err != nil {
		return nil
	}
	return keysOf(list.Items)
}

// restoreOfJob is the RestoreSession that a Job or its pod works for.
func (w *World) restoreOfJob(ctx context.Context, o client.Object) []client.ObjectKey {
	uid := o.GetLabels()[api.LabelSession]
	if uid == "" {
		return nil
	}
	return w.restoresByHash(ctx, mutators.HashRestore(uid))
}

// restoresByHash are the RestoreSessions whose pods carry a label's value.
func (w *World) restoresByHash(ctx context.Context, hash string) []client.ObjectKey {
	if hash == "" {
		return nil
	}
	list := &v1beta1.RestoreSessionList{}
	if err := w.List(ctx, list, client.MatchingFields{indexHash: hash}); err != nil {
		return nil
	}
	return keysOf(list.Items)
}
