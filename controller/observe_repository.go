package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// observe gathers what session.NextWork decides on.
func (r *Repositories) observe(ctx context.Context, repo *v1alpha1.Repository) (*session.Repository, error) {
	o := &session.Repository{Repository: repo, LeaderSince: r.Leading(), Limits: r.Limits}
	_, version, err := r.accessNow(ctx, repo)
	if err != nil {
		text, ok := asProblem(err)
		if !ok {
			return nil, err
		}
		o.Problem = text
	}
	o.SecretVersion = version
	for _, observe := range []func(context.Context, *session.Repository) error{
		r.observeUsers, r.observeSearches, r.observeLocation, r.observeWorker, r.observeDead,
	} {
		if err := observe(ctx, o); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (r *Repositories) observeUsers(ctx context.Context, o *session.Repository) error {
	users, err := r.admittedUsers(ctx, o.Repository)
	if err != nil {
		return err
	}
	for i := range users {
		c := &users[i]
		spec, _ := c.Spec.Shipped()
		c.Spec = spec
		u := session.User{Invoker: subject(v1beta1.KindBackupConfiguration, c), Config: c}
		if c.Spec.Target != nil {
			if u.Held, err = r.heldBy(ctx, c.Spec.Target.Ref, c.Namespace); err != nil {
				return err
			}
		}
		o.Users = append(o.Users, u)
	}
	return nil
}

// observeSearches finds sessions that need something looked up, and those that wait for a probe.
func (r *Repositories) observeSearches(ctx context.Context, o *session.Repository) error {
	for _, u := range o.Users {
		list, err := r.SessionsOf(ctx, u.Config.Namespace, u.Config.Name)
		if err != nil {
			return err
		}
		for i := range list {
			bs := &list[i]
			if session.Finished(bs.Status.Phase) {
				continue
			}
			o.Demanded = later(o.Demanded, bs.CreationTimestamp.Time)
			if needsSearch(bs) {
				o.Searches = append(o.Searches, session.Search{Subject: subject(v1beta1.KindBackupSession, bs), UID: string(bs.UID)})
			}
		}
	}
	return r.observePins(ctx, o)
}

// observePins finds the restores whose snapshots are to be chosen.
func (r *Repositories) observePins(ctx context.Context, o *session.Repository) error {
	restores := &v1beta1.RestoreSessionList{}
	key := o.Repository.Namespace + "/" + o.Repository.Name
	if err := r.List(ctx, restores, client.MatchingFields{indexRepository: key}); err != nil {
		return fmt.Errorf("list RestoreSessions: %w", err)
	}
	for i := range restores.Items {
		rs := &restores.Items[i]
		if session.RestoreFinished(rs.Status.Phase) || rs.DeletionTimestamp != nil {
			continue
		}
		if !api.IsTrue(rs.Status.Conditions, api.SnapshotsPinned) {
			o.Demanded = later(o.Demanded, rs.CreationTimestamp.Time)
		}
		if session.Searching(rs.Status) {
			o.Searches = append(o.Searches, session.Search{Subject: subject(v1beta1.KindRestoreSession, rs), UID: string(rs.UID)})
		}
	}
	return nil
}

func needsSearch(bs *v1beta1.BackupSession) bool {
	for _, t := range bs.Status.Targets {
		for _, a := range t.Assignments {
			if a.Lost != nil && !a.Searched {
				return true
			}
		}
	}
	return false
}

// observeLocation tells whether backups, restores or other work use the same place.
func (r *Repositories) observeLocation(ctx context.Context, o *session.Repository) error {
	all, err := r.repositoriesAt(ctx, location(o.Repository))
	if err != nil {
		return err
	}
	for i := range all {
		other := &all[i]
		if w := other.Status.Work; w != nil && other.UID != o.Repository.UID && session.Exclusive(w.Operation) {
			o.Claimed = fmt.Sprintf("%s of Repository %q", w.Operation, other.Name)
			if other.Namespace != o.Repository.Namespace {
				o.Claimed = fmt.Sprintf("%s of a Repository of another namespace", w.Operation)
			}
		}
		busy, err := r.busy(ctx, other)
		if err != nil {
			return err
		}
		o.Busy = o.Busy || busy
	}
	return nil
}

// busy tells whether agents work with a Repository now.
func (r *Repositories) busy(ctx context.Context, repo *v1alpha1.Repository) (bool, error) {
	users, err := r.UsersOf(ctx, repo)
	if err != nil {
		return false, err
	}
	for i := range users {
		list, err := r.SessionsOf(ctx, users[i].Namespace, users[i].Name)
		if err != nil {
			return false, err
		}
		for _, bs := range list {
			if working(&bs) {
				return true, nil
			}
		}
	}
	restores := &v1beta1.RestoreSessionList{}
	if err := r.List(ctx, restores, client.MatchingFields{indexRepository: repo.Namespace + "/" + repo.Name}); err != nil {
		return false, fmt.Errorf("list RestoreSessions: %w", err)
	}
	for _, rs := range restores.Items {
		if restoringNow(&rs) {
			return true, nil
		}
	}
	return false, nil
}

func anyAlive(list []v1beta1.Assignment) bool {
	for _, a := range list {
		if a.Lost == nil {
			return true
		}
	}
	return false
}

// observeWorker finds the pod that does or can do the work.
func (r *Repositories) observeWorker(ctx context.Context, o *session.Repository) error {
	job := &batchv1.Job{}
	err := r.Get(ctx, client.ObjectKey{Namespace: o.Repository.Namespace, Name: workerName(o.Repository)}, job)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read worker: %w", err)
	}
	fits := err == nil && job.DeletionTimestamp == nil
	if fits && o.Repository.Status.Work == nil { // what is under way is not disturbed
		if fits, err = r.fits(ctx, o.Repository, job); err != nil {
			return err
		}
	}
	if fits {
		pods := &corev1.PodList{}
		if err := r.List(ctx, pods, client.InNamespace(job.Namespace), client.MatchingFields{indexOwner: string(job.UID)}); err != nil {
			return fmt.Errorf("list worker's pods: %w", err)
		}
		for i := range pods.Items {
			v := viewPod(&pods.Items[i], api.ContainerWorker)
			// One that is not ready is on a node that is gone, whatever its container's last status says.
			if !v.Dead && v.Agent && v.Ready && pods.Items[i].DeletionTimestamp == nil {
				o.Worker = &v
			}
		}
	}
	w := o.Repository.Status.Work
	if w == nil || w.PodUID == "" {
		return nil
	}
	pod := &corev1.Pod{}
	err = r.Live.Get(ctx, client.ObjectKey{Namespace: o.Repository.Namespace, Name: w.Pod}, pod)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read worker's pod: %w", err)
	}
	if err == nil && string(pod.UID) == w.PodUID {
		v := viewPod(pod, api.ContainerWorker)
		o.WorkerPod = &v
	}
	return nil
}

// observeDead finds which of the pods that held credentials are known to have ended.
func (r *Repositories) observeDead(ctx context.Context, o *session.Repository) error {
	if len(o.Repository.Status.Locks) == 0 {
		return nil
	}
	list, err := r.holdings(ctx, o.Repository, false)
	o.DeadHosts = deadHosts(list, r.Now())
	return err
}

func splitHolder(holder string) (namespace, name, id string, ok bool) {
	parts := strings.Split(holder, "/")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
