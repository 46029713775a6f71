package validators

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/blueprint"
)

// Expansion validates what annotations expand into by the rules of Repository and
// BackupConfiguration. The errors stand where the blueprint is asked for, at an annotation or at a
// default, and name the object, since that is what a person wrote. Facts are those of the configurations; the warnings are those of the
// configurations alone, since those of the backend were said to the blueprint's author.
func Expansion(e *blueprint.Expansion, f Facts) Result {
	var r Result
	for _, p := range e.Pairs {
		at := field.NewPath(cmp.Or(p.Where, "metadata.annotations["+api.AnnotationBlueprint+"]"))
		repo := Repository(p.Repository, nil, Facts{})
		f.Repository = p.Repository
		c := BackupConfiguration(p.Configuration, nil, f)
		for _, err := range repo.Errors {
			r.add(field.Invalid(at, p.Blueprint, fmt.Sprintf("the Repository it gives: %s", err.Error())))
		}
		for _, err := range c.Errors {
			r.add(field.Invalid(at, p.Blueprint, fmt.Sprintf("the BackupConfiguration it gives: %s", err.Error())))
		}
		r.Warnings = append(r.Warnings, c.Warnings...)
	}
	return r
}
