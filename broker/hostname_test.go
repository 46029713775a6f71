package broker

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestThePodTellsTheHostname(t *testing.T) {
	long := strings.Repeat("x", 60) + "-db.0"
	for name, c := range map[string]struct {
		name string
		spec corev1.PodSpec
		want string
	}{
		"its name":               {"app-x", corev1.PodSpec{NodeName: "n1"}, "app-x"},
		"a hostname":             {"app-x", corev1.PodSpec{NodeName: "n1", Hostname: "db"}, "db"},
		"the node's network":     {"app-x", corev1.PodSpec{NodeName: "n1", Hostname: "db", HostNetwork: true}, "n1"},
		"a name that is cut off": {long, corev1.PodSpec{}, strings.Repeat("x", 60) + "-db"},
		"that ends in a mark":    {"x" + long, corev1.PodSpec{}, "x" + strings.Repeat("x", 60) + "-d"},
	} {
		if got := hostnameOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: c.name}, Spec: c.spec}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
