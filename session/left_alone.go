package session

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// A host for which there is no rule keeps what it has, where the rules name hosts and each host has what is
// restored for itself: its pods are replaced with the others, and start without a restore. Nothing that
// becomes of it, or of its node, is waited for. Where hosts share a volume, or have one that ends with the
// pod, nothing can be left alone: the other host's restore would write under its application, or its data
// would go with its pod.

// Leaves tells whether a host is left alone.
func (w Wish) Leaves(host string) bool {
	if !w.Apart {
		return false
	}
	_, i := RuleFor(w.Rules, host)
	return i < 0
}

// Some tells whether the rules name the hosts that are restored, and all others are left alone.
func (w Wish) Some() bool {
	return w.Apart && !slices.ContainsFunc(w.Rules, func(r v1beta1.Rule) bool { return len(r.TargetHosts) == 0 })
}

// Split tells the hosts that are restored from those that are left alone.
func (w Wish) Split(hosts []string) (restored, alone []string) {
	for _, h := range hosts {
		if w.Leaves(h) {
			alone = append(alone, h)
		} else {
			restored = append(restored, h)
		}
	}
	return restored, alone
}

// misses says which rule is for a host that the target does not have, where others would be left alone
// for it: a name that is misspelt must not leave out the host that was meant.
func (w Wish) misses(hosts []string) error {
	_, alone := w.Split(hosts)
	if len(alone) == 0 {
		return nil
	}
	for i, r := range w.Rules {
		for _, h := range r.TargetHosts {
			if !slices.Contains(hosts, h) {
				return fmt.Errorf("rule %d is for host %q, which the target does not have; it has %s: name one of them, or host %q would be left alone, for which there is no rule",
					i, h, list("hosts", slices.Clone(hosts)), alone[0])
			}
		}
	}
	return nil
}

// NoteLeftAlone keeps in the status which hosts are left alone, those that appeared later too.
func NoteLeftAlone(st *v1beta1.RestoreSessionStatus, hosts []string) {
	if !api.IsTrue(st.Conditions, api.SnapshotsPinned) {
		return // it is not known yet whether anything is restored
	}
	for _, h := range hosts {
		if !slices.Contains(st.LeftAlone, h) {
			st.LeftAlone = append(st.LeftAlone, h)
		}
	}
}

// WithLeftAlone adds to what is said of a restore which hosts it leaves alone.
func WithLeftAlone(text string, hosts []string) string {
	if len(hosts) == 0 {
		return text
	}
	return text + "; left alone, since no rule is for them: " + some(slices.Clone(hosts))
}

// outlived tells whether all hosts that were to be restored were, and are gone: only those are left that
// are left alone.
func (o *Restore) outlived() bool {
	st := o.Session.Status
	return len(o.LeftAlone) > 0 && len(st.Stats) > 0 &&
		!slices.ContainsFunc(st.Stats, func(s v1beta1.HostRestoreStats) bool { return s.Phase != v1beta1.HostRestoreSucceeded }) &&
		!slices.ContainsFunc(st.Pinned, func(p v1beta1.PinnedSnapshot) bool { return o.stat(p.Hostname) == nil })
}

// nobody says that the hosts which the rules name are gone, and what to do.
func (o *Restore) nobody() string {
	if len(o.HostNames) > 0 || len(o.LeftAlone) == 0 || o.outlived() {
		return ""
	}
	return fmt.Sprintf("the hosts that the rules name are gone, and those that are there are left alone (%s): scale the target up, or delete this RestoreSession", some(o.LeftAlone))
}

// Unrestored are the hosts that restores of a target, oldest first, began with and did not restore, each with
// the name of the one that holds its pod back until it is deleted: its volumes may hold half of their data.
func Unrestored(restores []v1beta1.RestoreSession) map[string]string {
	held := map[string]string{}
	for i := range restores {
		st := restores[i].Status
		switch {
		case restores[i].DeletionTimestamp != nil:
		case st.Phase == v1beta1.RestoreSucceeded && len(st.LeftAlone) == 0:
			clear(held)
		case st.Phase == v1beta1.RestoreSucceeded || st.Phase == v1beta1.RestoreFailed && st.Hash != "":
			for _, p := range st.Pinned {
				held[p.Hostname] = restores[i].Name
			}
			for _, s := range st.Stats {
				held[s.Hostname] = restores[i].Name
				if s.Phase == v1beta1.HostRestoreSucceeded {
					delete(held, s.Hostname)
				}
			}
		}
	}
	return held
}

// leavesHalf refuses to leave a host alone that a restore which failed holds back: its pod would start on
// half of its data.
func leavesHalf(o *Restore, _ time.Time) (Action, bool) {
	if o.Session.Status.Hash != "" {
		return Action{}, false
	}
	for _, h := range o.LeftAlone {
		if name, held := o.Unrestored[h]; held {
			return Fail("HostNotRestored", fmt.Sprintf("host %q would be left alone, since no rule is for it, and RestoreSession %q, which failed, has not restored it: name it in a rule, or delete that RestoreSession first to let its pod start on what is in its volumes", h, name)), true
		}
	}
	return Action{}, false
}
