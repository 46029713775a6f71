package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/test/load"
)

// traffic is what the API server is asked while something breaks, in a namespace with a protected
// application. All of it are dry runs: they go through the whole of admission, and nothing is stored.
type traffic struct{ pods, workloads, sessions, unrelated load.Figures }

// podsPerSecond is how many pods of the protected workload are asked for. E2E_PODS_PER_SECOND asks for
// more, where the machine is quiet.
func (s *site) podsPerSecond() float64 {
	s.Helper()
	text := os.Getenv("E2E_PODS_PER_SECOND")
	if text == "" {
		return 20
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 1 || n > 100 {
		s.Fatalf("E2E_PODS_PER_SECOND=%s is no number from 1 to 100", text)
	}
	return n
}

// whileAsked does something while the API server is asked 30 times a second, from a moment before to a
// moment after.
func (s *site) whileAsked(do func()) traffic {
	s.Helper()
	ctx, stop := context.WithCancel(s.Context())
	done := make(chan []load.Figures, 1)
	requests := s.requests()
	go func() {
		done <- load.Run(ctx, load.Bounds{Time: 5 * time.Minute, Count: 30_000, AtOnce: 100, Patience: 15 * time.Second}, requests...)
	}()
	ended := false
	s.Cleanup(func() {
		if !ended { // do gave the test up
			stop()
			<-done
		}
	})
	time.Sleep(2 * time.Second)
	do()
	time.Sleep(2 * time.Second)
	stop()
	all := <-done
	ended = true
	for i := range all {
		s.Logf("%s", &all[i])
	}
	return traffic{pods: all[0], workloads: all[1], sessions: all[2], unrelated: all[3]}
}

// requests are made for the application "web" and its configuration.
func (s *site) requests() []load.Request {
	s.Helper()
	running := s.running(1)[0]
	s.protected([]corev1.Pod{running})
	owner := metav1.GetControllerOf(&running)
	rs := get(s, owner.Name, &appsv1.ReplicaSet{})
	d := get(s, "web", &appsv1.Deployment{})
	ns := s.ns
	create := func(ctx context.Context, obj client.Object) error {
		return suite.client.Create(ctx, obj, client.DryRunAll)
	}
	pod := func() *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: rs.Name + "-", Labels: rs.Spec.Template.Labels, OwnerReferences: running.OwnerReferences},
			Spec:       *rs.Spec.Template.Spec.DeepCopy(),
		}
	}
	return []load.Request{
		{Name: "pods of a protected workload", Rate: s.podsPerSecond(), Do: func(ctx context.Context, _ int) (bool, error) {
			p := pod()
			err := create(ctx, p)
			return container(p, api.ContainerSidecar) != nil, err
		}},
		{Name: "annotated workloads", Rate: 2, Do: func(ctx context.Context, i int) (bool, error) {
			created := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("web-%d", i), Annotations: d.Annotations},
				Spec:       *d.Spec.DeepCopy(),
			}
			delete(created.Spec.Template.Labels, api.LabelInject)
			err := create(ctx, created)
			return created.Spec.Template.Labels[api.LabelInject] != "", err
		}},
		{Name: "sessions", Rate: 3, Do: func(ctx context.Context, _ int) (bool, error) {
			return true, create(ctx, &v1beta1.BackupSession{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "asked-"},
				Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: "deploy-web"}},
			})
		}},
		{Name: "pods of others", Rate: 5, Do: func(ctx context.Context, _ int) (bool, error) {
			p := pod()
			p.Labels, p.OwnerReferences = map[string]string{"other": "yes"}, nil
			return true, create(ctx, p)
		}},
	}
}

// nobodyFailed fails the test if a request failed that Stash must not keep from anybody.
func (s *site) nobodyFailed(t traffic) {
	s.Helper()
	for _, f := range []*load.Figures{&t.pods, &t.workloads, &t.unrelated} {
		if f.Failed > 0 || f.Sent == 0 {
			s.Errorf("%s", f)
		}
	}
}

// nobodyNoticed fails the test if any request failed or was answered without Stash. Where the API server
// itself is slow, on a machine with too much to do, a webhook's two or three seconds are over before it
// was asked: what is nobody's concern tells.
func (s *site) nobodyNoticed(t traffic) {
	s.Helper()
	s.nobodyFailed(t)
	if p99 := t.unrelated.Quantile(0.99); p99 > time.Second {
		s.Logf("requests that ask no webhook took %s: that nobody notices cannot be told here", p99)
		return
	}
	for _, f := range []*load.Figures{&t.pods, &t.workloads, &t.sessions} {
		if f.Failed > 0 || f.Bare > 0 {
			s.Errorf("%s", f)
		}
	}
}

// asBefore waits until all requests are answered in full again for some seconds.
func (s *site) asBefore() {
	s.Helper()
	requests := s.requests()
	s.eventually(longest, "all is as before", func(ctx context.Context) error {
		for _, f := range load.Run(ctx, load.Bounds{Time: 3 * time.Second, Count: 1000, AtOnce: 20, Patience: 15 * time.Second}, requests...) {
			if f.Failed+f.Bare > 0 || f.Sent == 0 {
				return notYet("%s", &f)
			}
		}
		return nil
	})
}
