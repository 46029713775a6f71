package api_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/test/manifest"
	"github.com/seed-731df569/stash/webhook"
)

// as returns a client of a user and groups.
func as(t *testing.T, s *apiserver.Server, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// kubelet returns a client of the node that testTokens makes.
func kubelet(t *testing.T, s *apiserver.Server) client.Client {
	return as(t, s, "system:node:n1", "system:nodes", "system:authenticated")
}

// mint asks for a token of a ServiceAccount of namespace demo.
func mint(t *testing.T, c client.Client, account string, bound client.Object, audiences ...string) (string, error) {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if bound != nil {
		kind := "Pod"
		if _, ok := bound.(*corev1.Secret); ok {
			kind = "Secret"
		}
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: bound.GetName(), UID: bound.GetUID()}
	}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: account}}
	err := c.SubResource("token").Create(t.Context(), sa, request)
	return request.Status.Token, err
}

// create makes an object as the administrator.
func create[T client.Object](t *testing.T, s *apiserver.Server, o T) T {
	t.Helper()
	if err := s.Client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// testTokens: tokens that name an agent's pod come from the kubelet of its node alone.
func testTokens(t *testing.T, s *apiserver.Server) {
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "demo", Name: name} }
	pod := func(name, node string) *corev1.Pod {
		return create(t, s, &corev1.Pod{ObjectMeta: named(name), Spec: corev1.PodSpec{
			ServiceAccountName: "app", NodeName: node, Containers: []corev1.Container{{Name: "app", Image: "app"}},
			// A node gets no audience that no volume of the pod asks for.
			Volumes: []corev1.Volume{{Name: api.VolumeToken, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: api.TokenAudience, Path: "token"}}},
			}}}},
		}})
	}
	for _, node := range []string{"n1", "n2"} {
		create(t, s, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
	}
	create(t, s, &corev1.ServiceAccount{ObjectMeta: named("app")})
	here, elsewhere := pod("here", "n1"), pod("elsewhere", "n2")
	secret := create(t, s, &corev1.Secret{ObjectMeta: named("bound")})
	s.Kubectl(t, "", "create", "rolebinding", "editors", "--namespace=demo", "--clusterrole=edit", "--group=editors")
	editor := as(t, s, "lea", "editors", "system:authenticated")
	node := kubelet(t, s)
	const ours, agents = api.TokenAudience, "come from kubelets only"
	for name, c := range map[string]struct {
		who       client.Client
		bound     client.Object
		audiences []string
		want      string
	}{
		"edit, ours, of no pod":                  {editor, nil, []string{ours}, agents},
		"edit, ours, of a pod":                   {editor, here, []string{ours}, agents},
		"edit, ours, of a Secret":                {editor, secret, []string{ours}, agents},
		"edit, ours among others":                {editor, here, []string{"vault", ours}, agents},
		"edit, another":                          {editor, here, []string{"vault"}, ""},
		"edit, another that begins like ours":    {editor, nil, []string{ours + ".example.com"}, ""},
		"edit, the API server's":                 {editor, here, nil, ""},
		"the administrator, ours":                {s.Client, here, []string{ours}, agents},
		"a user with a node's name":              {as(t, s, "system:node:n1", "editors"), here, []string{ours}, agents},
		"a user with the nodes' group":           {as(t, s, "lea", "editors", "system:nodes"), here, []string{ours}, agents},
		"a ServiceAccount, ours":                 {as(t, s, "system:serviceaccount:demo:app", "editors"), here, []string{ours}, agents},
		"the node, ours, of its pod":             {node, here, []string{ours}, ""},
		"the node, the API server's, of its pod": {node, here, nil, ""},
		"the node, ours among others":            {node, here, []string{ours, "vault"}, "0 or 1 audiences"},
		"the node, ours, of a pod elsewhere":     {node, elsewhere, []string{ours}, "node requested token bound to a pod scheduled on a different node"},
		"the node, ours, of no pod":              {node, nil, []string{ours}, "node requested token not bound to a pod"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := mint(t, c.who, "app", c.bound, c.audiences...)
			switch {
			case c.want == "" && (err != nil || token == ""):
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want a refusal that says %q", err, c.want)
			}
		})
	}
	t.Run("without NodeRestriction", func(t *testing.T) { testCopy(t, s, here) })
}

// testCopy: what NodeRestriction refuses here, our policy refuses where there is none. A copy of it
// takes everybody for a node.
func testCopy(t *testing.T, s *apiserver.Server, bound client.Object) {
	const theirs = "copy.example.com"
	for _, o := range policies(t) {
		if !strings.HasPrefix(o.GetName(), "tokens.") {
			continue
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		o := parse(t, file(strings.ReplaceAll(string(text), api.TokenAudience, theirs)))
		if rules, ok, _ := unstructured.NestedSlice(o.Object, "spec", "validations"); ok {
			if err := unstructured.SetNestedSlice(o.Object, rules[1:], "spec", "validations"); err != nil {
				t.Fatal(err)
			}
		}
		create(t, s, o)
	}
	secret := create(t, s, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "copy"}})
	eventually(t, "for that audience alone", func() error {
		_, err := mint(t, s.Client, "app", bound, theirs, "vault")
		return err
	})
	for name, o := range map[string]client.Object{"a Secret": secret, "nothing": nil} {
		if _, err := mint(t, s.Client, "app", o, theirs); err == nil || !strings.Contains(err.Error(), "for that audience alone") {
			t.Errorf("bound to %s: %v", name, err)
		}
	}
	if _, err := mint(t, s.Client, "app", bound, theirs); err != nil {
		t.Errorf("bound to a pod: %v", err)
	}
}

// policies are the objects of deploy/policies.yaml.
func policies(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(apiserver.Root, "deploy", "policies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// testUnguarded: while the webhooks that check our kinds are not registered, nobody writes them.
func testUnguarded(t *testing.T, s *apiserver.Server) {
	const missing, incomplete = "no params found", "the operator of Stash registers it"
	stored := parse(t, file(`{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: unguarded, namespace: demo},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: b}}}}`))
	dryRun := func() error {
		o := stored.DeepCopy()
		o.SetName("other")
		o.SetResourceVersion("")
		return s.Client.Create(t.Context(), o, client.DryRunAll)
	}
	installed := webhook.Validating(webhook.Installation{Namespace: "stash"})
	hooks := installed.Webhooks
	eventually(t, missing, dryRun)

	// Of our kinds, one has no webhook: it alone cannot be written.
	installed.Webhooks = slices.DeleteFunc(slices.Clone(hooks), func(h admissionregistrationv1.ValidatingWebhook) bool {
		return strings.HasPrefix(h.Name, "repositories.")
	})
	create(t, s, installed)
	eventually(t, incomplete, dryRun)
	installed.Webhooks = hooks
	if err := s.Client.Update(t.Context(), installed); err != nil {
		t.Fatal(err)
	}
	eventually(t, "failed calling webhook", dryRun) // it is asked, and there is none
	// Its failure policy is what closes our kinds while the operator is away.
	for i := range installed.Webhooks {
		installed.Webhooks[i].FailurePolicy = new(admissionregistrationv1.Ignore)
	}
	if err := s.Client.Update(t.Context(), installed); err != nil {
		t.Fatal(err)
	}
	eventually(t, incomplete, dryRun)

	// An object that is there can be deleted, and its status written, whatever happened.
	s.Kubectl(t, "", "delete", "validatingadmissionpolicybinding", "webhooks-must-exist.stash.appscode.com")
	eventually(t, "", func() error { return s.Client.Create(t.Context(), stored.DeepCopy()) })
	s.Install(t)
	if err := s.Client.Delete(t.Context(), installed); err != nil {
		t.Fatal(err)
	}
	eventually(t, missing, dryRun)
	s.Kubectl(t, "", "patch", "repository", "unguarded", "--namespace=demo", "--subresource=status", "--type=merge", "--patch", `{"status":{"snapshotCount":1}}`)
	if out, err := s.TryKubectl(t, "", "label", "repository", "unguarded", "--namespace=demo", "team=shop"); err == nil {
		t.Errorf("it was changed: %s", out)
	}
	s.Kubectl(t, "", "delete", "repository", "unguarded", "--namespace=demo")
}

// testUnaskedNamespaces: while no webhook is registered, a Namespace asks for backups by those who may
// change its workloads, and can be written otherwise.
func testUnaskedNamespaces(t *testing.T, s *apiserver.Server) {
	const annotation = "stash.appscode.com/backup-blueprint"
	s.Kubectl(t, "", "create", "namespace", "unasked")
	s.Kubectl(t, "", "create", "clusterrole", "annotators", "--verb=get,patch,update", "--resource=namespaces,namespaces/status,namespaces/finalize")
	s.Kubectl(t, "", "create", "clusterrolebinding", "annotators", "--clusterrole=annotators", "--user=ann")
	annotate := func(args ...string) error {
		_, err := s.TryKubectl(t, "", append([]string{"annotate", "namespace", "unasked", "--overwrite", "--as=ann"}, args...)...)
		return err
	}
	refused := func(kind string) {
		t.Helper()
		eventually(t, "needs update "+kind+" in namespace unasked", func() error {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "unasked"}}
			return as(t, s, "ann", "system:authenticated").Patch(t.Context(), ns, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+annotation+`":"daily"}}}`)))
		})
	}
	grant := func(kind string) {
		t.Helper()
		name := strings.ReplaceAll(kind, ".", "-")
		s.Kubectl(t, "", "create", "role", name, "--namespace=unasked", "--verb=update", "--resource="+kind)
		s.Kubectl(t, "", "create", "rolebinding", name, "--namespace=unasked", "--role="+name, "--user=ann")
	}
	for _, kind := range []string{"deployments.apps", "statefulsets.apps", "daemonsets.apps"} {
		refused(kind)
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "unasked"}}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+annotation+`":"daily"}}}`))
		if err := as(t, s, "ann", "system:authenticated").SubResource("status").Patch(t.Context(), ns, patch); err == nil && ns.Annotations[annotation] != "" {
			t.Errorf("without %s it is written with the status", kind)
		}
		if err := annotate("team=shop"); err != nil {
			t.Errorf("another annotation: %v", err)
		}
		grant(kind)
	}
	eventually(t, "", func() error { return annotate(annotation + "=daily") })
	s.Kubectl(t, "", "delete", "rolebinding", "daemonsets-apps", "--namespace=unasked")
	eventually(t, "needs update daemonsets.apps", func() error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "unasked"}}
		return as(t, s, "ann", "system:authenticated").Patch(t.Context(), ns, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+annotation+`":"weekly"}}}`)))
	})
	for _, args := range []string{"team=web", annotation + "=daily", annotation + "-"} {
		if err := annotate(args); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	s.Kubectl(t, "", "delete", "namespace", "unasked", "--wait=false")
}

// eventually tries until an error says what it should, or there is none where that is empty: the API
// server hears of changes to its own configuration a moment later.
func eventually(t *testing.T, want string, try func() error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if want == "" && err == nil || want != "" && err != nil && strings.Contains(err.Error(), want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
}

func file(text string) *txtar.File { return &txtar.File{Name: "text", Data: []byte(text)} }
