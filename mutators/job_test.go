package mutators_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
)

func TestJobGoldens(t *testing.T) {
	forEachGolden(t, "testdata/job", func(t *testing.T, files map[string]string) map[string]string {
		var given struct {
			PodSecurity    mutators.Level           `json:"podSecurity"`
			LimitsRequired bool                     `json:"limitsRequired"`
			Restores       bool                     `json:"restores"`
			Local          *v1alpha1.LocalSpec      `json:"local"`
			Runtime        v1beta1.RuntimeSettings  `json:"runtime"`
			TempDir        v1beta1.EmptyDirSettings `json:"tempDir"`
			Mounts         []corev1.VolumeMount     `json:"mounts"`
			Node           string                   `json:"node"`
		}
		if err := yaml.UnmarshalStrict([]byte(files["input.yaml"]), &given); err != nil {
			t.Fatal(err)
		}
		in := mutators.JobInput{
			Name: "demo/data", Session: "uid-of-session", Restores: given.Restores, Mounts: given.Mounts, Local: given.Local,
			Volumes: []corev1.Volume{{Name: api.VolumeTarget, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}}},
			Runtime: given.Runtime, TempDir: given.TempDir, Node: given.Node,
			Namespace: mutators.Namespace{PodSecurity: given.PodSecurity, LimitsRequired: given.LimitsRequired}, Settings: settings(),
		}
		if len(in.Mounts) == 0 {
			in.Mounts = []corev1.VolumeMount{{Name: api.VolumeTarget, MountPath: api.MountTarget}}
		}
		before := in.Runtime.DeepCopy()
		got, problem := mutators.NewJob(in)
		if again, _ := mutators.NewJob(in); !cmp.Equal(got, again) || !cmp.Equal(*before, in.Runtime) {
			t.Errorf("a second one differs, or its input was changed: %s", cmp.Diff(got, again))
		}
		if problem != nil {
			return map[string]string{"problem": problem.String() + "\n"}
		}
		out, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"want.yaml": string(out)}
	})
}
