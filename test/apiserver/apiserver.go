// Package apiserver gives a test an API server of its own with Stash installed: the control plane
// of test/cluster without nodes, and deploy/ applied as a user applies it. Nothing runs in it; it
// answers what the API server alone can tell: schemas, CEL, admission of the built-in kinds.
package apiserver

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seed-731df569/stash/test/cluster"
)

// Server is a control plane with Stash's kinds.
type Server struct {
	// Client sends everything with strict field validation.
	Client client.Client
	// Config is the administrator's.
	Config *rest.Config
	// MachineIP is where the API server reaches a webhook that the test serves.
	MachineIP string

	cluster *cluster.Cluster
}

// Start brings up a control plane that ends with the test. Each name has a net of its own.
func Start(t *testing.T, name string, net int) *Server {
	t.Helper()
	c, err := cluster.New(cluster.Config{Name: name, Net: net, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &Server{cluster: c, MachineIP: c.MachineIP()}
	s.Install(t)
	// No operator registers its webhooks here, and without them our kinds are read-only.
	s.Kubectl(t, "", "delete", "validatingadmissionpolicybinding", "webhooks-must-exist.stash.appscode.com")
	s.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	s.Config = config
	log.SetLogger(logr.Discard())
	plain, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Client = client.WithFieldValidation(plain, "Strict")
	return s
}

// Install applies deploy/ as a user does.
func (s *Server) Install(t *testing.T) {
	t.Helper()
	s.Kubectl(t, "", "apply", "--kustomize", filepath.Join(Root, "deploy"))
}

// TokenKey is the file of the key that signs tokens of ServiceAccounts.
func (s *Server) TokenKey() string {
	return filepath.Join(filepath.Dir(s.cluster.Kubeconfig()), "pki", "service-accounts.key")
}

// Kubeconfig is the administrator's.
func (s *Server) Kubeconfig() string { return s.cluster.Kubeconfig() }

// CertManager builds cert-manager's controllers and returns the program and the folder of its CRDs.
func (s *Server) CertManager(t *testing.T) (program, crds string) {
	t.Helper()
	program, crds, err := s.cluster.Cache().CertManager(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return program, crds
}

// Root is the module's root folder, seen from a package in test/.
const Root = "../.."

// Kubectl runs kubectl with text as its input and returns what it prints.
func (s *Server) Kubectl(t *testing.T, text string, args ...string) string {
	t.Helper()
	out, err := s.TryKubectl(t, text, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// TryKubectl runs kubectl where an error is an answer. It works in a test's Cleanup too.
func (s *Server) TryKubectl(t *testing.T, text string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), s.cluster.Cache().Kubectl(), args...) //nolint:gosec // kubectl of the test's own cluster
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+s.cluster.Kubeconfig())
	cmd.Stdin = strings.NewReader(text)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}
