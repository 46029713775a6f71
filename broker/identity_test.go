package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/target"
)

const command = "/usr/local/bin/stash-agent"

// scene is a Deployment's pod with a sidecar, and the review of its token.
type scene struct {
	pod     *corev1.Pod
	set     *appsv1.ReplicaSet
	deploy  *appsv1.Deployment
	others  []client.Object
	review  authenticationv1.TokenReviewStatus
	role    protocol.Role
	noToken error
	trusted string
}

func owned(name, uid, kind, apiVersion, owner, ownerUID string) metav1.ObjectMeta {
	yes := true
	m := metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID(uid)}
	if kind != "" {
		m.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner, UID: types.UID(ownerUID), Controller: &yes}}
	}
	return m
}

// agentContainer is as mutators make it.
func agentContainer(name string, role protocol.Role) corev1.Container {
	c := corev1.Container{
		Name: name, Image: "registry.example:5000/stash:v2", Command: []string{command},
		Args: []string{
			"-role", string(role), "-broker", "stash-broker.stash.svc:443", "-server-name=stash-broker.stash.svc",
			"-token", api.MountToken + "/token", "-ca", api.MountCA + "/ca.crt", "-tmp", api.MountTmp,
		},
		Env: []corev1.EnvVar{{Name: "GOMAXPROCS", Value: "1"}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: api.VolumeTmp, MountPath: api.MountTmp},
			{Name: api.VolumeToken, MountPath: api.MountToken},
			{Name: api.VolumeCA, MountPath: api.MountCA},
			{Name: "data", MountPath: "/data"},
			{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"},
		},
	}
	if role == protocol.RoleSidecar {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	}
	return c
}

func newScene() *scene {
	s := &scene{
		role:   protocol.RoleSidecar,
		deploy: &appsv1.Deployment{ObjectMeta: owned("app", "d1", "", "", "", "")},
		set:    &appsv1.ReplicaSet{ObjectMeta: owned("app-1", "s1", "Deployment", "apps/v1", "app", "d1")},
		pod: &corev1.Pod{
			ObjectMeta: owned("app-1-x", "p1", "ReplicaSet", "apps/v1", "app-1", "s1"),
			Spec: corev1.PodSpec{
				NodeName:       "n1",
				InitContainers: []corev1.Container{agentContainer(api.ContainerSidecar, protocol.RoleSidecar)},
				Containers:     []corev1.Container{{Name: "app", Image: "app", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
				Volumes: []corev1.Volume{
					{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c1"}}},
					{Name: "else", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c2"}}},
					{Name: api.VolumeTmp, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("1Ki"))}}},
				},
			},
			Status: corev1.PodStatus{Phase: corev1.PodRunning},
		},
	}
	s.pod.Labels = map[string]string{api.LabelRestore: "h1"}
	s.review = authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{api.TokenAudience},
		User: authenticationv1.UserInfo{Username: "system:serviceaccount:demo:default", Extra: map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {"app-1-x"}, "authentication.kubernetes.io/pod-uid": {"p1"},
		}},
	}
	return s
}

func (s *scene) identify(t *testing.T) (broker.Identity, error) {
	t.Helper()
	c := fake.NewClientBuilder().WithObjects(append(s.others, s.pod, s.set, s.deploy)...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			r, ok := obj.(*authenticationv1.TokenReview)
			if !ok {
				return c.Create(ctx, obj, opts...)
			}
			if !cmp.Equal(r.Spec, authenticationv1.TokenReviewSpec{Token: "tok", Audiences: []string{api.TokenAudience}}) {
				t.Errorf("asked for %+v", r.Spec)
			}
			r.Status = s.review
			return s.noToken
		},
	}).Build()
	a := &broker.Authenticator{Client: c, Reader: c, AgentCommand: command, Image: "registry.example:5000/stash:v3", TrustedImages: []string{"mirror/stash", s.trusted}}
	return a.Identify(t.Context(), "tok", s.role)
}

func TestAnAgentIsWhoItsPodIs(t *testing.T) {
	got, err := newScene().identify(t)
	want := broker.Identity{
		Namespace: "demo", Pod: "app-1-x", PodUID: "p1", Node: "n1", Hostname: "app-1-x", Role: protocol.RoleSidecar, Restore: "h1", TmpBytes: 1024, Places: []target.Place{{Path: api.MountTmp, Own: true}, {Path: "/data", Volume: target.Lasting{Claim: "c1"}}},
		Owner: broker.Owner{APIVersion: "apps/v1", Kind: "Deployment", Name: "app", UID: "d1"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Fatalf("%v\n%s", err, d)
	}
}

func TestAWorkerIsAPodOfAJob(t *testing.T) {
	s := newScene()
	s.role = protocol.RoleWorker
	s.pod.ObjectMeta = owned("app-1-x", "p1", "Job", "batch/v1", "w", "j1")
	s.pod.Spec.Containers = []corev1.Container{agentContainer(api.ContainerWorker, protocol.RoleWorker)}
	s.others = []client.Object{&batchv1.Job{ObjectMeta: owned("w", "j1", "", "", "", "")}}
	if got, err := s.identify(t); err != nil || got.Owner.Kind != "Job" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestStrangersAreDenied(t *testing.T) {
	cases := map[string]struct {
		change func(*scene)
		want   string
	}{
		"a token that is not valid":            {func(s *scene) { s.review.Authenticated = false }, "not valid"},
		"a token of another audience":          {func(s *scene) { s.review.Audiences = []string{"https://kubernetes.default.svc"} }, "not valid"},
		"a review that knows no audiences":     {func(s *scene) { s.review.Audiences = nil }, "not valid"},
		"a user":                               {func(s *scene) { s.review.User.Username = "admin" }, "not a ServiceAccount"},
		"a name that only begins like one":     {func(s *scene) { s.review.User.Username = "system:serviceaccount:demo" }, "not a ServiceAccount"},
		"a ServiceAccount of no namespace":     {func(s *scene) { s.review.User.Username = "system:serviceaccount::x" }, "not a ServiceAccount"},
		"a token that no pod holds":            {func(s *scene) { s.review.User.Extra = nil }, "not bound to a pod"},
		"two pods in one token":                {func(s *scene) { s.review.User.Extra["authentication.kubernetes.io/pod-uid"] = []string{"p1", "p2"} }, "not bound to a pod"},
		"a pod that does not exist":            {func(s *scene) { s.pod.Name = "other" }, "does not exist"},
		"a pod of another namespace":           {func(s *scene) { s.review.User.Username = "system:serviceaccount:else:default" }, "does not exist"},
		"a pod that took the name of another":  {func(s *scene) { s.pod.UID = "p2" }, "another pod"},
		"a pod that has ended":                 {func(s *scene) { s.pod.Status.Phase = corev1.PodFailed }, "has ended"},
		"a pod without our container":          {func(s *scene) { s.pod.Spec.InitContainers = nil }, "no container of Stash"},
		"a role that the pod has no container": {func(s *scene) { s.role = protocol.RoleInit }, "no container of Stash"},
		"a role that does not exist":           {func(s *scene) { s.role = "admin" }, "no container of Stash"},
		"a pod without an owner":               {func(s *scene) { s.pod.OwnerReferences = nil }, "belongs to no workload"},
		"an owner that does not exist":         {func(s *scene) { s.pod.OwnerReferences[0].Name = "forged" }, "does not exist"},
		"an owner's name with another UID":     {func(s *scene) { s.pod.OwnerReferences[0].UID = "s9" }, "does not exist"},
		"an owner's owner with another UID":    {func(s *scene) { s.set.OwnerReferences[0].UID = "d9" }, "does not exist"},
		"a ReplicaSet of nobody":               {func(s *scene) { s.set.OwnerReferences = nil }, "belongs to no workload"},
		"an owner of an unknown kind":          {func(s *scene) { s.pod.OwnerReferences[0].Kind = "Rollout" }, "are not served"},
		"an owner of another group":            {func(s *scene) { s.pod.OwnerReferences[0].APIVersion = "apps.evil/v1" }, "are not served"},
		"a sidecar in a Job": {func(s *scene) {
			s.pod.OwnerReferences = owned("", "", "Job", "batch/v1", "w", "j1").OwnerReferences
			s.others = []client.Object{&batchv1.Job{ObjectMeta: owned("w", "j1", "", "", "", "")}}
		}, "is not served"},
		"a worker in a Deployment": {func(s *scene) {
			s.role = protocol.RoleWorker
			s.pod.Spec.Containers = []corev1.Container{agentContainer(api.ContainerWorker, protocol.RoleWorker)}
		}, "is not served"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			c.change(s)
			id, err := s.identify(t)
			if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want a denial that says %q", id, err, c.want)
			}
			if strings.Contains(err.Error(), "tok ") {
				t.Errorf("the denial holds the token: %v", err)
			}
		})
	}
}

func TestAFailureIsNoDenial(t *testing.T) {
	s := newScene()
	s.noToken = errDown
	if _, err := s.identify(t); err == nil || errors.Is(err, broker.ErrDenied) {
		t.Fatalf("got %v", err)
	}
}
