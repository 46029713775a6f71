package metrics_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// Labels of the existing Stash, level by level.
func sessionLabels() []string {
	return []string{"invoker_kind", "invoker_name", "namespace", "driver", "repository"}
}

func targetLabels() []string { return append(sessionLabels(), "kind", "group", "name") }

func hostLabels() []string { return append(targetLabels(), "hostname") }

func repositoryLabels() []string {
	return []string{"name", "namespace", "backend", "bucket", "prefix", "invoker_kind", "invoker_name"}
}

// known are the gauges of the existing Stash, which dashboards and alerts are made for: by the ends
// of both names, with the labels.
func known() map[[2]string][]string {
	const backup, session = "backup_", "backupsession_"
	names := map[[2]string][]string{
		{"backup_session_success", "backupsession_success"}:                                       sessionLabels(),
		{"backup_session_duration_seconds", "backupsession_duration_seconds"}:                     sessionLabels(),
		{"restore_session_success", "restoresession_success"}:                                     sessionLabels(),
		{"restore_session_duration_seconds", "restoresession_duration_seconds"}:                   sessionLabels(),
		{"restore_target_count_total", "restoresession_target_count_total"}:                       sessionLabels(),
		{"restore_target_success", "restoresession_target_success"}:                               targetLabels(),
		{"restore_target_host_count_total", "restoresession_target_host_count_total"}:             targetLabels(),
		{"restore_host_restore_success", "restoresession_host_restore_success"}:                   hostLabels(),
		{"restore_host_restore_duration_seconds", "restoresession_host_restore_duration_seconds"}: hostLabels(),
		{"backupsession_created", "backupsession_created"}:                                        {"namespace", "name"},
		{"backupsession_info", "backupsession_info"}:                                              {"namespace", "name", "phase"},
		{"repository_created", "repository_created"}:                                              {"namespace", "name"},
		{"restoresession_created", "restoresession_created"}:                                      {"namespace", "name"},
		{"restoresession_info", "restoresession_info"}:                                            {"namespace", "name", "phase"},
		{"", "protectionpolicy_objects"}:                                                          {"policy", "action", "state"}, // ours
		{"", "backupconfiguration_created"}:                                                       {"namespace", "name"},
		{"", "backupconfiguration_conditions"}:                                                    {"namespace", "name", "condition", "status"},
		{"", "backupconfiguration_info"}: {
			"namespace", "name", "driver", "repository", "schedule", "target_api_version", "target_kind", "target_name",
		},
	}
	for labels, ends := range map[*[]string][]string{
		new(sessionLabels()): {"target_count_total", "last_success_time_seconds"},
		new(targetLabels()):  {"target_success", "target_host_count_total", "target_last_success_time_seconds"},
		new(hostLabels()): {
			"host_backup_success", "host_backup_duration_seconds", "host_data_size_bytes", "host_data_uploaded_bytes",
			"host_data_processing_time_seconds", "host_files_total", "host_files_new", "host_files_modified", "host_files_unmodified",
		},
	} {
		for _, end := range ends {
			names[[2]string{backup + end, session + end}] = *labels
		}
	}
	for _, end := range []string{"integrity", "size_bytes", "snapshot_count", "snapshot_cleaned"} {
		names[[2]string{"repository_" + end, "repository_" + end}] = repositoryLabels()
	}
	return names
}

func TestNamesAndLabelsAreThoseOfTheExistingStash(t *testing.T) {
	want := map[string]string{}
	for names, labels := range known() {
		slices.Sort(labels)
		if names[0] != "" {
			want["stash_"+names[0]] = strings.Join(labels, " ")
		}
		want["stash_appscode_com_"+names[1]] = strings.Join(labels, " ")
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector(objects(), true))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			got[f.GetName()] = strings.Join(labels, " ")
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("labels by name (-existing Stash +ours):\n%s", d)
	}
}
