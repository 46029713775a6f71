package agent_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/broker/protocol"
)

// served makes a repository one of a storage that speaks restic's REST protocol over its folder, and
// that deletes only what may is true of.
func (r repo) served(may func(kind, name string) bool) repo {
	r.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		kind, name, _ := strings.Cut(strings.Trim(q.URL.Path, "/"), "/")
		path := filepath.Join(r.path, kind, name)
		if kind == "data" && name != "" {
			path = filepath.Join(r.path, kind, name[:2], name)
		}
		switch {
		case q.Method == http.MethodDelete && !may(kind, name):
			http.Error(w, "deletion is not allowed", http.StatusForbidden)
		case q.Method == http.MethodDelete:
			_ = os.Remove(path)
		case q.Method == http.MethodPost:
			storeBody(w, q, path)
		case name == "" && kind != "config":
			listFolder(w, path)
		default:
			http.ServeFile(w, q, path)
		}
	}))
	r.t.Cleanup(server.Close)
	r.URL = "rest:" + server.URL + "/"
	return r
}

func storeBody(w http.ResponseWriter, q *http.Request, path string) {
	_ = os.MkdirAll(filepath.Dir(path), 0o755)
	f, err := os.Create(path)
	if err == nil {
		_, err = f.ReadFrom(q.Body)
		_ = f.Close()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// listFolder answers in version 2 of the protocol.
func listFolder(w http.ResponseWriter, folder string) {
	type file struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	files := []file{}
	_ = filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // what is not there is not listed
		}
		if info, err := d.Info(); err == nil {
			files = append(files, file{d.Name(), info.Size()})
		}
		return nil
	})
	w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
	_ = json.NewEncoder(w).Encode(files)
}

// restic exits with 0 where the storage refuses to delete, and each session would be told that its
// policy was applied while the repository grows for ever.
func TestWhatTheStorageKeepsIsNotCountedAsRemoved(t *testing.T) {
	for name, c := range map[string]struct {
		may     func(name string, ids []string) bool
		removed int
		want    string // of the error; empty: none
	}{
		"everything is deleted": {func(string, []string) bool { return true }, 2, ""},
		"nothing is deleted":    {func(string, []string) bool { return false }, 0, "2 of 2 snapshots that the policy removes are still there"},
		"some are deleted":      {func(name string, ids []string) bool { return name == ids[0] }, 1, "1 of 2 snapshots that the policy removes are still there"},
	} {
		t.Run(name, func(t *testing.T) {
			ask, r := worker(t)
			data := tree(t, map[string]string{"a": "1"})
			ids := []string{r.snapshot("host-0", data), r.snapshot("host-0", data), r.snapshot("host-0", data)}
			m := forget(data)
			m.Forget.Prune = true
			result := ask(r.served(func(kind, name string) bool { return kind != "snapshots" || c.may(name, ids) }), m)
			if (result.Error != "") != (c.want != "") || !strings.Contains(result.Error, c.want) {
				t.Fatalf("error = %q, want %q", result.Error, c.want)
			}
			if c.want != "" && result.Reason != protocol.ReasonOther {
				t.Errorf("reason = %s, and backups would stop", result.Reason)
			}
			if got := result.Maintained; got.Removed != c.removed || len(r.ids()) != 3-c.removed || got.Pruned != (c.want == "") {
				t.Errorf("left are %d of 3, result = %s", len(r.ids()), asJSON(got))
			}
		})
	}
}
