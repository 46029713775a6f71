package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func claims() []scenario {
	return []scenario{
		{"a claim is backed up beside the pod that uses it, and restored when nobody does", claimRoundTrip},
		{"a claim that no pod mounts is backed up, and restored into a new one", claimAlone},
		{"a Job whose pod is lost in the middle of a backup is made again", claimPodLost},
		{"a Job whose pod is lost in the middle of a restore is made again", claimRestorePodLost},
		{"a Job whose pod cannot be had says why, and is gone with its session", claimPodRefused},
		{"a namespace that wants restricted pods has its claims backed up", claimRestricted},
		{"a repository on a claim is shared by a Job and the worker", claimLocalRepository},
	}
}

func claimRef(name string) v1beta1.TargetRef {
	return v1beta1.TargetRef{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: name}
}

// newest is the rule that restores the newest snapshots.
func newest() v1beta1.Rule { return v1beta1.Rule{Snapshots: []string{"latest"}} }

// restoreClaim creates a RestoreSession into a claim.
func (s *site) restoreClaim(name, claim string) error {
	return suite.client.Create(s.Context(), &v1beta1.RestoreSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: name},
		Spec: v1beta1.RestoreSessionSpec{
			Repository: v1beta1.KindRepositoryRef{Name: "repo"},
			Target:     &v1beta1.RestoreTarget{Ref: claimRef(claim), Rules: []v1beta1.Rule{newest()}},
		},
	})
}

// confOfClaim applies a configuration of a claim with its Repository, and waits until both can be used.
func (s *site) confOfClaim(claim string, more ...vars) {
	s.Helper()
	s.apply("repository.yaml")
	s.apply("claim-configuration.yaml", append([]vars{{"Claim": claim, "Task": "", "Runtime": ""}}, more...)...)
	s.configReady("conf")
	s.repoReady("repo")
}

// bound runs a pod on a claim until its node is chosen, and removes it: the claim is bound then.
func (s *site) bound(claim string) {
	s.Helper()
	s.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "binds-" + claim, Labels: map[string]string{"app": "binds"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{
				Name: "app", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sleep", "1000"},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}}},
		},
	})
	s.running(1)
	s.kubectl("delete", "pod", "binds-"+claim, "--wait=true")
}

func claimRoundTrip(s *site) {
	s.apply("deployment.yaml", vars{"Annotated": false})
	node := s.running(1)[0].Spec.NodeName
	dir := s.claimDir("web")
	want := s.planted(dir, 21)
	s.confOfClaim("web", vars{"Task": "pvc-backup"})

	bs := s.backup("conf")
	s.wholeAt("/stash-data", bs, "host-0")
	jobs := list(s, &batchv1.JobList{}, client.MatchingLabels{api.LabelSession: string(bs.UID)})
	if len(jobs.Items) != 1 || !strings.HasPrefix(jobs.Items[0].Name, "stash-backup-") {
		s.Fatalf("%d Jobs: %+v", len(jobs.Items), jobs.Items)
	}
	s.jobDone(jobs.Items[0].Name)
	if pods := list(s, &corev1.PodList{}, client.MatchingLabels{api.LabelSession: string(bs.UID)}); len(pods.Items) != 1 || pods.Items[0].Spec.NodeName != node {
		s.Errorf("%d pods, not on %s", len(pods.Items), node)
	}
	if pod := s.running(1)[0]; container(&pod, api.ContainerSidecar) != nil {
		s.Error("the pod that uses the claim got a sidecar")
	}

	err := s.restoreClaim("in-use", "web")
	if err == nil {
		s.Fatal("a restore under a running pod was taken")
	}
	s.says(err.Error(), "spec.target.ref", `pods use claim "web"`, s.running(1)[0].Name, "inUse: Restore")

	s.kubectl("scale", "deployment/web", "--replicas=0")
	s.running(0)
	s.wiped(dir)
	s.eventually(soon, "the restore is taken once the pods are gone", func(context.Context) error { return s.restoreClaim("back", "web") })
	s.restored("back")
	s.same("the claim", want, dir)
}

// jobDone waits until a Job has completed.
func (s *site) jobDone(name string) {
	s.Helper()
	s.kubectl("wait", "--for=condition=complete", "--timeout=60s", "job/"+name)
}

func claimAlone(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	want := s.planted(s.claimDir("data"), 22)
	s.confOfClaim("data")
	s.wholeAt("/stash-data", s.backup("conf"), "host-0")

	s.apply("claim.yaml", vars{"Claim": "copy", "Node": ""})
	if err := s.restoreClaim("copy", "copy"); err != nil {
		s.Fatal(err)
	}
	rs := s.restored("copy")
	if rs.Status.Stats[0].Hostname != "host-0" || rs.Status.Stats[0].Bytes == 0 {
		s.Errorf("restored %+v", rs.Status.Stats)
	}
	s.same("the new claim", want, s.claimDir("copy"))
}

func claimPodLost(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	s.planted(s.claimDir("data"), 23)
	s.confOfClaim("data")
	s.gate.slow(20_000)
	name := s.backupNow("conf")
	first := s.backingUp(name)
	s.kubectl("delete", "pod", first, "--grace-period=0", "--force")
	s.gate.heal()
	bs := s.succeeded(name)
	s.wholeAt("/stash-data", bs, "host-0")
	if again := bs.Status.Targets[0].Stats[0].Pod; again == first || again == "" {
		s.Errorf("pod %q did it, which was lost", again)
	}
}

func claimRestorePodLost(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	dir := s.claimDir("data")
	want := s.planted(dir, 24)
	s.confOfClaim("data")
	s.backup("conf")
	s.wiped(dir)
	s.gate.slowDown(20_000)
	if err := s.restoreClaim("back", "data"); err != nil {
		s.Fatal(err)
	}
	first := s.writing("back")
	s.kubectl("delete", "pod", first, "--grace-period=0", "--force")
	s.gate.heal()
	if got := s.restored("back").Status.Restored; len(got) != 1 || got[0].Pod == first {
		s.Errorf("restored by %+v, of which %s was lost", got, first)
	}
	s.same("the claim", want, dir)
}

// writing waits until an agent has had its work of a restore for a moment, and returns its pod.
func (s *site) writing(name string) string {
	s.Helper()
	var pod string
	s.eventually(long, "RestoreSession "+name+" is under way", func(ctx context.Context) error {
		rs := &v1beta1.RestoreSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, rs); err != nil {
			return err
		}
		var ok bool
		if pod, ok = atWork(rs.Status.Assignments); !ok {
			return notYet("%q: %s", rs.Status.Phase, rs.Status.Reason)
		}
		return nil
	})
	return pod
}

// atWork finds a pod that has had its work for a moment.
func atWork(list []v1beta1.Assignment) (string, bool) {
	i := slices.IndexFunc(list, func(a v1beta1.Assignment) bool {
		return a.Acknowledged != nil && time.Since(a.Acknowledged.Time) > time.Second
	})
	if i < 0 {
		return "", false
	}
	return list[i].Pod, true
}

func claimPodRefused(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	s.confOfClaim("data", vars{"Runtime": "{pod: {nodeSelector: {nobody: has-it}}}"})
	name := s.backupNow("conf")
	s.eventually(long, "the session says what it waits for", func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		if !strings.Contains(bs.Status.Reason, "of the backup's Job finds no node") {
			return notYet("%q: %s", bs.Status.Phase, bs.Status.Reason)
		}
		return nil
	})
	s.kubectl("delete", "backupsession", name)
	s.eventually(soon, "its Job is gone", func(ctx context.Context) error {
		jobs := &batchv1.JobList{}
		if err := suite.client.List(ctx, jobs, client.InNamespace(s.ns), client.HasLabels{api.LabelSession}); err != nil {
			return err
		}
		if len(jobs.Items) > 0 {
			return notYet("%d are there", len(jobs.Items))
		}
		return nil
	})
}

func claimRestricted(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	if err := os.WriteFile(filepath.Join(s.claimDir("data"), "readable"), []byte("by all"), 0o644); err != nil {
		s.Fatal(err)
	}
	s.kubectl("label", "namespace", s.ns, "pod-security.kubernetes.io/enforce=restricted")
	s.confOfClaim("data")
	bs := s.backup("conf")
	if got := bs.Status.Targets[0].Stats; len(got) != 1 || len(got[0].Snapshots) != 1 {
		s.Errorf("results: %+v", got)
	}
}

func claimLocalRepository(s *site) {
	s.apply("claim.yaml", vars{"Claim": "data", "Node": ""})
	s.bound("data")
	dir := s.claimDir("data")
	want := s.planted(dir, 25)
	node := s.nodeOfClaim("data")
	s.apply("claim.yaml", vars{"Claim": "backups", "Node": node})
	s.apply("repository-local.yaml", vars{"Local": "{mountPath: /safe, subPath: web, persistentVolumeClaim: {claimName: backups}}"})
	s.apply("claim-configuration.yaml", vars{"Claim": "data", "Task": "", "Runtime": ""})
	s.configReady("conf")
	s.repoReady("repo")
	for range 2 { // the worker has its turn between them
		s.wholeAt("/stash-data", s.backup("conf"), "host-0")
	}
	s.wiped(dir)
	if err := s.restoreClaim("back", "data"); err != nil {
		s.Fatal(err)
	}
	s.restored("back")
	s.same("the claim", want, dir)
}

// nodeOfClaim is the node that the volume of a claim is on.
func (s *site) nodeOfClaim(claim string) string {
	s.Helper()
	pvc := get(s, claim, &corev1.PersistentVolumeClaim{})
	pv := &corev1.PersistentVolume{}
	if err := suite.client.Get(s.Context(), client.ObjectKey{Name: pvc.Spec.VolumeName}, pv); err != nil {
		s.Fatal(err)
	}
	node, err := nodeOf(pv)
	if err != nil {
		s.Fatal(err)
	}
	return node
}

// backingUp waits until restic has read something for a backup, and returns the pod that works.
func (s *site) backingUp(name string) string {
	s.Helper()
	var pod string
	s.eventually(long, "BackupSession "+name+" progresses", func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		for _, t := range bs.Status.Targets {
			var ok bool
			if pod, ok = atWork(t.Assignments); ok {
				return nil
			}
		}
		return notYet("%q: %s", bs.Status.Phase, bs.Status.Reason)
	})
	return pod
}
