package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-731df569/stash/test/cluster"
)

func newImage(open opener) *cobra.Command {
	command := &cobra.Command{Use: "image", Short: "Build images and bring them to the nodes"}
	command.AddCommand(newImageBuild(), newImageLoad(open), newImageRootFS())
	return command
}

func newImageBuild() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "build REF FOLDER",
		Short: "Build a Dockerfile and print the path of the image's archive",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				file = filepath.Join(args[1], "Dockerfile")
			}
			archive, err := cluster.NewCache("", os.Stderr).BuildImage(cmd.Context(), file, args[1], args[0])
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), archive)
			}
			return err
		},
	}
	command.Flags().StringVarP(&file, "file", "f", "", "path of the Dockerfile (default FOLDER/Dockerfile)")
	return command
}

func newImageLoad(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "load ARCHIVE...",
		Short: "Bring image archives to every node",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			for _, archive := range args {
				if err := c.LoadImage(cmd.Context(), archive); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newImageRootFS() *cobra.Command {
	return &cobra.Command{
		Use:   "rootfs REF",
		Short: "Unpack an image that was built here and print the folder",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := cluster.NewCache("", os.Stderr).ImageRootFS(cmd.Context(), args[0])
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), dir)
			}
			return err
		},
	}
}

func newRestic() *cobra.Command {
	return &cobra.Command{
		Use:   "restic",
		Short: "Print the path of a restic 0.18 that runs on this machine",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := cluster.NewCache("", os.Stderr).ResticPath(cmd.Context())
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return err
		},
	}
}

func newDatabases() *cobra.Command {
	return &cobra.Command{
		Use:   "databases",
		Short: "Install PostgreSQL, MariaDB and Redis, start none of them, and print a PATH with their programs",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := cluster.NewCache("", os.Stderr).DatabasePath(cmd.Context())
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return err
		},
	}
}
