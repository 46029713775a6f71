package session

import (
	"fmt"
	"time"
)

// turn lets the sessions of one target run one after the other: configurations of one schedule, of two
// blueprints, are due in the same second, and each has a backup of its own to take.
func turn(o *Backup, _ time.Time) (Action, bool) {
	if o.begun() || o.Others == "" {
		return Action{}, false
	}
	return Wait(fmt.Sprintf("waiting for BackupSession %q of the same target to end", o.Others), 5*time.Second), true
}
