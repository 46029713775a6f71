package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
)

// The snapshots of a restore are chosen for all hosts that the target has, before anything changes: a
// host for which there is none fails the restore as a whole. A host that appears later, since the
// target was scaled up or a node joined, gets its snapshots when its pod appears, by the same rules.
// If they give it none it fails alone, as a host without a snapshot does: its pod does not start on
// its empty volume, the others are restored to their ends, and the restore fails in the end. To let
// that pod start without data the RestoreSession is deleted, or its host is given up by scaling down.

// Searching tells whether a restore waits for what the repository holds: to choose the snapshots of
// all its hosts, or of hosts that appeared later.
func Searching(st v1beta1.RestoreSessionStatus) bool {
	if RestoreFinished(st.Phase) || st.TotalHosts == nil {
		return false
	}
	c := api.FindCondition(st.Conditions, api.SnapshotsPinned)
	switch {
	case c == nil:
		return true
	case c.Status == metav1.ConditionTrue:
		return slices.ContainsFunc(st.Stats, searched)
	}
	return !definitive(c.Reason)
}

// searched tells whether the snapshots of a host that appeared later are looked for.
func searched(s v1beta1.HostRestoreStats) bool { return s.Phase == v1beta1.HostRestoreUnknown }

// definitive tells whether a search that ended for that reason would end so each time.
func definitive(reason string) bool {
	r := restic.Reason(reason)
	return r.Definitive() || r == restic.ReasonNoSnapshot || r == restic.ReasonPathMissing
}

// Appear notes a host that appeared after the snapshots were chosen: its own are to be looked for.
func Appear(st *v1beta1.RestoreSessionStatus, host string, generation int64, now metav1.Time) {
	st.Stats = append(st.Stats, v1beta1.HostRestoreStats{
		Hostname: host, Phase: v1beta1.HostRestoreUnknown,
		Error: "it appeared after the snapshots were chosen: its own are being looked for",
	})
	sayPinned(st, generation, now)
}

// FailHostRestore records that a host cannot be restored.
func FailHostRestore(st *v1beta1.RestoreSessionStatus, host, message string, generation int64, now metav1.Time) {
	RecordRestore(st, "", v1beta1.HostRestoreStats{Hostname: host, Phase: v1beta1.HostRestoreFailed, Error: message}, nil)
	if !slices.ContainsFunc(st.Pinned, func(p v1beta1.PinnedSnapshot) bool { return p.Hostname == host }) {
		sayPinned(st, generation, now)
	}
}

// Choose fixes in the status which snapshots are restored, of those that the repository holds: for all
// hosts or, where that is done, for those that appeared later. It returns the hosts that it failed.
func Choose(st *v1beta1.RestoreSessionStatus, wish Wish, hosts []string, found []Found, generation int64, now metav1.Time) []v1beta1.HostRestoreStats {
	if !api.IsTrue(st.Conditions, api.SnapshotsPinned) {
		pins, err := Pin(wish, hosts, found)
		if err != nil {
			reason := restic.ReasonNoSnapshot
			if _, lacks := errors.AsType[lackError](err); lacks {
				reason = restic.ReasonPathMissing
			}
			setPinned(st, metav1.ConditionFalse, string(reason), cut(err.Error()), generation, now)
			return nil
		}
		st.Pinned = pins
		_, alone := wish.Split(hosts)
		st.LeftAlone = alone
		sayPinned(st, generation, now)
		return nil
	}
	var failed []v1beta1.HostRestoreStats
	for i := range st.Stats {
		s := &st.Stats[i]
		if !searched(*s) {
			continue
		}
		if wish.Leaves(s.Hostname) {
			continue // it was not when it appeared
		}
		pins, err := wish.pin([]string{s.Hostname}, found)
		if err != nil {
			s.Phase = v1beta1.HostRestoreFailed
			s.Error = cut(lateError(err))
			failed = append(failed, *s)
			continue
		}
		st.Pinned = append(st.Pinned, pins...)
	}
	st.Stats = slices.DeleteFunc(st.Stats, searched)
	sayPinned(st, generation, now)
	return failed
}

// lateError says why a host that appeared later is not restored, and what can be done.
func lateError(err error) string {
	why, instead := "there is none for it", "name a sourceHost for it"
	if _, lacks := errors.AsType[lackError](err); lacks {
		why, instead = "its own does not hold what is to be restored", "name what it holds"
	}
	return "it appeared after the snapshots were chosen, and " + why + ": " + err.Error() +
		"; create another RestoreSession whose rules " + instead + ", or delete this one to let its pod start without a restore"
}

// SearchFailed says in the status why a search did not end. What waits for it is tried again unless the
// reason is definitive; then NextRestore fails the restore, and hosts that appeared later fail here.
func SearchFailed(st *v1beta1.RestoreSessionStatus, reason, message string, generation int64, now metav1.Time) {
	if RestoreFinished(st.Phase) {
		return
	}
	if reason == "" {
		reason = string(restic.ReasonOther)
	}
	if !api.IsTrue(st.Conditions, api.SnapshotsPinned) {
		setPinned(st, metav1.ConditionFalse, reason, cut(message), generation, now)
		return
	}
	for i := range st.Stats {
		s := &st.Stats[i]
		if !searched(*s) {
			continue
		}
		s.Error = cut("it appeared after the snapshots were chosen, and its own could not be looked for: " + message)
		if definitive(reason) {
			s.Phase = v1beta1.HostRestoreFailed
		}
	}
	sayPinned(st, generation, now)
}

func setPinned(st *v1beta1.RestoreSessionStatus, status metav1.ConditionStatus, reason, message string, generation int64, now metav1.Time) {
	api.SetCondition(&st.Conditions, api.Condition{
		Type: api.SnapshotsPinned, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
	}, now)
}

// sayPinned says how many snapshots are chosen, and which hosts that appeared later have none.
func sayPinned(st *v1beta1.RestoreSessionStatus, generation int64, now metav1.Time) {
	hosts := map[string]bool{}
	for _, p := range st.Pinned {
		hosts[p.Hostname] = true
	}
	message := fmt.Sprintf("%d snapshots are chosen for %d hosts", len(st.Pinned), len(hosts))
	var without []string
	for _, s := range st.Stats {
		if !hosts[s.Hostname] {
			without = append(without, s.Hostname+": "+s.Error)
		}
	}
	message = WithLeftAlone(message, st.LeftAlone)
	var remarks []string
	for _, p := range st.Pinned {
		if p.Remark != "" {
			remarks = append(remarks, fmt.Sprintf("%s of %s: %s", p.Path, p.Hostname, p.Remark))
		}
	}
	if len(remarks) > 0 {
		message += "; " + some(remarks)
	}
	if len(without) > 0 {
		message += "; none for " + some(without)
	}
	setPinned(st, metav1.ConditionTrue, "SnapshotsChosen", cut(message), generation, now)
}

// cut bounds a text that quotes what others named.
func cut(text string) string {
	const limit = 2000
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// pinFailed ends a restore whose snapshots could not be looked for: at once where that would be so each
// time, else when it was tried for long enough.
func pinFailed(o *Restore, now time.Time) (Action, bool) {
	c := api.FindCondition(o.Session.Status.Conditions, api.SnapshotsPinned)
	switch {
	case c == nil || c.Status != metav1.ConditionFalse:
		return Action{}, false
	case definitive(c.Reason):
		return Fail(c.Reason, c.Message), true
	case now.After(o.since(c.LastTransitionTime.Time).Add(o.Limits.Repository)):
		return Fail(c.Reason, fmt.Sprintf("no snapshots could be chosen for %s: %s", o.Limits.Repository, c.Message)), true
	}
	return Action{}, false
}

// pin asks for the snapshots to be chosen; the choice shows in the status.
func pin(o *Restore, now time.Time) (Action, bool) {
	c := api.FindCondition(o.Session.Status.Conditions, api.SnapshotsPinned)
	message := "choosing snapshots"
	switch {
	case c == nil:
	case c.Status == metav1.ConditionTrue:
		return Action{}, false
	default:
		message += " again, after it failed: " + c.Message
	}
	if w := api.FindCondition(o.Repository.Status.Conditions, api.WorkerReady); w != nil && w.Status == metav1.ConditionFalse {
		message += ": " + w.Message
		if now.After(o.since(later(o.Session.CreationTimestamp.Time, w.LastTransitionTime.Time)).Add(o.Limits.Repository)) {
			return Fail(w.Reason, fmt.Sprintf("no snapshots could be chosen for %s: %s", o.Limits.Repository, w.Message)), true
		}
	}
	return Action{Kind: KindPin, Message: message, After: 2 * time.Second}, true
}

// pinLate sees to hosts that appeared after the choice.
func pinLate(o *Restore, now time.Time) (Action, bool) {
	for _, h := range o.Hosts {
		if o.pinned(h.Name) || !slices.ContainsFunc(h.Pods, func(p Pod) bool { return !o.restoredTo(p) }) {
			continue
		}
		s := o.stat(h.Name)
		if s == nil {
			return Action{Kind: KindPin, Host: h.Name, Message: fmt.Sprintf("choosing snapshots for host %q, which appeared later", h.Name), After: 2 * time.Second}, true
		}
		if searched(*s) && now.After(o.since(oldest(h.Pods)).Add(o.Limits.Repository)) {
			return FailHost(h.Name, fmt.Sprintf("%s; that took more than %s", s.Error, o.Limits.Repository)), true
		}
	}
	return Action{}, false
}

func oldest(pods []Pod) time.Time {
	at := pods[0].Created
	for _, p := range pods {
		if p.Created.Before(at) {
			at = p.Created
		}
	}
	return at
}
