// Package targettest is the conformance suite of target kinds: what every kind in the list must
// hold, so that a new one needs no tests of its own for it.
package targettest

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/seed-731df569/stash/target"
)

// Run checks a kind. It fails t with what does not hold.
func Run(t *testing.T, k target.Kind) {
	t.Run("has names that can be used in names", func(t *testing.T) {
		if k.GVK.Kind == "" || k.GVK.Version == "" {
			t.Errorf("incomplete kind %v", k.GVK)
		}
		if k.Resource != strings.ToLower(k.Resource) || !strings.HasPrefix(k.Resource, strings.ToLower(k.GVK.Kind)) {
			t.Errorf("resource %q is no plural of %q", k.Resource, k.GVK.Kind)
		}
		if errs := validation.IsDNS1123Label(k.Short); len(errs) > 0 || strings.Contains(k.Short, "-") {
			t.Errorf("short form %q: %v", k.Short, errs)
		}
		if k.GVR().Resource != k.Resource || k.GVR().Group != k.GVK.Group {
			t.Errorf("resource %v of kind %v", k.GVR(), k.GVK)
		}
	})
	t.Run("is found by its reference", func(t *testing.T) {
		ref := k.Ref("demo", "web")
		got, err := target.FindRef(ref)
		if (err == nil) != k.Supported || got.GVK != k.GVK {
			t.Errorf("found %v, %v", got.GVK, err)
		}
		if !target.Same(ref, "", k.Ref("", "web"), "demo") || target.Same(ref, "", k.Ref("demo", "db"), "") {
			t.Error("references are not compared")
		}
	})
	t.Run("has no template in objects of other kinds", func(t *testing.T) {
		if k.PodTemplate(nil) != nil || k.PodTemplate(&corev1.Namespace{}) != nil || k.Volumes(&corev1.Namespace{}) != nil {
			t.Error("a Namespace has a pod template")
		}
		for _, other := range target.All() {
			if obj := other.New(); obj != nil && other.GVK != k.GVK && k.PodTemplate(obj) != nil {
				t.Errorf("%v has a template of %v", other.GVK, k.GVK)
			}
		}
	})
	if !k.Supported {
		return
	}
	t.Run("gives the template inside the object", func(t *testing.T) { template(t, k) })
	t.Run("names hosts", func(t *testing.T) { hosts(t, k) })
}

func template(t *testing.T, k target.Kind) {
	obj := k.New()
	if got, ok := target.Of(obj); !ok || got.GVK != k.GVK {
		t.Fatalf("a new %v is taken for %v", k.GVK, got.GVK)
	}
	pod := k.PodTemplate(obj)
	if pod == nil {
		t.Fatal("no pod template")
	}
	if k.Model == target.ModelJob {
		if names := k.Volumes(obj); len(names) == 0 || target.MountsOf(pod) == nil {
			t.Errorf("a Job mounts nothing of it")
		}
		return
	}
	pod.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "more"}}
	if got := strings.Join(k.Volumes(obj), ","); got != "data,more" {
		t.Errorf("volumes are %q after the template was changed", got)
	}
	if r := k.Rollout(obj); r != (target.Rollout{Pods: r.Pods}) {
		t.Errorf("a new object's rollout is held back: %+v", r)
	}
}

func hosts(t *testing.T, k target.Kind) {
	obj := k.New()
	for _, alias := range []string{"", "db"} {
		host, err := k.HostFor(alias, "web-0", "node-1")
		if err != nil {
			t.Fatal(err)
		}
		if errs := validation.IsDNS1123Subdomain(host); len(errs) > 0 {
			t.Errorf("host %q: %v", host, errs)
		}
		if alias != "" && !strings.HasPrefix(host, alias) {
			t.Errorf("host %q does not begin with the alias %q", host, alias)
		}
		// A DaemonSet alone does not know its nodes.
		known := k.Hosts(obj, alias)
		if len(known) > 0 && (known[0] != host || int(k.HostCount(obj)) != len(known)) {
			t.Errorf("pod web-0 has host %q, the object %v (%d)", host, known, k.HostCount(obj))
		}
	}
}
