package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// observe gathers what session.Next decides on.
func (r *BackupSessions) observe(ctx context.Context, bs *v1beta1.BackupSession) (*session.Backup, error) {
	o := &session.Backup{Session: bs, Pods: map[string]session.Pod{}, LeaderSince: r.Leading(), Limits: r.Limits}
	if session.Finished(bs.Status.Phase) && (bs.Status.Phase != v1beta1.BackupSessionFailed || bs.Spec.RetryLeft == 0) {
		return o, nil
	}
	invoker := &v1beta1.BackupConfiguration{}
	err := r.Get(ctx, client.ObjectKey{Namespace: bs.Namespace, Name: bs.Spec.InvokerRef().Name}, invoker)
	switch {
	case apierrors.IsNotFound(err):
		return o, nil
	case err != nil:
		return nil, fmt.Errorf("read BackupConfiguration: %w", err)
	case invoker.Spec.Target == nil:
		o.Invoker, o.NotReady = invoker, "the BackupConfiguration names no target"
		return o, nil
	}
	written := invoker.DeepCopy()
	invoker.Spec, _ = invoker.Spec.Shipped()
	o.Invoker = invoker
	if err := r.observeRepository(ctx, o, written); err != nil {
		return nil, err
	}
	if err := r.observeTarget(ctx, o); err != nil {
		return nil, err
	}
	return o, r.observeOthers(ctx, o)
}

// observeRepository finds the Repository, and what keeps the configuration, as it was written, from it.
func (r *BackupSessions) observeRepository(ctx context.Context, o *session.Backup, written *v1beta1.BackupConfiguration) error {
	repo, err := r.Repository(ctx, o.Invoker.Spec.Repository, o.Invoker.Namespace)
	if err != nil || repo == nil {
		return err
	}
	o.Repository = repo
	o.Initialized = initialized(repo)
	if len(o.Session.Status.Targets) > 0 && o.Session.Status.Targets[0].TotalHosts != nil {
		return nil
	}
	if why, err := r.refusal(ctx, o.Invoker, repo); err != nil || why != "" {
		o.NotReady = why
		return err
	}
	if why, err := r.invalid(ctx, written); err != nil || why != "" {
		if why != "" {
			o.NotReady = "the BackupConfiguration is invalid: " + why
		}
		return err
	}
	if why, err := r.repositoryProblem(ctx, repo); err != nil || why != "" {
		o.NotReady = why
		return err
	}
	if o.Exclusive, err = r.exclusiveWork(ctx, repo); err == nil && o.Exclusive == "" {
		o.Exclusive, err = r.room(ctx, repo, session.Patience(o.Session.CreationTimestamp.Time, o.Invoker.Spec.TimeOut))
	}
	return err
}

// room says for which maintenance at a Repository's location a new session makes room, which has patience
// until some time.
func (w *World) room(ctx context.Context, repo *v1alpha1.Repository, patience time.Time) (string, error) {
	all, err := w.repositoriesAt(ctx, location(repo))
	if err != nil {
		return "", err
	}
	for i := range all {
		whose := fmt.Sprintf("Repository %q", all[i].Name)
		if all[i].Namespace != repo.Namespace {
			whose = "a Repository of another namespace"
		}
		if text := session.Room(&all[i], whose, patience, w.Now()); text != "" {
			return text, nil
		}
	}
	return "", nil
}

// initialized tells whether the repository is known to exist in its backend as it is specified now.
func initialized(repo *v1alpha1.Repository) bool {
	return repo.Status.ObservedGeneration == repo.Generation && api.IsTrue(repo.Status.Conditions, api.BackendRepositoryInitialized)
}

// repositoryProblem says why nothing can be done with a Repository whatever its backend says.
func (w *World) repositoryProblem(ctx context.Context, repo *v1alpha1.Repository) (string, error) {
	_, err := w.access(ctx, repo)
	if text, ok := asProblem(err); ok {
		return text, nil
	}
	return "", err
}

// observeTarget finds the target's hosts, with the pods that can do their work.
func (r *BackupSessions) observeTarget(ctx context.Context, o *session.Backup) error {
	t := o.Invoker.Spec.Target
	if k, err := target.FindRef(t.Ref); err == nil && k.Model == target.ModelJob {
		return r.observeJob(ctx, o)
	}
	if why := target.Excluded(podsNamespace(o.Invoker), r.Namespace); why != "" {
		o.NotReady = why
		return nil
	}
	obj, kind, err := r.Workload(ctx, t.Ref, o.Invoker.Namespace)
	if err != nil {
		if errors.Is(err, target.ErrNotSupportedYet) || errors.Is(err, target.ErrUnknownKind) {
			o.NotReady = err.Error()
			return nil
		}
		return err
	}
	if obj == nil {
		o.NotReady = fmt.Sprintf("%s %q does not exist", t.Ref.Kind, t.Ref.Name)
		return nil
	}
	pods, err := r.PodsOf(ctx, obj)
	if err != nil {
		return err
	}
	for i := range pods {
		v := r.view(&pods[i], api.ContainerSidecar)
		o.Pods[v.UID] = v
		if pods[i].DeletionTimestamp != nil && !v.Agent {
			continue
		}
		if v.Dead {
			continue
		}
		o.Hosts = addHost(o.Hosts, hostName(kind, t.Alias, &pods[i]), v)
	}
	o.Hosts = withExpected(o.Hosts, obj, t.Alias)
	if len(kind.Hosts(obj, t.Alias)) == 0 && len(o.Hosts) > 0 {
		o.Wanted = kind.HostCount(obj)
	}
	slices.SortFunc(o.Hosts, func(a, b session.Host) int { return compare(a.Name, b.Name) })
	return nil
}

// withExpected adds the hosts of a StatefulSet that have no pod now: they are missed, not forgotten.
func withExpected(hosts []session.Host, obj client.Object, alias string) []session.Host {
	sts, ok := obj.(*appsv1.StatefulSet)
	if !ok || len(hosts) == 0 {
		return hosts
	}
	for _, name := range target.StatefulSet().Hosts(sts, alias) {
		if !slices.ContainsFunc(hosts, func(h session.Host) bool { return h.Name == name }) {
			hosts = append(hosts, session.Host{Name: name})
		}
	}
	return hosts
}

// hostName is the host of a pod; empty where the pod has none yet.
func hostName(kind target.Kind, alias string, pod *corev1.Pod) string {
	name, err := kind.HostFor(alias, pod.Name, pod.Spec.NodeName)
	if err != nil {
		return "" // a pod that is on no node yet, or that its owner did not make
	}
	return name
}

func addHost(hosts []session.Host, name string, p session.Pod) []session.Host {
	if name == "" {
		return hosts
	}
	for i := range hosts {
		if hosts[i].Name == name {
			hosts[i].Pods = append(hosts[i].Pods, p)
			return hosts
		}
	}
	return append(hosts, session.Host{Name: name, Pods: []session.Pod{p}})
}

// observeOthers finds older sessions of the configuration and of its target, and restores of that.
func (r *BackupSessions) observeOthers(ctx context.Context, o *session.Backup) error {
	ref := o.Invoker.Spec.Target.Ref
	configs, err := r.ConfigsOf(ctx, ref, o.Invoker.Namespace)
	if err != nil {
		return err
	}
	own := o.Invoker
	for _, c := range configs {
		list, err := r.SessionsOf(ctx, c.Namespace, c.Name)
		if err != nil {
			return err
		}
		for i := range list {
			if list[i].UID == o.Session.UID || session.Finished(list[i].Status.Phase) || older(&list[i], o.Session) > 0 {
				continue
			}
			if c.Namespace == own.Namespace && c.Name == own.Name {
				o.Earlier = list[i].Name
			} else {
				o.Others = list[i].Name
			}
		}
	}
	o.Restoring, err = r.heldBy(ctx, ref, o.Invoker.Namespace)
	return err
}
