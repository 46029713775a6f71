package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

// ErrDenied is wrapped by every refusal of an identity; its text is told to the agent.
var ErrDenied = errors.New("denied")

// Identity is who an agent is, proven by its token and by the live pod.
type Identity struct {
	Namespace string
	Pod       string
	PodUID    string
	Node      string
	// Hostname is the kernel's in the pod: what the agent says, or else what follows from the pod.
	Hostname string
	Role     protocol.Role
	// Owner is the workload of a sidecar or init-container, the Job of all others.
	Owner Owner
	// Restore is the value of the pod's restore label; in a Job's pod what it would be.
	Restore string
	// Session is the UID of the session that a Job's pod says it works for.
	Session string
	// Places are the mounts of our container.
	Places []target.Place
	// TmpBytes is the size limit of the pod's temporary volume, which holds restic's cache; 0: it has
	// none.
	TmpBytes int64
}

// Owner is the object that a pod belongs to in the end.
type Owner struct {
	APIVersion string
	Kind       string
	Name       string
	UID        types.UID
}

// Authenticator proves identities with live reads; nothing is taken from a cache.
type Authenticator struct {
	// Client creates TokenReviews.
	Client client.Client
	// Reader reads pods and their owners from the API server.
	Reader client.Reader
	// AgentCommand is our containers' command.
	AgentCommand string
	// Image is that of agents. Those of older and newer versions are of the same repository.
	Image string
	// TrustedImages are images whose repositories hold our agents, too: a mirror, or the one of
	// before a move.
	TrustedImages []string
}

// Extra keys of a bound ServiceAccount token's review.
const (
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// Identify proves who holds the token and that it is an agent of the role in a pod of its owner.
func (a *Authenticator) Identify(ctx context.Context, token string, role protocol.Role) (Identity, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{
		Token: token, Audiences: []string{api.TokenAudience},
	}}
	if err := a.Client.Create(ctx, review); err != nil {
		return Identity{}, fmt.Errorf("review token: %w", err)
	}
	if !review.Status.Authenticated || !slices.Contains(review.Status.Audiences, api.TokenAudience) {
		return Identity{}, fmt.Errorf("%w: the token is not valid for audience %q", ErrDenied, api.TokenAudience)
	}
	namespace, err := namespaceOf(review.Status.User.Username)
	if err != nil {
		return Identity{}, err
	}
	name, uid := single(review.Status.User.Extra[extraPodName]), single(review.Status.User.Extra[extraPodUID])
	if name == "" || uid == "" {
		return Identity{}, fmt.Errorf("%w: the token is not bound to a pod", ErrDenied)
	}
	return a.checkPod(ctx, namespace, name, uid, role)
}

func (a *Authenticator) checkPod(ctx context.Context, namespace, name, uid string, role protocol.Role) (Identity, error) {
	pod := &corev1.Pod{}
	if err := a.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, pod); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return Identity{}, fmt.Errorf("%w: pod \"%s/%s\" does not exist", ErrDenied, namespace, name)
		}
		return Identity{}, fmt.Errorf("read pod: %w", err)
	}
	if string(pod.UID) != uid {
		return Identity{}, fmt.Errorf("%w: the token is of another pod named \"%s/%s\"", ErrDenied, namespace, name)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return Identity{}, fmt.Errorf("%w: pod \"%s/%s\" has ended", ErrDenied, namespace, name)
	}
	container, err := a.checkContainer(pod, role)
	if err != nil {
		return Identity{}, err
	}
	owner, err := a.owner(ctx, pod)
	if err != nil {
		return Identity{}, err
	}
	if (owner.Kind == "Job") != role.ByJob() {
		return Identity{}, fmt.Errorf("%w: a %s of %s \"%s/%s\" is not served", ErrDenied, role, owner.Kind, namespace, owner.Name)
	}
	id := Identity{
		Namespace: namespace, Pod: name, PodUID: uid, Node: pod.Spec.NodeName, Hostname: hostnameOf(pod), Role: role, Owner: owner,
		Restore: pod.Labels[api.LabelRestore], Places: target.Places(pod, container.VolumeMounts),
	}
	if id.Session = pod.Labels[api.LabelSession]; role == protocol.RoleRestoreJob {
		id.Restore = mutators.HashRestore(id.Session)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == api.VolumeTmp && v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil {
			id.TmpBytes = v.EmptyDir.SizeLimit.Value()
		}
	}
	return id, nil
}

// owner follows controller references by UID: a pod with a forged reference is accepted by the API
// server and runs, so each object must exist and carry the UID that the reference names.
func (a *Authenticator) owner(ctx context.Context, pod *corev1.Pod) (Owner, error) {
	ref := metav1.GetControllerOf(pod)
	for range 2 {
		if ref == nil {
			break
		}
		obj := ownerObject(ref)
		if obj == nil {
			return Owner{}, fmt.Errorf("%w: pods of a %s are not served", ErrDenied, ref.Kind)
		}
		err := a.Reader.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: ref.Name}, obj)
		if client.IgnoreNotFound(err) != nil {
			return Owner{}, fmt.Errorf("read owner: %w", err)
		}
		if err != nil || obj.GetUID() != ref.UID {
			return Owner{}, fmt.Errorf("%w: %s \"%s/%s\", the owner of the pod, does not exist", ErrDenied, ref.Kind, pod.Namespace, ref.Name)
		}
		if ref.Kind != "ReplicaSet" {
			return Owner{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}, nil
		}
		ref = metav1.GetControllerOf(obj)
	}
	return Owner{}, fmt.Errorf("%w: pod \"%s/%s\" belongs to no workload", ErrDenied, pod.Namespace, pod.Name)
}

func ownerObject(ref *metav1.OwnerReference) client.Object {
	switch ref.APIVersion + "/" + ref.Kind {
	case "apps/v1/ReplicaSet":
		return &appsv1.ReplicaSet{}
	case "apps/v1/Deployment":
		return &appsv1.Deployment{}
	case "apps/v1/StatefulSet":
		return &appsv1.StatefulSet{}
	case "apps/v1/DaemonSet":
		return &appsv1.DaemonSet{}
	case "batch/v1/Job":
		return &batchv1.Job{}
	}
	return nil
}

func single(v []string) string {
	if len(v) != 1 {
		return ""
	}
	return v[0]
}
