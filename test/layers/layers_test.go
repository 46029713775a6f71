// Package layers_test keeps the architecture: which package may reach which, and how large a file
// may grow.
package layers_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

const module = "github.com/seed-731df569/stash/"

// layers lists the packages from left to right. Imports go left only; the first three layers are
// pure. The servers do not import each other: controller gives webhook and broker their answers, so
// it stands right of them.
var layers = [][]string{
	{"api", "deploy"},
	{"target", "backend", "addons", "restic", "broker/protocol"},
	{"task", "mutators", "validators", "blueprint", "protection", "scheduler", "session", "rollout"},
	{"metrics", "restic/exec", "guard"},
	{"webhook", "broker", "agent", "certs"},
	{"controller", "doctor", "plugin"},
	{"cmd"},
}

const lastPure, servers, programs = 2, 4, 6

// place returns the layer of a package of ours and the entry that it belongs to; -1 for others.
func place(pkg string) (layer int, entry string) {
	layer = -1
	for i, entries := range layers {
		for _, e := range entries {
			if (pkg == e || strings.HasPrefix(pkg, e+"/")) && len(e) > len(entry) {
				layer, entry = i, e
			}
		}
	}
	return layer, entry
}

// refuse says why pkg may not reach path; empty if it may.
func refuse(pkg, path string) string {
	layer, entry := place(pkg)
	other, otherEntry := place(strings.TrimPrefix(path, module))
	within := func(roots ...string) bool {
		return slices.ContainsFunc(roots, func(r string) bool { return path == r || strings.HasPrefix(path, r+"/") })
	}
	switch ours := strings.HasPrefix(path, module); {
	case layer < 0:
		return "" // tests may reach everything
	case ours && other < 0:
		return "only tests import test/"
	case ours && other > layer, ours && other == servers && layer == servers && entry != otherEntry:
		return "imports go left only"
	case ours && otherEntry == "agent" && entry != "agent" && layer != programs:
		return "the agent is a program of its own: it is spoken to in broker/protocol"
	case pkg == "cmd/stash" && path == module+"restic/exec":
		return "the operator connects to no backend: agents run restic"
	case layer <= lastPure && within("k8s.io/client-go", "sigs.k8s.io/controller-runtime", "os/exec"):
		return "pure packages are functions of values"
	case (entry == "agent" || entry == "broker/protocol" || pkg == "cmd/stash-agent") && within("k8s.io", "sigs.k8s.io"):
		return "the agent is small: it does without Kubernetes' packages"
	}
	return ""
}

// TestLayers loads the whole program and looks at every import, direct or not.
func TestLayers(t *testing.T) {
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedName | packages.NeedImports | packages.NeedDeps, Dir: "../.."}, "./...")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range loaded {
		for path, by := range reach(p) {
			pkg := strings.TrimPrefix(p.PkgPath, module)
			if why := refuse(pkg, path); why != "" {
				t.Errorf("%s reaches %s through %s: %s", pkg, path, strings.TrimPrefix(by, module), why)
			}
		}
	}
}

// reach returns every package that p needs, with the direct import of p that brings it in.
func reach(p *packages.Package) map[string]string {
	found := map[string]string{}
	for _, direct := range p.Imports {
		packages.Visit([]*packages.Package{direct}, func(q *packages.Package) bool {
			if found[q.PkgPath] != "" {
				return false
			}
			found[q.PkgPath] = direct.PkgPath
			return true
		}, nil)
	}
	return found
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		pkg, path string
		allowed   bool
	}{
		{"session", module + "api/v1beta1", true},
		{"session", module + "scheduler", true},
		{"api/v1beta1", module + "restic", false},
		{"session", module + "controller", false},
		{"session", "os/exec", false},
		{"session", "net/http", true}, // apimachinery itself reaches it
		{"restic", "os/exec", false},
		{"restic/exec", "os/exec", true},
		{"restic", module + "restic/exec", false},
		{"agent", module + "broker/protocol", true},
		{"agent", module + "broker", false},
		{"controller", module + "broker", true},
		{"controller", module + "agent", false},
		{"broker", module + "guard", true},
		{"guard", module + "broker", false},
		{"broker", module + "controller", false},
		{"agent", "k8s.io/api/core/v1", false},
		{"agent", module + "restic/exec", true},
		{"cmd/stash-agent", "sigs.k8s.io/yaml", false},
		{"cmd/stash", "sigs.k8s.io/controller-runtime", true},
		{"cmd/stash", module + "restic/exec", false},
		{"cmd/stash-agent", module + "restic/exec", true},
		{"controller", module + "test/cluster", false},
		{"doctor", module + "controller", true},
		{"webhook", module + "doctor", false},
		{"test/e2e", module + "controller", true},
	} {
		if why := refuse(c.pkg, c.path); (why == "") != c.allowed {
			t.Errorf("%s reaches %s: %q, want allowed %v", c.pkg, c.path, why, c.allowed)
		}
	}
}
