package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/leak"
)

// secrets are the storage's keys and the passwords of all repositories: nobody may show them.
var secrets leak.Secrets

// looking bounds a look at everything.
const looking = 2 * time.Minute

// secret makes a value known as one that nobody may show.
func (s *site) secret(name, value string) string {
	s.Helper()
	if err := secrets.Add(name, value); err != nil {
		s.Fatal(err)
	}
	return value
}

// hidden fails the test for each secret in a text.
func (s *site) hidden(where string, text []byte) {
	s.Helper()
	for _, found := range secrets.In(text) {
		s.Errorf("%s: %s", where, found)
	}
}

// nothingShown looks for secrets in all objects of a namespace but Secrets, in what containers in it
// have said, restarted ones too, and in metrics. Tests look before their namespace goes.
func (s *site) nothingShown(namespace string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), looking)
	defer cancel()
	s.objectsHidden(ctx, "--namespaced=true", "--namespace="+namespace)
	s.logsHidden(namespace)
	s.metricsHidden(ctx)
}

// objectsHidden looks at every kind that can be listed.
func (s *site) objectsHidden(ctx context.Context, kinds string, where ...string) {
	s.Helper()
	text, err := suite.kubectl.Run(ctx, "", "api-resources", "--verbs=list", "--output=name", kinds)
	if err != nil {
		s.Error(err)
		return
	}
	names := slices.DeleteFunc(lines(text), func(name string) bool { return name == "secrets" })
	args := append([]string{"get", strings.Join(names, ","), "--output=json", "--show-managed-fields"}, where...)
	if text, err = suite.kubectl.Run(ctx, "", args...); err != nil {
		s.Error(err)
		return
	}
	if !strings.Contains(text, `"apiVersion"`) {
		s.Errorf("objects %s: there are none", where)
	}
	s.hidden("objects "+strings.Join(where, " "), []byte(text))
}

// logsHidden looks at all logs that nodes have of a namespace's pods.
func (s *site) logsHidden(namespace string) {
	s.Helper()
	read := 0
	for _, host := range suite.cluster.Hosts() {
		files, err := filepath.Glob(suite.cluster.DiskPath(host, "/var/log/pods/"+namespace+"_*/*/*.log*"))
		if err != nil {
			s.Error(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				continue // its pod went
			}
			if err != nil {
				s.Error(err)
			}
			read += len(text)
			s.hidden("log "+file, text)
		}
	}
	s.Logf("%d bytes of logs of namespace %s were searched", read, namespace)
	if read == 0 && namespace == operatorNS {
		s.Error("the operator has no logs")
	}
}

// metricsHidden looks at what both replicas count.
func (s *site) metricsHidden(ctx context.Context) {
	s.Helper()
	pods := &corev1.PodList{}
	if err := suite.client.List(ctx, pods, client.InNamespace(operatorNS)); err != nil {
		s.Error(err)
		return
	}
	read := 0
	for i := range pods.Items {
		if !isReady(&pods.Items[i]) || pods.Items[i].DeletionTimestamp != nil {
			continue
		}
		name := pods.Items[i].Name
		text, err := suite.kubectl.Run(ctx, "", "get", "--raw", "/api/v1/namespaces/"+operatorNS+"/pods/"+name+":8080/proxy/metrics")
		if err != nil {
			s.Logf("metrics of %s: %v", name, err) // it may be about to go
			continue
		}
		if !strings.Contains(text, "stash_") {
			s.Errorf("metrics of %s are none", name)
		}
		read++
		s.hidden("metrics of "+name, []byte(text))
	}
	if read == 0 {
		s.Error("no replica has metrics")
	}
}

// TestNoSecretIsShown looks at all that is left after the other tests; they looked at what went with
// them.
func TestNoSecretIsShown(t *testing.T) {
	s := &site{T: t}
	ctx, cancel := context.WithTimeout(t.Context(), looking)
	defer cancel()
	storage := suite.cluster.Storage()
	s.secret("the storage's access key", storage.AccessKey())
	s.secret("the storage's secret key", storage.SecretKey())
	s.objectsHidden(ctx, "--namespaced=true", "--all-namespaces")
	s.objectsHidden(ctx, "--namespaced=false")
	s.logsHidden("*")
	s.logsHidden(operatorNS)
	s.metricsHidden(ctx)
}

// keysStayHidden looks at every process of every node while restic works for a test: restic alone has
// the keys, in its environment.
func keysStayHidden(s *site) {
	dir, _ := s.filled()
	name, _ := s.slowBackup()
	s.processesHidden("backup")
	s.gate.heal()
	s.succeeded(name)
	s.wiped(dir)
	s.gate.slowDown(restorePace)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restoring("back")
	s.processesHidden("restore")
	s.gate.heal()
	s.restored("back")
	s.unlocked()
}

// processesHidden fails unless a restic has this test's password, and nothing else any secret.
func (s *site) processesHidden(what string) {
	s.Helper()
	var own leak.Secrets
	if err := own.Add("the password", s.password); err != nil {
		s.Fatal(err)
	}
	processes, working := 0, 0
	for _, node := range s.nodes() {
		dirs, err := filepath.Glob(filepath.Join(suite.cluster.Proc(node), "[0-9]*"))
		if err != nil {
			s.Fatal(err)
		}
		for _, dir := range dirs {
			cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
			environ, envErr := os.ReadFile(filepath.Join(dir, "environ"))
			if err != nil || envErr != nil {
				continue // it has ended
			}
			processes++
			program, _, _ := strings.Cut(string(cmdline), "\x00")
			s.hidden(node+": arguments of "+program, cmdline)
			if filepath.Base(program) != "restic" {
				s.hidden(node+": environment of "+program, environ)
				continue
			}
			if len(own.In(environ)) > 0 {
				working++
			}
			s.filesHidden(filepath.Join(dir, "root", "stash-tmp"))
		}
	}
	s.Logf("%s: %d processes, %d of restic with this test's password", what, processes, working)
	if working == 0 {
		s.Errorf("%s: no restic has this test's password, so that the search proves nothing", what)
	}
}

// filesHidden looks at the files that an agent keeps while restic runs.
func (s *site) filesHidden(dir string) {
	s.Helper()
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // it went with its pod
		}
		if text, err := os.ReadFile(path); err == nil {
			s.hidden("file "+path, text)
		}
		return nil
	})
}

// nodes are the names of the cluster's nodes.
func (s *site) nodes() []string {
	s.Helper()
	all := &corev1.NodeList{}
	if err := suite.client.List(s.Context(), all); err != nil {
		s.Fatal(err)
	}
	var names []string
	for i := range all.Items {
		names = append(names, all.Items[i].Name)
	}
	return names
}
