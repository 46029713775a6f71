package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
)

// The record of a restore that is done: kubelet runs init-containers again in the same pod when
// its node was rebooted, and data that the application wrote since must not be overwritten.

func (c Config) restoredPath() string {
	sum := sha256.Sum256([]byte(c.RestoreID))
	return filepath.Join(c.StateDir, "restored", hex.EncodeToString(sum[:12]))
}

// restored tells whether this pod's restore is recorded as done. If that cannot be told it is not:
// the broker knows it, too.
func (a *agent) restored() bool {
	_, err := os.Stat(a.restoredPath())
	return err == nil
}

// recordRestored records it, so that a crash right after finds it. Where that fails the broker's
// own record remains.
func (a *agent) recordRestored() {
	path := a.restoredPath()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = errors.Join(writeFile(path, []byte(a.RestoreID+"\n")), syncDir(a.StateDir))
	}
	if err != nil {
		a.Log.Error("restore is not recorded as done in the pod", "err", err)
	}
}

// alreadyRestored ends a run whose work is done: at once, without asking anybody, unless the broker
// has not heard of the success. Then it is told, but nothing waits for it for long.
func (a *agent) alreadyRestored(ctx context.Context) error {
	a.Log.Info("this pod was restored before")
	if a.outbox.empty() {
		return nil
	}
	a.tasks.takeNone()
	ctx, cancel := context.WithTimeout(ctx, a.Timings.Flush)
	defer cancel()
	_ = a.work(ctx) // whatever the broker says, the data is there
	return nil
}
