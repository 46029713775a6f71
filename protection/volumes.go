package protection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// maxVolumes bounds the volumes that a fault names.
const maxVolumes = 3

// uncovered returns the volumes of an object that none of some of its backups holds.
func uncovered(o *Object, backups []Backup) []string {
	o.look()
	held := map[string]bool{}
	for i := range backups {
		for _, name := range o.held[backups[i].Configuration] {
			held[name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(o.Volumes), func(name string) bool { return held[name] })
}

// look finds out once what the object's backups hold, in an order that no policy changes: all of them share
// what may be spent on that.
func (o *Object) look() {
	known := func(b Backup) bool { _, is := o.held[b.Configuration]; return is }
	if len(o.Volumes) == 0 || !slices.ContainsFunc(o.Backups, func(b Backup) bool { return !known(b) }) {
		return
	}
	o.held = make(map[*v1beta1.BackupConfiguration][]string, len(o.Backups))
	looks, mounts := &target.Looks{}, target.MountsOf(o.Template)
	for _, b := range ordered(o.Backups) {
		o.held[b.Configuration] = heldBy(mounts, looks, b.Configuration)
	}
}

// ordered returns backups by name.
func ordered(backups []Backup) []Backup {
	return slices.SortedStableFunc(slices.Values(backups), func(a, b Backup) int {
		return cmp.Or(cmp.Compare(a.Configuration.Namespace, b.Configuration.Namespace), cmp.Compare(a.Configuration.Name, b.Configuration.Name))
	})
}

func heldBy(mounts *target.ContainerMounts, looks *target.Looks, c *v1beta1.BackupConfiguration) []string {
	spec, _ := c.Spec.Shipped()
	if spec.Target == nil {
		return nil
	}
	return mounts.Held(looks, spec.Target)
}

// leftOut is the fault of volumes that are in no backup, or in none that counts.
func leftOut(volumes []string, others bool) Fault {
	which := "no backup"
	if others {
		which = "no backup that meets the policy"
	}
	named := strings.Join(volumes[:min(len(volumes), maxVolumes)], ", ")
	if more := len(volumes) - maxVolumes; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return Fault{VolumeNotCovered, fmt.Sprintf("%s holds what outlives the pods in volumes: %s; mount each in volumeMounts and name its folders in paths (annotations volume-mounts and target-paths)", which, named)}
}
