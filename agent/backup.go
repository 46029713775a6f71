package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// backup makes one snapshot of each path. A path that fails does not keep the others from being
// backed up, unless its failure is the repository's.
func (j *job) backup(ctx context.Context, b protocol.Backup, result *protocol.Result) error {
	args, err := restic.ParseBackupArgs(b.Args)
	if err != nil {
		return failed(protocol.ReasonOther, "check arguments: %w", err)
	}
	if b.Host == "" || len(b.Paths) == 0 {
		return failed(protocol.ReasonOther, "read task: it names no host or no path")
	}
	var failures []error
	for i, path := range b.Paths {
		command := restic.Backup{Host: b.Host, Path: path, Tags: b.Tags, Exclude: b.Exclude, UserArgs: args}
		done, err := j.backupPath(ctx, command, i, len(b.Paths))
		if done != nil {
			result.Backups = append(result.Backups, *done)
		}
		if err == nil {
			continue
		}
		failures = append(failures, fmt.Errorf("back up %q: %w", path, err))
		if left := len(b.Paths) - i - 1; left > 0 && ofRepository(reasonOf(err)) {
			failures = append(failures, fmt.Errorf("%d more paths were not tried", left))
			break
		}
	}
	return joined(failures)
}

// ofRepository tells whether the next path would fail for the same reason.
func ofRepository(r protocol.Reason) bool {
	switch r {
	case protocol.ReasonPathMissing, protocol.ReasonUnreadable, protocol.ReasonOther:
		return false
	default:
		return true
	}
}

// joined makes one error of several, with the reason of the first.
func joined(failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	texts := make([]string, len(failures))
	for i, err := range failures {
		texts[i] = err.Error()
	}
	return failed(reasonOf(failures[0]), "%s", strings.Join(texts, "; "))
}

func (j *job) backupPath(ctx context.Context, b restic.Backup, index, count int) (*protocol.PathBackup, error) {
	if err := checkSource(b.Path); err != nil {
		return nil, err
	}
	output := restic.BackupOutput{OnStatus: func(s restic.BackupStatus) {
		j.progress(protocol.Progress{
			Percent:   100 * (float64(index) + s.PercentDone) / float64(count),
			BytesDone: s.BytesDone, TotalBytes: s.TotalBytes, FilesDone: s.FilesDone, TotalFiles: s.TotalFiles,
			SecondsLeft: s.SecondsRemaining, Path: b.Path,
		})
	}}
	// No run of its own tries the keys before: it would derive the key of the repository twice, which
	// is most of what a small backup costs.
	run, err := j.runner.Run(ctx, exec.Command{
		Repository: j.task.Repository, Args: b.Args(), Line: output.Line,
		OpenLimit: j.timings.Metadata, RetryLock: j.timings.RetryLock,
	})
	incomplete := errors.Is(err, restic.ErrIncomplete)
	if err != nil && !incomplete {
		return nil, err
	}
	if output.Summary == nil || output.Summary.SnapshotID == "" {
		if err != nil {
			return nil, err
		}
		return nil, failed(protocol.ReasonOther, "restic ended without a snapshot")
	}
	done := &protocol.PathBackup{Path: b.Path, Summary: *output.Summary}
	if incomplete {
		done.UnreadableCount = run.Stderr.ItemCount
		for _, item := range run.Stderr.Items {
			done.Unreadable = append(done.Unreadable, item.Item)
		}
		j.log.Warn("files could not be read", "path", b.Path, "count", done.UnreadableCount)
		if output.Summary.TotalFilesProcessed == 0 && !slices.Equal(done.Unreadable, []string{path.Join(b.Path, lostFound)}) {
			return done, unreadable(run.Stderr.Message())
		}
	}
	return done, nil
}

// unreadable is the failure of a path whose snapshot holds no file, since none could be read: unlike one
// that lacks some, it is not worth keeping. A volume that is fresh holds lost+found and nothing else, which
// is no failure.
func unreadable(why string) error {
	return failed(protocol.ReasonUnreadable,
		"user %d, as whom the agent runs, could read no file of it (%s): make it readable for that user, for example by its fsGroup, "+
			"or let the agent run as another (runtimeSettings.container.securityContext of the BackupConfiguration)", os.Geteuid(), why)
}

// checkSource makes sure that there is something to back up. restic skips a path that does not
// exist, and of a symbolic link it keeps the link alone, both with success.
func checkSource(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failed(protocol.ReasonPathMissing, "the path does not exist in the pod")
	case err != nil:
		return failed(protocol.ReasonPathMissing, "find path: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return failed(protocol.ReasonPathMissing, "the path is a symbolic link, of which only the link would be kept: name what it points to")
	}
	return nil
}
