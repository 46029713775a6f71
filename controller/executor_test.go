package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/target"
)

func claimOf(modes ...corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "data", UID: "c1"},
		Spec:       corev1.PersistentVolumeClaimSpec{AccessModes: modes},
	}
}

func podOn(name, node, claim string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: typesUID(name)},
		Spec: corev1.PodSpec{NodeName: node, Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}

func TestAClaimThatOneNodeHasKeepsItsJobThere(t *testing.T) {
	leaving := podOn("web-0", "n0", "data", corev1.PodRunning)
	leaving.DeletionTimestamp, leaving.Finalizers = &metav1.Time{Time: noon()}, []string{"a/b"}
	job := podOn("a-job", "n0", "data", corev1.PodRunning)
	job.Labels = map[string]string{api.LabelSession: "s0"}
	ready := podOn("web-2", "n2", "data", corev1.PodRunning)
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	cases := map[string]struct {
		claim *corev1.PersistentVolumeClaim
		pods  []client.Object
		want  string
	}{
		"in use by a pod that leaves, and another": {claimOf(corev1.ReadWriteOnce), []client.Object{leaving, podOn("web-1", "n1", "data", corev1.PodRunning)}, "n1"},
		"left by the only pod":                     {claimOf(corev1.ReadWriteOnce), []client.Object{leaving}, ""},
		"in use by a Job of ours alone":            {claimOf(corev1.ReadWriteOnce), []client.Object{job}, ""},
		"in use by several, one of them ready":     {claimOf(corev1.ReadWriteOnce), []client.Object{podOn("web-1", "n1", "data", corev1.PodRunning), ready}, "n2"},
		"in use on a node":                         {claimOf(corev1.ReadWriteOnce), []client.Object{podOn("web", "n1", "data", corev1.PodRunning)}, "n1"},
		"in use by a pod that has no node":         {claimOf(corev1.ReadWriteOnce), []client.Object{podOn("web", "", "data", corev1.PodPending)}, ""},
		"used by a pod that has ended":             {claimOf(corev1.ReadWriteOnce), []client.Object{podOn("web", "n1", "data", corev1.PodSucceeded)}, ""},
		"another one in use":                       {claimOf(corev1.ReadWriteOnce), []client.Object{podOn("web", "n1", "other", corev1.PodRunning)}, ""},
		"in use, and to be mounted anywhere":       {claimOf(corev1.ReadWriteOnce, corev1.ReadWriteMany), []client.Object{podOn("web", "n1", "data", corev1.PodRunning)}, ""},
		"in use by the one pod that it is for":     {claimOf(corev1.ReadWriteOncePod), []client.Object{podOn("web", "n1", "data", corev1.PodRunning)}, "n1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, c.pods...)
			if got, err := w.nodeOf(t.Context(), c.claim); got != c.want || err != nil {
				t.Errorf("node %q, %v", got, err)
			}
		})
	}
}

// wantedJob is the Job of host-0 of the session of a claim.
func wantedJob(w *World, attempt int32) hostJob {
	kind := target.PersistentVolumeClaim()
	return hostJob{
		session: ofClaim(), component: api.ComponentBackup, namespace: "demo", host: "host-0", attempt: attempt,
		pod: func(ctx context.Context) (corev1.PodTemplateSpec, *mutators.Problem, error) {
			return w.backupPod(ctx, configurationOfClaim(), claimOf(corev1.ReadWriteOnce), kind, nil, "s1")
		},
	}
}

func jobs(t *testing.T, w *World) []batchv1.Job {
	t.Helper()
	list := &batchv1.JobList{}
	if err := w.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestTwoLeadersMakeOneJob(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	for range 2 {
		if err := w.execute(t.Context(), wantedJob(w, 1)); err != nil {
			t.Fatal(err)
		}
	}
	all := jobs(t, w)
	if len(all) != 1 {
		t.Fatalf("%d Jobs", len(all))
	}
	owner := metav1.GetControllerOf(&all[0])
	if owner == nil || owner.UID != "s1" || owner.Kind != "BackupSession" || all[0].Labels[api.LabelSession] != "s1" || *all[0].Spec.BackoffLimit != 0 {
		t.Errorf("the Job is %+v", all[0])
	}
	if e, _, err := w.executor(t.Context(), wantedJob(w, 1), true); err != nil || !e.Living {
		t.Errorf("seen: %+v, %v", e, err)
	}
	if err := w.execute(t.Context(), wantedJob(w, 2)); err != nil || len(jobs(t, w)) != 2 {
		t.Errorf("the next attempt makes no Job of its own: %v", err)
	}
}

func TestAJobThatEndedBeforeItHadWorkIsMadeAgain(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	if err := w.execute(t.Context(), wantedJob(w, 1)); err != nil {
		t.Fatal(err)
	}
	first := jobs(t, w)[0]
	first.UID = ""
	first.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	if err := w.Status().Update(t.Context(), &first); err != nil {
		t.Fatal(err)
	}
	if e, _, err := w.executor(t.Context(), wantedJob(w, 1), true); err != nil || e.Living || e.Missing.Refused != "" {
		t.Fatalf("seen: %+v, %v", e, err)
	}
	for range 2 { // once to remove the old one
		if err := w.execute(t.Context(), wantedJob(w, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if all := jobs(t, w); len(all) != 1 || jobEnded(&all[0]) {
		t.Errorf("Jobs: %+v", all)
	}
}

func TestARefusedPodIsSaid(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("exceeded quota: pods=1"))
	w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if _, ok := obj.(*corev1.Pod); ok {
			return forbidden
		}
		return c.Create(ctx, obj, opts...)
	}})
	e, _, err := w.executor(t.Context(), wantedJob(w, 1), true)
	if err != nil || e.Living || !strings.Contains(e.Missing.Refused, "exceeded quota") {
		t.Errorf("seen: %+v, %v", e, err)
	}
	if e, _, err := w.executor(t.Context(), wantedJob(w, 1), false); err != nil || e.Missing.Refused != "" {
		t.Errorf("what nobody wants was tried: %+v, %v", e, err)
	}
}

func TestARefusedJobIsSaid(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "x", errors.New("exceeded quota: count/jobs.batch=1"))
	w := newWorld(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		if _, ok := obj.(*batchv1.Job); ok {
			return forbidden
		}
		return c.Create(ctx, obj, opts...)
	}})
	e, _, err := w.executor(t.Context(), wantedJob(w, 1), true)
	if err != nil || !strings.Contains(e.Missing.Refused, "count/jobs.batch") {
		t.Errorf("seen: %+v, %v", e, err)
	}
}

func TestWhyAJobEndedIsKept(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{})
	pod := podOn("j-x", "n1", "data", corev1.PodFailed)
	pod.Labels = map[string]string{api.LabelSession: "s1", api.LabelHost: "host-0"}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: "j1", Controller: new(true)}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: api.ContainerJob, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}}}
	if err := w.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	e, _, err := w.executor(t.Context(), wantedJob(w, 1), true)
	if err != nil || e.Living || e.Missing.Ended != "OOMKilled" {
		t.Errorf("seen: %+v, %v", e, err)
	}
}

func TestAClaimThatCannotBeBackedUpSaysWhy(t *testing.T) {
	bound, fresh, lost, going := claimOf(), claimOf(), claimOf(), claimOf()
	bound.Status.Phase, fresh.Status.Phase, lost.Status.Phase, going.Status.Phase = corev1.ClaimBound, corev1.ClaimPending, corev1.ClaimLost, corev1.ClaimBound
	going.DeletionTimestamp = &metav1.Time{Time: noon()}
	ref := target.PersistentVolumeClaim().Ref("", "data")
	for name, c := range map[string]struct {
		obj  client.Object
		want string
	}{
		"bound":              {bound, ""},
		"used by nobody yet": {fresh, "is not bound to a volume yet"},
		"without its volume": {lost, "has lost its volume"},
		"being deleted":      {going, "is being deleted"},
		"gone":               {nil, "does not exist"},
	} {
		if got := unfitForBackup(c.obj, ref); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestJobsOfDeletedSessionsInOtherNamespacesGo(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, ofClaim())
	for _, uid := range []string{"s1", "s2"} {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "j-" + uid, Labels: map[string]string{api.LabelSession: uid}}}
		owned := job.DeepCopy()
		owned.Name += "-owned"
		owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x", Controller: new(true)}}
		if err := errors.Join(w.Create(t.Context(), job), w.Create(t.Context(), owned)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.endOrphans(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, job := range jobs(t, w) {
		left = append(left, job.Name)
	}
	if got := strings.Join(left, " "); got != "j-s1 j-s1-owned j-s2-owned" {
		t.Errorf("left: %s", got)
	}
}

func TestWhatASessionLeavesIsRemoved(t *testing.T) {
	now := metav1.NewTime(noon())
	long := metav1.NewTime(noon().Add(-2 * jobGrace))
	cases := map[string]struct {
		phase corev1.PodPhase
		ended metav1.Time
		left  int
		again time.Duration
	}{
		"a pod that waits for a node":               {corev1.PodPending, now, 0, 0},
		"a pod that is about to end":                {corev1.PodRunning, now, 1, jobGrace},
		"a pod that has ended, and its Job has not": {corev1.PodSucceeded, now, 1, jobGrace},
		"a pod that does not end":                   {corev1.PodRunning, long, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{})
			if err := w.execute(t.Context(), wantedJob(w, 1)); err != nil {
				t.Fatal(err)
			}
			job := jobs(t, w)[0]
			pod := podOn("j-x", "n1", "data", c.phase)
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: new(true)}}
			if err := w.Create(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			again, err := w.endJobs(t.Context(), "s1", &c.ended)
			if err != nil || again != c.again || len(jobs(t, w)) != c.left {
				t.Errorf("%d Jobs are left, to be looked at again in %s: %v", len(jobs(t, w)), again, err)
			}
		})
	}
}
