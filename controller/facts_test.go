package controller

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/validators"
)

// pair is what one blueprint of an annotation gives.
func pair(name, prefix string) blueprint.Pair {
	p := blueprint.Pair{Blueprint: name, Repository: repository(), Configuration: configuration()}
	p.Repository.Name, p.Configuration.Name, p.Configuration.Spec.Repository.Name = name, name, name
	p.Repository.Spec.Backend.S3.Prefix = prefix
	return p
}

func TestTwoBlueprintsOfOneTargetDoNotShareAPlace(t *testing.T) {
	for name, c := range map[string]struct {
		weekly string // prefix
		stored string // prefix of the hourly pair as it is stored; empty: not yet
		want   int
	}{
		"the same prefix":                                {"p", "", 1},
		"the same prefix, and the other is stored":       {"p", "p", 1},
		"prefixes of their own":                          {"weekly", "", 0},
		"the stored one was elsewhere before the change": {"weekly", "weekly", 0},
	} {
		t.Run(name, func(t *testing.T) {
			hourly, weekly := pair("hourly", "p"), pair("weekly", c.weekly)
			w := newWorld(t, interceptor.Funcs{})
			if c.stored != "" {
				before := pair("hourly", c.stored)
				w = newWorld(t, interceptor.Funcs{}, before.Repository, before.Configuration)
			}
			facts, err := w.PairFacts(t.Context(), weekly, []blueprint.Pair{hourly})
			if err != nil {
				t.Fatal(err)
			}
			r := validators.Expansion(&blueprint.Expansion{Pairs: []blueprint.Pair{weekly}}, facts)
			shared := 0
			for _, e := range r.Errors {
				if e.BadValue == "weekly" && e.Field == "metadata.annotations[stash.appscode.com/backup-blueprint]" && strings.Contains(e.Detail, "retention would delete the snapshots of both") {
					shared++
				}
			}
			if shared != c.want {
				t.Errorf("%d refusals, want %d: %v", shared, c.want, r.Errors)
			}
		})
	}
}
