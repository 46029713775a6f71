package mutators_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-731df569/stash/mutators"
)

func TestACacheLeavesRoomInItsVolume(t *testing.T) {
	for volume, want := range map[string]string{
		"0":     "640Mi", // no limit: as the default
		"1Gi":   "640Mi",
		"2Gi":   "1408Mi",
		"512Mi": "256Mi",
		"100Mi": "25Mi", // packs alone may fill it
		"1":     "1",    // 0 would be no limit
	} {
		size, limit := resource.MustParse(volume), resource.MustParse(want)
		if got := mutators.CacheLimit(size.Value()); got != limit.Value() {
			t.Errorf("of %s: %d, want %s", volume, got, want)
		}
	}
}
