package mutators_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/mutators"
)

func TestWorkerGoldens(t *testing.T) {
	forEachGolden(t, "testdata/worker", func(t *testing.T, files map[string]string) map[string]string {
		in := mutators.WorkerInput{Settings: settings(), Idle: 2 * time.Minute}
		var given struct {
			PodSecurity    mutators.Level                `json:"podSecurity"`
			LimitsRequired bool                          `json:"limitsRequired"`
			Local          bool                          `json:"local"`
			Writers        []mutators.Writer             `json:"writers"`
			Installed      []string                      `json:"installed"`
			PullSecrets    []corev1.LocalObjectReference `json:"pullSecrets"`
		}
		if err := yaml.UnmarshalStrict([]byte(files["input.yaml"]), &given); err != nil {
			t.Fatal(err)
		}
		in.Namespace = mutators.Namespace{PodSecurity: given.PodSecurity, LimitsRequired: given.LimitsRequired}
		in.Writers, in.PullSecrets, in.Settings.PullSecrets = given.Writers, given.PullSecrets, given.Installed
		if given.Local {
			in.Volume = &corev1.Volume{Name: "stash-local", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "backups"},
			}}
			in.Mount = &corev1.VolumeMount{Name: "stash-local", MountPath: "/safe", SubPath: "web"}
		}
		got := mutators.NewWorker(in)
		if again := mutators.NewWorker(in); !cmp.Equal(got, again) {
			t.Errorf("a second one differs: %s", cmp.Diff(got, again))
		}
		out, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"want.yaml": string(out)}
	})
}

// As whom the sidecar writes is read from its plan, and from the pod where the plan says nothing.
func TestAPlanSaysAsWhomItWrites(t *testing.T) {
	app := &corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{
		RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1001)), FSGroup: new(int64(1002)), SupplementalGroups: []int64{7},
	}}
	backup, _ := plansFor(true, mutators.Privileged, true)
	want := mutators.Writer{User: new(int64(0)), Group: new(int64(0)), FSGroup: new(int64(1002)), SupplementalGroups: []int64{7}}
	if d := cmp.Diff(want, backup.Writer(app)); d != "" {
		t.Error("root:", d)
	}
	restricted, _ := plansFor(true, mutators.Restricted, true)
	want.User, want.Group = new(int64(65534)), new(int64(1001))
	if d := cmp.Diff(want, restricted.Writer(app)); d != "" {
		t.Error("restricted:", d)
	}
	if d := cmp.Diff(mutators.Writer{User: new(int64(65534))}, restricted.Writer(&corev1.PodSpec{})); d != "" {
		t.Error("restricted, of a pod that says nothing:", d)
	}
}

func TestWorkersThatWriteAsOthersAreToldApart(t *testing.T) {
	local := mutators.WorkerInput{Volume: &corev1.Volume{}, Namespace: mutators.Namespace{PodSecurity: mutators.Restricted}}
	seen := map[string]string{}
	for name, writers := range map[string][]mutators.Writer{
		"nobody yet":      nil,
		"a user":          {{User: new(int64(1000))}},
		"another":         {{User: new(int64(1001))}},
		"with a group":    {{User: new(int64(1000)), Group: new(int64(2))}},
		"with an fsGroup": {{User: new(int64(1000)), FSGroup: new(int64(2000))}},
		"with groups":     {{User: new(int64(1000)), SupplementalGroups: []int64{7}}},
	} {
		in := local
		in.Writers = writers
		id, err := in.Identity()
		if again, _ := in.Identity(); err != nil || id == "" || again != id {
			t.Errorf("%s: %q, then %q, %v", name, id, again, err)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s is as %s", name, other)
		}
		seen[id] = name
	}
}
