package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/seed-731df569/stash/test/cluster"
	"github.com/seed-731df569/stash/test/e2e/install"
)

// place is where the demo runs.
type place interface {
	// prepare brings the cluster up, or asks whether it may be used.
	prepare(ctx context.Context, s *screen) error
	// kubectl reaches the cluster, once it is prepared.
	kubectl() install.Kubectl
	// options are those of the installation.
	options() install.Options
	// bucket is where the backups go.
	bucket() bucket
	// pace slows the storage down, so that there is something to watch, and lets it go again.
	pace(bytesPerSecond int64) error
	// shell are the lines by which a person reaches the cluster.
	shell() []string
	// remove takes down what the demo made.
	remove(ctx context.Context, s *screen) error
}

// bucket is a bucket with the keys to it.
type bucket struct {
	Endpoint, Name, AccessKey, SecretKey string
}

// findPlace decides by the environment. IMAGE or BUCKET ask for a cluster of the user's; a
// KUBECONFIG alone does not, since many shells have one.
func findPlace() (place, error) {
	env := map[string]string{}
	var missing []string
	for _, name := range []string{"KUBECONFIG", "IMAGE", "BUCKET", "ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		env[name] = os.Getenv(name)
		if env[name] == "" {
			missing = append(missing, name)
		}
	}
	if env["IMAGE"] == "" && env["BUCKET"] == "" {
		return newOwn()
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("IMAGE or BUCKET is set, which asks for a cluster of yours, but %s is not: set it, or unset IMAGE and BUCKET for a cluster on this machine", strings.Join(missing, ", "))
	}
	program, err := exec.LookPath("kubectl")
	if err != nil {
		return nil, errors.New("there is no kubectl in PATH")
	}
	return &yours{
		k:     install.Kubectl{Program: program, Kubeconfig: env["KUBECONFIG"]},
		image: env["IMAGE"],
		b:     bucket{env["ENDPOINT"], env["BUCKET"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]},
	}, nil
}

// clusterName is the name of the demo's own cluster.
const clusterName = "demo"

// own is a cluster of the demo's own, on this machine.
type own struct {
	c     *cluster.Cluster
	build string
}

func newOwn() (*own, error) {
	c, err := cluster.New(cluster.Config{Name: clusterName, Nodes: 3, Storage: true})
	if err != nil {
		return nil, fmt.Errorf("describe the cluster: %w", err)
	}
	return &own{c: c}, nil
}

func (o *own) kubectl() install.Kubectl {
	return install.Kubectl{Program: o.c.Cache().Kubectl(), Kubeconfig: o.c.Kubeconfig()}
}

func (o *own) options() install.Options { return install.Options{Build: o.build} }

func (o *own) bucket() bucket {
	s := o.c.Storage()
	return bucket{s.Endpoint(), "demo", s.AccessKey(), s.SecretKey()}
}

func (o *own) pace(bytesPerSecond int64) error {
	if bytesPerSecond == 0 {
		return o.c.Storage().Fast()
	}
	return o.c.Storage().Slow(bytesPerSecond)
}

func (o *own) shell() []string {
	return []string{"export KUBECONFIG=" + o.c.Kubeconfig(), "alias kubectl=" + o.c.Cache().Kubectl()}
}

// yours is a cluster of the user's.
type yours struct {
	k     install.Kubectl
	image string
	b     bucket
}

func (y *yours) kubectl() install.Kubectl { return y.k }
func (y *yours) options() install.Options { return install.Options{Image: y.image} }
func (y *yours) bucket() bucket           { return y.b }
func (y *yours) pace(int64) error         { return nil }
func (y *yours) shell() []string          { return []string{"export KUBECONFIG=" + y.k.Kubeconfig} }
