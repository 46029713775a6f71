// Command kube is all of Kubernetes in one binary: it runs the component whose
// name it is called by or that its first argument names. One binary of 140 MB
// replaces six, and links the code that they share once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // JSON log format, as in upstream's binaries.
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics, as in upstream's binaries.
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric, as in upstream's binaries.
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if daemon(name) == nil && name != "kubectl" && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	if name == "kubectl" {
		// kubectl prints its own errors; CheckErr gives them the exit code.
		kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
		return
	}
	command := daemon(name)
	if command == nil {
		fmt.Fprintf(os.Stderr, "run component: %q is none of kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl\n", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(command()))
}

// daemon returns the constructor of a component's command, nil for unknown
// names. Commands are built on demand: building one registers its flags and
// metrics globally, and two would collide.
func daemon(name string) func() *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand
	case "kube-controller-manager":
		return controllermanager.NewControllerManagerCommand
	case "kube-scheduler":
		return func() *cobra.Command { return scheduler.NewSchedulerCommand() }
	case "kubelet":
		return func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }
	case "kube-proxy":
		return proxy.NewProxyCommand
	}
	return nil
}
