package v1beta1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// mounts reads the mounts of a backup and of a restore in the shipped dialect.
func mounts(t *testing.T, target string) (backup, restore []corev1.VolumeMount) {
	t.Helper()
	var b v1beta1.BackupConfigurationSpec
	var r v1beta1.RestoreSessionSpec
	for _, into := range []any{&b, &r} {
		if err := yaml.UnmarshalStrict([]byte("target: "+target), into); err != nil {
			t.Fatal(err)
		}
	}
	shippedB, _ := b.Shipped()
	shippedR, _ := r.Shipped()
	return shippedB.Target.VolumeMounts, shippedR.Target.VolumeMounts
}

// What is said of the one mount of a claim is kept: a restore that is meant for a folder of the claim must
// not write to its root.
func TestTheMountOfAClaim(t *testing.T) {
	for name, c := range map[string]struct{ given, want string }{
		"nothing is said":       {``, `[{name: stash-volume, mountPath: /stash-data}]`},
		"the draft's mountPath": {`mountPath: /old/`, `[{name: stash-volume, mountPath: /old}]`},
		"volumeMounts hold against mountPath": {
			`mountPath: /old, volumeMounts: [{name: x, mountPath: /data/}]`, `[{name: stash-volume, mountPath: /data}]`,
		},
		"a folder": {
			`volumeMounts: [{name: x, mountPath: /data, subPath: a}]`, `[{name: stash-volume, mountPath: /data, subPath: a}]`,
		},
		"a folder that depends on the pod": {
			`volumeMounts: [{name: x, mountPath: /data, subPathExpr: $(POD_NAMESPACE)}]`,
			`[{name: stash-volume, mountPath: /data, subPathExpr: $(POD_NAMESPACE)}]`,
		},
		"mounts of the node": {
			`volumeMounts: [{name: x, mountPath: /data, mountPropagation: HostToContainer, recursiveReadOnly: IfPossible}]`,
			`[{name: stash-volume, mountPath: /data, mountPropagation: HostToContainer, recursiveReadOnly: IfPossible}]`,
		},
		"whether it is written to is not the user's to say": {
			`volumeMounts: [{name: x, mountPath: /data, readOnly: true}]`, `[{name: stash-volume, mountPath: /data}]`,
		},
		"two, which are refused": {
			`volumeMounts: [{name: x, mountPath: /data/}, {name: z, mountPath: /b}]`, `[{name: x, mountPath: /data/}, {name: z, mountPath: /b}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want []corev1.VolumeMount
			if err := yaml.UnmarshalStrict([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			backup, restore := mounts(t, `{ref: {apiVersion: v1, kind: PersistentVolumeClaim, name: data}, `+c.given+`}`)
			if d := cmp.Diff(want, backup); d != "" {
				t.Errorf("a backup (-want +got):\n%s", d)
			}
			if d := cmp.Diff(want, restore); d != "" {
				t.Errorf("a restore (-want +got):\n%s", d)
			}
		})
	}
}

func TestShippedLeavesItsReceiverAsItIs(t *testing.T) {
	var given v1beta1.BackupConfigurationSpec
	given.Target = &v1beta1.BackupTarget{
		Ref:          v1beta1.TargetRef{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "data"},
		VolumeMounts: []corev1.VolumeMount{{Name: "x", MountPath: "/data/", ReadOnly: true, SubPathExpr: "a"}},
	}
	before := given.DeepCopy()
	given.Shipped()
	if d := cmp.Diff(before, &given); d != "" {
		t.Errorf("it was changed (-before +after):\n%s", d)
	}
}
