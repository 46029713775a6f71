package blueprint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

func pod(image, volume, path string) *corev1.PodTemplateSpec {
	return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Volumes:    []corev1.Volume{{Name: volume}},
		Containers: []corev1.Container{{Image: image, VolumeMounts: []corev1.VolumeMount{{Name: volume, MountPath: path}}}},
	}}
}

func TestRelevant(t *testing.T) {
	asks := map[string]string{api.AnnotationBlueprint: "daily"}
	asksMore := map[string]string{api.AnnotationBlueprint: "daily", api.AnnotationSchedule: "@daily"}
	other := map[string]string{api.AnnotationBlueprint: "daily", "team": "shop"}
	data := pod("nginx:1", "data", "/data")
	cases := map[string]struct {
		oldAnn, newAnn map[string]string
		oldPod, newPod *corev1.PodTemplateSpec
		want           bool
	}{
		"creation with our annotations":        {nil, asks, nil, data, true},
		"creation without them":                {nil, map[string]string{"team": "shop"}, nil, data, false},
		"an annotation is added":               {nil, asks, data, data, true},
		"an annotation is removed":             {asks, nil, data, data, true},
		"an annotation is changed":             {asks, asksMore, data, data, true},
		"an annotation of others is added":     {asks, other, data, data, false},
		"a hotfix of the image":                {asks, asks, data, pod("nginx:2", "data", "/data"), false},
		"a volume goes":                        {asks, asks, data, pod("nginx:1", "cache", "/data"), true},
		"a mount moves":                        {asks, asks, data, pod("nginx:1", "data", "/elsewhere"), true},
		"a mount moves where nobody asked":     {nil, nil, data, pod("nginx:1", "data", "/elsewhere"), false},
		"a stored object, seen the first time": {asks, asks, nil, data, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := blueprint.Relevant(c.oldAnn, c.newAnn, c.oldPod, c.newPod); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for value, want := range map[string]string{
		"daily": "daily", " daily , weekly,daily,": "daily weekly", "[a,b]": "a b", "": "", ",": "",
	} {
		got := blueprint.Names(map[string]string{api.AnnotationBlueprint: value})
		if strings.Join(got, " ") != want {
			t.Errorf("%q names %q, want %q", value, got, want)
		}
	}
	if !blueprint.Wanted(map[string]string{api.AnnotationRestorePolicy: "OnRestart"}) || blueprint.Wanted(map[string]string{api.AnnotationSchedule: "@daily"}) {
		t.Error("wanted is wrong")
	}
}

func TestHolderReadsWhatExpandWrites(t *testing.T) {
	for value, want := range map[string]string{"BackupBlueprint/daily": "daily", "": "", "daily": ""} {
		if got := blueprint.Holder(map[string]string{api.AnnotationExpandedBlueprint: value}); got != want {
			t.Errorf("%q gives %q", value, got)
		}
	}
}

func TestWhereARepositoryIsToAdmitANamespace(t *testing.T) {
	const own = "its spec.usagePolicy.allowedNamespaces must be All or a selector that matches it"
	for value, want := range map[string]string{
		"BackupBlueprint/daily": `it came from BackupBlueprint "daily", whose spec.usagePolicy.allowedNamespaces (a change of the Repository itself is put back) must be All or a selector that matches it`,
		"BackupTemplate/daily":  `it came from BackupTemplate "daily", whose spec.usagePolicy.allowedNamespaces (a change of the Repository itself is put back) must be All or a selector that matches it`,
		"":                      own,
		"BackupBlueprint/":      own,
		"Secret/daily":          own,
		"BackupBlueprint/" + strings.Repeat("x", 300): own,
		"BackupBlueprint/run: curl":                   own,
	} {
		if got := blueprint.AdmitElsewhere(map[string]string{api.AnnotationExpandedBlueprint: value}); got != want {
			t.Errorf("%q gives %q", value, got)
		}
	}
}

func draw(t *rapid.T) blueprint.Input {
	words := rapid.SampledFrom([]string{"", "daily", "daily,weekly", "[/data]", "/data,/data/a", "data:/data", "data:/data:sub", "x:y:z:", "${TARGET_NAME}", "@daily", "* * *"})
	ann := map[string]string{}
	for _, key := range []string{
		api.AnnotationBlueprint, api.AnnotationDraftTemplate, api.AnnotationTargetPaths, api.AnnotationDraftDirectories,
		api.AnnotationVolumeMounts, api.AnnotationSchedule, api.AnnotationRestorePolicy,
	} {
		if v := words.Draw(t, key); v != "" {
			ann[key] = v
		}
	}
	spec := v1beta1.BackupBlueprintSpec{
		Schedule: words.Draw(t, "schedule"), RepoNamespace: rapid.SampledFrom([]string{"", "demo", "vault", "${TARGET_KIND}", "${X}"}).Draw(t, "repoNamespace"),
	}
	spec.Task.Inputs = map[string]string{"name": "${TARGET_NAME}"}
	return blueprint.Input{
		Target: blueprint.Target{
			Kind: rapid.SampledFrom(target.All()).Draw(t, "kind"), Namespace: "demo", Name: rapid.SampledFrom([]string{"", "web"}).Draw(t, "name"),
			Annotations: ann, Template: pod("nginx", "data", "/data"), Volumes: []string{"data"},
		},
		Blueprints: map[string]*v1beta1.BackupBlueprint{"daily": {Spec: spec}, "weekly": {Spec: spec}},
		Templates:  map[string]*v1beta1.BackupTemplate{"daily": {Spec: spec}},
	}
}

func TestExpandIsAFunctionOfItsInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t)
		blueprintBefore, podBefore := in.Blueprints["daily"].DeepCopy(), in.Target.Template.DeepCopy()
		first, firstProblems := blueprint.Expand(in)
		again, againProblems := blueprint.Expand(in)
		if cmp.Diff(first, again) != "" || cmp.Diff(firstProblems, againProblems) != "" {
			t.Fatal("a second run differs")
		}
		if cmp.Diff(blueprintBefore, in.Blueprints["daily"]) != "" || cmp.Diff(podBefore, in.Target.Template) != "" {
			t.Fatal("the input was changed")
		}
		names := map[string]bool{}
		for _, p := range first.Pairs {
			if key := p.Repository.Namespace + "/" + p.Repository.Name; names[key] || p.Configuration.Spec.Repository.Name != p.Repository.Name {
				t.Fatalf("pair of %s twice or not joined", key)
			} else {
				names[key] = true
			}
			if len(p.Configuration.Spec.Target.Paths) == 0 || len(p.Configuration.Spec.Target.VolumeMounts) == 0 {
				t.Fatal("a configuration without paths or mounts")
			}
		}
		if asked := blueprint.Names(in.Target.Annotations); len(asked) > 0 && len(first.Pairs) == 0 && len(firstProblems) == 0 && in.Target.Name != "" {
			t.Fatalf("%v expanded into nothing without a word", asked)
		}
	})
}

func FuzzAnnotations(f *testing.F) {
	f.Add("daily", "/data", "data:/data", "@daily")
	f.Add("[daily]", "[/data, '/x']", "data:/data:sub,,:::", "TZ=0")
	f.Fuzz(func(t *testing.T, name, paths, mounts, schedule string) {
		in := blueprint.Input{
			Target: blueprint.Target{Kind: target.Deployment(), Namespace: "demo", Name: "web", Template: pod("nginx", "data", "/data"), Volumes: []string{"data"}, Annotations: map[string]string{
				api.AnnotationBlueprint: name, api.AnnotationTargetPaths: paths, api.AnnotationVolumeMounts: mounts, api.AnnotationSchedule: schedule,
			}},
			Blueprints: map[string]*v1beta1.BackupBlueprint{"daily": {}},
		}
		expansion, problems := blueprint.Expand(in)
		for _, p := range expansion.Pairs {
			for _, path := range p.Configuration.Spec.Target.Paths {
				if target.CheckPath(path) != "" {
					t.Fatalf("path %q came through", path)
				}
			}
		}
		problems.ErrorList()
	})
}
