package session

import (
	"slices"
	"time"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Restore is what is observed of a RestoreSession.
type Restore struct {
	Session *v1beta1.RestoreSession
	// Invalid says why the session can never run; empty: it can.
	Invalid string
	// Repository is nil when it is gone.
	Repository *v1alpha1.Repository
	// Initialized tells that the repository exists in its backend.
	Initialized bool
	// TargetFound tells that the workload exists.
	TargetFound bool
	// HostNames are the hosts of the target that are to be restored.
	HostNames []string
	// LeftAlone are the others: no rule is for them, and nothing of them is observed.
	LeftAlone []string
	// Unrestored are hosts that earlier restores began with and did not restore, with their names.
	Unrestored map[string]string
	// Some tells that hosts which the rules do not name are left alone, those that are still to come too.
	Some bool
	// Wanted is how many pods the target is to have.
	Wanted int32
	// Nodes tells that its hosts are nodes, as many as it is to have pods.
	Nodes bool
	// Unplaced are stamped pods of the target that are on no node yet, where nodes are its hosts.
	Unplaced []Pod
	// Own tells that each of these pods has volumes of its own that are restored.
	Own bool
	// Backups is the name of a running BackupSession of the target.
	Backups string
	// Other is the name of another unfinished RestoreSession of the target that goes first.
	Other string
	// Later is the name of one that comes after this one and whose Repository exists; empty where this
	// one's does.
	Later string
	// Exclusive says what is waited for that has the repository's location for itself.
	Exclusive string
	// Closed tells that the namespace is closed: a probe of the hook was refused.
	Closed bool
	// Refused is what the API server says where something else refused the probe; empty: nothing did.
	Refused string
	// Held says why pods would not follow the workload's template; empty: they do.
	Held string
	// Stamped tells that the workload's template has this session's restore label.
	Stamped bool
	// Foreign is the name of a pod that is not the target's and mounts its volumes; it is looked for
	// until the restore begins.
	Foreign string
	// Sibling is the name of a pod of another session's Job that mounts its volumes; it is looked for until
	// the restore begins.
	Sibling string
	// PodRefused is what Kubernetes says of pods of the workload that it could not create; empty: nothing.
	PodRefused string
	// OldPods are living pods of the target without this session's restore label.
	OldPods []Pod
	// Hosts are the target's stamped pods, by host.
	Hosts []Host
	// Executors are the Jobs of hosts by name, where the target has no pods of its own; nil where it has.
	Executors map[string]Executor
	// Pods are the pods of assignments, by UID; one that is absent is dead.
	Pods        map[string]Pod
	LeaderSince time.Time
	Limits      Limits
}

func (o *Restore) stat(host string) *v1beta1.HostRestoreStats {
	for i := range o.Session.Status.Stats {
		if o.Session.Status.Stats[i].Hostname == host {
			return &o.Session.Status.Stats[i]
		}
	}
	return nil
}

// pods are the living pods of a host.
func (o *Restore) pods(host string) []Pod {
	var pods []Pod
	for _, h := range o.Hosts {
		for _, p := range h.Pods {
			if h.Name == host && !p.Dead {
				pods = append(pods, p)
			}
		}
	}
	return pods
}

// assigned tells whether a pod has work. One that lost it may get it again: its container ended.
func (o *Restore) assigned(podUID string) bool {
	return slices.ContainsFunc(o.Session.Status.Assignments, func(a v1beta1.Assignment) bool {
		return a.PodUID == podUID && a.Lost == nil
	})
}

// since is when something counts from: nobody acted on it before this process began to observe.
func (o *Restore) since(t time.Time) time.Time { return later(t, o.LeaderSince) }

// probed tells whether the repository, as it is specified now, was asked since the session was created.
// Times in status are in whole seconds.
func (o *Restore) probed() bool {
	at := o.Repository.Status.LastProbeTime
	return at != nil && !at.Time.Before(o.Session.CreationTimestamp.Time) &&
		o.Repository.Status.ObservedGeneration == o.Repository.Generation
}

// restoredTo tells whether a pod needs no restore any more: it was restored itself, or all that is to be
// restored lies in claims, and they were.
func (o *Restore) restoredTo(p Pod) bool {
	for _, r := range o.Session.Status.Restored {
		if r.PodUID == p.UID {
			return true
		}
	}
	if p.Own || len(p.Claims) == 0 {
		return false
	}
	for _, c := range p.Claims {
		if !o.claimRestored(c) {
			return false
		}
	}
	return true
}

func (o *Restore) claimRestored(uid string) bool {
	for _, r := range o.Session.Status.Restored {
		if slices.Contains(r.Claims, uid) {
			return true
		}
	}
	return false
}
