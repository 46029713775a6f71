package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
)

// AgentCommand is the first word of our containers' command.
const AgentCommand = "/usr/local/bin/stash-agent"

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
	sum := sha256.Sum256([]byte(repo.Name))
	name := repo.Name
	if len(name) > 30 {
		name = name[:30]
	}
	return "stash-worker-" + name + "-" + hex.EncodeToString(sum[:4])
}

// ensureWorker makes the worker's Job; a finished one is deleted first.
func (r *Repositories) ensureWorker(ctx context.Context, repo *v1alpha1.Repository) error {
	if err := r.ensureCA(ctx, repo.Namespace); err != nil {
		return err
	}
	job := &batchv1.Job{}
	key := client.ObjectKey{Namespace: repo.Namespace, Name: workerName(repo)}
	err := r.Get(ctx, key, job)
	if apierrors.IsNotFound(err) {
		if err := r.Create(ctx, r.workerJob(repo)); err != nil && !apierrors.IsAlreadyExists(err) && !terminating(err) {
			return fmt.Errorf("create worker: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read worker: %w", err)
	}
	if job.DeletionTimestamp == nil && (job.Status.Succeeded > 0 || job.Status.Failed > 0 || r.stuck(job)) {
		uid := job.UID
		err := r.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete finished worker: %w", err)
		}
	}
	return nil
}

// stuck tells whether a worker had no running pod for so long that another try is worth it.
func (r *Repositories) stuck(job *batchv1.Job) bool {
	ready := int32(0)
	if job.Status.Ready != nil {
		ready = *job.Status.Ready
	}
	return ready == 0 && r.Now().Sub(job.CreationTimestamp.Time) > 5*time.Minute
}

func (r *Repositories) workerJob(repo *v1alpha1.Repository) *batchv1.Job {
	var backoff, ttl int32 = 0, 60
	labels := map[string]string{api.LabelManagedBy: api.ManagedBy, api.LabelComponent: api.ComponentWorker}
	podLabels := map[string]string{
		api.LabelManagedBy: api.ManagedBy, api.LabelComponent: api.ComponentWorker,
		// A mesh would keep the Job from ever finishing.
		"sidecar.istio.io/inject": "false",
	}
	off, grace := false, int64(30)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: repo.Namespace, Name: workerName(repo), Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: &backoff, TTLSecondsAfterFinished: &ttl,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels, Annotations: map[string]string{"linkerd.io/inject": "disabled"}},
				Spec: corev1.PodSpec{
					RestartPolicy:                 corev1.RestartPolicyNever,
					AutomountServiceAccountToken:  &off,
					EnableServiceLinks:            &off,
					TerminationGracePeriodSeconds: &grace,
					SecurityContext:               workerPodSecurity(repo),
					Containers:                    []corev1.Container{r.workerContainer(repo)},
					Volumes:                       agentVolumes(),
				},
			},
		},
	}
	if v, m := mounted(repo); v != nil {
		spec := &job.Spec.Template.Spec
		spec.Volumes = append(spec.Volumes, *v)
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, *m)
	}
	return job
}

func (r *Repositories) workerContainer(repo *v1alpha1.Repository) corev1.Container {
	off, on := false, true
	c := corev1.Container{
		Name: api.ContainerWorker, Image: r.Image, ImagePullPolicy: r.ImagePullPolicy,
		Command: []string{AgentCommand},
		Args: []string{
			"-role=worker", "-broker=" + r.BrokerAddress, "-server-name=" + r.BrokerName,
			"-idle=" + r.WorkerIdle.String(),
		},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &off, ReadOnlyRootFilesystem: &on,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: api.VolumeTmp, MountPath: api.MountTmp},
			{Name: api.VolumeToken, MountPath: api.MountToken, ReadOnly: true},
			{Name: api.VolumeCA, MountPath: api.MountCA, ReadOnly: true},
		},
	}
	if v, _ := mounted(repo); v != nil {
		// The sidecar that writes the repository is root where it may be.
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"DAC_OVERRIDE", "FOWNER", "CHOWN"}
	}
	return c
}

// workerPodSecurity meets the restricted level, but where the repository lies on a volume that
// sidecars write as root.
func workerPodSecurity(repo *v1alpha1.Repository) *corev1.PodSecurityContext {
	nonRoot, uid := true, int64(65534)
	s := &corev1.PodSecurityContext{
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		RunAsNonRoot:   &nonRoot, RunAsUser: &uid, RunAsGroup: &uid, FSGroup: &uid,
	}
	if v, _ := mounted(repo); v != nil {
		root, no := int64(0), false
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup, s.FSGroup = &no, &root, &root, nil
	}
	return s
}

// agentVolumes are those that every agent has: scratch space, its token, the operator's CA.
func agentVolumes() []corev1.Volume {
	expires, optional := int64(3600), true
	limit := resource.MustParse("2Gi")
	return []corev1.Volume{
		{Name: api.VolumeTmp, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}},
		{Name: api.VolumeToken, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: api.TokenAudience, ExpirationSeconds: &expires, Path: "token",
			}}},
		}}},
		{Name: api.VolumeCA, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: api.ConfigMapCA}, Optional: &optional,
		}}},
	}
}
