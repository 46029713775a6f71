package e2e_test

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func existing() []scenario {
	return []scenario{
		{"a workload that exists is rolled out with its sidecar and backed up", existingIsRolledOut},
		{"a workload whose configuration says OnNextRollout waits for it", existingWaits},
		{"a paused configuration runs only by hand", pausedRunsByHand},
		{"a workload is not rolled out into a quota that has no room for its sidecar", quotaHasNoRoom},
		{"the draft's dialect means the same", draftMeansTheSame},
	}
}

// byHand applies a Deployment without annotations, and a Repository and a configuration of it.
func (s *site) byHand(more ...vars) {
	s.Helper()
	s.apply("deployment.yaml", append([]vars{{"Annotated": false}}, more...)...)
	s.running(1)
	s.configured(more...)
}

// configured applies a Repository and a configuration of an application that runs.
func (s *site) configured(more ...vars) {
	s.Helper()
	s.apply("repository.yaml", more...)
	s.apply("configuration.yaml", more...)
	s.configReady("conf")
	s.repoReady("repo")
	s.running(1)
}

func existingIsRolledOut(s *site) {
	s.byHand()
	s.protected(s.running(1))
	if n := s.revisions(); n != 2 {
		s.Errorf("%d revisions, not 2", n)
	}
	dir := s.claimDir("web")
	want := s.planted(dir, 1)
	s.backupIsWhole(s.backup("conf"), "host-0")
	s.wiped(dir)
	s.restore("back", "repo", workload("Deployment", "web"), data())
	s.restored("back")
	s.same("the volume", want, dir)
	s.unlocked()
}

func existingWaits(s *site) {
	s.apply("deployment.yaml", vars{"Annotated": false})
	before := s.running(1)
	s.apply("repository.yaml")
	manifest := s.render("configuration.yaml") + "  rolloutPolicy: OnNextRollout\n"
	if _, err := suite.kubectl.Run(s.Context(), manifest, "apply", "--namespace="+s.ns, "--filename=-"); err != nil {
		s.Fatal(err)
	}
	s.eventually(soon, "the condition says what is waited for", func(ctx context.Context) error {
		c := &v1beta1.BackupConfiguration{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "conf"}, c); err != nil {
			return err
		}
		if got := api.FindCondition(c.Status.Conditions, api.StashSidecarInjected); got == nil || got.Reason != "WaitingForNextRollout" {
			return notYet("conditions: %s", conditions(c.Status.Conditions))
		}
		return nil
	})
	if after := s.running(1); after[0].UID != before[0].UID {
		s.Error("the workload was rolled out")
	}
	s.kubectl("rollout", "restart", "deployment/web")
	s.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
	s.configReady("conf")
	s.protected(s.running(1))
}

func quotaHasNoRoom(s *site) {
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml", vars{"Annotated": false})
	before := s.running(1)
	s.create(&corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "small"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceRequestsMemory: resource.MustParse("1Mi")}},
	})
	said := s.kubectl("annotate", "deployment", "web", "stash.appscode.com/backup-blueprint="+s.ns,
		"stash.appscode.com/target-paths=/data", "stash.appscode.com/volume-mounts=data:/data")
	s.says(said, "Warning: ", "as soon as a dry run")
	s.eventually(soon, "the condition says what is refused", func(ctx context.Context) error {
		c := &v1beta1.BackupConfiguration{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, c); err != nil {
			return err
		}
		if got := api.FindCondition(c.Status.Conditions, api.StashSidecarInjected); got == nil || !strings.Contains(got.Message, "a pod with the sidecar would be refused") {
			return notYet("conditions: %s", conditions(c.Status.Conditions))
		}
		return nil
	})
	if after := s.running(1); after[0].UID != before[0].UID {
		s.Error("the workload was rolled out")
	}
	s.kubectl("delete", "resourcequota", "small")
	s.eventually(longest, "the pod is replaced when there is room", func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err == nil && (len(pods) != 1 || container(&pods[0], api.ContainerSidecar) == nil) {
			err = notYet("%d pods", len(pods))
		}
		return err
	})
}

func pausedRunsByHand(s *site) {
	s.byHand(vars{"Schedule": "@every 3s", "Paused": true})
	s.succeeded(s.backupNow("conf"))
	s.never(7*time.Second, "a paused schedule runs", func(context.Context) error {
		if n := len(list(s, &v1beta1.BackupSessionList{}).Items); n < 2 {
			return notYet("%d sessions", n)
		}
		return nil
	})
	resumed := time.Now()
	s.kubectl("patch", "backupconfiguration", "conf", "--type=merge", `--patch={"spec":{"paused":false}}`)
	s.scheduled("conf", resumed)
	s.kubectl("patch", "backupconfiguration", "conf", "--type=merge", `--patch={"spec":{"paused":true}}`)
}

func draftMeansTheSame(s *site) {
	s.apply("draft.yaml")
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.running(1)
	said := s.kubectl("annotate", "deployment", "web",
		"stash.appscode.com/backuptemplate="+s.ns, "stash.appscode.com/targetDirectories=[/data]")
	s.says(said, "Warning: ", "stash.appscode.com/backup-blueprint", "stash.appscode.com/target-paths", "will create or update")
	s.configReady("deploy-web")
	s.running(1)
	dir := s.claimDir("web")
	s.planted(dir, 1)
	said = s.apply("session-draft.yaml")
	s.says(said, "Warning: ", "spec.invoker")
	s.backupIsWhole(s.succeeded("by-hand"), "host-0")
	c := get(s, "deploy-web", &v1beta1.BackupConfiguration{})
	if c.Annotations[api.AnnotationExpandedBlueprint] != "BackupTemplate/"+s.ns {
		s.Errorf("annotations: %v", c.Annotations)
	}
}
