package validators_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/validators"
)

func blueprintOf(hooks bool) blueprint.Input {
	b := &v1beta1.BackupBlueprint{}
	b.Spec.Schedule = "@daily"
	b.Spec.RetentionPolicy.KeepLast = 5
	b.Spec.BackupNamespace = "backup"
	b.Spec.Backend = v1alpha1.Backend{StorageSecretName: "s3-secret", S3: &v1alpha1.S3Spec{Endpoint: "s3.example.com", Bucket: "backups", Prefix: "${TARGET_NAME}"}}
	if hooks {
		b.Spec.Hooks = &v1beta1.BackupHooks{}
		b.Spec.WipeOut = true
	}
	return blueprint.Input{
		Target: blueprint.Target{
			Kind: target.Deployment(), Namespace: "demo", Name: "web", Volumes: []string{"data"}, Template: &corev1.PodTemplateSpec{},
			Annotations: map[string]string{api.AnnotationBlueprint: "daily", api.AnnotationTargetPaths: "/data", api.AnnotationVolumeMounts: "data:/data"},
		},
		Blueprints: map[string]*v1beta1.BackupBlueprint{"daily": b},
	}
}

func TestExpansionIsHeldToTheSameRules(t *testing.T) {
	good, problems := blueprint.Expand(blueprintOf(false))
	if res := validators.Expansion(good, validators.Facts{}); len(problems) > 0 || len(res.Errors) > 0 || len(res.Warnings) > 0 {
		t.Fatalf("a good expansion has faults: %v %v", problems, res)
	}
	bad, _ := blueprint.Expand(blueprintOf(true))
	res := validators.Expansion(bad, validators.Facts{})
	want := []string{
		`metadata.annotations[stash.appscode.com/backup-blueprint]: Invalid value: "daily": the Repository it gives: spec.wipeOut: Forbidden: deletion of the data together with the Repository is not supported yet: remove the field`,
		`metadata.annotations[stash.appscode.com/backup-blueprint]: Invalid value: "daily": the BackupConfiguration it gives: spec.hooks: Forbidden: hooks are not supported yet: remove the field`,
	}
	var got []string
	for _, e := range res.Errors {
		got = append(got, e.Error())
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}

// Whoever owns a workload that a policy has backed up has no annotation to look at.
func TestExpansionOfADefaultNamesWhereItIsAskedFor(t *testing.T) {
	in := blueprintOf(true)
	delete(in.Target.Annotations, api.AnnotationBlueprint)
	in.Default = blueprint.Default{Blueprints: []string{"daily"}, Source: `ProtectionPolicy "production"`, Field: "spec.default.blueprint"}
	e, problems := blueprint.Expand(in)
	res := validators.Expansion(e, validators.Facts{})
	const want = `ProtectionPolicy "production", spec.default.blueprint: Invalid value: "daily": the Repository it gives: spec.wipeOut: Forbidden: `
	if len(problems) > 0 || len(res.Errors) != 2 || !strings.HasPrefix(res.Errors[0].Error(), want) {
		t.Fatalf("%v %v", problems, res.Errors)
	}
}

// FuzzValidators holds every validator to never panicking, whatever is missing in an object.
func FuzzValidators(f *testing.F) {
	f.Add([]byte("spec: {}"))
	f.Add([]byte("spec: {target: {}, rules: [{}], backend: {s3: {}}, runtimeSettings: {pod: {}, container: {}}, tempDir: {sizeLimit: 0}}"))
	f.Add([]byte("spec: {target: {ref: {kind: Deployment, name: web}, rules: [{paths: ['']}], volumeMounts: [{}]}, usagePolicy: {allowedNamespaces: {from: Selector, selector: {}}}}"))
	f.Add([]byte("spec: {invoker: {}, backupConfiguration: {}, allowedNamespaces: {}, schedule: '${', backend: {local: {}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var repo v1alpha1.Repository
		var config v1beta1.BackupConfiguration
		var session v1beta1.BackupSession
		var restore v1beta1.RestoreSession
		var blue v1beta1.BackupBlueprint
		defer func() {
			for _, o := range []runtime.Object{&config, &repo, &session, &restore, &blue} {
				validators.AccessNeeded(o, nil)
				if needed := validators.AccessNeeded(o, o.DeepCopyObject()); len(needed) > 0 {
					t.Errorf("what does not change needs %v", needed)
				}
			}
		}()
		if yaml.Unmarshal(data, &config) == nil {
			validators.BackupConfiguration(&config, nil, validators.Facts{Target: target.StatefulSet().New(), Repository: &v1alpha1.Repository{}})
			validators.BackupConfiguration(&config, &v1beta1.BackupConfiguration{}, validators.Facts{Configurations: []validators.Neighbour{{Configuration: &config, SharesLocation: true}, {}}})
		}
		if yaml.Unmarshal(data, &repo) == nil {
			validators.Repository(&repo, &v1alpha1.Repository{}, validators.Facts{})
		}
		if yaml.Unmarshal(data, &session) == nil {
			validators.BackupSession(&session, nil, validators.Facts{})
		}
		if yaml.Unmarshal(data, &restore) == nil {
			validators.RestoreSession(&restore, nil, validators.Facts{Target: target.DaemonSet().New()})
		}
		if yaml.Unmarshal(data, &blue) == nil {
			validators.BackupBlueprint(&blue, nil, validators.Facts{})
		}
	})
}
