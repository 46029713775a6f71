package e2e_test

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// badStorage are bad days of one test's storage and sessions alone: they disturb nobody else.
func badStorage() []scenario {
	return []scenario{
		{"a storage that goes away during a backup fails it, and the next one succeeds", storageGoesAway},
		{"a storage that hangs for a while only delays a backup", storageHangs},
		{"a wrong key is said at once and mended by the right one", wrongKey},
		{"a repository that vanished is not made anew without a word", repositoryVanishes},
		{"an absent bucket is said at once and mended by making it", absentBucket},
		{"a backup that takes longer than its timeOut ends", timeOutEnds},
		{"of two sessions at once one is skipped", twoAtOnce},
		{"a pod that is killed during a backup leaves no session running and no lock", podKilledInBackup},
		{"a pod that is killed during a restore is followed by one that restores", podKilledInRestore},
		{"an agent that never connects fails its session", agentNeverConnects},
		{"a worker that is killed during retention leaves no lock, and no backup runs into one", workerKilledInRetention},
		{"a session or configuration that is deleted during a backup ends it and leaves no lock", deletedMeanwhile},
	}
}

// large is enough data to be caught in the middle. A backup takes more than a minute at that pace.
// A restore is further on whenever restic has read a pack of 16 MB, over its one connection.
const (
	large       = 40 << 20
	backupPace  = 400 << 10
	restorePace = 1200 << 10
)

// slowBackup begins a backup that is in its middle when it returns.
func (s *site) slowBackup() (name, pod string) {
	s.Helper()
	s.gate.slow(backupPace)
	name = s.backupNow("conf")
	return name, s.progressing(name)
}

// filled applies an application with a large file that is protected by hand.
func (s *site) filled(more ...vars) (dir string, want tree) {
	s.Helper()
	s.byHand(append(more, vars{"Connections": 1})...)
	dir = s.claimDir("web")
	s.planted(dir, 3)
	if err := bulk(dir, "bulk", large, uint64(time.Now().UnixNano())); err != nil {
		s.Fatal(err)
	}
	return dir, s.tree(dir)
}

func storageGoesAway(s *site) {
	s.filled(vars{"TimeOut": "60s"})
	name, _ := s.slowBackup()
	s.gate.refuse()
	s.failed(name)
	s.gate.heal()
	s.goesOn()
}

func storageHangs(s *site) {
	s.filled()
	name, _ := s.slowBackup()
	s.gate.hang()
	s.never(15*time.Second, "the session ends while the storage hangs", func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		if bs.Status.CompletionTime == nil {
			return notYet("it runs")
		}
		return nil
	})
	s.gate.heal()
	s.backupIsWhole(s.succeeded(name), "host-0")
	s.unlocked()
	s.healthy("repo")
}

// broken waits until a Repository says that it cannot be used, for a reason in these words.
func (s *site) broken(name string, words ...string) {
	s.Helper()
	s.eventually(soon, "Repository "+name+" says what is wrong", func(ctx context.Context) error {
		r := &v1alpha1.Repository{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, r); err != nil {
			return err
		}
		c := api.FindCondition(r.Status.Conditions, api.BackendReachable)
		if r.Status.Phase != v1alpha1.RepositoryNotReady || c == nil || c.Status != "False" {
			return notYet("it is %q: %s", r.Status.Phase, conditions(r.Status.Conditions))
		}
		s.says(c.Reason+": "+c.Message, words...)
		return nil
	})
}

func wrongKey(s *site) {
	s.byHand()
	dir := s.claimDir("web")
	s.planted(dir, 1)
	s.backup("conf")
	s.setPassword(s.secret("the wrong password of "+s.ns, "wrong-"+rand.Text()))
	// A Repository is asked when somebody needs it, or when it is created.
	other := strings.Replace(s.render("repository.yaml"), "name: repo", "name: other", 1)
	if _, err := suite.kubectl.Run(s.Context(), other, "apply", "--namespace="+s.ns, "--filename=-"); err != nil {
		s.Fatal(err)
	}
	s.broken("other", "WrongPassword")
	s.failed(s.backupNow("conf"), "wrong password")
	s.setPassword(s.password)
	s.backup("conf")
	s.unlocked()
}

// setPassword changes RESTIC_PASSWORD in the Secret.
func (s *site) setPassword(value string) {
	s.Helper()
	secret := get(s, "storage", &corev1.Secret{})
	secret.Data["RESTIC_PASSWORD"] = []byte(value)
	if err := suite.client.Update(s.Context(), secret); err != nil {
		s.Fatal(err)
	}
}

func absentBucket(s *site) {
	absent := s.bucket + "-absent"
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.running(1)
	s.apply("repository.yaml", vars{"Bucket": absent})
	s.apply("configuration.yaml")
	s.broken("repo", "bucket")
	name := s.backupNow("conf")
	s.failed(name, "bucket")
	if err := suite.cluster.Storage().CreateBucket(absent); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := suite.cluster.Storage().DeleteBucket(absent); err != nil {
			s.Error(err)
		}
	})
	s.backup("conf")
}

func timeOutEnds(s *site) {
	s.filled(vars{"TimeOut": "15s"})
	name, _ := s.slowBackup()
	bs := s.failed(name, "deadline")
	if !api.IsTrue(bs.Status.Conditions, api.DeadlineExceeded) {
		s.Errorf("conditions: %s", conditions(bs.Status.Conditions))
	}
	// restic would go on for minutes at this pace, and retry for a quarter of an hour if it were worse.
	// It was the agent that stopped it, at the deadline that it was told.
	if d := bs.Status.SessionDeadline; d == nil || d.Sub(bs.CreationTimestamp.Time) != 15*time.Second {
		s.Errorf("the deadline of a session of %s is %v", bs.CreationTimestamp, d)
	}
	stats := bs.Status.Targets[0].Stats
	if len(stats) != 1 || stats[0].Phase != v1beta1.HostBackupFailed {
		s.Fatalf("hosts: %+v", stats)
	}
	s.says(stats[0].Error, "stopped at the deadline")
	s.gate.heal()
	s.unlocked()
	if n := len(s.snapshots("repo")); n != 0 {
		s.Errorf("%d snapshots", n)
	}
	s.backup("conf")
}

func twoAtOnce(s *site) {
	s.filled()
	name, _ := s.slowBackup()
	second := s.ended(s.backupNow("conf"))
	if second.Status.Phase != v1beta1.BackupSessionSkipped {
		s.Errorf("the second session is %s: %s", second.Status.Phase, second.Status.Reason)
	}
	s.says(second.Status.Reason, name, "still running")
	s.gate.heal()
	s.succeeded(name)
	if n := len(s.snapshots("repo")); n != 1 {
		s.Errorf("%d snapshots", n)
	}
	s.unlocked()
}

// podKilledInBackup: the pod is gone for good, its replacement takes the work over.
func podKilledInBackup(s *site) {
	s.filled()
	name, pod := s.slowBackup()
	old := get(s, pod, &corev1.Pod{})
	s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
	// Without its object, a pod goes on for its last second.
	s.another(*old)
	s.gate.heal()
	bs := s.succeeded(name)
	s.backupIsWhole(bs, "host-0")
	if got := bs.Status.Targets[0].Stats[0].Pod; got == pod {
		s.Errorf("pod %s is said to have done it", got)
	}
	s.running(1)
	s.unlocked()
	s.healthy("repo")
}

func podKilledInRestore(s *site) {
	dir, want := s.filled()
	s.backup("conf")
	s.wiped(dir)
	s.gate.slowDown(restorePace)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	pod := s.restoring("back")
	s.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
	s.gate.heal()
	s.restored("back")
	s.running(1)
	s.same("the volume", want, dir)
	s.unlocked()
}

// agentNeverConnects has an agent that lives and does not answer: its process is frozen.
func agentNeverConnects(s *site) {
	s.byHand()
	s.planted(s.claimDir("web"), 1)
	old := s.running(1)[0]
	s.freeze(old)
	name := s.backupNow("conf")
	bs := s.ended(name)
	if bs.Status.Phase != v1beta1.BackupSessionFailed {
		s.Errorf("the session is %s: %s", bs.Status.Phase, bs.Status.Reason)
	}
	s.says(bs.Status.Reason, old.Name)
	s.kubectl("delete", "pod", old.Name, "--grace-period=0", "--force")
	s.another(old)
	s.backup("conf")
	s.unlocked()
}

func deletedMeanwhile(s *site) {
	dir, _ := s.filled()
	name, _ := s.slowBackup()
	s.kubectl("delete", "backupsession", name)
	s.unlocked() // while the rest of the data would still take a minute
	if all := s.snapshots("repo"); len(all) > 0 {
		s.Errorf("it went on to its end: %+v", all)
	}
	s.gate.heal()
	if err := bulk(dir, "more", large, 99); err != nil {
		s.Fatal(err)
	}
	s.slowBackup()
	s.kubectl("delete", "backupconfiguration", "conf")
	s.unlocked()
	if all := s.snapshots("repo"); len(all) > 0 {
		s.Errorf("it went on to its end: %+v", all)
	}
}

// workerKilledInRetention: the worker holds an exclusive lock when it is killed, and cannot remove it. The
// backup that comes next waits until that is done, instead of failing of it.
func workerKilledInRetention(s *site) {
	s.byHand(vars{"Retention": "{name: one, keepLast: 1, prune: true}"})
	s.planted(s.claimDir("web"), 1)
	s.kept(s.backup("conf"))
	// Little is left to be stored: each request takes a part of a second.
	s.gate.slow(2 << 10)
	s.backup("conf")
	worker := ""
	s.eventually(long, "retention holds its lock", func(ctx context.Context) error {
		r := &v1alpha1.Repository{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "repo"}, r); err != nil {
			return err
		}
		if w := r.Status.Work; w == nil || w.Operation != v1alpha1.OperationForget {
			return notYet("its work is %+v", w)
		}
		keys, err := suite.cluster.Storage().Objects(s.bucket, "")
		if err != nil {
			return err
		}
		for _, k := range keys {
			if strings.Contains(k, "/locks/") || strings.HasPrefix(k, "locks/") {
				s.gate.hang()
				worker = r.Status.Work.Pod
				return nil
			}
		}
		return notYet("no lock")
	})
	s.kubectl("delete", "pod", worker, "--grace-period=0", "--force")
	name := s.backupNow("conf")
	s.eventually(soon, "the session says what it waits for", func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		if !strings.Contains(bs.Status.Reason, "a look at the locks") {
			return notYet("it is %q: %s", bs.Status.Phase, bs.Status.Reason)
		}
		return nil
	})
	s.gate.heal()
	s.kept(s.succeeded(name))
	s.unlocked()
	s.healthy("repo")
}
