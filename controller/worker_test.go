package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/session"
)

// shop is a Repository that needs a worker, in a cluster that answers dry runs and Jobs so.
type shop struct {
	*Repositories
	pods, jobs error
}

func newShop(t *testing.T, more ...client.Object) *shop {
	t.Helper()
	s := &shop{}
	s.Repositories = &Repositories{World: newWorld(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			dry := len((&client.CreateOptions{}).ApplyOptions(opts).DryRun) > 0
			switch obj.(type) {
			case *corev1.Pod:
				if dry {
					return s.pods
				}
			case *batchv1.Job:
				if s.jobs != nil {
					return s.jobs
				}
				obj.SetUID("j1")
				obj.SetCreationTimestamp(metav1.NewTime(s.Now()))
			}
			return c.Create(ctx, obj, opts...)
		},
	}, append([]client.Object{repository(), keys()}, more...)...)}
	return s
}

// look reconciles and returns what the Repository says of its worker.
func (s *shop) look(t *testing.T) (*api.Condition, ctrl.Result) {
	t.Helper()
	res, err := s.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(repository())})
	if err != nil {
		t.Fatal(err)
	}
	return api.FindCondition(read(t, s.World, "demo", "repo", &v1alpha1.Repository{}).Status.Conditions, api.WorkerReady), res
}

func (s *shop) job(t *testing.T) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "demo", Name: "stash-repository-worker"}, job); err != nil {
		return nil
	}
	return job
}

// pod is the Job's, as old as that.
func (s *shop) pod(t *testing.T, status corev1.PodStatus) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "demo", Name: "w-x", UID: "p1", CreationTimestamp: metav1.NewTime(noon()), Labels: map[string]string{api.LabelComponent: api.ComponentWorker},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "stash-repository-worker", UID: "j1", Controller: new(true)}},
	}, Status: status}
	stripped, err := stripPod(p)
	kept, ok := stripped.(*corev1.Pod)
	if err != nil || !ok {
		t.Fatal(err)
	}
	_ = s.Delete(t.Context(), kept.DeepCopy())
	if err := s.Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) told(t *testing.T) []string {
	t.Helper()
	n, ok := s.Events.(*notes)
	if !ok {
		t.Fatal("no events")
	}
	return n.reasons
}

func forbidden(what string) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), "stash-repository-worker", errors.New(what))
}

func at(status string, c corev1.ContainerState) corev1.PodStatus {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if c.Running != nil {
		ready.Status = corev1.ConditionTrue
	}
	return corev1.PodStatus{
		Phase: corev1.PodPhase(status), Conditions: []corev1.PodCondition{ready},
		ContainerStatuses: []corev1.ContainerStatus{{Name: api.ContainerWorker, State: c}},
	}
}

// Nobody looks at the events of a Job that nobody knows of.
func TestARefusedWorkerIsSaidUntilItWorks(t *testing.T) {
	s := newShop(t)
	s.pods = forbidden("exceeded quota: small, requested: limits.cpu=500m")
	for range 3 {
		cond, res := s.look(t)
		if cond == nil || cond.Status != metav1.ConditionFalse || cond.Reason != session.ReasonQuota || !strings.Contains(cond.Message, "exceeded quota: small") || s.job(t) != nil {
			t.Fatalf("%+v", cond)
		}
		if res.RequeueAfter != refusedAgain {
			t.Errorf("tried again after %s", res.RequeueAfter)
		}
	}
	if d := cmp.Diff([]string{session.ReasonQuota}, s.told(t)); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	s.pods = forbidden(`violates PodSecurity "restricted:latest"`)
	if cond, _ := s.look(t); cond == nil || cond.Reason != session.ReasonPodSecurity {
		t.Errorf("%+v", cond)
	}
	// There is room, but the worker does not work yet.
	s.pods = nil
	if cond, _ := s.look(t); cond == nil || s.job(t) == nil {
		t.Fatalf("%+v", cond)
	}
	s.pod(t, at("Running", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))
	if cond, _ := s.look(t); cond != nil {
		t.Errorf("it works, and still: %+v", cond)
	}
}

func TestAJobThatIsRefusedIsSaid(t *testing.T) {
	s := newShop(t)
	s.jobs = apierrors.NewForbidden(batchv1.Resource("jobs"), "w", errors.New("exceeded quota: no-jobs"))
	if cond, _ := s.look(t); cond == nil || cond.Reason != session.ReasonQuota || !strings.Contains(cond.Message, "no-jobs") {
		t.Errorf("%+v", cond)
	}
}

// The room that was there for the dry run is gone when the Job's pod is made.
func TestAJobWithoutAPodIsLookedInto(t *testing.T) {
	s := newShop(t)
	if cond, _ := s.look(t); cond != nil || s.job(t) == nil {
		t.Fatalf("%+v", cond)
	}
	s.pods = forbidden("exceeded quota: small")
	s.Now = func() time.Time { return noon().Add(time.Minute) }
	if cond, _ := s.look(t); cond == nil || cond.Reason != session.ReasonQuota {
		t.Errorf("%+v", cond)
	}
}

// A webhook of somebody's that does not know dry runs proves nothing.
func TestATrialThatIsNotPossibleIsNoRefusalOfAWorker(t *testing.T) {
	s := newShop(t)
	s.pods = apierrors.NewBadRequest("admission webhook does not support dry run")
	if cond, _ := s.look(t); cond != nil || s.job(t) == nil {
		t.Errorf("%+v", cond)
	}
	s = newShop(t)
	s.pods = apierrors.NewInternalError(errors.New("away"))
	if _, err := s.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(repository())}); err == nil || s.job(t) != nil {
		t.Error("the API server is away, and that is taken for an answer")
	}
}

func TestAWorkerThatDoesNotStartIsSaid(t *testing.T) {
	pending := corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available",
	}}}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		reason string
		says   string
	}{
		"no node":                      {pending, session.ReasonUnschedulable, "0/3 nodes"},
		"no image":                     {at("Pending", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "denied"}}), session.ReasonImagePull, "denied"},
		"an end":                       {at("Failed", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 1}}), session.ReasonWorkerFailed, "exit code 1"},
		"an eviction":                  {corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}, session.ReasonWorkerFailed, "Evicted"},
		"a volume that is not mounted": {at("Pending", corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}), session.ReasonNotStarted, "get events"},
		"an end as planned":            {at("Succeeded", corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.look(t)
			s.pod(t, c.status)
			s.Now = func() time.Time { return noon().Add(3 * time.Minute) }
			cond, _ := s.look(t)
			if cond == nil {
				cond = &api.Condition{}
			}
			if cond.Reason != c.reason || !strings.Contains(cond.Message, c.says) {
				t.Errorf("%+v", cond)
			}
		})
	}
}

// What is wrong with a worker is of no interest when nothing is to be done.
func TestARepositoryThatNeedsNoWorkerSaysNothingOfOne(t *testing.T) {
	s := newShop(t)
	s.pods = forbidden("exceeded quota: small")
	s.look(t)
	repo := read(t, s.World, "demo", "repo", &v1alpha1.Repository{})
	now := metav1.NewTime(noon())
	repo.Status.LastProbeTime, repo.Status.LastListTime = &now, &now
	for _, c := range []string{api.BackendReachable, api.BackendRepositoryInitialized} {
		api.SetCondition(&repo.Status.Conditions, condition(c, true, "x", "", 0), now)
	}
	if err := s.Status().Update(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if cond, _ := s.look(t); cond != nil {
		t.Errorf("%+v", cond)
	}
}

// The worker is as its namespace, the users of the Repository and the installation want it.
func TestAWorkerFitsItsNamespace(t *testing.T) {
	ns := namespace("demo", "shop")
	ns.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "q"}}
	quota.Spec.Hard = corev1.ResourceList{corev1.ResourceLimitsCPU: {}}
	config := configuration()
	config.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	config.Spec.RuntimeSettings.Pod = &v1beta1.PodRuntimeSettings{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "own"}}}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	set.Spec.Template.Spec = corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(1000)), FSGroup: new(int64(2000))},
		Volumes:         []corev1.Volume{{Name: "data"}},
	}
	repo := repository()
	repo.Spec.Backend = v1alpha1.Backend{StorageSecretName: "keys", Local: &v1alpha1.LocalSpec{
		MountPath: "/safe", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "safe"}},
	}}
	w := newWorld(t, interceptor.Funcs{}, ns, quota, config, set, repo, keys(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "registry"}})
	w.PullSecrets = []string{"registry", "elsewhere"}
	r := &Repositories{World: w}
	job, err := r.workerJob(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	if len(pod.Containers[0].Resources.Limits) != 2 {
		t.Errorf("limits %v", pod.Containers[0].Resources.Limits)
	}
	if s := pod.SecurityContext; *s.RunAsUser != 1000 || *s.FSGroup != 2000 || len(pod.Containers[0].SecurityContext.Capabilities.Add) > 0 {
		t.Errorf("%+v", pod.SecurityContext)
	}
	if d := cmp.Diff([]corev1.LocalObjectReference{{Name: "registry"}, {Name: "own"}}, pod.ImagePullSecrets); d != "" {
		t.Error(d)
	}
	// Whoever only restores from it has its pods' user too, and its pull secrets.
	if err := w.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	rs := restoring()
	rs.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	rs.Spec.RuntimeSettings.Pod = &v1beta1.PodRuntimeSettings{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "restore"}}}
	if err := w.Create(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	if got, err := w.askedPullSecrets(t.Context(), "demo"); err != nil || len(got) != 1 || got[0].Name != "restore" {
		t.Errorf("%v, %v", got, err)
	}
	want := []mutators.Writer{{User: new(int64(1000)), FSGroup: new(int64(2000))}}
	if got, err := r.writers(t.Context(), repo); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v: %s", err, cmp.Diff(want, got))
	}
}

// A Repository is looked at before anybody uses it; its worker must not make what its users cannot read.
func TestAWorkerOfAnotherUserIsReplacedBeforeItWrites(t *testing.T) {
	repo := repository()
	repo.Spec.Backend = v1alpha1.Backend{StorageSecretName: "keys", Local: &v1alpha1.LocalSpec{
		MountPath: "/safe", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "safe"}},
	}}
	ns := namespace("demo", "shop")
	ns.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	config := configuration()
	config.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "db"}}
	set.Spec.Template.Spec = corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(1000))}, Volumes: []corev1.Volume{{Name: "data"}}}
	w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if _, ok := obj.(*batchv1.Job); ok {
			obj.SetUID("j1")
			obj.SetCreationTimestamp(metav1.NewTime(noon()))
		}
		return c.Create(ctx, obj, opts...)
	}}, ns, repo, keys(), set)
	r := &Repositories{World: w}
	key := client.ObjectKey{Namespace: "demo", Name: workerName(repo)}
	user := func() int64 {
		job := &batchv1.Job{}
		if err := w.Get(t.Context(), key, job); err != nil {
			return -1
		}
		return *job.Spec.Template.Spec.SecurityContext.RunAsUser
	}
	ensure := func() {
		if _, err := r.ensureWorker(t.Context(), repo); err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	first := user()
	ensure()
	if first == 1000 || user() != first {
		t.Fatalf("without users the worker is %d, then %d", first, user())
	}
	if err := w.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	o := &session.Repository{Repository: repo}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "w", UID: "p1", OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: key.Name, UID: "j1", Controller: new(true)}}},
		Status:     at("Running", corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}),
	}
	if err := w.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := r.observeWorker(t.Context(), o); err != nil || o.Worker != nil {
		t.Errorf("%v: work is given to %+v", err, o.Worker)
	}
	ensure() // it goes
	if got := user(); got != -1 {
		t.Errorf("the worker of user %d stays", got)
	}
	ensure()
	if got := user(); got != 1000 {
		t.Errorf("the worker is user %d", got)
	}
}

func TestAWorkerThatAsksForItsWorkIsKnownToBeConnected(t *testing.T) {
	for name, has := range map[string]bool{"it is given it": false, "it got it from another version of the operator": true} {
		t.Run(name, func(t *testing.T) {
			repo := repository()
			repo.Status.Work = &v1alpha1.RepositoryWork{ID: "w1", Operation: v1alpha1.OperationProbe, Pod: "w", PodUID: "p1"}
			g := NewAgents(newWorld(t, interceptor.Funcs{}, repo, keys()))
			o, err := g.Orders(t.Context(), worker(), func(string) bool { return has })
			if err != nil || (len(o.Tasks) == 0) != has {
				t.Fatalf("%+v, %v", o, err)
			}
			if w := read(t, g.World, "demo", "repo", &v1alpha1.Repository{}).Status.Work; w == nil || w.AskedTime == nil {
				t.Errorf("%+v", w)
			}
		})
	}
}

func TestWhatIsSaidOfAWorkerHoldsUntilItWorks(t *testing.T) {
	now := metav1.NewTime(noon())
	idle, busy := session.WorkAction{After: time.Hour}, session.WorkAction{Operation: v1alpha1.OperationProbe}
	for name, c := range map[string]struct {
		reason string
		worker *session.Pod
		work   *v1alpha1.RepositoryWork
		action session.WorkAction
		holds  bool
	}{
		"it finds no node":                        {session.ReasonUnschedulable, nil, nil, busy, true},
		"it runs at last":                         {session.ReasonUnschedulable, &session.Pod{}, nil, busy, false},
		"it runs, and was cut off before":         {session.ReasonNotConnected, &session.Pod{}, nil, busy, true},
		"it is given work and did not ask for it": {session.ReasonNotConnected, &session.Pod{}, &v1alpha1.RepositoryWork{}, busy, true},
		"it asked for its work":                   {session.ReasonNotConnected, &session.Pod{}, &v1alpha1.RepositoryWork{AskedTime: &now}, busy, false},
		"nobody needs it":                         {session.ReasonNotConnected, nil, nil, idle, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Repositories{World: newWorld(t, interceptor.Funcs{})}
			repo := repository()
			repo.Status.Work = c.work
			api.SetCondition(&repo.Status.Conditions, condition(api.WorkerReady, false, c.reason, "x", 1), now)
			r.workerWorks(&session.Repository{Worker: c.worker}, repo, c.action)
			if got := api.FindCondition(repo.Status.Conditions, api.WorkerReady) != nil; got != c.holds {
				t.Errorf("it holds: %v", got)
			}
		})
	}
}
