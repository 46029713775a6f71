package e2e_test

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func refusals() []scenario {
	return []scenario{
		{"an annotation that cannot work is refused with field, value, reason and what to write", annotationsAreRefused},
		{"a field that cannot work is refused with field, value, reason and what to write", fieldsAreRefused},
		{"a hotfix of a workload whose blueprint has gone gets a warning", hotfixIsWarned},
		{"a configuration follows the annotation, the blueprint and the target", configurationFollows},
	}
}

// refused applies a manifest and fails the test unless it is refused with all of these words.
func (s *site) refused(file string, v vars, words ...string) {
	s.Helper()
	out, err := s.tryApply(file, v)
	if err == nil {
		s.Errorf("%s with %v was accepted: %s", file, v, out)
		return
	}
	s.says(out, words...)
}

func annotationsAreRefused(s *site) {
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml", vars{"Annotated": false, "Replicas": 0})
	for name, c := range map[string]struct {
		annotations []string
		words       []string
	}{
		"a missing blueprint": {
			[]string{"backup-blueprint=nightly", "target-paths=/data", "volume-mounts=data:/data"},
			[]string{"metadata.annotations[stash.appscode.com/backup-blueprint]", `"nightly"`, "there is no BackupBlueprint", "kubectl get backupblueprints"},
		},
		"missing paths": {
			[]string{"backup-blueprint=" + s.ns, "volume-mounts=data:/data"},
			[]string{"metadata.annotations[stash.appscode.com/target-paths]", "needs the paths to back up", "for example"},
		},
		"missing mounts": {
			[]string{"backup-blueprint=" + s.ns, "target-paths=/data"},
			[]string{"metadata.annotations[stash.appscode.com/volume-mounts]", "<volume>:<mountPath>", "data:/data"},
		},
		"an unknown volume": {
			[]string{"backup-blueprint=" + s.ns, "target-paths=/data", "volume-mounts=date:/data"},
			[]string{"metadata.annotations[stash.appscode.com/volume-mounts]", "date:/data", `have no volume "date"; they have data`},
		},
		"a bad schedule": {
			[]string{"backup-blueprint=" + s.ns, "target-paths=/data", "volume-mounts=data:/data", "schedule=0 25 * * *"},
			[]string{"metadata.annotations[stash.appscode.com/schedule]", `"0 25 * * *"`, "25"},
		},
		"automatic restore": {
			[]string{"restorepolicy=OnRestart"},
			[]string{"metadata.annotations[stash.appscode.com/restorepolicy]", "not supported yet", "RestoreSession"},
		},
	} {
		args := []string{"annotate", "deployment", "web"}
		for _, a := range c.annotations {
			args = append(args, "stash.appscode.com/"+a)
		}
		out, err := s.tryKubectl(args...)
		if err == nil {
			s.Errorf("%s is accepted: %s", name, out)
			continue
		}
		s.says(out, c.words...)
	}
	if d := get(s, "web", &appsv1.Deployment{}); len(d.Annotations) > 2 {
		s.Errorf("annotations were stored: %v", d.Annotations)
	}
	if n := len(list(s, &v1beta1.BackupConfigurationList{}).Items) + len(list(s, &v1alpha1.RepositoryList{}).Items); n > 0 {
		s.Errorf("%d objects were made", n)
	}
	s.blueprintVariable()
}

// blueprintVariable: a blueprint that names what no target has is refused where it is written.
func (s *site) blueprintVariable() {
	s.Helper()
	manifest := strings.ReplaceAll(s.render("blueprint.yaml"), "${TARGET_NAME}", "${TARGET_NAMME}")
	out, err := suite.kubectl.Run(s.Context(), manifest, "apply", "--filename=-")
	if err == nil {
		s.Errorf("a missing variable is accepted: %s", out)
	}
	s.says(out, "spec.backend.s3.prefix", "TARGET_NAMME")
}

func fieldsAreRefused(s *site) {
	s.apply("deployment.yaml", vars{"Annotated": false, "Replicas": 0})
	s.apply("repository.yaml")
	s.refused("configuration.yaml", vars{"Schedule": "* * *"}, "spec.schedule", `"* * *"`, "5 fields")
	s.refused("configuration.yaml", vars{"Retention": "{name: none, keepLast: -1}"}, "spec.retentionPolicy.keepLast", "-1")
	s.refused("configuration.yaml", vars{"Kind": "CronJob"}, "spec.target.ref.kind", "CronJob")
	s.refused("session-draft.yaml", nil, "spec.backupConfiguration", "deploy-web", "there is no BackupConfiguration")
	s.refused("repository-local.yaml", vars{"Local": "{mountPath: relative, emptyDir: {}}"}, "spec.backend.local.mountPath", "absolute")
	rs := s.restoreOf("back", "repo", workload("Deployment", "web"), v1beta1.Rule{Snapshots: []string{"xyz"}})
	if err := suite.client.Create(s.Context(), rs); err == nil {
		s.Error("a snapshot that cannot be one is accepted")
	} else {
		s.says(err.Error(), "spec.target.rules[0].snapshots", "xyz", "hexadecimal")
	}
}

func hotfixIsWarned(s *site) {
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml")
	s.configReady("deploy-web")
	s.kubectl("delete", "backupblueprint", s.ns)
	var said string
	s.eventually(soon, "a hotfix is accepted with a warning", func(context.Context) error {
		var err error
		if said, err = s.tryKubectl("set", "env", "deployment/web", "FIX=1"); err != nil {
			return err
		}
		if !strings.Contains(said, "Warning: ") {
			// The operator may not have seen yet that the blueprint is gone.
			_, err = s.tryKubectl("set", "env", "deployment/web", "FIX-")
			return notYet("kubectl says %q (%v)", said, err)
		}
		return nil
	})
	s.says(said, "there is no BackupBlueprint")
	s.running(1)
	get(s, "deploy-web", &v1beta1.BackupConfiguration{})
}

func configurationFollows(s *site) {
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml")
	first := s.configReady("deploy-web")
	get(s, "deploy-web", &v1alpha1.Repository{})

	s.apply("blueprint.yaml", vars{"Schedule": "0 4 29 2 *"})
	s.scheduleIs("0 4 29 2 *")
	s.kubectl("annotate", "deployment", "web", "stash.appscode.com/schedule=0 5 29 2 *")
	s.scheduleIs("0 5 29 2 *")

	s.kubectl("annotate", "deployment", "web", "stash.appscode.com/backup-blueprint-", "stash.appscode.com/schedule-")
	s.configGone()
	repo := get(s, "deploy-web", &v1alpha1.Repository{})
	s.kubectl("annotate", "deployment", "web", "stash.appscode.com/backup-blueprint="+s.ns)
	again := s.configReady("deploy-web")
	if again.UID == first.UID {
		s.Error("the configuration was never removed")
	}
	s.succeeded(s.backupNow("deploy-web"))

	s.kubectl("delete", "deployment", "web")
	s.configGone()
	if after := get(s, "deploy-web", &v1alpha1.Repository{}); after.UID != repo.UID || after.DeletionTimestamp != nil {
		s.Error("the Repository did not outlive its target")
	}
	if n := len(s.snapshots("deployment/web")); n == 0 {
		s.Error("the snapshots are gone")
	}
}

func (s *site) scheduleIs(want string) {
	s.Helper()
	s.eventually(soon, "the configuration has schedule "+want, func(ctx context.Context) error {
		c := &v1beta1.BackupConfiguration{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, c); err != nil {
			return err
		}
		if c.Spec.Schedule != want {
			return notYet("it is %q", c.Spec.Schedule)
		}
		return nil
	})
}

func (s *site) configGone() {
	s.Helper()
	s.eventually(soon, "the configuration goes", func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, &v1beta1.BackupConfiguration{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return notYet("it is there (%v)", err)
	})
}
