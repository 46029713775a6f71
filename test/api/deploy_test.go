package api_test

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/test/apiserver"
)

func testDeploy(t *testing.T, s *apiserver.Server) {
	s.Install(t)
	if diff, err := s.TryKubectl(t, "", "diff", "--kustomize", filepath.Join(apiserver.Root, "deploy")); err != nil {
		t.Errorf("what was applied is not what is stored (%v):\n%s", err, diff)
	}
	for line := range strings.Lines(s.Kubectl(t, "", "apply", "--kustomize", filepath.Join(apiserver.Root, "deploy"))) {
		// kubectl replaces the selector of a disruption budget each time, equal or not.
		if !strings.HasSuffix(line, " unchanged\n") && line != "poddisruptionbudget.policy/stash-operator configured\n" {
			t.Errorf("applied again: %s", line)
		}
	}
	// The operator makes these at run time; whether their match conditions compile, only the API
	// server can tell.
	s.Kubectl(t, "", "create", "--dry-run=server", "--filename", filepath.Join(apiserver.Root, "deploy", "webhooks.golden.yaml"))
	testHooks(t, s)
	var operator appsv1.Deployment
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "stash", Name: "stash-operator"}, &operator); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "operator", Labels: operator.Spec.Template.Labels},
		Spec:       operator.Spec.Template.Spec,
	}
	if err := s.Client.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Errorf("the operator's pod does not pass its namespace's Pod Security: %v", err)
	}
}

// testRights asks the API server's own authorizer.
func testRights(t *testing.T, s *apiserver.Server) {
	s.Kubectl(t, "", "create", "rolebinding", "owner", "--namespace=demo", "--clusterrole=edit", "--user=owner")
	s.Kubectl(t, "", "create", "rolebinding", "reader", "--namespace=demo", "--clusterrole=view", "--user=reader")
	s.Kubectl(t, "", "create", "clusterrolebinding", "everywhere", "--clusterrole=admin", "--user=everywhere")
	const operator, owner, reader, everywhere = "system:serviceaccount:stash:stash-operator", "owner", "reader", "everywhere"
	for _, c := range []struct {
		who, what string
		may       bool
	}{
		{operator, "get secrets -n demo", true},
		{operator, "list secrets -n demo", false},
		{operator, "watch secrets -n demo", false},
		{operator, "create secrets -n demo", false},
		{operator, "delete secrets/any -n demo", false},
		{operator, "update secrets/stash-certs -n stash", true},
		{operator, "update secrets/any -n stash", false},
		{operator, "patch deployments -n demo", true},
		{operator, "update deployments -n demo", false},
		{operator, "create deployments -n demo", false},
		{operator, "delete deployments -n demo", false},
		{operator, "create pods --subresource=exec -n demo", false},
		{operator, "create pods --subresource=eviction -n demo", true},
		{operator, "update configmaps/stash-ca -n demo", true},
		{operator, "update configmaps/any -n demo", false},
		{operator, "get configmaps/any -n demo", false},
		{operator, "create clusterroles", false},
		{operator, "impersonate users", false},
		{operator, "update leases/stash-operator -n stash", true},
		{operator, "update leases/stash-operator -n kube-system", false},
		{operator, "update mutatingwebhookconfigurations/stash", true},
		{operator, "update mutatingwebhookconfigurations/any", false},
		{operator, "create backupsessions -n demo", true},
		{operator, "delete repositories -n demo", false},
		{operator, "update restoresessions -n demo", false},
		{operator, "update restoresessions --subresource=status -n demo", true},
		{operator, "list persistentvolumeclaims -n demo", true},
		{operator, "watch persistentvolumeclaims -n demo", false},
		{operator, "create persistentvolumeclaims -n demo", false},
		{operator, "create restoresessions -n demo", false},
		{operator, "update backupsessions --subresource=status -n demo", true},
		{operator, "delete restoresessions -n demo", false},
		{operator, "update backupblueprints", false},
		{operator, "update protectionpolicies", false},
		{operator, "update protectionpolicies --subresource=status", true},
		{operator, "create subjectaccessreviews.authorization.k8s.io", true},
		{operator, "restore repositories/any -n demo", false},
		{owner, "create backupsessions -n demo", true},
		{owner, "create repositories -n demo", true},
		{owner, "delete restoresessions -n demo", true},
		{owner, "get repositories -n demo", true},
		{owner, "get repositories -n default", false},
		{owner, "update repositories --subresource=status -n demo", false},
		{owner, "create backupblueprints", false},
		{owner, "restore repositories/any -n demo", true},
		{owner, "restore repositories/any -n default", false},
		{reader, "list backupsessions -n demo", true},
		{reader, "create backupsessions -n demo", false},
		{reader, "restore repositories/any -n demo", false},
		{everywhere, "create backupblueprints", true},
		{operator, "get functions", false},
		{operator, "update tasks", false},
		{owner, "create functions", false},
		{owner, "create tasks", false},
		{everywhere, "create functions", true},
		{everywhere, "create tasks", true},
		{owner, "create protectionpolicies", false},
		{everywhere, "create protectionpolicies", true},
		{everywhere, "update protectionpolicies --subresource=status", false},
		{everywhere, "restore repositories/any -n default", true},
		{everywhere, "update repositories --subresource=status -n demo", false},
	} {
		args := append([]string{"auth", "can-i", "--as", c.who}, strings.Fields(c.what)...)
		out, err := s.TryKubectl(t, "", args...)
		if may := err == nil; may != c.may {
			t.Errorf("%s may %s: %v (%s), want %v", c.who, c.what, may, strings.TrimSpace(out), c.may)
		}
	}
}

// testVersions writes one Repository under both of its versions; no field is lost or kept on the
// way, whoever applies it.
func testVersions(t *testing.T, s *apiserver.Server) {
	apply := func(version string, s3 map[string]any) {
		t.Helper()
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "stash.appscode.com/" + version, "kind": "Repository",
			"metadata": map[string]any{"name": "both", "namespace": "demo"},
			"spec":     map[string]any{"backend": map[string]any{"s3": s3}},
		}}
		if err := s.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("gitops")); err != nil {
			t.Fatal(err)
		}
	}
	stored := func() string {
		t.Helper()
		return s.Kubectl(t, "", "get", "repositories.v1alpha1.stash.appscode.com", "both", "--namespace=demo", "--output=jsonpath={.spec.backend.s3}")
	}
	for _, step := range []struct {
		version string
		s3      map[string]any
		want    string
	}{
		{"v1alpha1", map[string]any{"endpoint": "s3.example.com", "bucket": "b"}, `{"bucket":"b","endpoint":"s3.example.com"}`},
		{"v1alpha2", map[string]any{"endpoint": "s3.example.com", "bucket": "b", "prefix": "p"}, `{"bucket":"b","endpoint":"s3.example.com","prefix":"p"}`},
		{"v1alpha1", map[string]any{"endpoint": "s3.example.com", "bucket": "c"}, `{"bucket":"c","endpoint":"s3.example.com"}`},
	} {
		apply(step.version, step.s3)
		if got := stored(); got != step.want {
			t.Errorf("after applying %v as %s: %s, want %s", step.s3, step.version, got, step.want)
		}
	}
	// As docs/concepts says: which version a person sees who names none.
	if got := s.Kubectl(t, "", "get", "repository", "both", "--namespace=demo", "--output=jsonpath={.apiVersion}"); got != "stash.appscode.com/v1alpha2" {
		t.Errorf("kubectl shows %s", got)
	}
}
