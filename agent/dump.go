package agent

import (
	"context"
	"errors"
	"io"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// dump backs up a database: what its programs write becomes one file of one snapshot, and is nowhere
// else on the way. Where a program does not end well there is no snapshot.
func (j *job) dump(ctx context.Context, d protocol.Dump, result *protocol.Result) error {
	args, err := restic.ParseBackupArgs(d.Args)
	if err != nil {
		return failed(protocol.ReasonOther, "check arguments: %w", err)
	}
	if d.Host == "" {
		return failed(protocol.ReasonOther, "read task: it names no host")
	}
	t, file, err := j.tools(d.Database, database.Addon.DumpPlan)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.await(ctx); err != nil {
		return err
	}
	var output restic.BackupOutput
	b := restic.Backup{Host: d.Host, Path: file, Stdin: true, Tags: d.Tags, UserArgs: args}
	_, err = j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: b.Args(), Line: output.Line,
		OpenLimit: j.timings.Metadata, RetryLock: j.timings.RetryLock,
		Input: func(ctx context.Context, w io.Writer) error {
			return t.produce(ctx, &counter{w: w, job: j, path: file})
		},
	})
	switch broken, is := errors.AsType[*toolError](err); {
	case is:
		return failed(protocol.ReasonDumpFailed, "dump %s: %w", t.server, broken)
	case err != nil:
		return err
	case output.Summary == nil || output.Summary.SnapshotID == "":
		return failed(protocol.ReasonOther, "restic ended without a snapshot")
	}
	result.Backups = append(result.Backups, protocol.PathBackup{Path: file, Summary: *output.Summary})
	return nil
}

// produce writes what the programs write, one after the other. A dump of nothing is none: a program that
// has dumped a database has said something about it.
func (t *tools) produce(ctx context.Context, w *counter) error {
	for _, c := range t.plan.Commands {
		before := w.bytes
		if err := t.tool(c).run(ctx, nil, w); err != nil {
			return err
		}
		if w.bytes == before {
			return &toolError{name: c.Argv[0], how: "it ended with success and has written nothing"}
		}
	}
	return nil
}
