// Command cluster brings up the project's own Kubernetes clusters and takes
// them down again; see package cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-731df569/stash/test/cluster"
)

func main() {
	// Ctrl-C ends this command, never a cluster.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to undo
	}
}

func newCommand() *cobra.Command {
	command := &cobra.Command{
		Use:           "cluster",
		Short:         "Real Kubernetes clusters on this machine, for tests and the demo",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	name := command.PersistentFlags().String("name", "test", "name of the cluster")
	open := func() (*cluster.Cluster, error) {
		c, err := cluster.Open(*name)
		if err == nil {
			c.SetLog(os.Stderr)
		}
		return c, err
	}
	command.AddCommand(
		newBuild(), newUp(name), newDown(name), newStatus(open), newEnv(open),
		newOff(open), newOn(open), newExec(open), newLogs(open),
		newImage(open), newS3(open), newRestic(), newDatabases(),
	)
	return command
}

// opener returns the cluster that --name names, once it exists.
type opener func() (*cluster.Cluster, error)

func newBuild() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Install packages, compile programs and make images, as far as they are missing",
		Long: `Install packages, compile programs and make images, as far as they are missing.
The first time takes about 15 minutes on two cores; "up" does it by itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cluster.NewCache("", os.Stderr).Build(cmd.Context())
		},
	}
}

func newUp(name *string) *cobra.Command {
	var config cluster.Config
	command := &cobra.Command{
		Use:   "up",
		Short: "Bring a cluster up, repair it, or change it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config.Name, config.Log = *name, os.Stderr
			c, err := cluster.New(config)
			if err != nil {
				return err
			}
			if err := c.Up(cmd.Context()); err != nil {
				return err
			}
			printEnv(cmd, c)
			return nil
		},
	}
	flags := command.Flags()
	flags.IntVar(&config.Nodes, "nodes", 3, "number of nodes")
	flags.IntVar(&config.Net, "net", 0, "second octet of the cluster's addresses, 10.NET.0.0/16 (default: follows from the name)")
	flags.BoolVar(&config.Storage, "storage", true, "with the S3 server")
	flags.StringArrayVar(&config.APIServerArgs, "apiserver-arg", nil, "further flag of the API server; may be repeated")
	return command
}

func newDown(name *string) *cobra.Command {
	var keep bool
	command := &cobra.Command{
		Use:   "down",
		Short: "Remove a cluster with its disks; the cache stays",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Open(*name)
			if err != nil {
				// It may be half made, or gone: remove what there is.
				if c, err = cluster.New(cluster.Config{Name: *name}); err != nil {
					return err
				}
			}
			c.SetLog(os.Stderr)
			var options []cluster.DownOption
			if keep {
				options = append(options, cluster.KeepStorage)
			}
			return c.Down(cmd.Context(), options...)
		},
	}
	command.Flags().BoolVar(&keep, "keep-storage", false, "leave the S3 server running, with its data")
	return command
}

func newEnv(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print shell lines for kubectl and the S3 server: eval \"$(cluster env)\"",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			printEnv(cmd, c)
			return nil
		},
	}
}

func printEnv(cmd *cobra.Command, c *cluster.Cluster) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "export KUBECONFIG=%s\n", c.Kubeconfig())
	fmt.Fprintf(out, "alias kubectl=%s\n", c.Cache().Kubectl())
	if c.Config.Storage {
		s := c.Storage()
		fmt.Fprintf(out, "# S3: %s and %s (CA %s), access key %s, secret key %s\n", s.Endpoint(), s.SecureEndpoint(), s.CAFile(), s.AccessKey(), s.SecretKey())
	}
}

func newStatus(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which hosts have power and which processes run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			return printStatus(cmd.Context(), cmd, c)
		},
	}
}

func printStatus(ctx context.Context, cmd *cobra.Command, c *cluster.Cluster) error {
	out := cmd.OutOrStdout()
	for _, host := range c.Hosts() {
		if !c.Powered(host) {
			fmt.Fprintf(out, "%-4s off\n", host)
			continue
		}
		processes, err := c.Processes(ctx, host)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-4s on ", host)
		for _, p := range processes {
			switch {
			case p.Running && p.Starts == 1:
				fmt.Fprintf(out, " %s", p.Name)
			case p.Running:
				fmt.Fprintf(out, " %s(%d starts)", p.Name, p.Starts)
			case !p.Done:
				fmt.Fprintf(out, " [%s off]", p.Name)
			}
		}
		fmt.Fprintln(out)
	}
	return nil
}
