package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// course is what happened in one session, and when, all by the machine's one clock. Times in status
// are of whole seconds, so they are not used.
type course struct {
	// asked is before the request to create it, stored after the API server's answer.
	asked, stored time.Time
	// assigned is when a status with an assignment reached a watcher.
	assigned time.Time
	// taken is the agent's "task starts".
	taken time.Time
	// opened is the start of its first restic, which reads the repository's config; running that
	// of "restic backup".
	opened, running time.Time
	// ended is when a status with the last phase reached a watcher.
	ended time.Time
	// task is how long the agent worked on it.
	task time.Duration
	// cpu is what the sidecar used, restic included; agent what the agent itself did of that.
	cpu, agent time.Duration
}

// session takes a backup by hand, and returns when all that follows it is over, too.
func (t *target) session(ctx context.Context) (c course, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	// From what the API server has in its cache on: its first answer need not be the newest.
	events, err := t.client.Watch(ctx, &v1beta1.BackupSessionList{}, client.InNamespace(namespace), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err != nil {
		return c, fmt.Errorf("watch BackupSessions: %w", err)
	}
	defer events.Stop()
	info, err := os.Stat(t.agentLog)
	if err != nil {
		return c, fmt.Errorf("find the agent's log: %w", err)
	}
	before, err := t.spent()
	if err != nil {
		return c, err
	}
	seen := make(chan [2]time.Time, 1)
	looking, found := context.WithCancel(ctx)
	defer found()
	go func() { seen <- t.ours.resticStarts(looking) }()

	bs := &v1beta1.BackupSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: t.name + "-"},
		Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: t.config()}},
	}
	c.asked = time.Now()
	if err := t.client.Create(ctx, bs); err != nil {
		return c, fmt.Errorf("create BackupSession: %w", err)
	}
	c.stored = time.Now()
	if err := c.follow(ctx, events, bs); err != nil {
		return c, err
	}
	found()
	starts := <-seen
	c.opened, c.running = starts[0], starts[1]
	after, err := t.spent()
	if err != nil {
		return c, err
	}
	c.cpu, c.agent = after[0]-before[0], after[1]-before[1]
	if c.taken, c.task, err = readAgentLog(t.agentLog, info.Size()); err != nil {
		return c, err
	}
	return c, t.settled(ctx, bs)
}

// spent is the CPU time of the sidecar, and that of the agent alone.
func (t *target) spent() (out [2]time.Duration, err error) {
	if out[0], err = t.ours.cpu(); err != nil {
		return out, err
	}
	p, err := t.ours.agent()
	out[1] = p.cpu
	return out, err
}

// resticStarts looks until ctx ends and returns when the first restic of the container started, and
// the first that backs up. It is exact to 10 ms.
func (g group) resticStarts(ctx context.Context) (starts [2]time.Time) {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for starts[1].IsZero() {
		for _, p := range g.processes() {
			if p.name != "restic" {
				continue
			}
			if starts[0].IsZero() {
				starts[0] = p.started
			}
			if slices.Contains(p.command, "backup") {
				starts[1] = p.started
			}
		}
		select {
		case <-ctx.Done():
			return starts
		case <-look.C:
		}
	}
	return starts
}

// follow watches a session to its end.
func (c *course) follow(ctx context.Context, events watch.Interface, bs *v1beta1.BackupSession) error {
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for BackupSession %s: %w: it is %q: %s", bs.Name, ctx.Err(), bs.Status.Phase, bs.Status.Reason)
		case e, ok := <-events.ResultChan():
			now := time.Now()
			if !ok || e.Type == watch.Error {
				return fmt.Errorf("watch BackupSessions: %w", apierrors.FromObject(e.Object))
			}
			next, isSession := e.Object.(*v1beta1.BackupSession)
			if !isSession || next.Name != bs.Name {
				continue
			}
			next.DeepCopyInto(bs)
			if c.assigned.IsZero() && len(bs.Status.Targets) == 1 && len(bs.Status.Targets[0].Assignments) > 0 {
				c.assigned = now
			}
			if session.Finished(bs.Status.Phase) {
				c.ended = now
				return succeeded(bs)
			}
		}
	}
}

func succeeded(bs *v1beta1.BackupSession) error {
	if bs.Status.Phase == v1beta1.BackupSessionSucceeded {
		return nil
	}
	return fmt.Errorf("back up %s: BackupSession %s is %s: %s", bs.Spec.Invoker.Name, bs.Name, bs.Status.Phase, bs.Status.Reason)
}

// settled returns when the retention that follows a backup was applied and the cluster is quiet: it
// would otherwise run beside what is measured next.
func (t *target) settled(ctx context.Context, bs *v1beta1.BackupSession) error {
	err := eventually(ctx, "retention", func(ctx context.Context) error {
		if err := t.client.Get(ctx, client.ObjectKeyFromObject(bs), bs); err != nil {
			return err
		}
		if !api.IsTrue(bs.Status.Conditions, api.RetentionPolicyApplied) {
			return fmt.Errorf("conditions are %v", bs.Status.Conditions)
		}
		return nil
	})
	if err != nil {
		return err
	}
	quiet := 0
	return eventually(ctx, "quiet", func(context.Context) error {
		if quiet++; t.ours.clusterRuns() {
			quiet = 0
		}
		if quiet < 4 {
			return errors.New("a restic is running")
		}
		return nil
	})
}

// agentLine is what the agent writes of a task, as kubelet keeps it.
var agentLine = regexp.MustCompile(` time=(\S+) level=\w+ msg="?(task starts|task is done|task failed)"? .*`)

// readAgentLog returns when the first task after an offset was taken, and how long it took.
func readAgentLog(path string, offset int64) (taken time.Time, task time.Duration, err error) {
	f, err := os.Open(path) //nolint:gosec // that of an agent of ours
	if err != nil {
		return taken, 0, fmt.Errorf("read the agent's log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Seek(offset, 0); err != nil {
		return taken, 0, fmt.Errorf("read the agent's log: %w", err)
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := agentLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if taken.IsZero() {
			if taken, err = time.Parse(time.RFC3339Nano, m[1]); err != nil {
				return taken, 0, fmt.Errorf("read the agent's log: %w", err)
			}
			continue
		}
		_, text, _ := strings.Cut(m[0], " duration=")
		if task, err = time.ParseDuration(strings.TrimSpace(text)); err != nil {
			return taken, 0, fmt.Errorf("read the agent's log: %w", err)
		}
		return taken, task, nil
	}
	return taken, 0, errors.Join(errors.New("read the agent's log: it tells of no task that is done"), lines.Err())
}
