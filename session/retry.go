package session

import (
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// retry ends the observation of a finished session, after a failed one was retried if its
// configuration says so.
func retry(o *Backup, now time.Time) (Action, bool) {
	st := o.Session.Status
	if !Finished(st.Phase) {
		return Action{}, false
	}
	if st.Phase != v1beta1.BackupSessionFailed || o.Session.Spec.RetryLeft <= 0 || o.Invoker == nil {
		return None(), true
	}
	if st.Retried != nil && *st.Retried {
		return None(), true
	}
	if st.NextRetry == nil {
		delay := time.Duration(0)
		if r := o.Invoker.Spec.RetryConfig; r != nil && r.Delay != nil {
			delay = r.Delay.Duration
		}
		return Action{Kind: KindScheduleRetry, After: delay}, true
	}
	if left := st.NextRetry.Sub(now); left > 0 {
		return Wait("waiting for the time of the retry", left), true
	}
	return Action{Kind: KindRetry}, true
}
