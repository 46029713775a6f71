package protection

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// HoldsClaim tells whether a BackupConfiguration of a workload backs up a PersistentVolumeClaim of the
// workload's namespace: it mounts the claim, and one of its paths is the mount's or reaches it.
func HoldsClaim(t *blueprint.Target, c *v1beta1.BackupConfiguration, claim string) bool {
	spec, _ := c.Spec.Shipped()
	if spec.Target == nil || t.Template == nil {
		return false
	}
	mounts := spec.Target.VolumeMounts
	if len(mounts) == 0 {
		mounts, _ = target.MountsFor(t.Template, spec.Target.Paths)
	}
	return slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
		return claimOf(t, m.Name, claim) && slices.ContainsFunc(spec.Target.Paths, func(p string) bool {
			p = target.CleanPath(p)
			return target.Covers(path.Clean(m.MountPath), p) || target.Covers(p, path.Clean(m.MountPath))
		})
	})
}

// claimOf tells whether a volume of a workload is a claim: by the claim's name, or, of a volume that the
// template does not have, as one that was made from a StatefulSet's volumeClaimTemplates.
func claimOf(t *blueprint.Target, volume, claim string) bool {
	for i := range t.Template.Spec.Volumes {
		if v := &t.Template.Spec.Volumes[i]; v.Name == volume {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		}
	}
	ordinal, ok := strings.CutPrefix(claim, volume+"-"+t.Name+"-")
	_, err := target.Ordinal("x-" + ordinal)
	return ok && err == nil
}
