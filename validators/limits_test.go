package validators_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/validators"
)

// numbered are n paths, or other texts.
func numbered(n int, format string) []string {
	out := make([]string, 0, n)
	for i := range n {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

func mountsAt(places []string) []corev1.VolumeMount {
	out := make([]corev1.VolumeMount, 0, len(places))
	for _, p := range places {
		out = append(out, corev1.VolumeMount{Name: "data", MountPath: p})
	}
	return out
}

// Objects from before there was a limit, or of a cluster without our CRDs, hold as much as is stored of
// one. Neither is a validator long about them, nor verbose.
func TestWhatIsFoundIsBounded(t *testing.T) {
	const n = 20000
	ref := v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	deployment := &appsv1.Deployment{}
	deployment.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	backup := func(paths []string, mounts []corev1.VolumeMount) *v1beta1.BackupConfiguration {
		c := &v1beta1.BackupConfiguration{}
		c.Namespace, c.Name = "demo", "shop"
		c.Spec.Repository.Name = "repo"
		c.Spec.RetentionPolicy = v1beta1.RetentionPolicy{Name: "last", KeepLast: 1}
		c.Spec.Target = &v1beta1.BackupTarget{Ref: ref, Paths: paths, VolumeMounts: mounts}
		return c
	}
	restore := func(rules []v1beta1.Rule, mounts []corev1.VolumeMount) *v1beta1.RestoreSession {
		rs := &v1beta1.RestoreSession{}
		rs.Namespace, rs.Name = "demo", "back"
		rs.Spec.Repository.Name = "repo"
		rs.Spec.Target = &v1beta1.RestoreTarget{Ref: ref, Rules: rules, VolumeMounts: mounts}
		return rs
	}
	paths, elsewhere := numbered(n, "/x/%d"), mountsAt(numbered(n, "/d/%d"))
	rules := make([]v1beta1.Rule, 0, n)
	for i := range n {
		rules = append(rules, v1beta1.Rule{TargetHosts: []string{fmt.Sprintf("h%d", i)}, Paths: paths[i : i+1]})
	}
	known := validators.Facts{Target: deployment}
	besides := known
	for i := range 100 {
		other := backup(numbered(n/10, "/y/%d"), elsewhere[:1])
		other.Name = fmt.Sprintf("other-%d", i)
		besides.Configurations = append(besides.Configurations, validators.Neighbour{Configuration: other, SharesLocation: true})
	}
	slow := "*" + strings.Repeat("a", 2000) + "b*"
	costly := func() *v1beta1.BackupConfiguration {
		c := backup([]string{"/" + strings.Repeat(strings.Repeat("a", 255)+"/", 15) + "a"}, mountsAt([]string{"/"}))
		c.Spec.Target.Exclude = slices.Repeat([]string{slow}, 100)
		return c
	}
	beside := known
	for i := range 100 {
		other := costly()
		other.Name = fmt.Sprintf("other-%d", i)
		beside.Configurations = append(beside.Configurations, validators.Neighbour{Configuration: other})
	}
	for name, validate := range map[string]func() validators.Result{
		"a backup of paths outside of all mounts": func() validators.Result { return validators.BackupConfiguration(backup(paths, elsewhere), nil, known) },
		"a backup of relative paths": func() validators.Result {
			return validators.BackupConfiguration(backup(numbered(n, "x/%d"), elsewhere), nil, known)
		},
		"a backup of volumes that there are not": func() validators.Result {
			return validators.BackupConfiguration(backup(paths, elsewhere), nil, validators.Facts{Target: &appsv1.Deployment{}})
		},
		"a backup that containers are to tell of": func() validators.Result { return validators.BackupConfiguration(backup(nil, nil), nil, known) },
		"a backup beside many others": func() validators.Result {
			return validators.BackupConfiguration(backup(paths, elsewhere), nil, besides)
		},
		"a backup whose patterns match late": func() validators.Result {
			c := costly()
			c.Spec.Target.VolumeMounts = mountsAt([]string{"/" + strings.Repeat("a", 255)}) // one that is not refused
			return validators.BackupConfiguration(c, nil, beside)
		},
		"a backup by patterns that are longer than all others": func() validators.Result {
			c := costly()
			c.Spec.Target.Exclude = []string{strings.Repeat("**/", 1<<19)}
			return validators.BackupConfiguration(c, nil, known)
		},
		"a restore of paths outside of all mounts": func() validators.Result {
			return validators.RestoreSession(restore([]v1beta1.Rule{{Paths: paths}}, elsewhere), nil, known)
		},
		"a restore by as many rules as there may be": func() validators.Result { return validators.RestoreSession(restore(rules, elsewhere), nil, known) },
		"a restore of one snapshot, over and over": func() validators.Result {
			return validators.RestoreSession(restore([]v1beta1.Rule{{Snapshots: numbered(n, "x%d")}}, elsewhere), nil, known)
		},
		"a restore for one host, over and over": func() validators.Result {
			return validators.RestoreSession(restore([]v1beta1.Rule{{TargetHosts: strings.Split(strings.Repeat("h,", n), ",")}}, elsewhere), nil, known)
		},
		"a restore by patterns that make no sense": func() validators.Result {
			return validators.RestoreSession(restore([]v1beta1.Rule{{Include: numbered(n, "[%d")}}, elsewhere), nil, known)
		},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := validate()
			runtime.ReadMemStats(&after)
			said, err := json.Marshal(r)
			if err != nil || len(said) > 128<<10 || len(r.Errors) > 100 || len(r.Warnings) > 100 {
				t.Errorf("%d errors and %d warnings in %d bytes: %v", len(r.Errors), len(r.Warnings), len(said), err)
			}
			// Some hundred bytes for each path, mount and rule, twice over.
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 128 {
				t.Errorf("%d MiB allocated", mib)
			}
			// A second, or else the square: minutes.
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
