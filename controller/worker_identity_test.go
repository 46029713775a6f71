package controller

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
)

// The broker believes the workers that we make, those with a volume too.
func TestOurWorkersAreBelieved(t *testing.T) {
	onVolume := repository()
	onVolume.Spec.Backend = v1alpha1.Backend{Local: &v1alpha1.LocalSpec{
		MountPath: "/repo", SubPath: "shop", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	}}
	for name, repo := range map[string]*v1alpha1.Repository{"of a namespace": repository(), "of a volume": onVolume} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				review, ok := o.(*authenticationv1.TokenReview)
				if !ok {
					return c.Create(ctx, o, opts...)
				}
				review.Status = authenticationv1.TokenReviewStatus{
					Authenticated: true, Audiences: []string{api.TokenAudience},
					User: authenticationv1.UserInfo{Username: "system:serviceaccount:demo:default", Extra: map[string]authenticationv1.ExtraValue{
						"authentication.kubernetes.io/pod-name": {"worker"}, "authentication.kubernetes.io/pod-uid": {"p1"},
					}},
				}
				return nil
			}})
			w.Image = "registry.example/stash:v2"
			job, err := (&Repositories{World: w}).workerJob(t.Context(), repo)
			if err != nil {
				t.Fatal(err)
			}
			job.UID = types.UID("j1")
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: job.Namespace, Name: "worker", UID: "p1"}, Spec: job.Spec.Template.Spec}
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: new(true)}}
			for _, o := range []client.Object{job, pod} {
				if err := w.Create(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			a := &broker.Authenticator{Client: w.Client, Reader: w.Live, AgentCommand: AgentCommand, Image: "registry.example/stash:v3"}
			id, err := a.Identify(t.Context(), "token", protocol.RoleWorker)
			if err != nil || id.Owner.Name != job.Name {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

// sharedVolume is a Repository on a claim in a namespace without root, and two StatefulSets of two users
// that are restored from it.
func sharedVolume() (*v1alpha1.Repository, []client.Object) {
	repo := repository()
	repo.Spec.Backend = v1alpha1.Backend{StorageSecretName: "keys", Local: &v1alpha1.LocalSpec{
		MountPath: "/safe", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "safe"}},
	}}
	ns := namespace("demo", "shop")
	ns.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	objs := []client.Object{repo, keys(), ns}
	for name, user := range map[string]int64{"db": 1000, "web": 2000} {
		set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name}}
		set.Spec.Template.Spec = corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user}, Volumes: []corev1.Volume{{Name: "data"}}}
		rs := restoring()
		rs.Name, rs.UID, rs.Spec.Target.Ref.Name = name, types.UID("rs-"+name), name
		rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
		objs = append(objs, set, rs)
	}
	return repo, objs
}

// What the API server stores is not always what it was given: policies of the cluster complete Jobs.
func TestAWorkerThatAPolicyCompletedStays(t *testing.T) {
	repo, objs := sharedVolume()
	created := 0
	r := &Repositories{World: newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if job, ok := obj.(*batchv1.Job); ok {
			created++
			job.UID, job.CreationTimestamp = "j1", metav1.NewTime(noon())
			job.Spec.Template.Spec.SecurityContext.FSGroup, job.Spec.Template.Spec.SecurityContext.SupplementalGroups = new(int64(7)), []int64{8}
		}
		return c.Create(ctx, obj, opts...)
	}}, objs...)}
	for range 4 {
		if _, err := r.ensureWorker(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
	}
	job := &batchv1.Job{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: "demo", Name: workerName(repo)}, job); err != nil || created != 1 {
		t.Fatalf("it was created %d times: %v", created, err)
	}
	if fits, err := r.fits(t.Context(), repo, job); err != nil || !fits {
		t.Errorf("it is given no work: %v", err)
	}
	// One of an older build says nothing: it is replaced once.
	delete(job.Annotations, api.AnnotationWritesAs)
	if err := r.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if _, err := r.ensureWorker(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
	}
	if created != 2 {
		t.Errorf("it was created %d times", created)
	}
}

// As whom a worker writes must not change with the order in which a cache lists.
func TestTheFirstRestoreDecidesAsWhomAWorkerWrites(t *testing.T) {
	repo, objs := sharedVolume()
	reversed := false
	r := &Repositories{World: newWorld(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		err := c.List(ctx, list, opts...)
		if restores, ok := list.(*v1beta1.RestoreSessionList); ok && reversed {
			slices.Reverse(restores.Items)
		}
		return err
	}}, objs...)}
	var first []mutators.Writer
	for _, reversed = range []bool{false, true} {
		got, err := r.writers(t.Context(), repo)
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if first == nil {
			first = got
		}
		if d := cmp.Diff(first, got); d != "" {
			t.Error(d)
		}
	}
}

func TestAWorkerOfAVolumeHasAValidName(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{
		"a", "shop", "deploy-shop.prod", "deploy-shop-prod", "deploy-aaaaaaaaaaaaaaaaaaaaaa.shop", "deploy-aaaaaaaaaaaaaaaaaaaaaa-shop",
		"deploy-aaaaaaaaaaaaaaaaaaaaa.-.shop", strings.Repeat("a.", 126) + "a",
	} {
		repo, _ := sharedVolume()
		repo.Name = name
		got := workerName(repo)
		// As the Job's controller names its pods.
		if problems := validation.IsDNS1123Label(got + "-x7k2p"); len(problems) > 0 {
			t.Errorf("%s: %q: %v", name, got, problems)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s has the worker of %s", name, other)
		}
		seen[got] = name
	}
}
