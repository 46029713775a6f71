package controller

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/session"
)

// Nothing keeps pods from a claim that was not restored: what failed says what is held back, the backups,
// and for how long.
func TestARestoreOfAClaimThatFailedSaysWhatItHoldsBack(t *testing.T) {
	const failed = "1 of 1 hosts failed: host-0: disk full"
	const held = failed + `; PersistentVolumeClaim "data" may hold a part of its data only, and is not backed up until ` +
		"another RestoreSession has restored it, or this one is deleted"
	begun := restoring()
	begun.Spec.Target.Ref = configurationOfClaim().Spec.Target.Ref
	begun.Status.Assignments = begun.Status.Assignments[:1]
	early := begun.DeepCopy()
	early.Status = v1beta1.RestoreSessionStatus{Phase: v1beta1.RestorePending}
	for name, c := range map[string]struct {
		session *v1beta1.RestoreSession
		action  session.Action
		want    string
	}{
		"in the middle":                     {begun.DeepCopy(), session.Fail("HostRestoreFailed", failed), held},
		"before anything was chosen for it": {early.DeepCopy(), session.Fail("BackendRepositoryNotFound", failed), failed},
		"since it is invalid":               {early.DeepCopy(), session.Fail("ResourceValidationFailed", failed), failed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.session)
			r := &RestoreSessions{World: w, Ended: func() {}}
			if _, err := r.act(t.Context(), &session.Restore{Session: c.session}, c.action); err != nil {
				t.Fatal(err)
			}
			if st := read(t, w, "demo", "back", &v1beta1.RestoreSession{}).Status; st.Reason != c.want {
				t.Errorf("it says %q", st.Reason)
			}
			id := initContainer("p9")
			id.Role, id.Places = protocol.RoleRestoreJob, nil
			if o, err := NewAgents(w).Orders(t.Context(), id, func(string) bool { return false }); err != nil || o.Refuse != `RestoreSession "back" failed: `+c.want {
				t.Errorf("the Job is told %+v, %v", o, err)
			}
		})
	}
}
