// Package e2e_test tries Stash on a real cluster of three nodes. TestSideBySide runs many tests at
// a time, each in a namespace, with a bucket and a way to the storage of its own; TestBadDays then
// breaks nodes, storage and operator, one test after the other,
// and TestUnderLoad breaks admission while it is asked for much.
//
// The cluster is the one named "test" (CLUSTER). One that is up already is used and stays up; else
// it is brought up and removed at the end, unless E2E_KEEP=1.
package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/test/cluster"
	"github.com/seed-731df569/stash/test/e2e/install"
)

// root is the module's root folder.
const root = "../.."

// suite is what all tests share.
var suite struct {
	cluster *cluster.Cluster
	kubectl install.Kubectl
	client  client.Client
	restic  string
	build   string // of the image
}

// limits are shorter than those of production, so that what is lost is found within a test's time.
// An agent says every 10 s that it is alive.
func limits() []string {
	return []string{
		"--accept-limit=20s", "--heartbeat-limit=35s", "--repository-limit=90s", "--pods-limit=45s",
		"--worker-idle=30s",
	}
}

// sideBySide is how many tests run at a time: they wait most of the time.
const sideBySide = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", sideBySide); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "e2e: not root: the tests run a real cluster on this machine; run them with sudo")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	remove, err := setUp(ctx)
	defer func() {
		if err := remove(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: remove the cluster:", err)
			code = 1
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: set up:", err)
		return 1
	}
	return m.Run()
}

// setUp brings the cluster up with Stash in it. The function that it returns removes what it made.
func setUp(ctx context.Context) (remove func() error, err error) {
	remove = func() error { return nil }
	c, fresh, err := openCluster()
	if err != nil {
		return remove, err
	}
	suite.cluster = c
	if fresh && os.Getenv("E2E_KEEP") == "" {
		remove = func() error { return c.Down(context.Background()) }
	}
	if err := c.Up(ctx); err != nil {
		return remove, err
	}
	if suite.restic, err = c.Cache().ResticPath(ctx); err != nil {
		return remove, err
	}
	suite.kubectl = install.Kubectl{Program: c.Cache().Kubectl(), Kubeconfig: c.Kubeconfig()}
	if suite.client, err = newClient(c.Kubeconfig()); err != nil {
		return remove, err
	}
	return remove, installStash(ctx, c)
}

func openCluster() (c *cluster.Cluster, fresh bool, err error) {
	name := os.Getenv("CLUSTER")
	if name == "" {
		name = "test"
	}
	if c, err = cluster.Open(name); err == nil && c.Nodes >= 3 && c.Config.Storage {
		c.SetLog(os.Stderr)
		return c, false, nil
	}
	c, err = cluster.New(cluster.Config{Name: name, Nodes: 3, Storage: true, Log: os.Stderr})
	return c, true, err
}

func installStash(ctx context.Context, c *cluster.Cluster) error {
	begin := time.Now()
	archive, err := install.Build(ctx, c.Cache(), root, install.Image, "e2e")
	if err != nil {
		return err
	}
	if err := c.LoadImage(ctx, archive); err != nil {
		return err
	}
	suite.build = filepath.Base(archive)
	err = applyStash(ctx)
	fmt.Fprintf(os.Stderr, "Stash is installed after %s\n", time.Since(begin).Round(time.Second))
	if err != nil {
		logs, _ := suite.kubectl.Run(ctx, "", "logs", "--namespace=stash", "--selector=app.kubernetes.io/name=stash", "--tail=30", "--prefix")
		return fmt.Errorf("install Stash: %w\n%s", err, logs)
	}
	return nil
}

// applyStash installs the operator with further flags and waits until it is ready.
func applyStash(ctx context.Context, args ...string) error {
	o := install.Options{Args: append(limits(), args...), Build: suite.build}
	if err := install.Apply(ctx, suite.kubectl, root, o); err != nil {
		return err
	}
	return install.Wait(ctx, suite.kubectl, "120s")
}

func newClient(kubeconfig string) (client.Client, error) {
	log.SetLogger(logr.Discard())
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	// A control plane without power must not hold up a check for long.
	config.Timeout = 15 * time.Second
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), v1beta1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return c, nil
}
