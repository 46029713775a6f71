package webhook_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/webhook"
)

func blueprints() map[string]*v1beta1.BackupBlueprint {
	return map[string]*v1beta1.BackupBlueprint{"gold": {
		ObjectMeta: metav1.ObjectMeta{Name: "gold"},
		Spec: v1beta1.BackupBlueprintSpec{
			Backend: v1alpha1.Backend{
				StorageSecretName: "s3", S3: &v1alpha1.S3Spec{Endpoint: "https://s3.example", Bucket: "bucket", Prefix: "${TARGET_NAMESPACE}/${TARGET_NAME}"},
			},
			Schedule: "*/5 * * * *", RetentionPolicy: v1beta1.RetentionPolicy{Name: "keep", KeepLast: 5},
		},
	}}
}

func asked() map[string]string {
	return map[string]string{
		api.AnnotationBlueprint: "gold", api.AnnotationTargetPaths: "/data", api.AnnotationVolumeMounts: "data:/data",
	}
}

func stamped(inject, restore string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		if inject != "" {
			d.Spec.Template.Labels[api.LabelInject] = inject
		}
		if restore != "" {
			d.Spec.Template.Labels[api.LabelRestore] = restore
		}
	}
}

func both(changes ...func(*appsv1.Deployment)) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		for _, c := range changes {
			c(d)
		}
	}
}

func image(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "app:2" }

func TestWorkloads(t *testing.T) {
	const annotated, restoring = "/mutate/workloads/annotated", "/mutate/workloads/restoring"
	wanted := webhook.Wanted{Stamp: mutators.Stamp{Inject: "h1"}}
	onNext := webhook.Wanted{Stamp: wanted.Stamp, Later: "comes with the next rollout"}
	bad := asked()
	bad[api.AnnotationSchedule] = "* * *"
	lost := asked()
	lost[api.AnnotationBlueprint] = "gone"
	misspelt := asked()
	misspelt["stash.appscode.com/shedule"] = "@daily"
	for name, c := range map[string]struct {
		path        string
		object, old *appsv1.Deployment
		cluster     cluster
		want        string
		stamp       mutators.Stamp
		says        string
	}{
		"a new annotated workload is stamped at once": {
			annotated, deployment(asked(), nil), nil, cluster{wanted: wanted}, "patched Stamped", mutators.Stamp{Inject: "h1"}, "",
		},
		"pods that run are replaced by the controller, which tries first": {
			annotated, deployment(asked(), nil), deployment(nil, nil), cluster{wanted: wanted}, "allowed NotOurs", mutators.Stamp{}, "as soon as a dry run",
		},
		"unless the policy waits for a rollout": {
			annotated, deployment(asked(), nil), deployment(nil, nil), cluster{wanted: onNext}, "allowed NotOurs", mutators.Stamp{}, "comes with the next rollout",
		},
		"a rollout takes what is wanted": {
			annotated, deployment(asked(), image), deployment(asked(), nil), cluster{wanted: onNext}, "patched Stamped", mutators.Stamp{Inject: "h1"}, "",
		},
		"a new workload does not wait for a rollout": {
			annotated, deployment(asked(), nil), nil, cluster{wanted: onNext}, "patched Stamped", mutators.Stamp{Inject: "h1"}, "",
		},
		"a sidecar that was withdrawn does not come with a rollout": {
			annotated, deployment(asked(), both(image, stamped("h1", ""))), deployment(asked(), nil), cluster{wanted: webhook.Wanted{Withheld: "withdrawn"}}, "patched Stamped", mutators.Stamp{}, "withdrawn",
		},
		"a change that rolls nothing out keeps the stamp": {
			annotated, deployment(asked(), stamped("h0", "")), deployment(asked(), stamped("h0", "")), cluster{wanted: wanted}, "allowed AlreadyStamped", mutators.Stamp{Inject: "h0"}, "",
		},
		"a workload that the controller has not stamped yet is left to it": {
			annotated, deployment(asked(), nil), deployment(asked(), nil), cluster{wanted: wanted}, "allowed NotOurs", mutators.Stamp{}, "",
		},
		"an undone stamp is put back, with a word": {
			annotated, deployment(asked(), nil), deployment(asked(), stamped("h0", "")), cluster{wanted: wanted}, "patched Stamped", mutators.Stamp{Inject: "h0"}, "--to-revision",
		},
		"a copied stamp is removed where nothing is wanted": {
			annotated, deployment(nil, stamped("x", "y")), nil, cluster{}, "patched Stamped", mutators.Stamp{}, "",
		},
		"a restore does not wait for a rollout": {
			restoring, deployment(nil, nil), deployment(nil, nil), cluster{wanted: webhook.Wanted{Stamp: mutators.Stamp{Restore: "r"}}}, "patched Stamped", mutators.Stamp{Restore: "r"}, "",
		},
		"the stamp of a restore that has ended stays until the next rollout": {
			annotated, deployment(nil, stamped("", "r")), deployment(nil, stamped("", "r")), cluster{}, "allowed AlreadyStamped", mutators.Stamp{Restore: "r"}, "",
		},
		"and goes with it": {
			annotated, deployment(nil, both(stamped("", "r"), image)), deployment(nil, stamped("", "r")), cluster{}, "patched Stamped", mutators.Stamp{}, "",
		},
		"a paused rollout is told": {
			annotated, deployment(asked(), func(d *appsv1.Deployment) { d.Spec.Paused = true }), deployment(nil, nil), cluster{wanted: wanted}, "allowed NotOurs", mutators.Stamp{}, "paused",
		},
		"a bad schedule is refused":      {annotated, deployment(bad, nil), nil, cluster{wanted: wanted}, "denied Invalid", mutators.Stamp{}, "schedule"},
		"a missing blueprint is refused": {annotated, deployment(lost, nil), nil, cluster{}, "denied Invalid", mutators.Stamp{}, "gone"},
		"a hotfix of a workload whose blueprint has gone passes with a warning": {
			annotated, deployment(lost, image), deployment(lost, nil), cluster{}, "allowed Warned", mutators.Stamp{}, "not backed up",
		},
		"problems of the plan are told": {
			annotated, deployment(asked(), nil), nil, cluster{wanted: webhook.Wanted{Problems: []mutators.Problem{{Message: "no room"}}}}, "allowed NotOurs", mutators.Stamp{}, "no room",
		},
		"a failed lookup passes":                   {annotated, deployment(asked(), nil), nil, cluster{err: errors.New("gone")}, "allowed LookupFailed", mutators.Stamp{}, "later"},
		"a failed lookup under restore is refused": {restoring, deployment(nil, nil), nil, cluster{err: errors.New("gone")}, "denied LookupFailed", mutators.Stamp{}, "restore"},
		"a misspelt annotation beside right ones is told": {
			annotated, deployment(misspelt, nil), nil, cluster{wanted: wanted}, "patched Stamped", mutators.Stamp{Inject: "h1"}, "did you mean stash.appscode.com/schedule?",
		},
		"a misspelt annotation alone is told": {
			annotated, deployment(map[string]string{"stash.appscode.com/backup-bluprint": "gold"}, nil), deployment(nil, nil), cluster{}, "allowed NotOurs", mutators.Stamp{}, "did you mean stash.appscode.com/backup-blueprint?",
		},
		"a workload that asks for nothing is quiet": {annotated, deployment(nil, nil), nil, cluster{}, "allowed NotOurs", mutators.Stamp{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.cluster.blueprints = blueprints()
			response, patched, what := ask(t, &c.cluster, c.path, workloadRequest(t, c.object, c.old))
			if what != c.want {
				t.Errorf("got %q, want %q: %+v", what, c.want, response)
			}
			said := strings.Join(response.Warnings, "\n")
			if response.Result != nil {
				said += response.Result.Message
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("says %q, want %q", said, c.says)
			}
			if response.Allowed {
				if got, ok := mutators.ReadStamp(patched); !ok || got != c.stamp {
					t.Errorf("stamp %+v, want %+v", got, c.stamp)
				}
			}
			dry := workloadRequest(t, c.object, c.old)
			dry.DryRun = new(true)
			if again, _, _ := ask(t, &c.cluster, c.path, dry); !slices.Equal(again.Warnings, response.Warnings) {
				t.Errorf("a dry run says %q", again.Warnings)
			}
		})
	}
}

func ownRequest(t *testing.T, kind string, operation admissionv1.Operation, object, old runtime.Object) *admissionv1.AdmissionRequest {
	t.Helper()
	r := &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind{Group: api.Group, Version: "v1beta1", Kind: kind}, Operation: operation, Namespace: "demo", Name: "demo",
	}
	if object != nil {
		r.Object = typed(t, kind, object)
	}
	if old != nil {
		r.OldObject = typed(t, kind, old)
	}
	return r
}

// typed adds kind and version, which Go types do not hold by themselves.
func typed(t *testing.T, kind string, o runtime.Object) runtime.RawExtension {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw(t, o).Raw, &m); err != nil {
		t.Fatal(err)
	}
	m["kind"], m["apiVersion"] = kind, api.Group+"/v1beta1"
	return raw(t, m)
}

func TestOwnKinds(t *testing.T) {
	s3 := v1alpha1.RepositorySpec{Backend: v1alpha1.Backend{StorageSecretName: "s3", S3: &v1alpha1.S3Spec{Endpoint: "https://s3.example", Bucket: "bucket"}}}
	wiped := s3
	wiped.WipeOut = true
	empty := map[string]runtime.Object{
		"Repository": &v1alpha1.Repository{Spec: s3}, "BackupConfiguration": &v1beta1.BackupConfiguration{Spec: v1beta1.BackupConfigurationSpec{Schedule: "x"}},
		"BackupSession": &v1beta1.BackupSession{}, "RestoreSession": &v1beta1.RestoreSession{},
		"BackupBlueprint": &v1beta1.BackupBlueprint{}, "BackupTemplate": &v1beta1.BackupTemplate{},
	}
	for _, h := range webhook.Hooks() {
		if h.Serve != webhook.ServeOwn {
			continue
		}
		for kind, object := range empty {
			_, _, what := ask(t, &cluster{}, h.Path, ownRequest(t, kind, admissionv1.Create, object, nil))
			switch {
			case kind != h.Kind:
				if what != "denied WrongKind" {
					t.Errorf("%s at %s: %s", kind, h.Path, what)
				}
			case kind == "Repository" && what != "allowed Valid", kind != "Repository" && what != "denied Invalid":
				t.Errorf("%s at %s: %s", kind, h.Path, what)
			}
		}
	}
	for name, c := range map[string]struct {
		request *admissionv1.AdmissionRequest
		cluster cluster
		want    string
	}{
		"what it depends on is not known": {ownRequest(t, "Repository", admissionv1.Create, &v1alpha1.Repository{Spec: s3}, nil), cluster{err: errors.New("gone")}, "denied LookupFailed"},
		"an unused Repository may go":     {ownRequest(t, "Repository", admissionv1.Delete, nil, &v1alpha1.Repository{Spec: wiped}), cluster{}, "allowed Valid"},
		"a used one with a warning":       {ownRequest(t, "Repository", admissionv1.Delete, nil, &v1alpha1.Repository{Spec: s3}), cluster{users: []string{"x"}}, "allowed Warned"},
		"a used one with its data: never": {ownRequest(t, "Repository", admissionv1.Delete, nil, &v1alpha1.Repository{Spec: wiped}), cluster{users: []string{"x"}}, "denied Invalid"},
		"one that is being deleted sheds its finalizer": {ownRequest(t, "BackupConfiguration", admissionv1.Update,
			&v1beta1.BackupConfiguration{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Unix(1, 0))}, Spec: v1beta1.BackupConfigurationSpec{Schedule: "x"}},
			&v1beta1.BackupConfiguration{Spec: v1beta1.BackupConfigurationSpec{Schedule: "x"}}), cluster{err: errors.New("gone")}, "allowed Valid"},
		"and is held to the rules otherwise": {ownRequest(t, "BackupConfiguration", admissionv1.Update,
			&v1beta1.BackupConfiguration{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Unix(1, 0))}, Spec: v1beta1.BackupConfigurationSpec{Schedule: "x"}},
			&v1beta1.BackupConfiguration{}), cluster{}, "denied Invalid"},
		"nobody says that the operator made it": {ownRequest(t, "BackupConfiguration", admissionv1.Update,
			&v1beta1.BackupConfiguration{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{api.AnnotationExpandedBlueprint: "BackupBlueprint/gold"}}},
			&v1beta1.BackupConfiguration{}), cluster{}, "denied Invalid"},
		"no object at all": {ownRequest(t, "Repository", admissionv1.Create, nil, nil), cluster{}, "denied WrongKind"},
	} {
		path := "/validate/repositories"
		if c.request.Kind.Kind == "BackupConfiguration" {
			path = "/validate/backupconfigurations"
		}
		if c.request.Operation == admissionv1.Delete {
			path = "/validate/repositories/deletion"
		}
		if response, _, what := ask(t, &c.cluster, path, c.request); what != c.want {
			t.Errorf("%s: %s, want %s: %+v", name, what, c.want, response)
		}
	}
}
