package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-731df569/stash/addons/database"
	"github.com/seed-731df569/stash/broker/protocol"
)

// probeEvery is the time between two attempts to reach a server.
const probeEvery = time.Second

// tools runs the programs of one database.
type tools struct {
	job    *job
	plan   database.Plan
	server database.Server
	dir    string
	mask   *strings.Replacer
}

// tools prepares what the programs need; close takes it away again.
func (j *job) tools(d protocol.Database, plan func(database.Addon, database.Request) (database.Plan, error)) (t *tools, file string, err error) {
	addon, file, err := d.Find()
	if err != nil {
		return nil, "", failed(protocol.ReasonOther, "read task: %w", err)
	}
	if d.Server.Port == 0 {
		d.Server.Port = addon.Port
	}
	dir, err := os.MkdirTemp(j.runner.WorkDir, "database-") // 0700
	if err != nil {
		return nil, "", fmt.Errorf("make folder: %w", err)
	}
	t = &tools{job: j, server: d.Server, dir: dir, mask: mask(d.Server.Secrets())}
	t.plan, err = plan(addon, database.Request{Server: d.Server, Params: d.Params, Dir: dir, Token: "stash" + rand.Text()})
	if err != nil {
		t.close()
		return nil, "", failed(protocol.ReasonOther, "%s: %s", addon.Name, t.mask.Replace(err.Error()))
	}
	for _, f := range t.plan.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Content, 0o600); err != nil {
			t.close()
			return nil, "", fmt.Errorf("write file: %w", err)
		}
	}
	return t, file, nil
}

// close removes what the programs were given.
func (t *tools) close() {
	if err := os.RemoveAll(t.dir); err != nil {
		t.job.log.Error("files of a database's programs are left", "dir", t.dir, "err", err)
	}
}

// tool prepares a program.
func (t *tools) tool(c database.Command) *tool {
	path := or(t.job.toolPath, os.Getenv("PATH"))
	return &tool{
		name: c.Argv[0], argv: slices.Concat(t.job.runner.Priority(), []string{find(c.Argv[0], path)}, c.Argv[1:]), dir: t.dir, mask: t.mask,
		env: append([]string{"PATH=" + path, "HOME=" + t.dir, "TMPDIR=" + t.dir, "LC_ALL=C.UTF-8"}, c.Env...),
	}
}

// find returns where a program is; its name where it is nowhere.
func find(name, path string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 { //nolint:gosec // the image names the folders
			return file
		}
	}
	return name
}

// await waits until the server answers.
func (t *tools) await(ctx context.Context) error {
	if t.plan.Probe == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, t.plan.Wait)
	defer cancel()
	begin := time.Now()
	for first := true; ; first = false {
		probing := limited
		if first {
			probing = ctx // also where nothing is to be waited for
		}
		probe := t.tool(*t.plan.Probe)
		err := probe.run(probing, nil, &probe.said)
		if err == nil {
			return nil
		}
		var absent *toolError
		if ctx.Err() == nil && errors.As(err, &absent) && absent.code < 0 && !absent.signaled {
			return failed(protocol.ReasonDatabase, "%w", err) // it could not be started
		}
		select {
		case <-limited.Done():
			return t.unreachable(ctx, err, time.Since(begin))
		case <-time.After(probeEvery):
			t.job.progress(protocol.Progress{Path: "waiting for " + t.server.String()})
		}
	}
}

func (t *tools) unreachable(ctx context.Context, err error, waited time.Duration) error {
	if ctx.Err() != nil {
		return stopped(ctx, fmt.Errorf("wait for %s: %w", t.server, err))
	}
	said := why(t.server)
	if said == "" {
		said = err.Error()
	}
	return failed(protocol.ReasonDatabase, "%s did not answer in %s: %s", t.server, waited.Round(time.Second), said)
}

// stopped is the failure of what ended since ctx did.
func stopped(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return failed(protocol.ReasonDeadline, "stopped at the deadline: %w", err)
	}
	return failed(protocol.ReasonCanceled, "%w", err)
}

// counter counts the bytes of a dump on their way, and tells how far it is.
type counter struct {
	w     io.Writer
	bytes int64
	// total is how many there will be; 0: nobody knows.
	total int64
	job   *job
	path  string
}

// Write hands bytes on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.bytes += int64(n)
	done := protocol.Progress{BytesDone: c.bytes, TotalBytes: c.total, TotalFiles: 1, Path: c.path}
	if c.total > 0 {
		done.Percent = min(100, 100*float64(c.bytes)/float64(c.total))
	}
	c.job.progress(done)
	return n, err
}
