package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-731df569/stash/broker/protocol"
)

// store keeps results on disk until they are acknowledged, so that a restart of the container
// loses none. They hold no secrets.
type store struct {
	dir string
	log *slog.Logger
}

func (s *store) path(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:12])+".json")
}

// save writes a result. Where that fails it is logged: the result is still in memory.
func (s *store) save(r protocol.Result) {
	text, err := json.Marshal(r)
	if err == nil {
		err = writeFile(s.path(r.ID), text)
	}
	if err != nil {
		s.log.Warn("result is not on disk", "task", r.ID, "err", err)
	}
}

func (s *store) remove(id string) {
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("acknowledged result is still on disk", "task", id, "err", err)
	}
}

// load returns what was not acknowledged before; what cannot be read is dropped.
func (s *store) load() []protocol.Result {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.log.Warn("earlier results cannot be read", "err", err)
		return nil
	}
	var results []protocol.Result
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		text, err := os.ReadFile(path) //nolint:gosec // of our own folder
		var r protocol.Result
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil || r.ID == "" {
			s.log.Warn("an earlier result cannot be read", "file", e.Name(), "err", err)
			_ = os.Remove(path)
			continue
		}
		results = append(results, r)
	}
	return results
}

// writeFile replaces a file so that after a crash either the old or the new one is there.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // our own folder
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
