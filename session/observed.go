package session

import (
	"time"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Pod is a pod as far as sessions care.
type Pod struct {
	Name string
	UID  string
	Node string
	// Created is its creation time.
	Created time.Time
	// Ready tells that the application in it is ready.
	Ready bool
	// Agent tells that our container in it runs.
	Agent bool
	// Injected tells that it has our container.
	Injected bool
	// Ending tells that it is being deleted: no work is begun in it.
	Ending bool
	// Ends is when it is to have ended then.
	Ends time.Time
	// Ended says how our container in it ended last, for example "OOMKilled"; empty: it never did, or
	// nobody knows.
	Ended string
	// Waiting says in Kubernetes' words what keeps it from starting our container; empty: nothing so far.
	Waiting string
	// Refused says why the broker refuses our container in it, and what to do; empty: it does not.
	Refused string
	// Dead tells that its processes are known to have ended: the object is gone or terminal.
	Dead bool
	// Claims are the identities of the volumes that the session's mounts use and that outlive the pod:
	// UIDs of PersistentVolumeClaims, and what others are.
	Claims []string
	// Own tells that some of what is restored into it lies in volumes that no other pod has: emptyDirs and
	// such.
	Own bool
	// Shared tells that a claim of it is mounted by another living pod that is not to restore it.
	Shared string
	// Stamp is the value of its restore label.
	Stamp string
}

// able tells whether an agent in the pod can begin work.
func (p Pod) able() bool { return p.Agent && !p.Dead && !p.Ending && p.Refused == "" }

// Host is a name under which snapshots are stored, and the pods that can do its work, best first.
type Host struct {
	Name string
	Pods []Pod
}

// Backup is what is observed of a BackupSession.
type Backup struct {
	Session *v1beta1.BackupSession
	// Invoker is nil when it is gone.
	Invoker *v1beta1.BackupConfiguration
	// Repository is nil when it is gone.
	Repository *v1alpha1.Repository
	// Initialized tells that the repository exists in its backend.
	Initialized bool
	// NotReady says why the invoker cannot run at all; empty: it can.
	NotReady string
	// Hosts of the target; empty when it has no pods.
	Hosts []Host
	// Executors are the Jobs of hosts by name, where the target has no pods of its own; nil where it has.
	Executors map[string]Executor
	// Wanted is how many hosts the target is to have, where it says that and their names follow from
	// pods only: the nodes of a DaemonSet. 0: Hosts are all.
	Wanted int32
	// Earlier is the name of an unfinished session of the same configuration that goes first.
	Earlier string
	// Others is the name of one of another configuration of the same target that goes first.
	Others string
	// Restoring is the name of a RestoreSession that holds the target.
	Restoring string
	// Exclusive says what is waited for that has the repository's location for itself.
	Exclusive string
	// Pods are the pods of assignments, by UID; one that is absent is dead.
	Pods map[string]Pod
	// LeaderSince is when this process began to observe: silence before it proves nothing.
	LeaderSince time.Time
	Limits      Limits
}

// target returns the session's target status, or an empty one.
func (o *Backup) target() v1beta1.BackupTargetStatus {
	if len(o.Session.Status.Targets) == 0 {
		return v1beta1.BackupTargetStatus{}
	}
	return o.Session.Status.Targets[0]
}

// begun tells whether the hosts of the session are decided: from then on it is carried to its end.
func (o *Backup) begun() bool {
	t := o.target()
	return t.TotalHosts != nil || len(t.Assignments) > 0 || len(t.Stats) > 0
}

// since is when something counts from: nobody acted on it before this process began to observe.
func (o *Backup) since(t time.Time) time.Time { return later(t, o.LeaderSince) }

// stat returns the result of a host, or nil.
func (o *Backup) stat(host string) *v1beta1.HostBackupStats {
	t := o.target()
	for i := range t.Stats {
		if t.Stats[i].Hostname == host {
			return &t.Stats[i]
		}
	}
	return nil
}

func (o *Backup) assignment(host string) *v1beta1.Assignment {
	t := o.target()
	for i := range t.Assignments {
		if t.Assignments[i].Hostname == host {
			return &t.Assignments[i]
		}
	}
	return nil
}

func (o *Backup) host(name string) Host {
	for _, h := range o.Hosts {
		if h.Name == name {
			return h
		}
	}
	return Host{Name: name}
}

// Finished tells whether a backup's phase is final.
func Finished(p v1beta1.BackupSessionPhase) bool {
	switch p {
	case v1beta1.BackupSessionSucceeded, v1beta1.BackupSessionFailed, v1beta1.BackupSessionSkipped, "Succeed":
		return true
	case v1beta1.BackupSessionPending, v1beta1.BackupSessionRunning, v1beta1.BackupSessionUnknown:
	}
	return false
}

// RestoreFinished tells whether a restore's phase is final.
func RestoreFinished(p v1beta1.RestorePhase) bool {
	switch p {
	case v1beta1.RestoreSucceeded, v1beta1.RestoreFailed, v1beta1.RestoreInvalid:
		return true
	case v1beta1.RestorePending, v1beta1.RestoreRunning, v1beta1.RestoreUnknown:
	}
	return false
}
