package protection

import (
	"strings"

	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// ClaimUser is a workload with backups, which may be of PersistentVolumeClaims of its namespace. It is one
// goroutine's.
type ClaimUser struct {
	target  *blueprint.Target
	backups []Backup
	looks   *target.Looks

	// volumes of the template by claim; other volumes are claims of volumeClaimTemplates.
	volumes map[string][]string
	passing map[string]bool
	// held are the volumes that each of the backups holds, once somebody asked.
	held [][]string
}

// NewClaimUser returns the user of claims that a workload is. Those who share looks are bounded together.
func NewClaimUser(t *blueprint.Target, backups []Backup, looks *target.Looks) *ClaimUser {
	u := &ClaimUser{target: t, backups: ordered(backups), looks: looks, volumes: map[string][]string{}, passing: map[string]bool{}}
	if t.Template == nil {
		return u
	}
	for i := range t.Template.Spec.Volumes {
		v := &t.Template.Spec.Volumes[i]
		u.passing[v.Name] = true
		if c := v.PersistentVolumeClaim; c != nil {
			u.volumes[c.ClaimName] = append(u.volumes[c.ClaimName], v.Name)
		}
	}
	return u
}

// Holding returns the backups that hold a claim. Nothing is looked into where the workload does not mount
// it.
func (u *ClaimUser) Holding(claim string) []Backup {
	volumes := u.volumesOf(claim)
	if len(volumes) == 0 {
		return nil
	}
	if u.held == nil {
		mounts := target.MountsOf(u.target.Template)
		for i := range u.backups {
			u.held = append(u.held, heldBy(mounts, u.looks, u.backups[i].Configuration))
		}
	}
	var out []Backup
	for i, held := range u.held {
		for _, name := range held {
			if volumes[name] {
				out = append(out, u.backups[i])
				break
			}
		}
	}
	return out
}

// volumesOf are the volumes that a claim is in the workload's pods: by the claim's name, or, of a volume that
// the template does not have, as one that was made from a StatefulSet's volumeClaimTemplates.
func (u *ClaimUser) volumesOf(claim string) map[string]bool {
	out := map[string]bool{}
	for _, name := range u.volumes[claim] {
		out[name] = true
	}
	for _, name := range u.target.Volumes {
		if u.passing[name] {
			continue
		}
		ordinal, ok := strings.CutPrefix(claim, name+"-"+u.target.Name+"-")
		if _, err := target.Ordinal("x-" + ordinal); ok && err == nil {
			out[name] = true
		}
	}
	return out
}
