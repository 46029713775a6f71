package protection

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// State is what a policy finds of an object.
type State string

// States.
const (
	// NotSelected: the policy is not about the object.
	NotSelected State = "NotSelected"
	// Protected: a backup meets what is required.
	Protected State = "Protected"
	// Exempt: an annotation says why it needs none.
	Exempt State = "Exempt"
	// Unprotected: neither.
	Unprotected State = "Unprotected"
)

// Reason is one thing that a policy misses. It is in the status of policies.
type Reason string

// Reasons.
const (
	// NoBackup: no BackupConfiguration is about the object.
	NoBackup Reason = "NoBackup"
	// OtherBlueprint: the BackupConfiguration does not come from a blueprint that counts.
	OtherBlueprint Reason = "OtherBlueprint"
	// OtherRepository: its Repository is none that counts.
	OtherRepository Reason = "OtherRepository"
	// NotScheduled: it has no schedule that can be read.
	NotScheduled Reason = "NotScheduled"
	// Paused: its schedule stands still.
	Paused Reason = "Paused"
	// IntervalTooLong: its backups may lie too far apart.
	IntervalTooLong Reason = "IntervalTooLong"
	// RetentionTooShort: its snapshots do not reach back far enough.
	RetentionTooShort Reason = "RetentionTooShort"
	// VolumeNotCovered: a volume that outlives the pods is in no backup.
	VolumeNotCovered Reason = "VolumeNotCovered"
	// NotReady: it makes no backups.
	NotReady Reason = "NotReady"
	// UnreasonedExemption: the annotation that exempts the object does not say why.
	UnreasonedExemption Reason = "UnreasonedExemption"
)

// Fault is one thing that a policy misses, with what to do about it.
type Fault struct {
	Reason Reason
	Detail string
}

// Verdict is what a policy finds of an object.
type Verdict struct {
	State State
	// Faults of an unprotected object: of its best backup where it has several.
	Faults []Fault
	// Exemption is the reason of an exempt object.
	Exemption string
}

// Reasons returns those of the faults.
func (v *Verdict) Reasons() []string {
	out := make([]string, 0, len(v.Faults))
	for _, f := range v.Faults {
		out = append(out, string(f.Reason))
	}
	return out
}

// Judge returns what the policy finds of an object. An object that is protected is not exempt, whatever
// its annotations say. Own is the operator's namespace.
func (p *Policy) Judge(o *Object, own string) Verdict {
	if !p.Selects(o, own) {
		return Verdict{State: NotSelected}
	}
	faults, ok := p.best(o)
	if ok {
		return Verdict{State: Protected}
	}
	if reason, ok := Exemption(o.Annotations, o.Namespace.Annotations); ok {
		return Verdict{State: Exempt, Exemption: reason}
	}
	if text := Unreasoned(o.Annotations); text != "" {
		faults = append(faults, Fault{UnreasonedExemption, text})
	} else if text := Unreasoned(o.Namespace.Annotations); text != "" {
		faults = append(faults, Fault{UnreasonedExemption, fmt.Sprintf("of namespace %q: %s", o.Namespace.Name, text)})
	}
	return Verdict{State: Unprotected, Faults: faults}
}

// best returns the faults of the backup that has the fewest, and of volumes that are in none; true if there
// are no faults. Several backups may each hold some of the volumes, and each must meet what is required.
func (p *Policy) best(o *Object) ([]Fault, bool) {
	if len(o.Backups) == 0 {
		return []Fault{p.missing(o)}, false
	}
	backups := ordered(o.Backups)
	var best []Fault
	var good []Backup
	for i := range backups {
		faults := p.faults(&backups[i])
		if len(faults) == 0 {
			good = append(good, backups[i])
		} else if best == nil || len(faults) < len(best) {
			best = faults
		}
	}
	if len(good) > 0 {
		best, backups = nil, good
	}
	if left := uncovered(o, backups); len(left) > 0 {
		best = append(best, leftOut(left, len(good) < len(o.Backups) && len(good) > 0))
	}
	return best, len(best) == 0
}

// missing is the fault of an object without a backup.
func (p *Policy) missing(o *Object) Fault {
	if o.Kind.Model == target.ModelJob {
		return Fault{NoBackup, fmt.Sprintf("no BackupConfiguration names it, and no workload that is backed up mounts it: create a BackupConfiguration of it, or have it mounted by a workload that is backed up, or %s", exempting())}
	}
	if names := blueprint.Names(o.Annotations); len(names) > 0 {
		return Fault{NoBackup, fmt.Sprintf("nothing backs it up, though its annotation %s asks for %s: its events say why", api.AnnotationBlueprint, strings.Join(names, ", "))}
	}
	write := "name a blueprint in the annotation " + api.AnnotationBlueprint
	if names := p.Spec.Require.Blueprints; len(names) > 0 {
		write += " (" + strings.Join(names, ", ") + ")"
	} else {
		write += ", or create a BackupConfiguration first"
	}
	return Fault{NoBackup, fmt.Sprintf("nothing backs it up: %s; or %s", write, exempting())}
}

func exempting() string {
	return "say in the annotation " + api.AnnotationExemption + " why it needs no backup"
}

// FaultList returns the faults in the form in which admission refuses. Where something is missing, it is
// missing at the annotation by which an owner asks for a backup.
func (p *Policy) FaultList(v *Verdict) field.ErrorList {
	annotations := field.NewPath("metadata", "annotations")
	var out field.ErrorList
	for _, f := range v.Faults {
		detail := fmt.Sprintf("ProtectionPolicy %q: %s", p.Name, f.Detail)
		switch f.Reason {
		case NoBackup:
			out = append(out, field.Required(annotations.Key(api.AnnotationBlueprint), detail))
		case UnreasonedExemption:
			out = append(out, field.Required(annotations.Key(api.AnnotationExemption), detail))
		default:
			out = append(out, field.Forbidden(annotations.Key(api.AnnotationBlueprint), detail))
		}
	}
	return out
}

// action is what the policy does; the API server fills it in.
func (p *Policy) action() v1beta1.ProtectionAction {
	return cmp.Or(p.Spec.Action, v1beta1.ActionAudit)
}
