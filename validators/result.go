package validators

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Result is what a validator found.
type Result struct {
	// Errors are reasons to refuse the object; all of them, not the first.
	Errors field.ErrorList
	// Warnings are for the person who wrote it.
	Warnings []string
}

// Facts are what is already known beside the object. The zero value knows nothing, and what is not
// known is never an error.
type Facts struct {
	// OperatorNamespace is where Stash itself runs.
	OperatorNamespace string
	// Namespaces are the labels of namespaces that the object reaches, by name, as far as they are
	// known: its own, that of its target, those of a Repository's users.
	Namespaces map[string]map[string]string
	// Repository is the one that the object names.
	Repository *v1alpha1.Repository
	// Target is the workload that the object names, typed.
	Target runtime.Object
	// TargetRuns tells that it is stored, so that it has its pods already.
	TargetRuns bool
	// Configurations are all others of the cluster that share the target or the backend location;
	// the object itself is left out by name.
	Configurations []Neighbour
	// InvokerMissing tells that the invoker of a BackupSession is known not to exist.
	InvokerMissing bool
	// Missing are the objects that the object names, as a person reads it (Secret "demo/keys"), and that
	// are known not to exist. They may come later.
	Missing []string
	// SameLocation are the keys (<namespace>/<name>) of other Repositories at the same place.
	SameLocation []string
	// MissingBlueprints are names that the object holds and that no blueprint or template has.
	MissingBlueprints []string
	// InUseBy are the pods that use the claim which is to be restored.
	InUseBy []string
	// Users are the configurations that name the Repository.
	Users []v1beta1.BackupConfiguration
}

// Neighbour is a BackupConfiguration beside the one in question.
type Neighbour struct {
	Configuration *v1beta1.BackupConfiguration
	// SharesLocation tells that its Repository is at the same place in the same backend.
	SharesLocation bool
}

// Bounds of what is said about one object, whose author decides how much is wrong with it.
const (
	// maxFound is how many errors there are, and how many warnings.
	maxFound = 100
	// maxNamed is how many of a list are named in one of them.
	maxNamed = 5
)

// more ends the last of what is said where there is more to say.
const more = "; there is more, which is said once this is mended"

// warn adds a warning.
func (r *Result) warn(format string, args ...any) { r.warning(fmt.Sprintf(format, args...)) }

// warnOnce adds a warning unless it is there already.
func (r *Result) warnOnce(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Warnings, text) {
		r.warning(text)
	}
}

func (r *Result) warning(text string) {
	if len(r.Warnings) < maxFound {
		r.Warnings = append(r.Warnings, text)
	} else if last := &r.Warnings[maxFound-1]; !strings.HasSuffix(*last, more) {
		*last += more
	}
}

// missing warns of what does not exist, and says what that means.
func (r *Result) missing(names []string, consequence string) {
	for _, name := range names {
		r.warn("%s does not exist yet: %s", name, consequence)
	}
}

// add adds errors; nil ones are left out.
func (r *Result) add(errs ...*field.Error) {
	for _, e := range errs {
		switch {
		case e == nil:
		case len(r.Errors) < maxFound:
			r.Errors = append(r.Errors, e)
		default:
			if last := r.Errors[maxFound-1]; !strings.HasSuffix(last.Detail, more) {
				last.Detail += more
			}
		}
	}
}

// addOnce adds an error unless it is there already.
func (r *Result) addOnce(err *field.Error) {
	if !slices.ContainsFunc(r.Errors, func(e *field.Error) bool { return e.Field == err.Field && e.Detail == err.Detail }) {
		r.add(err)
	}
}

// drafts warns of the draft's forms.
func (r *Result) drafts(forms []v1beta1.DraftForm) {
	seen := map[v1beta1.DraftForm]bool{}
	for _, f := range forms {
		switch {
		case seen[f]:
		case f.Path == "spec.rules":
			r.warn("%s is deprecated: write %s", f.Path, f.Shipped)
		default:
			r.warn("%s is the draft's form: write %s", f.Path, f.Shipped)
		}
		seen[f] = true
	}
}

// later refuses a field whose feature comes later, if it is given.
func (r *Result) later(given bool, path *field.Path, what string) {
	if given {
		r.add(field.Forbidden(path, what+" not supported yet: remove the field"))
	}
}
