package mutators_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/mutators"
)

// plansFor makes the plans of a backup and of a restore of the volume "data".
func plansFor(native bool, level mutators.Level, local bool) (backup, restore mutators.Plan) {
	s := settings()
	s.NativeSidecar, s.PullSecrets = native, []string{"registry"}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data"}}}}
	mounts := []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	var backend *v1alpha1.LocalSpec
	if local {
		backend = &v1alpha1.LocalSpec{MountPath: "/backup", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "backup"},
		}}
	}
	ns := mutators.Namespace{PodSecurity: level}
	backup, _ = mutators.NewBackupPlan(mutators.BackupInput{
		Template: template, Namespace: ns, Settings: s,
		Configurations: []mutators.Configuration{{
			Name: "demo/demo", Local: backend,
			Spec: v1beta1.BackupConfigurationSpec{BackupTemplatePart: v1beta1.BackupTemplatePart{
				Target: &v1beta1.BackupTarget{VolumeMounts: mounts},
			}},
		}},
	})
	restore, _ = mutators.NewRestorePlan(mutators.RestoreInput{
		Template: template, Namespace: ns, Settings: s, Name: "demo/back", UID: "u", Local: backend,
		Spec: v1beta1.RestoreSessionSpec{Target: &v1beta1.RestoreTarget{VolumeMounts: mounts}},
	})
	return backup, restore
}

// podJSON draws a pod as the API server might write one, with parts missing, null, empty and odd.
func podJSON(t *rapid.T) string {
	list := func(name, element string, from int) string {
		switch kind := rapid.IntRange(0, 5).Draw(t, name); kind {
		case 0:
			return ""
		case 1:
			return fmt.Sprintf(`,"%s":null`, name)
		case 2:
			return fmt.Sprintf(`,"%s":[]`, name)
		default:
			var all []string
			for i := range rapid.IntRange(from, 4).Draw(t, name+" length") {
				all = append(all, fmt.Sprintf(element, i, rapid.SampledFrom([]string{"", `,"restartPolicy":"Always"`, `,"volumeMounts":[{"name":"data","mountPath":"/d"}]`, `,"x":"]}\"{"`, `,"emptyDir":{}`}).Draw(t, "extra")))
			}
			return fmt.Sprintf(`,"%s":[%s]`, name, strings.Join(all, ","))
		}
	}
	names := rapid.SampledFrom([]string{
		``, `,{"name":"data","emptyDir":{}}`, `,{"name":"data"},{"name":"stash-tmp-dir","emptyDir":{}}`,
		`,{"name":"data"},{"name":"stash-token","emptyDir":{}}`,
	}).Draw(t, "named volumes")
	volumes := list("volumes", `{"name":"v%d"%s}`, 0)
	if names != "" {
		volumes = `,"volumes":[{"name":"v"}` + names + `]`
	}
	taken := rapid.SampledFrom([]string{"", `,{"name":"stash"}`, `,{"name":"stash","command":["/usr/local/bin/stash-agent"]}`, `,{"name":"stash-init","command":["x"]}`}).Draw(t, "taken")
	return `{"metadata":{"labels":null},"spec":{"a":{"volumes":[1]}` + volumes +
		`,"containers":[{"name":"app"}` + taken + `]` +
		list("initContainers", `{"name":"i%d"%s}`, 0) + list("imagePullSecrets", `{"name":"s%d"%s}`, 0) + `,"z":9007199254740993}}`
}

func TestNothingOfTheUsersIsDroppedOrReordered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(podJSON(t))
		level := rapid.SampledFrom([]mutators.Level{mutators.Privileged, mutators.Baseline, mutators.Restricted}).Draw(t, "level")
		backup, restore := plansFor(rapid.Bool().Draw(t, "native"), level, rapid.Bool().Draw(t, "local"))
		plans := rapid.SampledFrom([][]mutators.Plan{{backup}, {restore}, {restore, backup}, {backup, restore}, {}, {{}, backup}}).Draw(t, "plans")
		ops, reason := mutators.Pod(raw, plans...)
		if (len(ops) > 0) != (reason == mutators.Injected) {
			t.Fatalf("%d operations, %s", len(ops), reason)
		}
		patched := apply(t, raw, ops)
		decodes(t, patched)
		contains(t, "", decode(t, patched), decode(t, raw))
		if again, why := mutators.Pod(patched, plans...); len(again) != 0 || reason == mutators.Injected && why != mutators.AlreadyInjected {
			t.Fatalf("second run: %d operations, %s", len(again), why)
		}
		sameAsApply(t, raw, patched, plans)
	})
}

func decode(t failer, raw []byte) any {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode: %v", err)
	}
	return v
}

// contains fails unless got has everything of want, lists in the same order with additions only.
func contains(t failer, path string, got, want any) {
	switch w := want.(type) {
	case nil:
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			t.Fatalf("%s: %v became %v", path, want, got)
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				t.Fatalf("%s/%s is gone", path, k)
			}
			contains(t, path+"/"+k, g[k], w[k])
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			t.Fatalf("%s: %v became %v", path, want, got)
		}
		i := 0
		for _, e := range g {
			if i < len(w) && reflect.DeepEqual(e, w[i]) {
				i++
			}
		}
		if i < len(w) {
			t.Fatalf("%s: element %d is gone or out of order", path, i)
		}
	default:
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v became %v", path, want, got)
		}
	}
}

func FuzzPod(f *testing.F) {
	f.Add([]byte(`{"spec":{"volumes":[{"name":"data"}],"containers":[{"name":"app"}],"initContainers":null}}`))
	f.Add([]byte(`{"spec":{"volumes":[{"name":"data"}],"containers":{},"imagePullSecrets":"x"}}`))
	backup, restore := plansFor(true, mutators.Privileged, true)
	f.Fuzz(func(t *testing.T, raw []byte) {
		ops, _ := mutators.Pod(raw, restore, backup)
		if len(ops) == 0 || !json.Valid(raw) {
			return
		}
		var pod corev1.Pod
		if json.Unmarshal(raw, &pod) != nil || strings.Count(string(raw), `"spec"`) > 1 || strings.Contains(string(raw), `\u`) {
			return // nothing that an API server writes
		}
		apply(t, raw, ops)
	})
}

func FuzzWorkload(f *testing.F) {
	f.Add([]byte(`{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		mutators.Workload(raw, mutators.Stamp{Inject: "a"})
		mutators.ReadStamp(raw)
	})
}

func TestHashCoversWhatTheUserChoseAndNothingElse(t *testing.T) {
	hash := func(change func(*mutators.BackupInput)) string {
		in := mutators.BackupInput{
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "data"}}}},
			Settings: settings(),
			Configurations: []mutators.Configuration{{Name: "a", Spec: v1beta1.BackupConfigurationSpec{
				BackupTemplatePart: v1beta1.BackupTemplatePart{Target: &v1beta1.BackupTarget{VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			}}},
		}
		change(&in)
		plan, problems := mutators.NewBackupPlan(in)
		if plan.Empty() {
			t.Fatalf("%v", problems)
		}
		return plan.Hash()
	}
	base := hash(func(*mutators.BackupInput) {})
	for name, change := range map[string]func(*mutators.BackupInput){
		"image":          func(in *mutators.BackupInput) { in.Settings.Image = "other" },
		"pull policy":    func(in *mutators.BackupInput) { in.Settings.ImagePullPolicy = corev1.PullAlways },
		"broker":         func(in *mutators.BackupInput) { in.Settings.BrokerAddress = "x:1"; in.Settings.ServerName = "x" },
		"pull secrets":   func(in *mutators.BackupInput) { in.Settings.PullSecrets = []string{"x"} },
		"sidecar kind":   func(in *mutators.BackupInput) { in.Settings.NativeSidecar = false },
		"defaults":       func(in *mutators.BackupInput) { in.Settings.Resources = mutators.DefaultResources() },
		"pod security":   func(in *mutators.BackupInput) { in.Namespace.PodSecurity = mutators.Restricted },
		"quota":          func(in *mutators.BackupInput) { in.Namespace.LimitsRequired = true },
		"schedule":       func(in *mutators.BackupInput) { in.Configurations[0].Spec.Schedule = "@daily" },
		"paused":         func(in *mutators.BackupInput) { in.Configurations[0].Spec.Paused = true },
		"retention":      func(in *mutators.BackupInput) { in.Configurations[0].Spec.RetentionPolicy.KeepLast = 9 },
		"paths":          func(in *mutators.BackupInput) { in.Configurations[0].Spec.Target.Paths = []string{"/data/x"} },
		"a second equal": func(in *mutators.BackupInput) { in.Configurations = append(in.Configurations, in.Configurations[0]) },
		"the caching":    func(in *mutators.BackupInput) { in.Configurations[0].Spec.TempDir.DisableCaching = true },
		"nice": func(in *mutators.BackupInput) {
			in.Configurations[0].Spec.RuntimeSettings.Container = &v1beta1.ContainerRuntimeSettings{Nice: &v1beta1.NiceSettings{}}
		},
	} {
		if got := hash(change); got != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	for name, change := range map[string]func(*mutators.BackupInput){
		"injection version": func(in *mutators.BackupInput) { in.Settings.InjectionVersion++ },
		"mount path":        func(in *mutators.BackupInput) { in.Configurations[0].Spec.Target.VolumeMounts[0].MountPath = "/d" },
		"sub path":          func(in *mutators.BackupInput) { in.Configurations[0].Spec.Target.VolumeMounts[0].SubPath = "d" },
		"medium":            func(in *mutators.BackupInput) { in.Configurations[0].Spec.TempDir.Medium = corev1.StorageMediumMemory },
		"local backend": func(in *mutators.BackupInput) {
			in.Configurations[0].Local = &v1alpha1.LocalSpec{MountPath: "/b", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/b"}}}
		},
		"environment": func(in *mutators.BackupInput) {
			in.Configurations[0].Spec.RuntimeSettings.Container = &v1beta1.ContainerRuntimeSettings{Env: []corev1.EnvVar{{Name: "A"}}}
		},
		"security context": func(in *mutators.BackupInput) {
			in.Configurations[0].Spec.RuntimeSettings.Container = &v1beta1.ContainerRuntimeSettings{SecurityContext: &corev1.SecurityContext{}}
		},
	} {
		if got := hash(change); got == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}
