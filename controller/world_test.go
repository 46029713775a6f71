package controller

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// noon is when all tests begin.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) metav1.Time { return metav1.NewTime(noon().Add(-d)) }

func agoP(d time.Duration) *metav1.Time {
	at := ago(d)
	return &at
}

// notes are the events that were made.
type notes struct {
	recorder.EventRecorder
	list    []string
	reasons []string
}

func (n *notes) Eventf(_, _ runtime.Object, _, reason, _, _ string, args ...any) {
	n.reasons = append(n.reasons, reason)
	for _, a := range args {
		if s, ok := a.(string); ok {
			n.list = append(n.list, s)
		}
	}
}

// merging reads as the API server's client does: what an answer leaves out stays in the object.
type merging struct{ client.Client }

func (m merging) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	fresh, ok := obj.DeepCopyObject().(client.Object)
	if !ok {
		return m.Client.Get(ctx, key, obj, opts...)
	}
	if err := m.Client.Get(ctx, key, fresh, opts...); err != nil {
		return err
	}
	b, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, obj)
}

// newWorld is a World on a fake API server with the indexes of the cache.
func newWorld(t *testing.T, funcs interceptor.Funcs, objs ...client.Object) *World {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objs...).WithInterceptorFuncs(funcs).
		WithStatusSubresource(&v1beta1.BackupSession{}, &v1beta1.RestoreSession{}, &v1beta1.BackupConfiguration{}, &v1alpha1.Repository{}, &v1beta1.ProtectionPolicy{})
	for _, i := range indexes() {
		b = b.WithIndex(i.obj, i.name, i.fn)
	}
	c := b.Build()
	return &World{
		Client: c, Live: merging{c}, Events: &notes{},
		Bundle: func() ([]byte, <-chan struct{}) { return []byte("ca"), nil },
		Options: Options{
			Namespace: "stash", Now: noon, Log: slog.New(slog.DiscardHandler),
		}.WithDefaults(),
	}
}

// reasons are those of the events that were made.
func reasons(t *testing.T, w *World) []string {
	t.Helper()
	n, ok := w.Events.(*notes)
	if !ok {
		t.Fatalf("events go to a %T", w.Events)
	}
	return n.reasons
}

func read[T client.Object](t *testing.T, w *World, namespace, name string, into T) T {
	t.Helper()
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
	return into
}

func configuration() *v1beta1.BackupConfiguration {
	c := &v1beta1.BackupConfiguration{}
	c.Namespace, c.Name, c.UID, c.CreationTimestamp = "demo", "shop", "c1", ago(24*time.Hour)
	c.Spec.Repository.Name = "repo"
	c.Spec.Target = &v1beta1.BackupTarget{Ref: v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db"}, Paths: []string{"/data"}}
	return c
}

func repository() *v1alpha1.Repository {
	r := &v1alpha1.Repository{}
	r.Namespace, r.Name, r.UID = "demo", "repo", "r1"
	r.Spec.Backend.S3 = &v1alpha1.S3Spec{Endpoint: "s3.example.com", Bucket: "bucket", Prefix: "p"}
	r.Spec.Backend.StorageSecretName = "keys"
	return r
}

func keys() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "keys"},
		Data:       map[string][]byte{"RESTIC_PASSWORD": []byte("x"), "AWS_ACCESS_KEY_ID": []byte("x"), "AWS_SECRET_ACCESS_KEY": []byte("x")},
	}
}

// running is a session that two pods of a StatefulSet work on.
func running() *v1beta1.BackupSession {
	bs := newSession(configuration(), "shop-1")
	bs.UID, bs.CreationTimestamp = "s1", ago(10*time.Minute)
	two := int32(2)
	bs.Status.Phase = v1beta1.BackupSessionRunning
	bs.Status.Targets = []v1beta1.BackupTargetStatus{{
		Ref: configuration().Spec.Target.Ref, TotalHosts: &two, Phase: v1beta1.TargetRunning,
		Assignments: []v1beta1.Assignment{
			{ID: "s1/host-0/1", Hostname: "host-0", Pod: "db-0", PodUID: "p0", Attempt: 1, StartTime: ago(9 * time.Minute)},
			{ID: "s1/host-1/1", Hostname: "host-1", Pod: "db-1", PodUID: "p1", Attempt: 1, StartTime: ago(9 * time.Minute)},
		},
	}}
	return bs
}

func lease(w *World, repo *v1alpha1.Repository, holder string, age time.Duration) *coordinationv1.Lease {
	l := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
	l.Namespace, l.Name, l.UID, l.CreationTimestamp = w.Namespace, claimName(location(repo)), "l1", ago(age)
	return l
}
