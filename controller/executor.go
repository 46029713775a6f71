package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

const (
	// jobKept is for how long an ended Job stays, so that what its pod said can be read.
	jobKept = 10 * time.Minute
	// jobGrace is how long an agent may take to end after its session has.
	jobGrace = time.Minute
)

// hostJob is the Job that a host of a session has or is to have.
type hostJob struct {
	session   client.Object
	component string
	// namespace of the target, where its volumes can be mounted.
	namespace string
	host      string
	// attempt counts the pods that were given the host's work.
	attempt int32
	// pod makes its pod; a problem is a reason why none can be made.
	pod func(context.Context) (corev1.PodTemplateSpec, *mutators.Problem, error)
}

// name follows from the session, the host and the attempt, so that two leaders make one Job. Its pods get
// it with six characters more, and that is a hostname: of labels, which hold no dots, the longest are of 63.
func (j hostJob) name() string {
	kind := "backup"
	if j.component == api.ComponentRestore {
		kind = "restore"
	}
	sum := sha256.Sum256([]byte(string(j.session.GetUID()) + "/" + j.host))
	short := strings.ReplaceAll(j.session.GetName(), ".", "-")
	short = strings.TrimRight(short[:min(len(short), 28)], "-")
	return fmt.Sprintf("stash-%s-%s-%s-%d", kind, short, hex.EncodeToString(sum[:4]), j.attempt)
}

func (j hostJob) whose() string {
	if j.component == api.ComponentRestore {
		return "the restore's Job"
	}
	return "the backup's Job"
}

func (j hostJob) labels() map[string]string {
	return map[string]string{
		api.LabelManagedBy: api.ManagedBy, api.LabelComponent: j.component,
		api.LabelSession: string(j.session.GetUID()), api.LabelHost: j.host,
	}
}

// make is the Job as it is to be.
func (w *World) make(ctx context.Context, j hostJob) (*batchv1.Job, *mutators.Problem, error) {
	pod, problem, err := j.pod(ctx)
	if err != nil || problem != nil {
		return nil, problem, err
	}
	pod.Labels[api.LabelHost] = j.host
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: j.namespace, Name: j.name(), Labels: j.labels()},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)), TTLSecondsAfterFinished: new(int32(jobKept / time.Second)), Template: pod,
		},
	}
	// An owner in another namespace would be taken for one that is gone.
	if j.session.GetNamespace() == j.namespace {
		gvk, err := w.GroupVersionKindFor(j.session)
		if err != nil {
			return nil, nil, fmt.Errorf("make Job: %w", err)
		}
		job.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: j.session.GetName(), UID: j.session.GetUID(), Controller: new(true),
		}}
	}
	return job, nil, nil
}

// executor looks at the Job of a host, and at what keeps one from being made where that is to be.
func (w *World) executor(ctx context.Context, j hostJob, wanted bool) (session.Executor, []corev1.Pod, error) {
	var e session.Executor
	e.Missing.Whose = j.whose()
	jobs, err := w.jobsOf(ctx, j.session.GetUID())
	if err != nil {
		return e, nil, err
	}
	pods, err := w.podsOfJobs(ctx, j)
	if err != nil {
		return e, nil, err
	}
	for i := range jobs {
		job := &jobs[i]
		if job.Namespace != j.namespace || job.Labels[api.LabelHost] != j.host || jobEnded(job) {
			continue
		}
		e.Living = true
		if e.Missing, err = w.missingPod(ctx, job, api.ContainerJob); err != nil {
			return e, nil, err
		}
		e.Missing.Whose = j.whose()
	}
	e.Living = e.Living || slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !terminal(&p) })
	if !e.Living && len(pods) > 0 { // what became of the newest is why there is none now
		e.Missing = podAtRest(&pods[len(pods)-1], api.ContainerJob)
		e.Missing.Whose = j.whose()
	}
	if e.Living || !wanted {
		return e, pods, nil
	}
	job, problem, err := w.make(ctx, j)
	switch {
	case err != nil:
		return e, nil, err
	case problem != nil:
		e.Missing.Refused = problem.Message
	default:
		if e.Missing.Refused, err = w.tryPod(ctx, job); err == nil && e.Missing.Refused == "" {
			e.Missing.Refused, err = w.tryJob(ctx, job)
		}
	}
	return e, pods, err
}

// tryJob tells why a Job itself would be refused, by a quota or a policy; empty: it would not be.
func (w *World) tryJob(ctx context.Context, job *batchv1.Job) (string, error) {
	err := w.Create(ctx, job.DeepCopy(), client.DryRunAll)
	switch why, refused := refusedBy(err); {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsBadRequest(err), terminating(err):
		return "", nil
	case refused:
		return why, nil
	}
	return "", fmt.Errorf("try Job %q: %w", job.Name, err)
}

// jobEnded tells whether a Job makes no pods any more.
func jobEnded(job *batchv1.Job) bool {
	return job.DeletionTimestamp != nil || slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed)
	})
}

func (w *World) jobsOf(ctx context.Context, uid any) ([]batchv1.Job, error) {
	list := &batchv1.JobList{}
	if err := w.List(ctx, list, client.MatchingFields{indexSession: fmt.Sprint(uid)}); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	return list.Items, nil
}

// podsOfJobs are the pods that the Jobs of a host made, oldest first. What only looks like one is not
// among them.
func (w *World) podsOfJobs(ctx context.Context, j hostJob) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	err := w.List(ctx, list, client.InNamespace(j.namespace), client.MatchingFields{indexSession: string(j.session.GetUID())})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	out := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		owner := metav1.GetControllerOf(&p)
		return p.Labels[api.LabelHost] != j.host || owner == nil || owner.Kind != "Job"
	})
	slices.SortFunc(out, func(a, b corev1.Pod) int { return older(&a, &b) })
	return out, nil
}

// execute makes the Job of a host. One of its name that has ended, since its pod was stopped before it
// had its work, is removed first.
func (w *World) execute(ctx context.Context, j hostJob) error {
	if err := w.ensureCA(ctx, j.namespace); err != nil {
		return err
	}
	job, problem, err := w.make(ctx, j)
	if err != nil || problem != nil {
		return err // it is seen, and said, by whoever looks next
	}
	err = w.Create(ctx, job)
	switch _, refused := refusedBy(err); {
	case err == nil, refused, terminating(err):
		return nil
	case !apierrors.IsAlreadyExists(err):
		return fmt.Errorf("create Job: %w", err)
	}
	old := &batchv1.Job{}
	if err := w.Get(ctx, client.ObjectKeyFromObject(job), old); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // the cache will know it
	}
	if !jobEnded(old) {
		return nil
	}
	return w.deleteJob(ctx, old)
}

func (w *World) deleteJob(ctx context.Context, job *batchv1.Job) error {
	if job.DeletionTimestamp != nil {
		return nil
	}
	uid := job.UID
	err := w.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete Job: %w", err)
	}
	return nil
}

// endJobs removes the Jobs that a session which has ended left: one whose pod never started would start
// one day. An agent at work ends by itself, and may take a moment for it. It returns when to look again;
// 0: nothing is left.
func (w *World) endJobs(ctx context.Context, uid any, ended *metav1.Time) (time.Duration, error) {
	jobs, err := w.jobsOf(ctx, uid)
	if err != nil {
		return 0, err
	}
	again := time.Duration(0)
	for i := range jobs {
		job := &jobs[i]
		if jobEnded(job) {
			continue
		}
		started, err := w.started(ctx, job)
		if err != nil {
			return 0, err
		}
		if left := jobGrace - w.Now().Sub(since(ended)); started && left > 0 {
			again = max(again, left)
			continue
		}
		if err := w.deleteJob(ctx, job); err != nil {
			return 0, err
		}
	}
	return again, nil
}

// started tells whether a pod of a Job runs, or has: the Job's own status is behind.
func (w *World) started(ctx context.Context, job *batchv1.Job) (bool, error) {
	pods := &corev1.PodList{}
	if err := w.List(ctx, pods, client.InNamespace(job.Namespace), client.MatchingFields{indexOwner: string(job.UID)}); err != nil {
		return false, fmt.Errorf("list pods of Job %q: %w", job.Name, err)
	}
	return slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodPending }), nil
}

func since(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
