// Package docs_test tries what the documentation shows: every YAML of examples/, of docs/ and of
// the README is decoded strictly and given to an API server with Stash's kinds; every link leads
// somewhere, and every make target that is named exists.
package docs_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/test/manifest"
)

var (
	fence  = regexp.MustCompile("(?ms)^```yaml$\n(.*?)^```$")
	link   = regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)\s]*)?\)`)
	target = regexp.MustCompile("`make ([a-z0-9-]+)")
)

// sample is one YAML text of the documentation.
type sample struct {
	name string
	text []byte
}

func TestSamplesDecode(t *testing.T) {
	for _, s := range samples(t) {
		for _, object := range objects(t, s) {
			if _, err := manifest.Typed(object); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}
}

func TestSamplesAreAccepted(t *testing.T) {
	server := apiserver.Start(t, "docs", 92)
	var all []*unstructured.Unstructured
	for _, s := range samples(t) {
		all = append(all, objects(t, s)...)
	}
	made := map[string]bool{}
	for _, object := range all {
		if n := object.GetNamespace(); n != "" && !made[n] {
			server.Kubectl(t, "", "create", "namespace", n)
			made[n] = true
		}
	}
	for _, object := range all {
		if object.GetKind() == "Namespace" {
			continue
		}
		if err := server.Client.Create(t.Context(), object.DeepCopy(), client.DryRunAll); err != nil {
			t.Errorf("%s %q: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func TestLinks(t *testing.T) {
	for name, text := range pages(t, ".md") {
		for _, match := range link.FindAllSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(apiserver.Root, path.Dir(name), string(match[1]))); err != nil {
				t.Errorf("%s: link %s leads nowhere", name, match[1])
			}
		}
	}
}

// What a page says to be tested is: by a function of a file, or by a file of test data.
func TestLinksToTests(t *testing.T) {
	named := regexp.MustCompile("`([\\w./-]+_test\\.go): (\\w+)`|`([\\w./-]+\\.txtar)`")
	for name, text := range pages(t, ".md") {
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			path, function := match[1]+match[3], match[2]
			code, err := os.ReadFile(filepath.Join(apiserver.Root, path))
			if err != nil || function != "" && !bytes.Contains(code, []byte("\nfunc "+function+"(")) {
				t.Errorf("%s: there is no %s (%v)", name, match[0], err)
			}
		}
	}
}

func TestMakeTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(apiserver.Root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages(t, ".md") {
		for _, match := range target.FindAllSubmatch(text, -1) {
			if !bytes.Contains(makefile, []byte("\n"+string(match[1])+":")) {
				t.Errorf("%s: the Makefile has no target %s", name, match[1])
			}
		}
	}
}

// What deploy names as it is, no registry has: whoever follows the docs must not install it.
func TestLinksOfInstallationsNameAnImage(t *testing.T) {
	for name, text := range pages(t, ".md") {
		if regexp.MustCompile(`(?m)^\$ kubectl apply .*-k deploy/?$`).Match(text) {
			t.Errorf("%s: a command applies deploy, whose image is nobody's: apply a folder that names one", name)
		}
	}
}

// pages returns the documentation's files of one kind, by name.
func pages(t *testing.T, ext string) map[string][]byte {
	t.Helper()
	root := os.DirFS(apiserver.Root)
	found := map[string][]byte{}
	for _, dir := range []string{"README.md", "docs", "examples"} {
		err := fs.WalkDir(root, dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || path.Ext(name) != ext {
				return err
			}
			found[name], err = fs.ReadFile(root, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func samples(t *testing.T) []sample {
	t.Helper()
	var all []sample
	for name, text := range pages(t, ".yaml") {
		if strings.HasPrefix(name, "examples/") {
			all = append(all, sample{name, text})
		}
	}
	for name, text := range pages(t, ".md") {
		for i, match := range fence.FindAllSubmatch(text, -1) {
			all = append(all, sample{fmt.Sprintf("%s, YAML block %d", name, i+1), match[1]})
		}
	}
	if len(all) == 0 {
		t.Fatal("the documentation has no YAML")
	}
	return all
}

// objects parses a sample; kustomizations are files of kubectl's, not objects.
func objects(t *testing.T, s sample) []*unstructured.Unstructured {
	t.Helper()
	parsed, err := manifest.Parse(s.text)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	if len(parsed) == 1 && parsed[0].GetKind() == "Kustomization" {
		return nil
	}
	return parsed
}
