package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/target"
)

// stage is a StatefulSet that a configuration targets, with its pods.
type stage struct {
	*World
	set     *appsv1.StatefulSet
	config  *v1beta1.BackupConfiguration
	objects []client.Object
	funcs   interceptor.Funcs
	// refuse is the answer to a dry run of a completed pod, bare that of one without the sidecar, block
	// that to an eviction.
	refuse, bare, block error
	// unreached tells that the API server gets no answer of the webhook, and lets pods pass.
	unreached bool
	// tried are the pods of dry runs that the operator had completed, asked those that it left to the
	// webhook.
	tried, asked []corev1.Pod
}

func newStage() *stage {
	s := &stage{config: configuration(), set: &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db", UID: "w1"}}}
	s.config.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	s.set.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "db", Image: "db"}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}}},
		},
	}
	s.funcs = interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if pod, ok := obj.(*corev1.Pod); ok {
				if o := (&client.CreateOptions{}).ApplyOptions(opts); len(o.DryRun) > 0 {
					if pod.Labels[api.LabelInject] != "" {
						s.asked = append(s.asked, *pod.DeepCopy())
						if !s.unreached {
							pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: api.ContainerSidecar})
						}
						return s.refuse
					}
					s.tried = append(s.tried, *pod)
					if len(pod.Spec.Containers)+len(pod.Spec.InitContainers) == 1 {
						return s.bare
					}
					return s.refuse
				}
			}
			return c.Create(ctx, obj, opts...)
		},
		SubResourceCreate: func(ctx context.Context, c client.Client, sub string, obj, more client.Object, opts ...client.SubResourceCreateOption) error {
			if _, ok := more.(*policyv1.Eviction); !ok || s.block != nil {
				return s.block
			}
			return c.SubResource(sub).Create(ctx, obj, more, opts...)
		},
	}
	return s
}

// start makes the world; what is set afterwards is not in it.
func (s *stage) start(t *testing.T) {
	t.Helper()
	ns := namespace(s.set.Namespace, "shop")
	s.World = newWorld(t, s.funcs, append([]client.Object{ns, s.config, s.set, repository()}, s.objects...)...)
	s.Image = "stash:v1"
}

// pod is one of the StatefulSet's, an hour old and ready; stamp is its label.
func (s *stage) pod(name, stamp string, injected bool) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.set.Namespace, Name: name, UID: types.UID("u-" + name), CreationTimestamp: ago(time.Hour),
			Labels:          map[string]string{appsv1.ControllerRevisionHashLabelKey: "r1"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "w1", Controller: new(true)}},
		},
		Spec:   *s.set.Spec.Template.Spec.DeepCopy(),
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	if stamp != "" {
		p.Labels[api.LabelInject] = stamp
	}
	if injected {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: api.ContainerSidecar, Image: "stash:v0"})
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: api.ContainerSidecar, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	s.objects = append(s.objects, p)
	return p
}

// hash is the stamp that the configuration asks for.
func (s *stage) hash(t *testing.T) string {
	t.Helper()
	w := newWorld(t, interceptor.Funcs{}, repository())
	w.Image = "stash:v1"
	plan, problems, err := w.planOf(t.Context(), s.set, target.StatefulSet(), []v1beta1.BackupConfiguration{*s.config})
	if err != nil || plan.Empty() {
		t.Fatal(problems, err)
	}
	return plan.Hash()
}

// stamp makes the template a stamped one.
func (s *stage) stamp(t *testing.T) string {
	t.Helper()
	hash := s.hash(t)
	s.set.Spec.Template.Labels[api.LabelInject] = hash
	return hash
}

// look has a process that was just started reconcile, and returns what the condition says.
func (s *stage) look(t *testing.T) (api.Condition, ctrl.Result) {
	t.Helper()
	r := &Workloads{World: s.World, Kind: target.StatefulSet(), Rollouts: &Rollouts{}}
	res, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.set)})
	if err != nil {
		t.Fatal(err)
	}
	c := read(t, s.World, "demo", "shop", &v1beta1.BackupConfiguration{})
	cond := api.FindCondition(c.Status.Conditions, api.StashSidecarInjected)
	if cond == nil {
		t.Fatal("no condition")
	}
	return *cond, res
}

func (s *stage) stored(t *testing.T) string {
	t.Helper()
	return read(t, s.World, s.set.Namespace, "db", &appsv1.StatefulSet{}).Spec.Template.Labels[api.LabelInject]
}

func (s *stage) has(t *testing.T, pod string) bool {
	t.Helper()
	err := s.Get(t.Context(), client.ObjectKey{Namespace: s.set.Namespace, Name: pod}, &corev1.Pod{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return err == nil
}

func (s *stage) at(d time.Duration) { s.Now = func() time.Time { return noon().Add(d) } }

func TestAWorkloadIsStampedAfterATrial(t *testing.T) {
	s := newStage()
	s.pod("db-0", "", false)
	s.start(t)
	cond, res := s.look(t)
	if cond.Reason != rollout.ReasonRollingOut || s.stored(t) != s.hash(t) || res.RequeueAfter == 0 {
		t.Errorf("%+v, stamp %q", cond, s.stored(t))
	}
	if len(s.tried) != 1 || s.tried[0].Namespace != "demo" || len(s.tried[0].Spec.Containers)+len(s.tried[0].Spec.InitContainers) != 2 {
		t.Errorf("tried %+v", s.tried)
	}
	for _, label := range []string{api.LabelInject, api.LabelRestore} {
		if _, ok := s.tried[0].Labels[label]; ok {
			t.Errorf("the trial has label %s: it would be completed once more", label)
		}
	}
}

// Failing open does not save a pod that Pod Security or a quota refuses because of our container.
func TestAWorkloadWhosePodsWouldBeRefusedIsNotStamped(t *testing.T) {
	s := newStage()
	s.refuse = apierrors.NewForbidden(corev1.Resource("pods"), "x", errors.New("exceeded quota: small"))
	s.start(t)
	cond, res := s.look(t)
	if cond.Reason != rollout.ReasonFailed || !strings.Contains(cond.Message, "exceeded quota: small") || s.stored(t) != "" || res.RequeueAfter != time.Minute {
		t.Errorf("%+v, stamp %q, %+v", cond, s.stored(t), res)
	}
	s.refuse = nil
	if s.look(t); s.stored(t) == "" {
		t.Error("it is not stamped when the quota has room")
	}
}

// Its pods would be restarted, and come up without what they were restarted for.
func TestAWorkloadWhosePodsWouldNotBeCompletedIsNotStamped(t *testing.T) {
	s := newStage()
	s.unreached = true
	s.start(t)
	cond, res := s.look(t)
	if cond.Reason != rollout.ReasonFailed || !strings.Contains(cond.Message, "no answer of Stash's webhook") || s.stored(t) != "" || res.RequeueAfter != time.Minute {
		t.Errorf("%+v, stamp %q, %+v", cond, s.stored(t), res)
	}
	s.unreached = false
	if s.look(t); s.stored(t) == "" {
		t.Error("it is not stamped when the webhook is reached")
	}
}

func TestATrialThatCouldNotBeMadeIsNoRefusal(t *testing.T) {
	s := newStage()
	s.refuse = apierrors.NewInternalError(errors.New("away"))
	s.start(t)
	r := &Workloads{World: s.World, Kind: target.StatefulSet(), Rollouts: &Rollouts{}}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.set)}); err == nil || s.stored(t) != "" {
		t.Errorf("%v, stamp %q", err, s.stored(t))
	}
}

func TestRolloutsForSidecarsAreLimited(t *testing.T) {
	s := newStage()
	s.start(t)
	s.MaxRollouts = 1
	r := &Workloads{World: s.World, Kind: target.StatefulSet(), Rollouts: &Rollouts{}}
	r.Rollouts.begin("another", 1, noon())
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.set)}); err != nil || s.stored(t) != "" {
		t.Errorf("%v, stamp %q", err, s.stored(t))
	}
}

// A rollout would destroy what is to be backed up, unasked.
func TestAWorkloadWhoseEmptyDirIsBackedUpIsNotRolledOut(t *testing.T) {
	s := newStage()
	s.set.Spec.Template.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	s.pod("db-0", "", false)
	s.start(t)
	cond, _ := s.look(t)
	if cond.Reason != rollout.ReasonNextRollout || !strings.Contains(cond.Message, `emptyDir "data"`) || s.stored(t) != "" || len(s.tried) > 0 {
		t.Errorf("%+v, stamp %q", cond, s.stored(t))
	}
}

func TestWorkloadsOfExcludedNamespacesAreLeftAlone(t *testing.T) {
	for _, ns := range []string{"kube-system", "stash"} {
		s := newStage()
		s.set.Namespace, s.config.Spec.Target.Ref.Namespace = ns, ns
		hash := s.hash(t)
		s.pod("db-0", hash, false)
		s.start(t)
		if cond, _ := s.look(t); cond.Reason != rollout.ReasonExcluded || s.stored(t) != "" {
			t.Errorf("%+v, stamp %q", cond, s.stored(t))
		}
		s.set.Spec.Template.Labels[api.LabelInject] = hash
		s.start(t)
		if cond, _ := s.look(t); cond.Reason != rollout.ReasonExcluded || !s.has(t, "db-0") {
			t.Errorf("%+v, evicted", cond)
		}
	}
}

// What is about to be done is written down first: else it would be done again and again.
func TestNothingIsDoneThatCouldNotBeRemembered(t *testing.T) {
	for name, pod := range map[string]func(*stage, string){
		"an eviction":  func(s *stage, hash string) { s.pod("db-0", hash, false) },
		"a withdrawal": func(s *stage, hash string) { s.stuck("db-0", hash, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage()
			hash := s.stamp(t)
			pod(s, hash)
			s.funcs.SubResourceUpdate = func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
				return errors.New("away")
			}
			s.start(t)
			r := &Workloads{World: s.World, Kind: target.StatefulSet(), Rollouts: &Rollouts{}}
			_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(s.set)})
			if err == nil || !s.has(t, "db-0") || s.stored(t) != hash {
				t.Errorf("%v, stamp %q", err, s.stored(t))
			}
		})
	}
}

// What is read of pods is what the cache keeps of them.
func TestTheCacheKeepsWhatRolloutsLookAt(t *testing.T) {
	s := newStage()
	s.set.Spec.Template.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	hash := s.stamp(t)
	s.start(t)
	plan, _, err := s.planOf(t.Context(), s.set, target.StatefulSet(), []v1beta1.BackupConfiguration{*s.config})
	if err != nil {
		t.Fatal(err)
	}
	again := s.stuck("c", hash, time.Hour)
	again.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error"}
	for _, p := range []*corev1.Pod{s.pod("a", hash, true), s.stuck("b", hash, time.Hour), again, s.pod("d", "", false)} {
		want := rolloutPod(p, s.view(p, api.ContainerSidecar), plan)
		stripped, err := stripPod(p.DeepCopy())
		kept, ok := stripped.(*corev1.Pod)
		if err != nil || !ok {
			t.Fatal(err)
		}
		if got := rolloutPod(kept, s.view(kept, api.ContainerSidecar), plan); got != want || want.Lost == "" || want.Revision == "" {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestConfigurationsShareWhatIsRemembered(t *testing.T) {
	old := v1beta1.BackupConfiguration{Status: v1beta1.BackupConfigurationStatus{Sidecar: &v1beta1.SidecarStatus{Stamp: "h0"}}}
	now := v1beta1.BackupConfiguration{Status: v1beta1.BackupConfigurationStatus{Sidecar: &v1beta1.SidecarStatus{Stamp: "h1"}}}
	for _, list := range [][]v1beta1.BackupConfiguration{{now, old, {}}, {{}, old, now}} {
		if got := remembered(list, "h1"); got == nil || got.Stamp != "h1" {
			t.Errorf("%+v", got)
		}
	}
	if got := remembered([]v1beta1.BackupConfiguration{{}}, "h1"); got != nil {
		t.Errorf("%+v", got)
	}
}
