package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newOff(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "off HOST",
		Short: "Cut the power of a host: cp, s3, n1, n2, …",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			return c.PowerOff(cmd.Context(), args[0])
		},
	}
}

func newOn(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "on HOST",
		Short: "Boot a host whose power was cut",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			return c.PowerOn(cmd.Context(), args[0])
		},
	}
}

func newExec(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST -- COMMAND...",
		Short: "Run a command on a host",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			if !c.Powered(args[0]) {
				return fmt.Errorf("run on host %q: it has no power", args[0])
			}
			inner := c.InHost(cmd.Context(), args[0], args[1:]...)
			inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
			return inner.Run()
		},
	}
}

func newLogs(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "logs",
		Short: "List the log files of the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(c.LogDir(), "*.log"))
			for _, f := range files {
				fmt.Fprintln(cmd.OutOrStdout(), f)
			}
			return err
		},
	}
}
