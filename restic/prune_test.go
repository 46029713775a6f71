package restic_test

import (
	"slices"
	"testing"

	"github.com/seed-731df569/stash/restic"
)

func TestPruneGetsTheTwoConnectionsThatItNeeds(t *testing.T) {
	for name, c := range map[string]struct{ options, want []string }{
		"none given":         {nil, nil},
		"one":                {[]string{"s3.bucket-lookup=path", "s3.connections=1"}, []string{"s3.bucket-lookup=path", "s3.connections=2"}},
		"more":               {[]string{"s3.connections=10"}, []string{"s3.connections=10"}},
		"of another backend": {[]string{"rest.connections=1"}, []string{"rest.connections=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := restic.Repository{URL: "s3:x", Options: c.options}
			before := slices.Clone(c.options)
			if got := r.ForPrune().Options; !slices.Equal(got, c.want) {
				t.Errorf("options = %v, want %v", got, c.want)
			}
			if !slices.Equal(r.Options, before) {
				t.Errorf("the repository itself was changed: %v", r.Options)
			}
		})
	}
}
