package blueprint_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// allAnnotations is what the API server takes of annotations, in bytes.
const allAnnotations = 256 << 10

// filled repeats what a format gives for each number, up to a size.
func filled(size int, format string) string {
	var b strings.Builder
	for i := 0; ; i++ {
		part := fmt.Sprintf(format, i)
		if b.Len()+len(part)+1 > size {
			return b.String()
		}
		b.WriteString(part)
		b.WriteByte(',')
	}
}

// listed is a list of n.
func listed(n int, format string) string {
	parts := make([]string, 0, n)
	for i := range n {
		parts = append(parts, fmt.Sprintf(format, i))
	}
	return strings.Join(parts, ",")
}

// wide is a pod template of many volumes, each of which its container mounts.
func wide(volumes int) *corev1.PodTemplateSpec {
	out := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 1)}}
	for i := range volumes {
		name := fmt.Sprintf("v%d", i)
		claim := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}
		out.Spec.Volumes = append(out.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: claim}})
		out.Spec.Containers[0].VolumeMounts = append(out.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/data/" + name, ReadOnly: true})
	}
	return out
}

// asking is a workload with annotations, in a cluster whose blueprints are b and b0 to b15.
func asking(template *corev1.PodTemplateSpec, annotations map[string]string) blueprint.Input {
	in := blueprint.Input{Blueprints: map[string]*v1beta1.BackupBlueprint{"b": {}}}
	for i := range 16 {
		in.Blueprints[fmt.Sprintf("b%d", i)] = &v1beta1.BackupBlueprint{}
	}
	in.Target = blueprint.Target{Kind: target.Deployment(), Namespace: "demo", Name: "web", Annotations: annotations, Template: template}
	for i := range template.Spec.Volumes {
		in.Target.Volumes = append(in.Target.Volumes, template.Spec.Volumes[i].Name)
	}
	return in
}

// Whoever may create a workload may write as much into its annotations as the API server takes. Whatever
// it is, Expand is neither long about it nor verbose.
func TestExpandIsBoundedWhateverIsAsked(t *testing.T) {
	const (
		names, paths, mounts, schedule = api.AnnotationBlueprint, api.AnnotationTargetPaths, api.AnnotationVolumeMounts, api.AnnotationSchedule
		all, half                      = allAnnotations, allAnnotations / 2
	)
	small, large := pod("nginx", "data", "/data"), wide(20000)
	for name, c := range map[string]struct {
		pod   *corev1.PodTemplateSpec
		asks  map[string]string
		wants blueprint.Reason // of the first problem, none: there are pairs
		pairs int
	}{
		"names":                      {small, map[string]string{names: filled(all, "b%d"), paths: "/data", mounts: "data:/data"}, blueprint.ReasonTooMany, 0},
		"names in the draft's form":  {small, map[string]string{api.AnnotationDraftTemplate: "[" + filled(all, "b%d") + "]", api.AnnotationDraftDirectories: "[/data]"}, blueprint.ReasonTooMany, 0},
		"one name, over and over":    {small, map[string]string{names: strings.Repeat("b,", all/2), paths: "/data", mounts: "data:/data"}, "", 1},
		"one long name":              {small, map[string]string{names: strings.Repeat("b", all), paths: "/data", mounts: "data:/data"}, blueprint.ReasonBlueprintNotFound, 0},
		"names that do not exist":    {small, map[string]string{names: listed(16, "x%d"), paths: "/data", mounts: "data:/data"}, blueprint.ReasonBlueprintNotFound, 0},
		"paths":                      {small, map[string]string{names: "b", paths: filled(all, "/x/%d"), mounts: "data:/data"}, blueprint.ReasonTooMany, 0},
		"paths, from the containers": {small, map[string]string{api.AnnotationDraftTemplate: "b", api.AnnotationDraftDirectories: "[" + filled(all, "/data/%d") + "]"}, blueprint.ReasonTooMany, 0},
		"one path, over and over":    {small, map[string]string{names: "b", paths: strings.Repeat("/data,", 256), mounts: "data:/data"}, blueprint.ReasonInvalidPath, 0},
		"one long path":              {small, map[string]string{names: "b", paths: strings.Repeat("/x", all/2), mounts: "data:/data"}, blueprint.ReasonInvalidPath, 0},
		"one long relative path":     {small, map[string]string{names: "b", paths: strings.Repeat("x/", all/2), mounts: "data:/data"}, blueprint.ReasonInvalidPath, 0},
		"mounts":                     {small, map[string]string{names: "b", paths: "/data", mounts: filled(all, "data:/d/%d")}, blueprint.ReasonTooMany, 0},
		"one long mount":             {small, map[string]string{names: "b", paths: "/data", mounts: strings.Repeat("x", all)}, blueprint.ReasonInvalidMount, 0},
		"one mount of many parts":    {small, map[string]string{names: "b", paths: "/data", mounts: strings.Repeat("x:", all/2)}, blueprint.ReasonInvalidMount, 0},
		"one long volume":            {small, map[string]string{names: "b", paths: "/data", mounts: strings.Repeat("x", all) + ":/data"}, blueprint.ReasonUnknownVolume, 0},
		"paths and mounts":           {small, map[string]string{names: "b", paths: filled(half, "/x/%d"), mounts: filled(half, "data:/d/%d")}, blueprint.ReasonTooMany, 0},
		"as many names, paths and mounts as there may be": {
			small, map[string]string{names: listed(16, "b%d"), paths: listed(256, "/d/%d"), mounts: listed(256, "data:/d/%d")}, "", 16,
		},
		"as many as there may be, outside of each other": {
			small, map[string]string{names: listed(16, "b%d"), paths: listed(256, "/x/%d"), mounts: listed(256, "data:/d/%d")}, blueprint.ReasonPathNotMounted, 0,
		},
		"a schedule":              {small, map[string]string{names: "b", paths: "/data", mounts: "data:/data", schedule: strings.Repeat("0,", half) + "0 * * * *"}, blueprint.ReasonInvalidSchedule, 0},
		"a schedule that adds up": {small, map[string]string{names: "b", paths: "/data", mounts: "data:/data", schedule: "@every " + strings.Repeat("1s", half)}, blueprint.ReasonInvalidSchedule, 0},
		"a restore policy":        {small, map[string]string{names: "b", paths: "/data", mounts: "data:/data", api.AnnotationRestorePolicy: strings.Repeat("x", all)}, blueprint.ReasonNotSupportedYet, 1},
		"volumes that a large workload does not have": {large, map[string]string{names: "b", paths: listed(256, "/x/%d"), mounts: listed(256, "x%d:/d/%[1]d")}, blueprint.ReasonUnknownVolume, 0},
		"examples from a large workload":              {large, map[string]string{names: "b", paths: listed(256, "/x/%d"), mounts: listed(256, "v%d:/d/%[1]d")}, blueprint.ReasonPathNotMounted, 0},
		"a folder above all that a large one mounts":  {large, map[string]string{api.AnnotationDraftTemplate: "b", api.AnnotationDraftDirectories: listed(256, "/data/v%d")}, "", 1},
		"folders that a large one does not mount":     {large, map[string]string{api.AnnotationDraftTemplate: "b", api.AnnotationDraftDirectories: listed(256, "/x/%d")}, blueprint.ReasonPathNotMounted, 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := asking(c.pod, c.asks)
			out, problems := blueprint.Expand(in)
			if c.wants == "" && len(problems) > 0 || c.wants != "" && (len(problems) == 0 || problems[0].Reason != c.wants) {
				t.Errorf("want %q: %d problems, first %.300s", c.wants, len(problems), fmt.Sprint(problems.First(1)))
			}
			if len(out.Pairs) != c.pairs || len(in.Names()) > 17 {
				t.Errorf("%d pairs, %d names to look up", len(out.Pairs), len(in.Names()))
			}
			said, err := json.Marshal(map[string]any{"problems": problems, "errors": problems.ErrorList(), "warnings": out.Warnings, "notes": problems.Warnings()})
			if err != nil || len(said) > 64<<10 || len(problems) > 20 {
				t.Errorf("%d problems, %d bytes: %v", len(problems), len(said), err)
			}
			// The template is looked at as a whole, once: some allocations for each of its mounts.
			mounts := len(c.pod.Spec.Containers[0].VolumeMounts)
			bounded(t, 20_000+10*mounts, 8<<20+1000*mounts, func() { blueprint.Expand(in) })
		})
	}
}

// bounded runs fn and counts what it takes.
func bounded(t *testing.T, allocations, bytes int, fn func()) {
	t.Helper()
	start := time.Now()
	if n := testing.AllocsPerRun(1, fn); n > float64(allocations) {
		t.Errorf("%v allocations, at most %d are expected", n, allocations)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(bytes) {
		t.Errorf("%d bytes allocated, at most %d are expected", n, bytes)
	}
	// Milliseconds, or else the square of something: minutes.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// What a person reads of them.
func TestTooMany(t *testing.T) {
	base := map[string]string{api.AnnotationBlueprint: "b", api.AnnotationTargetPaths: "/data", api.AnnotationVolumeMounts: "data:/data"}
	for name, c := range map[string]struct{ key, value, want string }{
		"17 blueprints": {api.AnnotationBlueprint, listed(17, "b%d"), `metadata.annotations[stash.appscode.com/backup-blueprint]: Invalid value: "b0,b1,b2,b3,b4,b5,b6,b7,b8,b9,b10,b11,b12,b13,b14,b15,b16": at most 16 blueprints can be asked for`},
		"257 paths":     {api.AnnotationTargetPaths, listed(257, "/data/%d"), `…": an annotation may hold at most 256 paths: name the folders that hold them, or create BackupConfigurations by hand`},
		"257 mounts":    {api.AnnotationVolumeMounts, listed(257, "data:/d/%d"), `…": an annotation may hold at most 256 mounts: mount only what holds the paths, or create BackupConfigurations by hand`},
		"21 faults":     {api.AnnotationTargetPaths, listed(21, "x%d"), `must be absolute: write /x19; there are more problems, which are named once these are mended`},
		"20 faults":     {api.AnnotationTargetPaths, listed(20, "x%d"), `must be absolute: write /x19`},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := maps.Clone(base)
			annotations[c.key] = c.value
			_, problems := blueprint.Expand(asking(pod("nginx", "data", "/data"), annotations))
			last := ""
			for _, p := range problems {
				last = p.Error()
			}
			if !strings.HasSuffix(last, c.want) && !strings.HasPrefix(last, c.want) {
				t.Errorf("got %q", last)
			}
		})
	}
}
