package protection

import (
	"slices"
	"strings"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// HoldsClaim tells whether a BackupConfiguration of a workload backs up a PersistentVolumeClaim of the
// workload's namespace.
func HoldsClaim(t *blueprint.Target, c *v1beta1.BackupConfiguration, claim string) bool {
	spec, _ := c.Spec.Shipped()
	if spec.Target == nil || t.Template == nil {
		return false
	}
	return slices.ContainsFunc(target.Held(t.Template, spec.Target), func(volume string) bool { return claimOf(t, volume, claim) })
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
