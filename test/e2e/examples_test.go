package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
)

func examples() []scenario {
	return []scenario{
		{"the commands of examples/workloads do what its README says", exampleWorkloads},
		{"the commands of examples/claims do what its README says", exampleClaims},
	}
}

// consoleBlocks finds what a page tells to type.
var consoleBlocks = regexp.MustCompile("(?s)```console\n(.*?)```")

// commands returns the commands of a page, in order.
func (s *site) commands(page string) []string {
	s.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		s.Fatal(err)
	}
	var out []string
	for _, block := range consoleBlocks.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if command, found := strings.CutPrefix(line, "$ "); found {
				out = append(out, strings.TrimSpace(command))
			}
		}
	}
	if len(out) == 0 {
		s.Fatalf("%s has no commands", page)
	}
	return out
}

// watching finds a command that a person looks at until everything has succeeded.
var watching = regexp.MustCompile(`^kubectl get (\S+) -n (\S+) --watch$`)

// typed runs a command in a folder, as a shell does.
func (s *site) typed(dir, command string) string {
	s.Helper()
	if m := watching.FindStringSubmatch(command); m != nil {
		command = "kubectl wait " + m[1] + " --all -n " + m[2] + " --for=jsonpath={.status.phase}=Succeeded --timeout=120s"
	}
	begin := time.Now()
	cmd := exec.CommandContext(s.Context(), "bash", "-euo", "pipefail", "-c", command)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	cmd.Env = append(os.Environ(), "KUBECONFIG="+suite.kubectl.Kubeconfig, "PATH="+filepath.Dir(suite.kubectl.Program)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %v: %s", command, err, out)
	}
	s.Logf("$ %s: after %s", command, time.Since(begin).Round(100*time.Millisecond))
	return string(out)
}

// example copies a folder of examples/ and puts this test's storage into it, as its README asks: into the
// Secret and the file that names the bucket.
func (s *site) example(name, storageFile string) (dir string) {
	s.Helper()
	dir = s.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", name))); err != nil {
		s.Fatal(err)
	}
	storage := suite.cluster.Storage()
	for file, replace := range map[string][]string{
		"1-secret.yaml": {
			"AWS_ACCESS_KEY_ID: change-me", "AWS_ACCESS_KEY_ID: " + storage.AccessKey(),
			"AWS_SECRET_ACCESS_KEY: change-me", "AWS_SECRET_ACCESS_KEY: " + storage.SecretKey(),
		},
		storageFile: {"https://s3.example.com", s.gate.endpoint(), "bucket: backups", "bucket: " + s.bucket},
	} {
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			s.Fatal(err)
		}
		mine := strings.NewReplacer(replace...).Replace(string(text))
		if mine == string(text) {
			s.Fatalf("%s has nothing to fill in", file)
		}
		if err := os.WriteFile(path, []byte(mine), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	return dir
}

func exampleWorkloads(s *site) {
	dir := s.example("workloads", "2-blueprint.yaml")
	s.Cleanup(func() {
		s.nothingShown("shop")
		for _, obj := range []client.Object{
			&v1beta1.BackupBlueprint{ObjectMeta: metav1.ObjectMeta{Name: "workloads"}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		} {
			if err := suite.client.Delete(context.WithoutCancel(s.Context()), obj); client.IgnoreNotFound(err) != nil {
				s.Errorf("delete %T: %v", obj, err)
			}
		}
	})
	var before, after string
	for _, command := range s.commands(filepath.Join(dir, "README.md")) {
		if strings.Contains(command, " rm -rf ") {
			before = s.typed(dir, "kubectl exec -n shop deploy/shop -c shop -- cat /data/visitors.txt")
		}
		after = s.typed(dir, command)
	}
	if before == "" || !strings.HasPrefix(after, before) {
		s.Errorf("the visitors were %q, and are %q after the restore", before, after)
	}
}

func exampleClaims(s *site) {
	dir := s.example("claims", "2-repository.yaml")
	s.Cleanup(func() {
		s.nothingShown("archive")
		err := suite.client.Delete(context.WithoutCancel(s.Context()), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "archive"}})
		if client.IgnoreNotFound(err) != nil {
			s.Errorf("delete namespace: %v", err)
		}
	})
	var last string
	for _, command := range s.commands(filepath.Join(dir, "README.md")) {
		last = s.typed(dir, command)
	}
	if last != "letter 1\nletter 2\nletter 3\n" {
		s.Errorf("the restored letters are %q", last)
	}
}
