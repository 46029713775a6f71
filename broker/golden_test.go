package broker_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker/protocol"
)

// TestWhatIsAddedToPodsPasses takes every pod that mutators are known to complete for one with agents.
func TestWhatIsAddedToPodsPasses(t *testing.T) {
	paths, err := filepath.Glob("../mutators/testdata/pod/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	seen := 0
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want.yaml" })
		if i < 0 {
			continue
		}
		var pod corev1.Pod
		if err := yaml.Unmarshal(archive.Files[i].Data, &pod); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			role := map[string]protocol.Role{api.ContainerSidecar: protocol.RoleSidecar, api.ContainerRestore: protocol.RoleInit}[c.Name]
			if role == "" || !slices.Contains(c.Command, command) {
				continue
			}
			seen++
			t.Run(filepath.Base(path)+" "+string(role), func(t *testing.T) {
				s := newScene()
				s.pod.Spec, s.role, s.trusted = pod.Spec, role, "stash:test"
				if _, err := s.identify(t); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if seen < 20 {
		t.Errorf("only %d containers of ours in %s", seen, strings.Join(paths, " "))
	}
}
