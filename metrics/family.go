package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Label sets of the existing Stash.
func sessionLabels() []string {
	return []string{"invoker_kind", "invoker_name", "namespace", "driver", "repository"}
}

func targetLabels() []string { return append(sessionLabels(), "kind", "group", "name") }

func hostLabels() []string { return append(targetLabels(), "hostname") }

func repositoryLabels() []string {
	return []string{"name", "namespace", "backend", "bucket", "prefix", "invoker_kind", "invoker_name"}
}

// gauge is one gauge under its older and its newer name.
type gauge struct {
	descs []*prometheus.Desc
}

func (g gauge) describe(ch chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		ch <- d
	}
}

func (g gauge) send(ch chan<- prometheus.Metric, value float64, labels []string) {
	for _, d := range g.descs {
		if m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, value, labels...); err == nil {
			ch <- m
		}
	}
}

// both declares a gauge under both names.
func both(older, newer, help string, labels []string) gauge {
	return gauge{descs: []*prometheus.Desc{
		prometheus.NewDesc(older, help, labels, nil),
		prometheus.NewDesc(newer, help, labels, nil),
	}}
}

// one declares a gauge under one name.
func one(name, help string, labels []string) gauge {
	return gauge{descs: []*prometheus.Desc{prometheus.NewDesc(name, help, labels, nil)}}
}

// declared are all gauges that are derived from status.
type declared struct {
	policyObjects                                                            gauge
	sessionSuccess, sessionDuration, sessionTargets, lastSuccess             gauge
	targetSuccess, targetHosts, targetLastSuccess                            gauge
	hostSuccess, hostDuration, hostSize, hostUploaded, hostProcessing        gauge
	filesTotal, filesNew, filesModified, filesUnmodified                     gauge
	restoreSuccess, restoreDuration, restoreTargets, restoreTarget           gauge
	restoreHosts, restoreHostSuccess, restoreHostDuration                    gauge
	integrity, size, snapshots, cleaned                                      gauge
	configInfo, configCreated, configConditions, sessionInfo, sessionCreated gauge
	repositoryCreated, restoreInfo, restoreCreated                           gauge
}

const (
	oldBackup     = "stash_backup_"
	newBackup     = "stash_appscode_com_backupsession_"
	oldRestore    = "stash_restore_"
	newRestore    = "stash_appscode_com_restoresession_"
	oldRepository = "stash_repository_"
	newRepository = "stash_appscode_com_repository_"
	newConfig     = "stash_appscode_com_backupconfiguration_"
)

func declare() declared {
	s, t, h, r := sessionLabels(), targetLabels(), hostLabels(), repositoryLabels()
	host := func(name, help string) gauge { return both(oldBackup+"host_"+name, newBackup+"host_"+name, help, h) }
	object := []string{"namespace", "name"}
	return declared{
		sessionSuccess:    both(oldBackup+"session_success", newBackup+"success", "1 if the last backup session succeeded, else 0.", s),
		sessionDuration:   both(oldBackup+"session_duration_seconds", newBackup+"duration_seconds", "Duration of the last backup session.", s),
		sessionTargets:    both(oldBackup+"target_count_total", newBackup+"target_count_total", "Number of targets of the backup session.", s),
		lastSuccess:       both(oldBackup+"last_success_time_seconds", newBackup+"last_success_time_seconds", "Unix time of the last successful backup session.", s),
		targetSuccess:     both(oldBackup+"target_success", newBackup+"target_success", "1 if the target was backed up, else 0.", t),
		targetHosts:       both(oldBackup+"target_host_count_total", newBackup+"target_host_count_total", "Number of hosts of the target.", t),
		targetLastSuccess: both(oldBackup+"target_last_success_time_seconds", newBackup+"target_last_success_time_seconds", "Unix time of the target's last successful backup.", t),

		hostSuccess:     host("backup_success", "1 if the host was backed up, else 0."),
		hostDuration:    host("backup_duration_seconds", "Duration of the host's backup."),
		hostSize:        host("data_size_bytes", "Bytes of the files that were read."),
		hostUploaded:    host("data_uploaded_bytes", "Bytes that were added to the repository."),
		hostProcessing:  host("data_processing_time_seconds", "Time that restic worked on the host's snapshots."),
		filesTotal:      host("files_total", "Files that were read."),
		filesNew:        host("files_new", "Files that were new."),
		filesModified:   host("files_modified", "Files that had changed."),
		filesUnmodified: host("files_unmodified", "Files that had not changed."),

		restoreSuccess:      both(oldRestore+"session_success", newRestore+"success", "1 if the restore succeeded, else 0.", s),
		restoreDuration:     both(oldRestore+"session_duration_seconds", newRestore+"duration_seconds", "Duration of the restore.", s),
		restoreTargets:      both(oldRestore+"target_count_total", newRestore+"target_count_total", "Number of targets of the restore.", s),
		restoreTarget:       both(oldRestore+"target_success", newRestore+"target_success", "1 if the target was restored, else 0.", t),
		restoreHosts:        both(oldRestore+"target_host_count_total", newRestore+"target_host_count_total", "Number of hosts of the target.", t),
		restoreHostSuccess:  both(oldRestore+"host_restore_success", newRestore+"host_restore_success", "1 if the host was restored, else 0.", h),
		restoreHostDuration: both(oldRestore+"host_restore_duration_seconds", newRestore+"host_restore_duration_seconds", "Duration of the host's restore.", h),

		integrity: both(oldRepository+"integrity", newRepository+"integrity", "1 if the last check found no fault, else 0.", r),
		size:      both(oldRepository+"size_bytes", newRepository+"size_bytes", "Stored bytes.", r),
		snapshots: both(oldRepository+"snapshot_count", newRepository+"snapshot_count", "Number of snapshots.", r),
		cleaned:   both(oldRepository+"snapshot_cleaned", newRepository+"snapshot_cleaned", "Snapshots that the last retention run removed.", r),

		policyObjects: one("stash_appscode_com_protectionpolicy_objects", "Objects that a policy selects, by what it finds of them.", []string{"policy", "action", "state"}),

		configCreated:     one(newConfig+"created", "Unix time of creation.", object),
		configInfo:        one(newConfig+"info", "1, with what the configuration is for as labels.", append(object, "driver", "repository", "schedule", "target_api_version", "target_kind", "target_name")),
		configConditions:  one(newConfig+"conditions", "1, with the status that the condition has as label; the other statuses have no series.", append(object, "condition", "status")),
		sessionCreated:    both("stash_backupsession_created", newBackup+"created", "Unix time of creation.", object),
		sessionInfo:       both("stash_backupsession_info", newBackup+"info", "1, with the phase as label.", append(object, "phase")),
		restoreCreated:    both("stash_restoresession_created", newRestore+"created", "Unix time of creation.", object),
		restoreInfo:       both("stash_restoresession_info", newRestore+"info", "1, with the phase as label.", append(object, "phase")),
		repositoryCreated: both("stash_repository_created", newRepository+"created", "Unix time of creation.", object),
	}
}

// all lists the gauges, for Describe.
func (d declared) all() []gauge {
	return []gauge{
		d.sessionSuccess, d.sessionDuration, d.sessionTargets, d.lastSuccess,
		d.targetSuccess, d.targetHosts, d.targetLastSuccess,
		d.hostSuccess, d.hostDuration, d.hostSize, d.hostUploaded, d.hostProcessing,
		d.filesTotal, d.filesNew, d.filesModified, d.filesUnmodified,
		d.restoreSuccess, d.restoreDuration, d.restoreTargets, d.restoreTarget,
		d.restoreHosts, d.restoreHostSuccess, d.restoreHostDuration,
		d.integrity, d.size, d.snapshots, d.cleaned,
		d.configInfo, d.configCreated, d.configConditions, d.sessionInfo, d.sessionCreated,
		d.repositoryCreated, d.restoreInfo, d.restoreCreated, d.policyObjects,
	}
}
