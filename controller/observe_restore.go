package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
	"github.com/seed-731df569/stash/webhook"
)

// observe gathers what session.NextRestore decides on.
func (r *RestoreSessions) observe(ctx context.Context, rs *v1beta1.RestoreSession) (*session.Restore, error) {
	o := &session.Restore{Session: rs, Pods: map[string]session.Pod{}, LeaderSince: r.Leading(), Limits: r.Limits}
	if session.RestoreFinished(rs.Status.Phase) {
		return o, nil
	}
	facts := validators.Facts{}
	// Of the target only until it is touched: what changes then does not undo what was begun.
	if rs.Spec.Target != nil && !api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned) {
		var err error
		if facts.Target, err = r.known(ctx, rs.Spec.Target.Ref, rs.Namespace); err != nil {
			return nil, err
		}
	}
	if res := validators.RestoreSession(rs, nil, facts); len(res.Errors) > 0 {
		o.Invalid = res.Errors.ToAggregate().Error()
		return o, nil
	}
	spec, _ := rs.Spec.Shipped()
	repo, err := r.Repository(ctx, spec.Repository, rs.Namespace)
	if err != nil {
		return nil, err
	}
	if repo != nil {
		o.Repository, o.Initialized = repo, initialized(repo)
		if o.Exclusive, err = r.exclusiveWork(ctx, repo); err != nil {
			return nil, err
		}
	}
	if err := r.observeWorkload(ctx, o, spec); err != nil {
		return nil, err
	}
	if err := r.observeRivals(ctx, o, spec); err != nil {
		return nil, err
	}
	if rs.Status.Hash != "" && o.Executors == nil {
		o.Closed, o.Refused, err = r.Probe(ctx, rs)
	}
	return o, err
}

func (r *RestoreSessions) observeWorkload(ctx context.Context, o *session.Restore, spec v1beta1.RestoreSessionSpec) error {
	rs := o.Session
	if k, err := target.FindRef(spec.Target.Ref); err == nil && k.Model == target.ModelJob {
		return r.observeJobs(ctx, o, spec)
	}
	obj, kind, err := r.Workload(ctx, spec.Target.Ref, rs.Namespace)
	if err != nil {
		if errors.Is(err, target.ErrNotSupportedYet) || errors.Is(err, target.ErrUnknownKind) {
			o.Invalid = err.Error()
			return nil
		}
		return err
	}
	if obj == nil {
		return nil
	}
	o.TargetFound = true
	hash := mutators.HashRestore(string(rs.UID))
	template := kind.PodTemplate(obj)
	o.Stamped = template.Labels[api.LabelRestore] == hash
	o.Held = heldBack(kind, obj)
	o.PodRefused = replicaFailure(obj)
	pods, err := r.PodsOf(ctx, obj)
	if err != nil {
		return err
	}
	o.HostNames = hostNames(obj, kind, spec.Target.Alias, pods)
	if _, o.Nodes = obj.(*appsv1.DaemonSet); o.Nodes {
		if o.HostNames, err = r.nodeHosts(ctx, rs, kind, spec.Target.Alias, o.HostNames); err != nil {
			return err
		}
	}
	wish := wishOf(spec, obj, kind)
	o.Some = wish.Some()
	o.HostNames, o.LeftAlone = wish.Split(o.HostNames)
	o.Wanted, o.Own = kind.Rollout(obj).Pods, ownsVolumes(rs, template, restoreMounts(template, spec), o.Nodes)
	concerned := slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool {
		host := hostName(kind, spec.Target.Alias, &p)
		return host != "" && wish.Leaves(host)
	})
	for i := range concerned {
		if err := r.observePod(ctx, o, &concerned[i], kind, spec, hash); err != nil {
			return err
		}
	}
	return r.observeForeign(ctx, o, spec, concerned, pods)
}

// wishOf is what a restore says, and whether its target lets it leave hosts alone.
func wishOf(spec v1beta1.RestoreSessionSpec, obj client.Object, kind target.Kind) session.Wish {
	wish := session.Wish{Rules: spec.Target.Rules, Apart: target.Apart(obj, restoreMounts(kind.PodTemplate(obj), spec))}
	for _, m := range spec.Target.VolumeMounts {
		wish.Mounts = append(wish.Mounts, target.CleanPath(m.MountPath))
	}
	return wish
}

// hostNames are those of the workload; a DaemonSet's are the nodes that it has pods on.
func hostNames(obj client.Object, kind target.Kind, alias string, pods []corev1.Pod) []string {
	names := kind.Hosts(obj, alias)
	if _, ok := obj.(*appsv1.DaemonSet); ok {
		for i := range pods {
			n := hostName(kind, alias, &pods[i])
			if n != "" && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
	}
	return names
}

// nodeHosts adds to the hosts of a DaemonSet the nodes that snapshots were chosen for, and that exist.
func (r *RestoreSessions) nodeHosts(ctx context.Context, rs *v1beta1.RestoreSession, kind target.Kind, alias string, bound []string) ([]string, error) {
	if len(rs.Status.Pinned) == 0 {
		return bound, nil
	}
	nodes := &corev1.NodeList{}
	if err := r.List(ctx, nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	known := map[string]bool{}
	for i := range nodes.Items {
		if host, err := kind.HostFor(alias, "", nodes.Items[i].Name); err == nil {
			known[host] = true
		}
	}
	return session.NodeHosts(bound, rs.Status.Pinned, func(host string) bool { return known[host] }), nil
}

// replicaFailure is what a Deployment says of pods that it could not create, other than those that are kept
// out while it is restored.
func replicaFailure(obj client.Object) string {
	d, ok := obj.(*appsv1.Deployment)
	if !ok {
		return ""
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue && !strings.Contains(c.Message, webhook.OldRevision) {
			return shorten(c.Message)
		}
	}
	return ""
}

// errTargetGone tells that the target of a restore was deleted meanwhile.
var errTargetGone = errors.New("the target does not exist")

// restoreHosts are the hosts of a restore's target now, and what is to be restored into them.
func (w *World) restoreHosts(ctx context.Context, rs *v1beta1.RestoreSession) ([]string, session.Wish, error) {
	spec, _ := rs.Spec.Shipped()
	obj, kind, err := w.Workload(ctx, spec.Target.Ref, rs.Namespace)
	if err != nil {
		return nil, session.Wish{}, err
	}
	if obj == nil {
		return nil, session.Wish{}, fmt.Errorf("%w: %s %q", errTargetGone, spec.Target.Ref.Kind, spec.Target.Ref.Name)
	}
	pods, err := w.PodsOf(ctx, obj)
	if err != nil {
		return nil, session.Wish{}, err
	}
	return hostNames(obj, kind, spec.Target.Alias, pods), wishOf(spec, obj, kind), nil
}

func (r *RestoreSessions) observePod(ctx context.Context, o *session.Restore, pod *corev1.Pod, kind target.Kind, spec v1beta1.RestoreSessionSpec, hash string) error {
	v := r.view(pod, api.ContainerRestore)
	if v.Dead {
		o.Pods[v.UID] = v
		return nil
	}
	if v.Stamp != hash || !v.Injected { // it would run on what is there
		o.OldPods = append(o.OldPods, v)
		return nil
	}
	places, host := restoredPlaces(pod), hostName(kind, spec.Target.Alias, pod)
	v.Own = intoOwn(o.Session, host, places)
	var err error
	if v.Claims, err = r.volumeIDs(ctx, pod.Namespace, places); err != nil {
		return err
	}
	if v.Agent && len(v.Claims) > 0 {
		if v.Shared, err = r.sharedWith(ctx, pod, places, hash); err != nil {
			return err
		}
	}
	o.Pods[v.UID] = v
	switch {
	case pod.DeletionTimestamp != nil:
	case o.Nodes && host == "":
		o.Unplaced = append(o.Unplaced, v)
	default:
		o.Hosts = addHost(o.Hosts, host, v)
	}
	return nil
}

// restoredPlaces lists where a restore writes: what its container mounts, whatever the session says.
func restoredPlaces(pod *corev1.Pod) []target.Place {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == api.ContainerRestore || c.Name == api.ContainerJob {
			return target.Places(pod, c.VolumeMounts)
		}
	}
	return nil
}

// heldBack says why pods would not follow the template when they are replaced: they would be created
// without the restore, and refused, again and again.
func heldBack(kind target.Kind, obj client.Object) string {
	roll := kind.Rollout(obj)
	switch {
	case roll.Paused:
		return fmt.Sprintf("waiting for %s %q to be resumed: while it is paused its pods do not get the restore init-container", kind, obj.GetName())
	case roll.Partition > 0:
		return fmt.Sprintf("waiting for %s %q to have no partition: pods below %d would not get the restore init-container", kind, obj.GetName(), roll.Partition)
	}
	return ""
}

// observeLater finds a later restore that could begin if this one, whose Repository does not exist, did
// not stand in its way.
func (r *RestoreSessions) observeLater(ctx context.Context, o *session.Restore, other *v1beta1.RestoreSession) error {
	if o.Repository != nil || other.DeletionTimestamp != nil {
		return nil
	}
	spec, _ := other.Spec.Shipped()
	repo, err := r.Repository(ctx, spec.Repository, other.Namespace)
	if err == nil && repo != nil {
		o.Later = other.Name
	}
	return err
}

// observeRivals finds what else is under way on the target.
func (r *RestoreSessions) observeRivals(ctx context.Context, o *session.Restore, spec v1beta1.RestoreSessionSpec) error {
	ref, ns := spec.Target.Ref, o.Session.Namespace
	restores, err := r.RestoresOf(ctx, ref, ns)
	if err != nil {
		return err
	}
	o.Unrestored = session.Unrestored(slices.DeleteFunc(slices.Clone(restores), func(rs v1beta1.RestoreSession) bool { return rs.UID == o.Session.UID }))
	for i := range restores {
		other := &restores[i]
		if other.UID == o.Session.UID || session.RestoreFinished(other.Status.Phase) {
			continue
		}
		if older(other, o.Session) < 0 {
			o.Other = other.Name
		} else if err := r.observeLater(ctx, o, other); err != nil {
			return err
		}
	}
	configs, err := r.ConfigsOf(ctx, ref, ns)
	if err != nil {
		return err
	}
	for _, c := range configs {
		list, err := r.SessionsOf(ctx, c.Namespace, c.Name)
		if err != nil {
			return err
		}
		for _, bs := range list {
			if !session.Finished(bs.Status.Phase) && len(bs.Status.Targets) > 0 && len(bs.Status.Targets[0].Assignments) > 0 {
				o.Backups = bs.Name
			}
		}
	}
	return nil
}
