package task

import (
	"strings"

	"github.com/seed-731df569/stash/api"
)

// draftVariables returns the names by which Tasks of the design document know what Stash computes, and
// what they take for granted. They hold behind everything else.
func draftVariables(computed, params map[string]string) map[string]string {
	paths := computed["TARGET_PATHS"]
	if paths == "" {
		paths = computed["RESTORE_PATHS"]
	}
	pushes := "false"
	if computed["PROMETHEUS_PUSHGATEWAY_URL"] != "" {
		pushes = "true"
	}
	policy, value := draftPolicy(computed)
	return map[string]string{
		"provider": computed["REPOSITORY_PROVIDER"], "prefix": computed["REPOSITORY_PREFIX"],
		"repoName": computed["REPOSITORY_NAME"], "secretName": computed["REPOSITORY_SECRET_NAME"],
		"hostname": computed["HOSTNAME"], "kind": computed["TARGET_KIND"], "name": computed["TARGET_NAME"],
		"target.namespace": computed["TARGET_NAMESPACE"], "target.name": computed["TARGET_NAME"],
		"targetDirectories": paths,
		"backupSessionName": computed["BACKUP_SESSION"], "recoveryConfigurationName": computed["RESTORE_SESSION"],
		"retentionPolicyName": policy, "retentionPolicyValue": value,
		"enableMetric": pushes, "pushgatewayURL": computed["PROMETHEUS_PUSHGATEWAY_URL"],
		"outputDir": outputDir, "output-dir": outputDir,
		"tmpVolumeName": api.VolumeTmp, "output-volume-name": api.VolumeTmp,
		"sanitize": "true", "databases": params["database"],
	}
}

// draftPolicy returns the one rule of retention that a draft's Function can be told.
func draftPolicy(computed map[string]string) (name, value string) {
	for _, interval := range []string{"Last", "Hourly", "Daily", "Weekly", "Monthly", "Yearly", "Tags"} {
		if value := computed["RETENTION_KEEP_"+strings.ToUpper(interval)]; value != "" {
			return "keep" + interval, value
		}
	}
	return "", ""
}
