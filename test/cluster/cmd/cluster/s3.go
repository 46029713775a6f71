package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-731df569/stash/test/cluster"
)

func newS3(open opener) *cobra.Command {
	command := &cobra.Command{Use: "s3", Short: "Break, slow down and look into the S3 server"}
	command.AddCommand(
		newS3Action(open, "cut", "Lose every packet to and from the server", (*cluster.Storage).Cut),
		newS3Action(open, "heal", "Undo cut", (*cluster.Storage).Heal),
		newS3Action(open, "stop", "Kill the server: connections are refused", (*cluster.Storage).Stop),
		newS3Action(open, "start", "Undo stop", (*cluster.Storage).Start),
		newS3Action(open, "fast", "Undo slow and delay", func(s *cluster.Storage, _ context.Context) error { return s.Fast() }),
		newS3Arg(open, "slow BYTES", "Limit the server to that many bytes per second", func(s *cluster.Storage, arg string) error {
			n, err := strconv.ParseInt(arg, 10, 64)
			if err != nil {
				return fmt.Errorf("read rate: %w", err)
			}
			return s.Slow(n)
		}),
		newS3Arg(open, "delay DURATION", "Add a delay to each direction, for example 50ms", func(s *cluster.Storage, arg string) error {
			d, err := time.ParseDuration(arg)
			if err != nil {
				return fmt.Errorf("read delay: %w", err)
			}
			return s.Delay(d)
		}),
		newS3Arg(open, "mb BUCKET", "Make a bucket", (*cluster.Storage).CreateBucket),
		newS3Arg(open, "rb BUCKET", "Remove a bucket with all that it holds", (*cluster.Storage).DeleteBucket),
		newS3Arg(open, "ls BUCKET", "List the objects of a bucket", func(s *cluster.Storage, bucket string) error {
			keys, err := s.Objects(bucket, "")
			for _, k := range keys {
				fmt.Println(k)
			}
			return err
		}),
	)
	return command
}

func newS3Action(open opener, use, short string, do func(*cluster.Storage, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			return do(c.Storage(), cmd.Context())
		},
	}
}

func newS3Arg(open opener, use, short string, do func(*cluster.Storage, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := open()
			if err != nil {
				return err
			}
			return do(c.Storage(), args[0])
		},
	}
}
