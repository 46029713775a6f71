package mutators

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// manyWishes are configurations of one workload, each as large as one can be, about.
func manyWishes(n, each int) []wish {
	out := make([]wish, n)
	for i := range out {
		c := &v1beta1.ContainerRuntimeSettings{}
		for j := range each {
			name := fmt.Sprintf("N%d_%d", i, j)
			out[i].mounts = append(out[i].mounts, corev1.VolumeMount{Name: "data", MountPath: "/" + name, SubPathExpr: "$(POD_NAME)/$(" + name + ")"})
			c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: "x"})
			c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{Prefix: name})
		}
		out[i].runtime.Container = c
	}
	return out
}

// Who may write BackupConfigurations decides how many there are of a workload, and what each mounts: the
// leader and every replica make the plan of all of them.
func TestAPlanIsLinearInWhatTenantsWrite(t *testing.T) {
	start := time.Now()
	u := newUnion()
	for _, w := range manyWishes(100, 1000) {
		if p := w.check(&corev1.PodSpec{}, map[string]bool{"data": true}, Privileged); p != nil {
			t.Fatal(p)
		}
		if p := u.add(w); p != nil {
			t.Fatal(p)
		}
	}
	u.sort()
	c := u.container("stash", "sidecar", Settings{}, u.Mounts)
	if len(u.Mounts) != 100_000 || len(c.Env) < 100_000 {
		t.Errorf("%d mounts, %d variables", len(u.Mounts), len(c.Env))
	}
	// A second or two, or else the square of it: minutes.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func drawWish(t *rapid.T) wish {
	some := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	w := wish{temp: v1beta1.EmptyDirSettings{Medium: corev1.StorageMedium(some("medium", "", "Memory"))}}
	for range rapid.IntRange(0, 3).Draw(t, "mounts") {
		w.mounts = append(w.mounts, corev1.VolumeMount{Name: some("volume", "a", "b"), MountPath: some("path", "/x", "/y/", "/z", "/safe")})
	}
	if rapid.Bool().Draw(t, "local") {
		w.local = &v1alpha1.LocalSpec{MountPath: some("place", "/safe", "/z"), SubPath: some("folder", "", "web")}
	}
	if rapid.Bool().Draw(t, "settings") {
		c := &v1beta1.ContainerRuntimeSettings{}
		for range rapid.IntRange(0, 2).Draw(t, "variables") {
			c.Env = append(c.Env, corev1.EnvVar{Name: some("variable", "A", "B"), Value: some("value", "1", "2")})
			c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{Prefix: some("prefix", "P", "Q")})
		}
		if rapid.Bool().Draw(t, "security") {
			c.SecurityContext = &corev1.SecurityContext{RunAsUser: new(rapid.Int64Range(1, 2).Draw(t, "user"))}
		}
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewQuantity(rapid.Int64Range(1, 3).Draw(t, "cpu"), resource.DecimalSI)}
		w.runtime.Container = c
	}
	return w
}

// A wish that is refused leaves nothing behind: the union is that of the others alone.
func TestARefusedWishLeavesNothingBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, good := newUnion(), newUnion()
		for range rapid.IntRange(1, 6).Draw(t, "wishes") {
			w := drawWish(t)
			if p := all.add(w); p != nil {
				continue
			}
			if p := good.add(w); p != nil {
				t.Fatalf("without those that were refused: %v", p)
			}
		}
		all.sort()
		good.sort()
		if d := cmp.Diff(good, all, cmp.AllowUnexported(union{}, places{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}
