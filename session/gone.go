package session

import "time"

// gone fails a session whose configuration was deleted.
func gone(o *Backup, _ time.Time) (Action, bool) {
	if o.Invoker != nil {
		return Action{}, false
	}
	ref := o.Session.Spec.InvokerRef()
	return Fail("InvokerNotFound", ref.Kind+" \""+o.Session.Namespace+"/"+ref.Name+"\" does not exist"), true
}
