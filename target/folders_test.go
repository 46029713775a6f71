package target_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/target"
)

// folders draws paths that lie in each other, and some that only begin alike.
func folders() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"/", "/a", "/a/b", "/a/b/c", "/a-b", "/ab", "/a/b-c", "/d", "/d/e"}), 0, 8)
}

// Folders answer as a comparison of each with each does.
func TestFoldersAnswerAsCoversDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := folders().Draw(t, "folders")
		got := target.NewFolders(all)
		for _, p := range append(folders().Draw(t, "paths"), "/a/b") {
			var cover, below bool
			inside := []string{}
			for _, f := range all {
				cover, below = cover || target.Covers(f, p), below || target.Covers(p, f)
				if target.Covers(p, f) && !slices.Contains(inside, f) {
					inside = append(inside, f)
				}
			}
			slices.Sort(inside)
			is := append([]string{}, got.Inside(p)...)
			slices.Sort(is)
			if got.Cover(p) != cover || got.Meet(p) != (cover || below) || cmp.Diff(inside, is) != "" {
				t.Fatalf("%s among %q: covered %v, met %v, inside %q", p, all, got.Cover(p), got.Meet(p), is)
			}
		}
		for _, p := range got.Outer() {
			if slices.ContainsFunc(all, func(f string) bool { return f != p && target.Covers(f, p) }) {
				t.Fatalf("%s is not outer among %q", p, all)
			}
		}
	})
}

// modelMounts derives the mounts of one path after the other, each against all there are.
func modelMounts(template *corev1.PodTemplateSpec, paths []string) (mounts []corev1.VolumeMount, missing []string) {
	filled := target.Filled(template)
	for _, p := range paths {
		var in *corev1.Container
		var best corev1.VolumeMount
		for i := range template.Spec.Containers {
			for _, m := range template.Spec.Containers[i].VolumeMounts {
				if target.Covers(m.MountPath, p) && (in == nil || len(m.MountPath) > len(best.MountPath)) {
					in, best = &template.Spec.Containers[i], m
				}
			}
		}
		next, ok := slices.Clone(mounts), in != nil
		wanted := []corev1.VolumeMount{best}
		for i := 0; in != nil && i < len(in.VolumeMounts); i++ {
			if m := in.VolumeMounts[i]; m.MountPath != p && target.Covers(p, m.MountPath) && !filled[m.Name] {
				wanted = append(wanted, m)
			}
		}
		for _, w := range wanted {
			i := slices.IndexFunc(next, func(o corev1.VolumeMount) bool { return o.MountPath == w.MountPath })
			if i < 0 {
				next = append(next, w)
			} else {
				ok = ok && next[i].Name == w.Name
			}
		}
		if ok {
			mounts = next
		} else {
			missing = append(missing, p)
		}
	}
	return mounts, missing
}

func TestMountsForAgreesWithItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		template := &corev1.PodTemplateSpec{}
		for range rapid.IntRange(0, 3).Draw(t, "containers") {
			c := corev1.Container{}
			for _, p := range folders().Draw(t, "mountPaths") {
				c.VolumeMounts = append(c.VolumeMounts, mount(rapid.SampledFrom([]string{"x", "y", "secret"}).Draw(t, "volume"), p))
			}
			template.Spec.Containers = append(template.Spec.Containers, c)
		}
		template.Spec.Volumes = []corev1.Volume{{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}}
		paths := folders().Draw(t, "paths")
		mounts, missing := target.MountsFor(template, paths)
		wantMounts, wantMissing := modelMounts(template, paths)
		if d := cmp.Diff(wantMounts, mounts) + cmp.Diff(wantMissing, missing); d != "" {
			t.Fatal(d)
		}
	})
}

// A workload is as large as the API server takes it: what is asked about it takes a time in proportion.
func TestLargeWorkloadsTakeWorkInProportion(t *testing.T) {
	work := func(n int) (allocations float64) {
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 1)}}
		var volumes, paths []string
		for i := range n {
			name := fmt.Sprintf("v%d", i)
			template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Path: name}}})
			template.Spec.Containers[0].VolumeMounts = append(template.Spec.Containers[0].VolumeMounts, mount(name, "/data/"+name))
			volumes, paths = append(volumes, name), append(paths, "/data/"+name)
		}
		return testing.AllocsPerRun(1, func() {
			if got, mounts, problem := target.PersistentMounts(template, volumes); len(got) != n || len(mounts) != n || problem != "" {
				t.Fatalf("%d paths, %d mounts: %s", len(got), len(mounts), problem)
			}
			if mounts, missing := target.MountsFor(template, paths); len(mounts) != n || len(missing) > 0 {
				t.Fatalf("%d mounts, %d missing", len(mounts), len(missing))
			}
		})
	}
	start := time.Now()
	if few, many := work(1000), work(40000); many > 80*few {
		t.Errorf("%v allocations for 1,000 volumes, %v for 40,000", few, many)
	}
	// In proportion it is a second. Each volume against each other one, it is minutes.
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %s", took)
	}
}

func TestCheckPath(t *testing.T) {
	name := strings.Repeat("a", target.MaxName)
	for p, want := range map[string]string{
		"/source/data":                       "",
		"/source/" + name:                    "",
		"/source/" + name + "a/data":         "a name of more than 255 bytes",
		strings.Repeat("/a", target.MaxPath): "longer than a path can be",
		"source/data":                        "write /source/data",
		"/source/../data":                    "write /data",
	} {
		if got := target.CheckPath(p); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%.20s: %s", p, got)
		}
	}
}
