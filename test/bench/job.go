package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// jobBudget is BackupSession created → restic running, Job model, without what Kubernetes takes for the pod.
const jobBudget = time.Second

// jobCourse is what happened in one session that a Job carried out.
type jobCourse struct {
	asked     time.Time
	made      time.Time // a watcher saw the Job
	container time.Time // containerd made the log of its container
	connected time.Time // the agent says so
	taken     time.Time // the agent's "task starts"
}

// ours is what is not Kubernetes' making of the pod.
func (c jobCourse) ours() time.Duration { return c.made.Sub(c.asked) + c.taken.Sub(c.container) }

// jobStart measures how long sessions take to start whose target has no pods.
func jobStart(ctx context.Context, s *site, t *target, r *report) error {
	if err := t.apply(ctx, "claim.yaml", map[string]any{"Name": t.name}); err != nil {
		return err
	}
	if err := eventually(ctx, "the claim's configuration", t.claimReady); err != nil {
		return err
	}
	var all []jobCourse
	for i := range s.sessions + 1 {
		c, err := t.jobSession(ctx)
		if err != nil {
			return err
		}
		if i > 0 { // the first one fills caches
			all = append(all, c)
		}
	}
	times := func(of func(jobCourse) time.Duration) []time.Duration { return each(all, of) }
	own := times(jobCourse.ours)
	r.budget("BackupSession created → restic starts, Job model, without the pod's start", "≤ 1 s",
		"median "+milliseconds(median(own))+", p95 "+milliseconds(quantile(own, 0.95)), quantile(own, 0.95) <= jobBudget)
	detail := table{title: fmt.Sprintf("Start of a session that makes a Job: %d sessions", len(all)), head: []string{"step", "median", "p95"}}
	for _, row := range []struct {
		what string
		of   func(jobCourse) time.Duration
	}{
		{"request → Job (ours)", func(c jobCourse) time.Duration { return c.made.Sub(c.asked) }},
		{"→ container (Kubernetes: pod, scheduling, volumes, sandbox)", func(c jobCourse) time.Duration { return c.container.Sub(c.made) }},
		{"→ agent is connected (ours, with the start of the process)", func(c jobCourse) time.Duration { return c.connected.Sub(c.container) }},
		{"→ agent's \"task starts\" (ours)", func(c jobCourse) time.Duration { return c.taken.Sub(c.connected) }},
		{"**all: request → \"task starts\"**", func(c jobCourse) time.Duration { return c.taken.Sub(c.asked) }},
	} {
		d := times(row.of)
		detail.rows = append(detail.rows, []string{row.what, milliseconds(median(d)), milliseconds(quantile(d, 0.95))})
	}
	r.detail(detail)
	return nil
}

func (t *target) claimReady(ctx context.Context) error {
	var config v1beta1.BackupConfiguration
	var repo v1alpha1.Repository
	key := client.ObjectKey{Namespace: namespace, Name: "by-job"}
	if err := errors.Join(t.client.Get(ctx, key, &config), t.client.Get(ctx, key, &repo)); err != nil {
		return err
	}
	if config.Status.Phase != v1beta1.BackupInvokerReady || !api.IsTrue(repo.Status.Conditions, api.BackendRepositoryInitialized) {
		return fmt.Errorf("the BackupConfiguration is %q, the Repository %q", config.Status.Phase, repo.Status.Phase)
	}
	return nil
}

// jobSession takes a backup by hand, and returns when all that follows it is over, too.
func (t *target) jobSession(ctx context.Context) (c jobCourse, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	from := client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
	sessions, err := t.client.Watch(ctx, &v1beta1.BackupSessionList{}, client.InNamespace(namespace), &from)
	if err != nil {
		return c, fmt.Errorf("watch BackupSessions: %w", err)
	}
	defer sessions.Stop()
	jobs, err := t.client.Watch(ctx, &batchv1.JobList{}, client.InNamespace(namespace), &from)
	if err != nil {
		return c, fmt.Errorf("watch Jobs: %w", err)
	}
	defer jobs.Stop()
	bs := &v1beta1.BackupSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "by-job-"},
		Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: "by-job"}},
	}
	c.asked = time.Now()
	if err := t.client.Create(ctx, bs); err != nil {
		return c, fmt.Errorf("create BackupSession: %w", err)
	}
	made := make(chan time.Time, 1)
	go func() {
		for e := range jobs.ResultChan() {
			if job, ok := e.Object.(*batchv1.Job); ok && job.Labels[api.LabelSession] == string(bs.UID) {
				made <- time.Now()
				return
			}
		}
	}()
	follow := course{}
	if err := follow.follow(ctx, sessions, bs); err != nil {
		return c, err
	}
	c.made = <-made
	if err := t.jobLog(ctx, bs, &c); err != nil {
		return c, err
	}
	return c, t.settled(ctx, bs)
}

// jobLine is what the agent of a Job writes first.
var jobLine = regexp.MustCompile(` time=(\S+) level=INFO msg="?(connected to the broker|task starts)"?`)

// jobLog reads from the log of the Job's pod when what happened there.
func (t *target) jobLog(ctx context.Context, bs *v1beta1.BackupSession, c *jobCourse) error {
	pods := &corev1.PodList{}
	if err := t.client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{api.LabelSession: string(bs.UID)}); err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	if len(pods.Items) != 1 {
		return fmt.Errorf("the session had %d pods", len(pods.Items))
	}
	p := &pods.Items[0]
	path := t.cluster.DiskPath(p.Spec.NodeName, "/var/log/pods/"+namespace+"_"+p.Name+"_"+string(p.UID)+"/"+api.ContainerJob+"/0.log")
	var err error
	if c.container, err = born(path); err != nil {
		return err
	}
	f, err := os.Open(path) //nolint:gosec // that of an agent of ours
	if err != nil {
		return fmt.Errorf("read the agent's log: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m := jobLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			return fmt.Errorf("read the agent's log: %w", err)
		}
		if m[2] == "task starts" {
			c.taken = at
			return nil
		}
		c.connected = at
	}
	return errors.Join(errors.New("read the agent's log: it tells of no task"), lines.Err())
}
