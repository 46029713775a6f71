// Command host is what runs inside the simulated machines of a test cluster:
// process 1 (boot), the step that imports images on a node (import), and the
// gate in front of the S3 server (gate). Package cluster builds and starts it;
// people have no use for it.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/seed-731df569/stash/test/cluster/internal/gate"
	"github.com/seed-731df569/stash/test/cluster/internal/host"
	"github.com/seed-731df569/stash/test/cluster/internal/preload"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "boot":
		return host.Boot(args[1])
	case len(args) == 2 && args[0] == "gate":
		return gate.Run(args[1])
	case len(args) == 4 && args[0] == "import":
		return preload.Import(args[1], args[2], args[3])
	}
	return errors.New("usage: host boot SPEC | gate CONFIG | import SOCKET ARCHIVES MARKERS")
}
