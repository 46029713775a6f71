package deploy_test

import (
	"cmp"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var update = flag.Bool("update", false, "rewrite the golden")

// peer is the other end of a connection: a pod of a namespace, or something else at an address.
type peer struct {
	name      string
	namespace map[string]string // labels of its namespace; nil: no pod
	pod       map[string]string
	address   string
}

func peers() []peer {
	return []peer{
		{"a pod of any namespace", map[string]string{}, map[string]string{"app": "web"}, "10.1.1.1"},
		{"a pod of a namespace with the label for metrics", map[string]string{"stash.appscode.com/metrics": "true"}, map[string]string{"app": "prometheus"}, "10.1.1.2"},
		{"a pod of the operator's namespace", map[string]string{corev1.LabelMetadataName: operatorNamespace}, map[string]string{"app": "x"}, "10.1.1.3"},
		{"another replica", map[string]string{corev1.LabelMetadataName: operatorNamespace}, map[string]string{"app.kubernetes.io/name": "stash", "app.kubernetes.io/component": "operator"}, "10.1.1.4"},
		{"a node, a pod of its network, an API server", nil, nil, "192.168.1.10"},
		{"a node with IPv6", nil, nil, "fd12::10"},
		{"a public address", nil, nil, "203.0.113.5"},
		{"a metadata service", nil, nil, "169.254.169.254"},
	}
}

// port is one of the operator's, or of somebody else.
type port struct {
	name     string
	number   int
	protocol corev1.Protocol
}

// operatorNamespace is the policies' own.
const operatorNamespace = "stash"

// TestWhoReachesWhat writes down what the policies say, as a network plugin reads them.
func TestWhoReachesWhat(t *testing.T) {
	policies, operator := deployed[*networkingv1.NetworkPolicy](t), deployment(t)
	for _, p := range policies {
		if p.Namespace != operatorNamespace || operator.Namespace != operatorNamespace || !selects(&p.Spec.PodSelector, operator.Spec.Template.Labels) || len(p.Spec.PolicyTypes) != 2 {
			t.Errorf("policy %s is not about all traffic of the operator", p.Name)
		}
	}
	in := []port{}
	for _, p := range operator.Spec.Template.Spec.Containers[0].Ports {
		in = append(in, port{p.Name, int(p.ContainerPort), cmp.Or(p.Protocol, corev1.ProtocolTCP)})
	}
	out := []port{
		{"", 53, corev1.ProtocolUDP},
		{"", 53, corev1.ProtocolTCP},
		{"", 5353, corev1.ProtocolUDP},
		{"", 80, corev1.ProtocolTCP},
		{"", 443, corev1.ProtocolTCP},
		{"", 6443, corev1.ProtocolTCP},
		{"", 8443, corev1.ProtocolTCP},
		{"", 9000, corev1.ProtocolTCP},
		{"", 9443, corev1.ProtocolTCP},
		{"", 9444, corev1.ProtocolTCP},
		{"", 16443, corev1.ProtocolTCP},
	}
	var got strings.Builder
	for _, other := range peers() {
		fmt.Fprintf(&got, "%s (%s)\n", other.name, other.address)
		var reached, reaches []string
		for _, p := range in {
			for _, policy := range policies {
				for _, r := range policy.Spec.Ingress {
					if passes(t, r.Ports, p) && from(t, r.From, other) {
						reached = append(reached, p.name)
					}
				}
			}
		}
		for _, p := range out {
			for _, policy := range policies {
				for _, r := range policy.Spec.Egress {
					if passes(t, r.Ports, p) && from(t, r.To, other) {
						reaches = append(reaches, fmt.Sprintf("%d/%s", p.number, p.protocol))
					}
				}
			}
		}
		fmt.Fprintf(&got, "  reaches of the operator: %s\n  is reached by the operator at: %s\n", strings.Join(reached, " "), strings.Join(reaches, " "))
	}
	const golden = "testdata/network.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got; -update rewrites):\n%s", diff)
	}
}

func deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	list := deployed[*appsv1.Deployment](t)
	if len(list) != 1 {
		t.Fatalf("%d Deployments", len(list))
	}
	return list[0]
}

// TestServicesLeadToPortsThatAreOpen: whatever a Service offers is a port of the operator that some
// policy lets somebody reach.
func TestServicesLeadToPortsThatAreOpen(t *testing.T) {
	open := map[string]bool{}
	for _, p := range deployed[*networkingv1.NetworkPolicy](t) {
		for _, r := range p.Spec.Ingress {
			for _, p := range r.Ports {
				open[p.Port.StrVal] = true
			}
		}
	}
	named := map[string]bool{}
	for _, p := range deployment(t).Spec.Template.Spec.Containers[0].Ports {
		named[p.Name] = true
	}
	offered := map[string]bool{}
	for _, s := range deployed[*corev1.Service](t) {
		for _, p := range s.Spec.Ports {
			offered[p.TargetPort.StrVal] = true
		}
	}
	if diff := gocmp.Diff(offered, open); diff != "" {
		t.Errorf("offered, open (-offered +open):\n%s", diff)
	}
	for name := range open {
		if !named[name] {
			t.Errorf("the operator has no port %q", name)
		}
	}
}

func selects(s *metav1.LabelSelector, set map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(set))
}

func passes(t *testing.T, ports []networkingv1.NetworkPolicyPort, p port) bool {
	t.Helper()
	for _, allowed := range ports {
		if allowed.Port == nil || allowed.EndPort != nil || allowed.Protocol == nil {
			t.Fatalf("a rule without a port or a protocol, or with a range: %+v", allowed)
		}
		same := allowed.Port.Type == intstr.Int && int(allowed.Port.IntVal) == p.number || allowed.Port.Type == intstr.String && p.name != "" && allowed.Port.StrVal == p.name
		if same && *allowed.Protocol == p.protocol {
			return true
		}
	}
	return false
}

func from(t *testing.T, list []networkingv1.NetworkPolicyPeer, other peer) bool {
	t.Helper()
	for _, p := range list {
		switch {
		case p.IPBlock != nil:
			if within(t, p.IPBlock, other.address) {
				return true
			}
		case other.namespace == nil:
		case p.NamespaceSelector == nil && other.namespace[corev1.LabelMetadataName] != operatorNamespace:
		case p.NamespaceSelector != nil && !selects(p.NamespaceSelector, other.namespace):
		case p.PodSelector == nil || selects(p.PodSelector, other.pod):
			return true
		}
	}
	return len(list) == 0
}

func within(t *testing.T, block *networkingv1.IPBlock, address string) bool {
	t.Helper()
	contains := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return prefix.Contains(netip.MustParseAddr(address))
	}
	return contains(block.CIDR) && !slices.ContainsFunc(block.Except, contains)
}
