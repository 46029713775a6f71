// Command coredns is CoreDNS with the plugins that a cluster's DNS needs and
// no other: the full one takes three times as long to build, and links the
// client libraries of four clouds.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"      // answers again from memory.
	_ "github.com/coredns/coredns/plugin/errors"     // logs failed queries.
	_ "github.com/coredns/coredns/plugin/forward"    // passes other names to an upstream, where a Corefile names one.
	_ "github.com/coredns/coredns/plugin/health"     // liveness on :8080.
	_ "github.com/coredns/coredns/plugin/kubernetes" // Services and pods of the cluster.
	_ "github.com/coredns/coredns/plugin/ready"      // readiness on :8181.
	_ "github.com/coredns/coredns/plugin/reload"     // an edited Corefile takes effect.
)

func main() {
	coremain.Run()
}
