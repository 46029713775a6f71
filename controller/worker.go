package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// AgentCommand is the first word of our containers' command.
const AgentCommand = mutators.AgentCommand

// mounted returns the volume of a local backend, or nil.
func mounted(repo *v1alpha1.Repository) (*corev1.Volume, *corev1.VolumeMount) {
	b, err := backend.ForBackend(repo.Spec.Backend)
	if err != nil {
		return nil, nil
	}
	return b.Volume(repo.Spec.Backend)
}

// workerName is the Job that works for a Repository: one for the namespace, or one of its own where
// the repository lies on a mounted volume, since a pod's volumes are fixed.
func workerName(repo *v1alpha1.Repository) string {
	if v, _ := mounted(repo); v == nil {
		return "stash-repository-worker"
	}
	// Its pods get the name with six characters more, and that is a hostname: of labels, which hold no
	// dots, the longest are of 63.
	sum := sha256.Sum256([]byte(repo.Name))
	name := strings.ReplaceAll(repo.Name, ".", "-")
	name = strings.TrimRight(name[:min(len(name), 30)], "-")
	return "stash-worker-" + name + "-" + hex.EncodeToString(sum[:4])
}

// ensureWorker makes the worker's Job; a finished one is deleted first. It returns what is seen of a
// worker that does not come.
func (r *Repositories) ensureWorker(ctx context.Context, repo *v1alpha1.Repository) (session.MissingWorker, error) {
	none := session.MissingWorker{}
	if err := r.ensureCA(ctx, repo.Namespace); err != nil {
		return none, err
	}
	job := &batchv1.Job{}
	err := r.Get(ctx, client.ObjectKey{Namespace: repo.Namespace, Name: workerName(repo)}, job)
	if apierrors.IsNotFound(err) {
		return r.createWorker(ctx, repo)
	}
	if err != nil {
		return none, fmt.Errorf("read worker: %w", err)
	}
	if job.DeletionTimestamp != nil {
		return none, nil
	}
	seen, err := r.missingPod(ctx, job, api.ContainerWorker)
	if err != nil {
		return none, err
	}
	fits, err := r.fits(ctx, repo, job)
	if err != nil {
		return none, err
	}
	if !fits || job.Status.Succeeded > 0 || job.Status.Failed > 0 || r.stuck(job) {
		uid := job.UID
		err := r.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return none, fmt.Errorf("delete finished worker: %w", err)
		}
	}
	return seen, nil
}

// createWorker makes the worker's Job where the API server would take its pod: the Job's controller
// is told a refusal, and nobody else.
func (r *Repositories) createWorker(ctx context.Context, repo *v1alpha1.Repository) (session.MissingWorker, error) {
	job, err := r.workerJob(ctx, repo)
	if err != nil {
		return session.MissingWorker{}, err
	}
	why, err := r.tryPod(ctx, job)
	if err != nil || why != "" {
		return session.MissingWorker{Refused: why}, err
	}
	err = r.Create(ctx, job)
	switch why, refused := refusedBy(err); {
	case err == nil, apierrors.IsAlreadyExists(err), terminating(err):
		return session.MissingWorker{}, nil
	case refused:
		return session.MissingWorker{Refused: why}, nil
	}
	return session.MissingWorker{}, fmt.Errorf("create worker: %w", err)
}

// tryPod tells why the pod of a Job would be refused, empty where it would not. What cannot be
// tried, since somebody's webhook does not know dry runs, is not held against it.
func (w *World) tryPod(ctx context.Context, job *batchv1.Job) (string, error) {
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: *job.Spec.Template.Spec.DeepCopy()}
	pod.Namespace, pod.Name = job.Namespace, job.Name+"-dry-run"
	err := w.Create(ctx, pod, client.DryRunAll)
	switch why, refused := refusedBy(err); {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsBadRequest(err), terminating(err):
		return "", nil
	case refused:
		return why, nil
	}
	return "", fmt.Errorf("try the pod of Job %q: %w", job.Name, err)
}

// refusedBy returns what the API server says where it refuses an object for good reasons.
func refusedBy(err error) (string, bool) {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) {
		return "", false
	}
	return shorten(status.Status().Message), true
}

// missingPod sums up what is seen of a Job that has no pod at work.
func (w *World) missingPod(ctx context.Context, job *batchv1.Job, container string) (session.MissingWorker, error) {
	var seen session.MissingWorker
	pods := &corev1.PodList{}
	if err := w.List(ctx, pods, client.InNamespace(job.Namespace), client.MatchingFields{indexOwner: string(job.UID)}); err != nil {
		return seen, fmt.Errorf("list pods of Job %q: %w", job.Name, err)
	}
	if len(pods.Items) == 0 && job.Status.Succeeded+job.Status.Failed == 0 && w.Now().Sub(job.CreationTimestamp.Time) > 5*time.Second {
		why, err := w.tryPod(ctx, job)
		return session.MissingWorker{Refused: why}, err
	}
	for i := range pods.Items {
		seen = podAtRest(&pods.Items[i], container)
	}
	return seen, nil
}

// podAtRest sums up a Job's pod that is not at work.
func podAtRest(p *corev1.Pod, container string) session.MissingWorker {
	if p.Status.Phase == corev1.PodSucceeded {
		return session.MissingWorker{}
	}
	seen := session.MissingWorker{Pod: p.Name, Created: p.CreationTimestamp.Time}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			seen.Unschedulable = shorten(c.Message)
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == container && notStarting(s) != "" {
			seen.Waiting, seen.WaitingMessage = s.State.Waiting.Reason, shorten(s.State.Waiting.Message)
		}
	}
	if p.Status.Phase == corev1.PodFailed {
		if seen.Ended = viewPod(p, container).Ended; seen.Ended == "" {
			seen.Ended = "it was " + cmp.Or(p.Status.Reason, "stopped")
		}
	}
	return seen
}

// stuck tells whether a worker had no running pod for so long that another try is worth it.
func (r *Repositories) stuck(job *batchv1.Job) bool {
	ready := int32(0)
	if job.Status.Ready != nil {
		ready = *job.Status.Ready
	}
	return ready == 0 && r.Now().Sub(job.CreationTimestamp.Time) > 5*time.Minute
}

// fits tells whether a worker writes a repository on a mounted volume as those do who share it. It
// may be older than they are: a Repository is looked at before anybody uses it, and what a worker of
// another user makes there, they cannot read.
func (r *Repositories) fits(ctx context.Context, repo *v1alpha1.Repository, job *batchv1.Job) (bool, error) {
	if v, _ := mounted(repo); v == nil {
		return true, nil
	}
	in, err := r.workerInput(ctx, repo)
	if err != nil || len(in.Writers) == 0 {
		return true, err
	}
	want, err := in.Identity()
	return job.Annotations[api.AnnotationWritesAs] == want, err
}

// workerInput is what the worker of a Repository is made of.
func (r *Repositories) workerInput(ctx context.Context, repo *v1alpha1.Repository) (mutators.WorkerInput, error) {
	in := mutators.WorkerInput{Idle: r.WorkerIdle}
	in.Volume, in.Mount = mounted(repo)
	var err error
	if in.Settings, err = r.settings(ctx, repo.Namespace); err != nil {
		return in, err
	}
	if in.Namespace, err = r.namespaceOf(ctx, repo.Namespace); err != nil {
		return in, err
	}
	if in.PullSecrets, err = r.askedPullSecrets(ctx, repo.Namespace); err != nil {
		return in, err
	}
	if in.Volume != nil {
		in.Writers, err = r.writers(ctx, repo)
	}
	return in, err
}

// workerJob is the worker of a Repository, as its namespace wants pods to be.
func (r *Repositories) workerJob(ctx context.Context, repo *v1alpha1.Repository) (*batchv1.Job, error) {
	in, err := r.workerInput(ctx, repo)
	if err != nil {
		return nil, err
	}
	identity, err := in.Identity()
	if err != nil {
		return nil, err
	}
	var backoff, ttl int32 = 0, 60
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: repo.Namespace, Name: workerName(repo),
			Labels:      map[string]string{api.LabelManagedBy: api.ManagedBy, api.LabelComponent: api.ComponentWorker},
			Annotations: map[string]string{api.AnnotationWritesAs: identity},
		},
		Spec: batchv1.JobSpec{BackoffLimit: &backoff, TTLSecondsAfterFinished: &ttl, Template: mutators.NewWorker(in)},
	}, nil
}
