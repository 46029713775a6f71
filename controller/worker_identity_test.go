package controller

import (
	"context"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
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
