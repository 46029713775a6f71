package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// World is what controllers read and write: the cache where the last second does not matter, the
// API server where it does.
type World struct {
	client.Client
	// Live reads from the API server.
	Live   client.Reader
	Events recorder.EventRecorder
	Options
	// Bundle returns the CA that agents are to trust and a channel that is closed when it changes.
	Bundle func() ([]byte, <-chan struct{})

	// Native tells that every kubelet knows native sidecars.
	Native atomic.Bool

	leading  atomic.Int64
	pulls    pullSecrets
	restores shared[map[string]bool]
}

// Lead notes that this process leads from now on.
func (w *World) Lead() { w.leading.Store(w.Now().UnixNano()) }

// Leading is when this process began to lead: silence before it proves nothing.
// Controllers run before the process is told that it leads; the first that asks tells it.
func (w *World) Leading() time.Time {
	w.leading.CompareAndSwap(0, w.Now().UnixNano())
	return time.Unix(0, w.leading.Load())
}

// Workload reads a target from the cache; nil when it does not exist. Errors of the reference are
// those of target.Find.
func (w *World) Workload(ctx context.Context, ref v1beta1.TargetRef, namespace string) (client.Object, target.Kind, error) {
	k, err := target.FindRef(ref)
	if err != nil {
		return nil, k, err //nolint:wrapcheck // it names kind and reason already
	}
	obj, ok := k.New().(client.Object)
	if !ok {
		return nil, k, fmt.Errorf("a target of kind %s is %w", k, target.ErrNotSupportedYet)
	}
	if err := w.Get(ctx, client.ObjectKey{Namespace: target.Namespace(ref, namespace), Name: ref.Name}, obj); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, k, nil
		}
		return nil, k, fmt.Errorf("read %s: %w", k, err)
	}
	return obj, k, nil
}

// PodsOf lists the pods of a workload from the cache, by owner UID.
func (w *World) PodsOf(ctx context.Context, obj client.Object) ([]corev1.Pod, error) {
	owners := []string{string(obj.GetUID())}
	sets := metadataOf(replicaSetKind())
	if err := w.List(ctx, sets, client.InNamespace(obj.GetNamespace()), client.MatchingFields{indexOwner: string(obj.GetUID())}); err != nil {
		return nil, fmt.Errorf("list ReplicaSets: %w", err)
	}
	for i := range sets.Items {
		owners = append(owners, string(sets.Items[i].UID))
	}
	var pods []corev1.Pod
	for _, uid := range owners {
		list := &corev1.PodList{}
		if err := w.List(ctx, list, client.InNamespace(obj.GetNamespace()), client.MatchingFields{indexOwner: uid}); err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		pods = append(pods, list.Items...)
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return compare(a.Name, b.Name)
	})
	return pods, nil
}

// ConfigsOf lists the BackupConfigurations that target a workload, oldest first.
func (w *World) ConfigsOf(ctx context.Context, ref v1beta1.TargetRef, namespace string) ([]v1beta1.BackupConfiguration, error) {
	list := &v1beta1.BackupConfigurationList{}
	if err := w.List(ctx, list, client.MatchingFields{indexTarget: target.KeyOf(ref, namespace)}); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	out := slices.DeleteFunc(list.Items, func(c v1beta1.BackupConfiguration) bool { return c.DeletionTimestamp != nil })
	slices.SortFunc(out, func(a, b v1beta1.BackupConfiguration) int { return older(&a, &b) })
	return out, nil
}

// RestoresOf lists the RestoreSessions that target a workload, oldest first.
func (w *World) RestoresOf(ctx context.Context, ref v1beta1.TargetRef, namespace string) ([]v1beta1.RestoreSession, error) {
	list := &v1beta1.RestoreSessionList{}
	if err := w.List(ctx, list, client.MatchingFields{indexTarget: target.KeyOf(ref, namespace)}); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1beta1.RestoreSession) int { return older(&a, &b) })
	return list.Items, nil
}

// SessionsOf lists the BackupSessions of a configuration, oldest first.
func (w *World) SessionsOf(ctx context.Context, namespace, name string) ([]v1beta1.BackupSession, error) {
	list := &v1beta1.BackupSessionList{}
	if err := w.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{indexInvoker: name}); err != nil {
		return nil, fmt.Errorf("list BackupSessions: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1beta1.BackupSession) int { return older(&a, &b) })
	return list.Items, nil
}

// UsersOf lists the BackupConfigurations that use a Repository, oldest first.
func (w *World) UsersOf(ctx context.Context, repo *v1alpha1.Repository) ([]v1beta1.BackupConfiguration, error) {
	list := &v1beta1.BackupConfigurationList{}
	if err := w.List(ctx, list, client.MatchingFields{indexRepository: repo.Namespace + "/" + repo.Name}); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	out := slices.DeleteFunc(list.Items, func(c v1beta1.BackupConfiguration) bool { return c.DeletionTimestamp != nil })
	slices.SortFunc(out, func(a, b v1beta1.BackupConfiguration) int { return older(&a, &b) })
	return out, nil
}

// Repository reads a Repository from the cache; nil when it does not exist.
func (w *World) Repository(ctx context.Context, ref v1beta1.KindRepositoryRef, namespace string) (*v1alpha1.Repository, error) {
	if ref.Namespace != "" {
		namespace = ref.Namespace
	}
	repo := &v1alpha1.Repository{}
	if err := w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, repo); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil, nil //nolint:nilnil // absence is an answer, not an error
		}
		return nil, fmt.Errorf("read Repository: %w", err)
	}
	return repo, nil
}

// secret reads a Secret from the API server: the operator may get Secrets, never list them.
func (w *World) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s := &corev1.Secret{}
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, s); err != nil {
		return nil, err //nolint:wrapcheck // the caller tells absence from failure
	}
	return s, nil
}

// maxNote bounds the note of an event: the API server refuses one of more than 1 KiB.
const maxNote = 1000

// event says something about an object where a person looks for it. In a namespace that is being
// deleted nobody looks, and the API server takes no event.
func (w *World) event(obj client.Object, kind, reason, note string) {
	ns := &corev1.Namespace{}
	err := w.Get(context.Background(), client.ObjectKey{Name: obj.GetNamespace()}, ns)
	if err == nil && ns.DeletionTimestamp != nil {
		return
	}
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote], "") + "…"
	}
	w.Events.Eventf(obj, nil, kind, reason, "Stash", "%s", note)
}

func older(a, b metav1.Object) int {
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	if c := at.Compare(bt.Time); c != 0 {
		return c
	}
	if c := compare(a.GetName(), b.GetName()); c != 0 {
		return c
	}
	return compare(a.GetNamespace(), b.GetNamespace())
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func subject(kind string, o metav1.Object) string {
	return kind + "/" + o.GetNamespace() + "/" + o.GetName()
}

// condition makes a condition for a generation.
func condition(kind string, ok bool, reason, message string, generation int64) api.Condition {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	return api.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation}
}
