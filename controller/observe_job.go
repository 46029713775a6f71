package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
)

// observeJob finds the Job that backs up a target without pods of its own. What was begun is seen to its end
// also where the target is going.
func (r *BackupSessions) observeJob(ctx context.Context, o *session.Backup) error {
	t := o.Invoker.Spec.Target
	o.Executors = map[string]session.Executor{}
	obj, kind, err := r.Workload(ctx, t.Ref, o.Invoker.Namespace)
	if err != nil {
		return err
	}
	unfit := unfitForBackup(obj, t.Ref)
	if unfit != "" && o.NotReady == "" {
		o.NotReady = unfit
	}
	for _, name := range kind.Hosts(obj, t.Alias) {
		wanted := o.Repository != nil && o.Initialized && o.NotReady == "" && o.Exclusive == "" && needsPod(o.Session, name)
		e, pods, err := r.executor(ctx, r.backupJob(o, obj, kind, name), wanted)
		if err != nil {
			return err
		}
		if unfit != "" && !e.Living {
			e.Missing.Refused = unfit
		}
		host := session.Host{Name: name}
		for i := range pods {
			v := r.view(&pods[i], api.ContainerJob)
			o.Pods[v.UID] = v
			if !v.Dead {
				host.Pods = append(host.Pods, v)
			}
		}
		o.Executors[name] = e
		o.Hosts = append(o.Hosts, host)
	}
	return nil
}

// unfitForBackup says why a target cannot be mounted now; empty: it can. A claim that nobody has used yet
// has nothing to back up, and a Job that is the first to mount it would decide where its volume is.
func unfitForBackup(obj client.Object, ref v1beta1.TargetRef) string {
	if obj == nil || obj.GetDeletionTimestamp() != nil {
		return fmt.Sprintf("%s %q does not exist, or is being deleted", ref.Kind, ref.Name)
	}
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	if !ok || claim.Status.Phase == corev1.ClaimBound {
		return ""
	}
	if claim.Status.Phase == corev1.ClaimLost {
		return fmt.Sprintf("%s %q has lost its volume", ref.Kind, ref.Name)
	}
	return fmt.Sprintf("%s %q is not bound to a volume yet: nobody has used it, and there is nothing to back up", ref.Kind, ref.Name)
}

// needsPod tells whether a host has neither a result nor a pod.
func needsPod(bs *v1beta1.BackupSession, host string) bool {
	if len(bs.Status.Targets) == 0 {
		return true
	}
	t := &bs.Status.Targets[0]
	for _, a := range t.Assignments {
		if a.Hostname == host {
			return false
		}
	}
	for _, s := range t.Stats {
		if s.Hostname == host {
			return false
		}
	}
	return true
}

// backupJob is the Job of a host of a backup.
func (r *BackupSessions) backupJob(o *session.Backup, obj client.Object, kind target.Kind, host string) hostJob {
	attempt := int32(1)
	if len(o.Session.Status.Targets) > 0 {
		for _, given := range o.Session.Status.Targets[0].Released {
			if given.Hostname == host {
				attempt = given.Attempts + 1
			}
		}
	}
	return hostJob{
		session: o.Session, component: api.ComponentBackup, namespace: target.Namespace(o.Invoker.Spec.Target.Ref, o.Invoker.Namespace), host: host, attempt: attempt,
		pod: func(ctx context.Context) (corev1.PodTemplateSpec, *mutators.Problem, error) {
			return r.backupPod(ctx, o.Invoker, obj, kind, o.Repository, string(o.Session.UID))
		},
	}
}

// execute makes the Job of a host.
func (r *BackupSessions) execute(ctx context.Context, o *session.Backup, host string) error {
	obj, kind, err := r.Workload(ctx, o.Invoker.Spec.Target.Ref, o.Invoker.Namespace)
	if err != nil || obj == nil || obj.GetDeletionTimestamp() != nil {
		return err
	}
	return r.World.execute(ctx, r.backupJob(o, obj, kind, host))
}

// observeJobs finds the Jobs that restore a target without pods of its own.
func (r *RestoreSessions) observeJobs(ctx context.Context, o *session.Restore, spec v1beta1.RestoreSessionSpec) error {
	o.Executors = map[string]session.Executor{}
	obj, kind, err := r.Workload(ctx, spec.Target.Ref, o.Session.Namespace)
	if err != nil {
		return err
	}
	o.TargetFound, o.Wanted = obj != nil && obj.GetDeletionTimestamp() == nil, 1
	o.HostNames = kind.Hosts(obj, spec.Target.Alias)
	for _, name := range o.HostNames {
		j := r.restoreJob(o, obj, kind, name)
		e, pods, err := r.executor(ctx, j, o.TargetFound && o.Repository != nil && api.IsTrue(o.Session.Status.Conditions, api.SnapshotsPinned))
		if err != nil {
			return err
		}
		o.Executors[name] = e
		host := session.Host{Name: name}
		for i := range pods {
			v := r.view(&pods[i], api.ContainerJob)
			if v.Claims, err = r.volumeIDs(ctx, pods[i].Namespace, restoredPlaces(&pods[i])); err != nil {
				return err
			}
			o.Pods[v.UID] = v
			if pods[i].DeletionTimestamp == nil {
				host.Pods = append(host.Pods, v)
			}
		}
		o.Hosts = append(o.Hosts, host)
	}
	return r.observeMounting(ctx, o, obj, kind, spec)
}

// observeMounting finds, before anything is written, who else mounts what is to be restored.
func (r *RestoreSessions) observeMounting(ctx context.Context, o *session.Restore, obj client.Object, kind target.Kind, spec v1beta1.RestoreSessionSpec) error {
	if !o.TargetFound || len(o.Session.Status.Assignments) > 0 || !api.IsTrue(o.Session.Status.Conditions, api.SnapshotsPinned) {
		return nil
	}
	places := target.Places(&corev1.Pod{Spec: kind.PodTemplate(obj).Spec}, spec.Target.VolumeMounts)
	ofSession := func(p *corev1.Pod) string { return p.Labels[api.LabelSession] }
	var err error
	if o.Foreign, err = r.mounting(ctx, obj.GetNamespace(), places, func(p *corev1.Pod) bool { return ofSession(p) != "" }); err != nil {
		return err
	}
	o.Sibling, err = r.mounting(ctx, obj.GetNamespace(), places, func(p *corev1.Pod) bool {
		return ofSession(p) == "" || ofSession(p) == string(o.Session.UID)
	})
	return err
}

// restoreJob is the Job of a host of a restore.
func (r *RestoreSessions) restoreJob(o *session.Restore, obj client.Object, kind target.Kind, host string) hostJob {
	attempt := int32(1)
	for _, a := range o.Session.Status.Assignments {
		if a.Hostname == host {
			attempt = max(attempt, a.Attempt+1)
		}
	}
	return hostJob{
		session: o.Session, component: api.ComponentRestore, namespace: targetNamespace(o.Session), host: host, attempt: attempt,
		pod: func(ctx context.Context) (corev1.PodTemplateSpec, *mutators.Problem, error) {
			return r.restorePod(ctx, o.Session, obj, kind, o.Repository)
		},
	}
}

// execute makes the Job of a host.
func (r *RestoreSessions) execute(ctx context.Context, o *session.Restore, host string) error {
	ref := o.Session.Spec.Target.Ref
	obj, kind, err := r.Workload(ctx, ref, o.Session.Namespace)
	if err != nil || obj == nil || obj.GetDeletionTimestamp() != nil {
		return err
	}
	return r.World.execute(ctx, r.restoreJob(o, obj, kind, host))
}
