package session

import "time"

// step answers with an action, or tells that it has nothing to do.
type step func(o *Backup, now time.Time) (Action, bool)

// Next returns what a BackupSession needs next. It never returns an action that was already done:
// each shows in what is observed.
func Next(o *Backup, now time.Time) Action {
	for _, s := range []step{
		retry,
		gone,
		skip,
		deadline,
		turn,
		repository,
		complete,
		lost,
		assign,
		finish,
	} {
		if a, ok := s(o, now); ok {
			return a
		}
	}
	return Wait("", 30*time.Second)
}
