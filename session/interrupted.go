package session

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
)

// A worker that ends in the middle of retention or a check may leave restic's lock, an exclusive one:
// whatever came next would run into it, and a restore would do so with its application down. So the
// location stays taken until somebody has looked at the locks. No agent was given work there since the
// worker began, so that the look needs to wait for none; agents that have been assigned meanwhile wait.

const (
	// lookAgain is how often locks are looked at that are not known dead yet.
	lookAgain = time.Minute
	// interruptedFor is for how long others are held back at most. A lock that nobody renews counts as
	// dead after 45 minutes, whatever became of its pod; if the look cannot be made by then, those who
	// waited find out themselves what is wrong.
	interruptedFor = 50 * time.Minute
	// unreachedFor is the same for work of a worker that runs and did not say that it took it.
	unreachedFor = 10 * time.Minute
)

// MayInterrupt tells whether an operation takes an exclusive lock.
func MayInterrupt(op v1alpha1.RepositoryOperation) bool {
	return op == v1alpha1.OperationForget || op == v1alpha1.OperationCheck
}

// Interrupt notes that work has ended in its middle, and tells whether its location stays taken. Of work
// that no worker took there is no lock; that of an earlier spec may be somewhere else.
func Interrupt(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, now time.Time) bool {
	if w.Operation == v1alpha1.OperationUnlock {
		return Interrupted(repo, now) != nil // the look is still to be made
	}
	if !MayInterrupt(w.Operation) || w.AskedTime == nil {
		return false
	}
	repo.Status.Locks = []string{UnknownLock}
	if w.Generation != repo.Generation {
		return false
	}
	repo.Status.Interrupted = &v1alpha1.InterruptedWork{
		Operation: w.Operation, PodUID: w.PodUID, Generation: w.Generation,
		Time: metav1.NewTime(now), Until: metav1.NewTime(now.Add(interruptedFor)),
	}
	return true
}

// InterruptUnreached is Interrupt for a worker that runs and is not known to have taken its work. It may have
// taken it all the same, from a replica of an older build which does not note it. Of one that was not
// connected before either nothing is waited for: no look could be made.
func InterruptUnreached(repo *v1alpha1.Repository, w v1alpha1.RepositoryWork, now time.Time) bool {
	if c := api.FindCondition(repo.Status.Conditions, api.WorkerReady); c == nil || c.Reason != ReasonNotConnected {
		w.AskedTime = &w.StartTime
	}
	stays := Interrupt(repo, w, now)
	if i := repo.Status.Interrupted; stays && MayInterrupt(w.Operation) && i != nil {
		i.Until = metav1.NewTime(now.Add(unreachedFor))
	}
	return stays
}

// Interrupted returns the work of a Repository that ended in its middle and whose locks are still to be
// looked at; nil: there is none, or it has been waited for long enough.
func Interrupted(repo *v1alpha1.Repository, now time.Time) *v1alpha1.InterruptedWork {
	i := repo.Status.Interrupted
	if i == nil || i.Generation != repo.Generation || !now.Before(i.Until.Time) {
		return nil
	}
	return i
}

// AwaitedLook says what is waited for while the locks of interrupted work are to be looked at, and how
// long; whose names the Repository.
func AwaitedLook(repo *v1alpha1.Repository, whose string, now time.Time) string {
	i := Interrupted(repo, now)
	if i == nil {
		return ""
	}
	text := fmt.Sprintf("a look at the locks that %s of %s may have left, whose worker ended in its middle (until %s at the latest)",
		i.Operation, whose, i.Until.UTC().Format(time.RFC3339))
	if why := whyUnused(repo, ""); why != "" {
		text += ", which cannot be made now: " + why
	}
	return text
}

// lookDue tells whether the locks of interrupted work are to be looked at now. Agents that have been
// assigned do not keep it waiting: they wait for it.
func (o *Repository) lookDue(now time.Time) bool {
	st := o.Repository.Status
	if !api.IsTrue(st.Conditions, api.BackendReachable) || o.backsOff(v1alpha1.OperationUnlock, now) > 0 {
		return false
	}
	i := Interrupted(o.Repository, now)
	if i == nil {
		// While agents work there are locks of theirs, and searches must go on.
		return slices.Contains(st.Locks, UnknownLock) && !o.Busy
	}
	seen := st.LastUnlockTime
	return slices.Contains(st.Locks, UnknownLock) || seen == nil || seen.Before(&i.Time) || now.Sub(seen.Time) >= lookAgain
}
