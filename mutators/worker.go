package mutators

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
)

// WorkerInput is all that the pod of a repository worker is made of.
type WorkerInput struct {
	Namespace Namespace
	Settings  Settings
	// Idle is how long it waits for more work.
	Idle time.Duration
	// Volume and Mount are those of a backend on a mounted volume; nil for others.
	Volume *corev1.Volume
	Mount  *corev1.VolumeMount
	// Writers are the containers that share that volume's repository with the worker.
	Writers []Writer
	// PullSecrets are those that configurations ask for.
	PullSecrets []corev1.LocalObjectReference
}

// Writer is as whom a container reads and writes its volumes.
type Writer struct {
	User, Group, FSGroup *int64
	SupplementalGroups   []int64
}

// Writer returns as whom the plan's container writes in a pod of that template.
func (p Plan) Writer(pod *corev1.PodSpec) Writer {
	var w Writer
	if s := pod.SecurityContext; s != nil {
		w = Writer{User: s.RunAsUser, Group: s.RunAsGroup, FSGroup: s.FSGroup, SupplementalGroups: s.SupplementalGroups}
	}
	if s := p.container.SecurityContext; s != nil {
		replace(&w.User, s.RunAsUser)
		replace(&w.Group, s.RunAsGroup)
	}
	return w
}

func (w Writer) root() bool { return w.User == nil || *w.User == 0 }

// NewWorker makes the pod of a repository worker: it meets the namespace's Pod Security level and
// quota, and shares a repository on a mounted volume with those who write it.
func NewWorker(in WorkerInput) corev1.PodTemplateSpec {
	u := union{SizeLimit: new(resource.MustParse(workerTmpSize))}
	var mounts []corev1.VolumeMount
	volumes := u.volumes()
	if in.Volume != nil && in.Mount != nil {
		mounts, volumes = append(mounts, *in.Mount), append(volumes, *in.Volume)
	}
	c := u.container(api.ContainerWorker, "worker", in.Settings, mounts)
	c.Args = append(c.Args, "-idle", in.Idle.String())
	c.Resources = resources(&corev1.PodSpec{}, in.Namespace, workerResources(), corev1.ResourceRequirements{})
	writer := in.writer()
	c.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if writer.root() {
		c.SecurityContext.Capabilities.Add = []corev1.Capability{"DAC_OVERRIDE", "FOWNER", "CHOWN"}
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				api.LabelManagedBy: api.ManagedBy, api.LabelComponent: api.ComponentWorker,
				// A mesh would keep the Job from ever finishing.
				"sidecar.istio.io/inject": "false",
			},
			Annotations: map[string]string{"linkerd.io/inject": "disabled"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(30)),
			ImagePullSecrets:              pullSecrets(in.Settings.PullSecrets, in.PullSecrets),
			SecurityContext:               writer.podSecurity(),
			Containers:                    []corev1.Container{c},
			Volumes:                       volumes,
		},
	}
}

const workerTmpSize = "2Gi"

// workerResources are those of a worker: prune and check hold the index of a repository in memory.
// The limits hold where a quota asks for them only.
func workerResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("1Gi")},
	}
}

// writer is as whom the worker writes: root where any of those that share the repository is and the
// namespace allows it, since root reads what all of them write; else the first of them, so that it
// reads what they write and they what it does. Where nobody writes it yet, root where it may be.
func (in WorkerInput) writer() Writer {
	none := Writer{User: new(int64(nobody))}
	if in.Volume == nil {
		return none
	}
	root := len(in.Writers) == 0
	var first *Writer
	for i := range in.Writers {
		if w := &in.Writers[i]; w.root() {
			root = true
		} else if first == nil {
			first = w
		}
	}
	switch {
	case root && in.Namespace.PodSecurity != Restricted:
		return Writer{}
	case first != nil:
		return *first
	}
	return none
}

// Identity names as whom the worker writes. It is kept beside the worker: what the API server stores of
// the worker itself is what policies of the cluster made of it.
func (in WorkerInput) Identity() (string, error) {
	b, err := json.Marshal(in.writer().podSecurity())
	if err != nil {
		return "", fmt.Errorf("encode the worker's identity: %w", err)
	}
	return digest(b), nil
}

// podSecurity meets the restricted level, but for root. Of a volume that Kubernetes may hand to a
// group, the worker's is the one of those who share it.
func (w Writer) podSecurity() *corev1.PodSecurityContext {
	s := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if w.root() {
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup = new(false), new(int64(0)), new(int64(0))
		return s
	}
	s.RunAsNonRoot, s.RunAsUser, s.SupplementalGroups = new(true), w.User, w.SupplementalGroups
	s.RunAsGroup, s.FSGroup = w.User, w.User
	if w.Group != nil {
		s.RunAsGroup, s.FSGroup = w.Group, w.Group
	}
	if w.FSGroup != nil {
		s.FSGroup = w.FSGroup
	}
	s.FSGroupChangePolicy = new(corev1.FSGroupChangeOnRootMismatch)
	return s
}
