package agent

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// cacheWatch is how often a cache is measured while restic fills it.
const cacheWatch = 5 * time.Second

// guardCache keeps a cache below its limit, now and until the returned function is called: a pod
// whose emptyDir grows over its limit is evicted, and the application with it. restic reads from the
// storage what it misses in its cache.
func guardCache(dir string, limit int64, log *slog.Logger) func() {
	trimCache(dir, limit, log)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(cacheWatch)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				trimCache(dir, limit, log)
			}
		}
	})
	return func() {
		close(done)
		watch.Wait()
		trimCache(dir, limit, log)
	}
}

type cacheFile struct {
	path string
	size int64
	used time.Time
}

// trimCache removes the files that were longest unused until three quarters of the limit are left.
func trimCache(dir string, limit int64, log *slog.Logger) {
	var files []cacheFile
	var total int64
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "CACHEDIR.TAG" || d.Name() == "version" {
			return nil //nolint:nilerr // what cannot be read is not counted
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
			files = append(files, cacheFile{path, info.Size(), info.ModTime()})
		}
		return nil
	})
	if total <= limit {
		return
	}
	before := total
	slices.SortFunc(files, func(a, b cacheFile) int { return a.used.Compare(b.used) })
	for _, f := range files {
		if total <= limit/4*3 {
			break
		}
		if os.Remove(f.path) == nil {
			total -= f.size
		}
	}
	log.Info("cache was over its limit", "bytes", before, "limit", limit, "left", total)
}
