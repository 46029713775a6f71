package mutators

import "k8s.io/apimachinery/pkg/api/resource"

// scratchBytes is what restic keeps in the temporary volume beside its cache: packs on their way to
// the storage, one for each connection and some that are being filled.
const scratchBytes = 128 << 20

// CacheLimit is how much of a temporary volume restic's cache may take, in bytes. A pod whose
// emptyDir outgrows its limit is evicted, and the application with it; the agent measures its cache
// every few seconds only, and restic fills it as fast as the network allows. Hence a quarter of the
// volume is left free, and the room that packs need. The limit is never 0, which would be none.
//
// A volume without a limit of its own, as an older Stash left it in pod templates, counts as one of
// the default size.
func CacheLimit(volume int64) int64 {
	if volume <= 0 {
		size := resource.MustParse(defaultTmpSize)
		volume = size.Value()
	}
	return max(volume/4*3-scratchBytes, volume/4, 1)
}
