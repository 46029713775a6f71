package api_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/test/manifest"
)

// testAnswers has an administrator create new.yaml, or change old.yaml to it, beside before.yaml. The
// answer is what kubectl prints, whoever gave it: schema, CEL or webhook.
func testAnswers(t *testing.T, s *apiserver.Server) {
	s.Kubectl(t, "", "create", "namespace", "answers")
	eachCase(t, "testdata/answers/*.txtar", func(t *testing.T, parts map[string]*txtar.File) {
		verb := "create"
		for _, name := range []string{"before.yaml", "old.yaml"} {
			if parts[name] != nil {
				stored(t, s, parts[name])
			}
		}
		if parts["old.yaml"] != nil {
			verb = "replace"
		}
		ask := func() string {
			out, _ := s.TryKubectl(t, string(parts["new.yaml"].Data), verb, "--dry-run=server", "--filename=-")
			return out
		}
		if *update && len(parts) > 2 {
			time.Sleep(time.Second)
		}
		answer := ask()
		// The webhooks hear of what is stored, and of what is gone, a moment later.
		for end := time.Now().Add(5 * time.Second); !*update && answer != string(parts["answer"].Data) && time.Now().Before(end); answer = ask() {
			time.Sleep(200 * time.Millisecond)
		}
		golden(t, parts["answer"], answer)
	})
}

// stored creates objects with their status, until the test ends.
func stored(t *testing.T, s *apiserver.Server, file *txtar.File) {
	t.Helper()
	objects, err := manifest.Parse(file.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		status, hasStatus, err := unstructured.NestedMap(o.Object, "status")
		if err != nil {
			t.Fatal(err)
		}
		create(t, s, o)
		t.Cleanup(func() {
			// A namespace takes its time, and every case has one of its own.
			wait := o.GetKind() != "Namespace"
			s.Kubectl(t, "", "delete", "--wait="+strconv.FormatBool(wait), "--namespace="+o.GetNamespace(), strings.ToLower(o.GetKind()), o.GetName())
		})
		if hasStatus {
			o.Object["status"] = status
			if err := s.Client.Status().Update(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
}
