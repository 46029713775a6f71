package e2e_test

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

func policies() []scenario {
	return []scenario{
		{"a policy has an unannotated workload backed up, lets it out with a reason, and refuses what has neither", policyProtects},
		{"a namespace that names a blueprint has its workloads backed up", namespaceProtects},
		{"a policy that denies is not passed by way of a namespace or a configuration", withdrawalsAreRefused},
	}
}

// policy applies a policy for the test's namespace that ends with the test.
func (s *site) policy(name, action string, more ...vars) {
	s.Helper()
	name = s.ns + "-" + name
	s.Cleanup(func() {
		p := &v1beta1.ProtectionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := suite.client.Delete(context.WithoutCancel(s.Context()), p); client.IgnoreNotFound(err) != nil {
			s.Errorf("delete policy: %v", err)
		}
	})
	s.apply("policy.yaml", append(more, vars{"Policy": name, "Action": action})...)
	s.eventually(soon, "the policy is in force", func(ctx context.Context) error {
		p := &v1beta1.ProtectionPolicy{}
		if err := suite.client.Get(ctx, client.ObjectKey{Name: name}, p); err != nil {
			return err
		}
		if p.Status.ObservedGeneration != p.Generation || !api.IsTrue(p.Status.Conditions, api.Enforced) {
			return notYet("conditions: %s", conditions(p.Status.Conditions))
		}
		return nil
	})
}

// found waits for what a policy's status is to say.
func (s *site) found(name string, protected, unprotected, exempt int32) {
	s.Helper()
	s.eventually(long, "the policy has looked", func(ctx context.Context) error {
		p := &v1beta1.ProtectionPolicy{}
		if err := suite.client.Get(ctx, client.ObjectKey{Name: s.ns + "-" + name}, p); err != nil {
			return err
		}
		if st := p.Status; st.Protected != protected || st.Unprotected != unprotected || st.Exempt != exempt {
			return notYet("%d protected, %d unprotected, %d exempt", st.Protected, st.Unprotected, st.Exempt)
		}
		return nil
	})
}

func policyProtects(s *site) {
	s.apply("blueprint.yaml")
	s.policy("default", "Default")
	// Its entry in the configurations is in force a moment later.
	s.eventually(soon, "who writes a workload is told of the default", func(context.Context) error {
		out, err := suite.kubectl.Run(s.Context(), s.render("deployment.yaml", vars{"Annotated": false}), "apply", "--namespace="+s.ns, "--dry-run=server", "--filename=-")
		if err != nil {
			return err
		}
		if !strings.Contains(out, "is applied, since ProtectionPolicy") {
			return notYet("%s", out)
		}
		return nil
	})
	manifest := s.render("deployment.yaml", vars{"Annotated": false})
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.protected(s.running(1))
	if n := s.revisions(); n != 1 {
		s.Errorf("%d revisions: the first pod had no sidecar", n)
	}
	s.configReady("deploy-web")
	dir := s.claimDir("web")
	s.planted(dir, 1)
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
	s.found("default", 1, 0, 0)
	if out, err := suite.kubectl.Run(s.Context(), manifest, "diff", "--namespace="+s.ns, "--filename=-"); err != nil {
		s.Errorf("the workload has drifted: %s", out)
	}

	s.kubectl("annotate", "deployment", "web", api.AnnotationExemption+"=it is made anew each night")
	s.eventually(soon, "what the default made goes", func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, &v1beta1.BackupConfiguration{})
		if !apierrors.IsNotFound(err) {
			return notYet("it is there (%v)", err)
		}
		return nil
	})
	get(s, "deploy-web", &v1alpha1.Repository{}) // the way back stays
	s.found("default", 0, 0, 1)

	s.kubectl("delete", "protectionpolicy", s.ns+"-default")
	s.policy("deny", "Deny")
	s.eventually(soon, "what has neither is refused", func(context.Context) error {
		out, err := s.tryApply("deployment.yaml", vars{"Annotated": false, "Name": "other"})
		if err == nil {
			s.kubectl("delete", "deployment,persistentvolumeclaim", "other")
			return notYet("it is accepted: %s", out)
		}
		if !strings.Contains(out+err.Error(), "nothing backs it up") {
			return err
		}
		return nil
	})
	s.kubectl("scale", "deployment/web", "--replicas=0")
	s.apply("deployment.yaml", vars{"Name": "third", "Replicas": 0})
	s.found("deny", 1, 0, 1)
}

func namespaceProtects(s *site) {
	s.apply("blueprint.yaml")
	s.kubectl("annotate", "namespace", s.ns, api.AnnotationBlueprint+"="+s.ns)
	s.apply("deployment.yaml", vars{"Annotated": false})
	s.configReady("deploy-web")
	s.protected(s.running(1))
	s.succeeded(s.backupNow("deploy-web"))
	if d := get(s, "web", &appsv1.Deployment{}); d.Annotations[api.AnnotationBlueprint] != "" {
		s.Errorf("annotations: %v", d.Annotations)
	}
	s.kubectl("annotate", "namespace", s.ns, api.AnnotationBlueprint+"-")
	s.eventually(soon, "what the default made goes", func(ctx context.Context) error {
		err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: "deploy-web"}, &v1beta1.BackupConfiguration{})
		if !apierrors.IsNotFound(err) {
			return notYet("it is there (%v)", err)
		}
		return nil
	})
}

// withdrawalsAreRefused: what a policy refuses of a workload, it refuses of whatever protects or exempts it.
func withdrawalsAreRefused(s *site) {
	s.apply("repository.yaml")
	s.apply("configuration.yaml")
	s.apply("deployment.yaml", vars{"Annotated": false, "Replicas": 0})
	s.apply("deployment.yaml", vars{"Annotated": false, "Replicas": 0, "Name": "bare"})
	s.policy("deny", "Deny", vars{"Tier": "gold"})
	bare := `Deployment "` + s.ns + `/bare"`

	label, exempt := []string{"label", "namespace", s.ns, "tier=gold"}, api.AnnotationExemption+"=a playground of the tests"
	s.withheld("a label brings nothing that is unprotected under the policy", []string{"metadata.labels", bare}, label,
		"label", "namespace", s.ns, "tier-")
	s.kubectl("annotate", "namespace", s.ns, exempt)
	s.kubectl(label...)
	s.found("deny", 1, 0, 1)

	restore := []string{"annotate", "namespace", s.ns, "--overwrite", exempt}
	at := "metadata.annotations[" + api.AnnotationExemption + "]"
	s.withheld("the exemption stays", []string{at, bare}, []string{"annotate", "namespace", s.ns, api.AnnotationExemption + "-"}, restore...)
	s.withheld("the exemption keeps its reason", []string{at, bare}, []string{"annotate", "namespace", s.ns, "--overwrite", api.AnnotationExemption + "=true"}, restore...)

	// Of its own: the namespace's would exempt the other workload as well, once that has no backup.
	s.kubectl("annotate", "deployment", "bare", exempt)
	s.kubectl("annotate", "namespace", s.ns, api.AnnotationExemption+"-")
	s.found("deny", 1, 0, 1)
	out, err := s.tryKubectl("delete", "backupconfiguration", "conf")
	if err == nil {
		s.Fatalf("the configuration is deleted: %s", out)
	}
	s.says(out, "it would leave unprotected", `Deployment "`+s.ns+`/web"`, "a workload that is to go too is deleted first")
	s.found("deny", 1, 0, 1)

	s.kubectl("delete", "deployment", "web")
	s.eventually(soon, "the configuration goes with its workload", func(context.Context) error {
		_, err := s.tryKubectl("delete", "backupconfiguration", "conf")
		return err
	})
}

// withheld waits until kubectl is refused with all of these words; undo takes back what is accepted before
// the policy is in force everywhere.
func (s *site) withheld(what string, words, args []string, undo ...string) {
	s.Helper()
	s.eventually(soon, what, func(context.Context) error {
		out, err := s.tryKubectl(args...)
		if err == nil {
			s.kubectl(undo...)
			return notYet("it is accepted: %s", out)
		}
		for _, w := range append(words, "it would leave unprotected") {
			if !strings.Contains(out, w) {
				return notYet("it does not say %q: %s", w, out)
			}
		}
		return nil
	})
}
