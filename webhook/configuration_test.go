package webhook_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/webhook"
)

func TestGoldenConfigurations(t *testing.T) {
	got, err := webhook.Render(webhook.Installation{Namespace: "stash", CABundle: []byte("bundle"), Finished: []string{"b", "a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/configurations.golden.yaml", string(got))
	golden(t, "testdata/hooks.golden.md", webhook.Docs())
	m, v := webhook.Mutating(webhook.Installation{Namespace: "stash", URL: "https://127.0.0.1:1"}), webhook.Validating(webhook.Installation{Namespace: "stash"})
	if *m.Webhooks[0].ClientConfig.URL != "https://127.0.0.1:1/mutate/pods/backup" || len(v.Webhooks) == 0 {
		t.Error("URL mode")
	}
	if b, _ := yaml.Marshal(m); bytes.Contains(b, []byte("namespaceObject")) {
		t.Error("namespaceObject fails at evaluation")
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
