package validators_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/validators"
)

func TestOnlyTheOperatorSaysWhatWasExpanded(t *testing.T) {
	const gold, web = api.AnnotationExpandedBlueprint + "=BackupBlueprint/gold", api.AnnotationExpandedFrom + "=Deployment/demo/web"
	const silver = api.AnnotationExpandedBlueprint + "=BackupBlueprint/silver"
	configuration := func(annotations ...string) *v1beta1.BackupConfiguration {
		c := &v1beta1.BackupConfiguration{}
		c.Annotations = map[string]string{}
		for _, a := range annotations {
			key, value, _ := strings.Cut(a, "=")
			c.Annotations[key] = value
		}
		return c
	}
	repository := &v1alpha1.Repository{}
	repository.Annotations = configuration(gold, web).Annotations
	for name, c := range map[string]struct {
		object, old runtime.Object
		refused     int
	}{
		"a configuration of somebody's own passes":                {configuration("team=shop"), nil, 0},
		"one that says it comes from a blueprint is refused":      {configuration(gold), nil, 1},
		"both annotations of an exported one are refused":         {configuration(gold, web), nil, 2},
		"to say so of one that is there is refused":               {configuration(gold), configuration(), 1},
		"to name another blueprint is refused":                    {configuration(silver, web), configuration(gold, web), 1},
		"what the operator wrote may stay, as with kubectl apply": {configuration(gold, web, "team=shop"), configuration(gold, web), 0},
		"it may be taken off":                                     {configuration(), configuration(gold, web), 0},
		"a Repository that is restored may have them":             {repository, nil, 0},
		"an old object may be missing":                            {configuration(gold), (*v1beta1.BackupConfiguration)(nil), 1},
	} {
		t.Run(name, func(t *testing.T) {
			errs := validators.ByOperator(c.object, c.old)
			if len(errs) != c.refused {
				t.Fatalf("%v, want %d", errs, c.refused)
			}
			for _, e := range errs {
				if !strings.Contains(e.Detail, "leave out "+api.AnnotationExpandedFrom+" and "+api.AnnotationExpandedBlueprint) {
					t.Errorf("does not say what to do: %s", e.Detail)
				}
			}
		})
	}
}
