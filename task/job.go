package task

import (
	"github.com/seed-731df569/stash/api"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Places inside the pods of Jobs, as the existing Stash has them.
const (
	// DefaultMountPath is where the target's volume is mounted where nobody says otherwise.
	DefaultMountPath = "/stash-data"
	// VolumeInterim holds data on its way, where the invoker has an interimVolumeTemplate.
	VolumeInterim = "stash-interim-volume"
	mountInterim  = "/stash-interim-volume"
	// outputDir is where a step of the draft leaves its result.
	outputDir = api.MountTmp + "/output"
)

// Job is what the variables of a Task are computed from. Exactly one of Backup and Restore is given;
// everything else may be left out, and what is not known has no variable.
type Job struct {
	// Repository that the snapshots go to or come from.
	Repository *v1alpha1.Repository
	// Backup is the configuration of a backup, Session the name of its BackupSession.
	Backup  *v1beta1.BackupConfiguration
	Session string
	// Restore is the session of a restore, Rule the one of its rules that holds for Host.
	Restore *v1beta1.RestoreSession
	Rule    *v1beta1.Rule
	// Host that the snapshots are stored under.
	Host string
	// App is the target, where that is an AppBinding.
	App *appcatalog.AppBinding
	// Hook is the type of the hook that runs, empty for the steps of a Task.
	Hook string
	// Image is the operator's own.
	Image string
	// Pushgateway is the URL of the user's own Pushgateway.
	Pushgateway string
}

// Variables returns the variables that Stash computes for a Task, by name. They hold names of Secrets
// and never anything from one: user and password are taken out of URLs.
func (j *Job) Variables() map[string]string {
	v := variables{"ENABLE_STATUS_SUBRESOURCE": "true", "LICENSE_APISERVICE": ""}
	if j.Repository != nil {
		v.repository(j.Repository)
	}
	v.set("HOSTNAME", j.Host)
	switch {
	case j.Backup != nil:
		v.backup(j)
	case j.Restore != nil:
		v.restore(j)
	}
	if j.App != nil {
		v.app(j.App)
	}
	v.set("HOOK_TYPE", j.Hook)
	v.set("PROMETHEUS_PUSHGATEWAY_URL", withoutUser(j.Pushgateway))
	v.image(j.Image)
	return v
}
