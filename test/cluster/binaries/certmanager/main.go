// Command certmanager runs the controllers of cert-manager that issue and
// renew certificates with self-signed and CA issuers: the real ones, without
// those of ACME and of other vendors, whose libraries are most of the full
// program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"   // approves requests of known issuers.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"         // signs with a CA in a Secret.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned" // signs a certificate with its own key.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"           // writes the Secret.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"        // makes keys.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"         // says whether a certificate is good.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"    // makes requests.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"   // forgets old requests.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"           // says when a certificate is due.
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"                        // says whether an issuer is good.
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"                                 // is the issuer of CAs in Secrets.
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"                         // is the issuer of roots.
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that leads to the cluster")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		stop()
		os.Exit(1)
	}
}

// run runs all controllers until ctx ends.
func run(ctx context.Context, kubeconfig string) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: "cert-manager"},
		CertificateOptions: controller.CertificateOptions{CertificateRequestMinimumBackoffDuration: time.Second, CertificateRequestMaximumBackoffDuration: 10 * time.Second},
	})
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	shared, err := factory.Build()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	var running sync.WaitGroup
	failed := make(chan error, len(controller.Known()))
	for name, build := range controller.Known() {
		c, err := build(factory)
		if err != nil {
			return fmt.Errorf("make controller %s: %w", name, err)
		}
		running.Go(func() {
			if err := c.Run(2, ctx); err != nil {
				failed <- fmt.Errorf("run controller %s: %w", name, err)
			}
		})
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	running.Wait()
	return nil
}
