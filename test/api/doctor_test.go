package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/doctor"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/webhook"
)

// operatorGroups are those of the operator's token.
func operatorGroups() []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:stash", "system:authenticated"}
}

// installation is Stash as it is when all is well, but for the pods, in which nothing runs.
type installation struct {
	*apiserver.Server

	t      *testing.T
	keeper *certs.Keeper
	bundle []byte
	secret map[string][]byte
	port   int32
	pods   []corev1.Pod
	// policies are those that the operator saw when it wrote its hooks.
	policies []v1beta1.ProtectionPolicy
}

// install serves the webhooks behind their Service, with the operator's own certificates.
func install(t *testing.T, s *apiserver.Server) *installation {
	t.Helper()
	source := &certs.Source{}
	i := &installation{Server: s, t: t}
	i.keeper = &certs.Keeper{Client: as(t, s, operatorName, operatorGroups()...), Namespace: "stash", Source: source, Names: certs.Names("stash", "stash-webhook", "stash-broker")}
	if err := i.keeper.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.bundle, _ = source.Bundle()
	secret := &corev1.Secret{}
	if err := s.Client.Get(t.Context(), client.ObjectKey{Namespace: "stash", Name: certs.SecretName}, secret); err != nil {
		t.Fatal(err)
	}
	i.secret = secret.Data
	_, handler := answering(t, s)
	listener, err := tls.Listen("tcp", net.JoinHostPort(s.MachineIP, "0"), certs.TLSConfig(source))
	if err != nil {
		t.Fatal(err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("it listens at %s", listener.Addr())
	}
	i.port = int32(address.Port)
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelInfo)}
	srv.SetKeepAlivesEnabled(false) // each request looks for endpoints
	go func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = srv.Close() })
	i.endpoints()
	i.configurations()
	t.Cleanup(func() {
		s.Kubectl(t, "", "delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "stash")
		s.Kubectl(t, "", "delete", "endpointslice", "--namespace=stash", "doctor")
		s.Kubectl(t, "", "delete", "lease", "--namespace=stash", "--ignore-not-found", doctor.LeaseName)
		s.Kubectl(t, "", "delete", "secret", "--namespace=stash", "--ignore-not-found", certs.SecretName)
	})
	eventually(t, "", i.running)
	i.lead()
	return i
}

// certificate writes the Secret as it was.
func (i *installation) certificate() {
	i.t.Helper()
	create(i.t, i.Server, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: certs.SecretName}, Data: i.secret})
}

// endpoints leads the Service to the test.
func (i *installation) endpoints() {
	i.t.Helper()
	create(i.t, i.Server, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "stash", Name: "doctor", Labels: map[string]string{discoveryv1.LabelServiceName: "stash-webhook"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{i.MachineIP}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: &i.port}},
	})
}

// configurations writes those of the operator.
func (i *installation) configurations() {
	i.t.Helper()
	acting, _ := protection.Acting(i.policies)
	in := webhook.Installation{Namespace: "stash", CABundle: i.bundle, Policies: acting}
	for _, o := range []client.Object{webhook.Mutating(in), webhook.Validating(in)} {
		if err := client.IgnoreNotFound(i.Client.Delete(i.t.Context(), o)); err != nil {
			i.t.Fatal(err)
		}
		o.SetResourceVersion("")
		create(i.t, i.Server, o)
	}
}

// running lets the pods of the Deployment be ready.
func (i *installation) running() error {
	list := &corev1.PodList{}
	if err := i.Client.List(i.t.Context(), list, client.InNamespace("stash"), client.MatchingLabels{"app.kubernetes.io/component": "operator"}); err != nil {
		return err
	}
	i.pods = list.Items
	if len(i.pods) != 2 {
		return errors.New("the pods are not there yet")
	}
	for n := range i.pods {
		i.ready(n, corev1.ConditionTrue)
	}
	return nil
}

func (i *installation) ready(n int, status corev1.ConditionStatus) {
	i.t.Helper()
	pod := &i.pods[n]
	old := pod.DeepCopy()
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "operator", ImageID: "registry.example/stash@sha256:1"}}
	if err := i.Client.Status().Patch(i.t.Context(), pod, client.MergeFrom(old)); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) lead() {
	i.t.Helper()
	create(i.t, i.Server, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: doctor.LeaseName},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new(i.pods[0].Name + "_1"), LeaseDurationSeconds: new(int32(3600)), RenewTime: new(metav1.NowMicro()),
		},
	})
}

// kubectl is for what a case does and undoes.
func (i *installation) kubectl(args ...string) func() {
	return func() { i.Kubectl(i.t, "", args...) }
}

// examine looks with the operator's rights.
func (i *installation) examine(t *testing.T) doctor.Report {
	t.Helper()
	config := rest.CopyConfig(i.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: operatorName, Groups: operatorGroups()}
	d := &doctor.Doctor{
		Version: "test", Namespace: "stash",
		Parse: func(args []string) (doctor.Options, error) {
			if !slices.Equal(args, []string{"run"}) {
				t.Errorf("the operator's arguments are %q", args)
			}
			return doctor.Options{WebhookService: "stash-webhook", BrokerService: "stash-broker"}, nil
		},
		Restic: func(context.Context) (string, error) {
			return "restic 0.18.0 compiled with go1.24.4 on linux/amd64", nil
		},
	}
	if err := d.Connect(config); err != nil {
		t.Fatal(err)
	}
	return d.Examine(t.Context())
}

// testDoctor: all is well with an installation that was just made; of what is then broken the doctor
// tells, with the rights of the operator.
func testDoctor(t *testing.T, s *apiserver.Server) {
	s.Install(t)
	s.Kubectl(t, "", "delete", "--all", "--namespace=demo", "repositories,backupconfigurations") // of other tests
	i := install(t, s)
	s.Kubectl(t, "", "create", "namespace", "protected")
	s.Kubectl(t, `{apiVersion: stash.appscode.com/v1alpha1, kind: Repository, metadata: {name: r, namespace: protected},
  spec: {backend: {storageSecretName: storage, s3: {endpoint: "https://s3.example.com", bucket: backups}}}}`, "create", "--filename=-")
	ca := func() {
		create(t, s, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "protected", Name: api.ConfigMapCA}, Data: map[string]string{api.ConfigMapCAKey: string(i.bundle)}})
	}
	ca()
	t.Run("all is well", func(t *testing.T) { testWell(t, i) })
	edit := func(change func(*admissionregistrationv1.MutatingWebhookConfiguration)) func() {
		return func() {
			m := &admissionregistrationv1.MutatingWebhookConfiguration{}
			if err := s.Client.Get(t.Context(), client.ObjectKey{Name: webhook.ConfigurationName}, m); err != nil {
				t.Fatal(err)
			}
			change(m)
			if err := s.Client.Update(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("all is well with a policy that has a hook", func(t *testing.T) {
		s.Kubectl(t, `{apiVersion: stash.appscode.com/v1beta1, kind: ProtectionPolicy, metadata: {name: acts}, spec: {action: Warn}}`, "create", "--filename=-")
		t.Cleanup(func() { s.Kubectl(t, "", "delete", "protectionpolicy", "acts", "--ignore-not-found") })
		i.policies = []v1beta1.ProtectionPolicy{{ObjectMeta: metav1.ObjectMeta{Name: "acts"}, Spec: v1beta1.ProtectionPolicySpec{Action: v1beta1.ActionWarn}}}
		i.configurations()
		eventually(t, "", func() error {
			return i.told(t, "OK webhooks: both webhook configurations are as the operator writes them, with its CA; 20 hooks")
		})
		s.Kubectl(t, "", "delete", "protectionpolicy", "acts")
		i.policies = nil
		i.configurations()
	})
	again := func() { s.Install(t) }
	for name, c := range map[string]struct {
		harm func()
		want string
		undo func()
	}{
		"no replica is reached": {
			i.kubectl("delete", "endpointslice", "--namespace=stash", "doctor"), `Failure reached: the API server does not get an answer of the webhook: .*no endpoints available`, i.endpoints,
		},
		"the CA is another one": {
			edit(func(m *admissionregistrationv1.MutatingWebhookConfiguration) {
				_, other := listen(t, s.MachineIP, http.NotFoundHandler())
				m.Webhooks[1].ClientConfig.CABundle = other
			}), `Failure reached: .*certificate signed by unknown authority`, i.configurations,
		},
		"the CA of a hook is another one": {
			edit(func(m *admissionregistrationv1.MutatingWebhookConfiguration) {
				m.Webhooks[0].ClientConfig.CABundle = nil
			}),
			`Failure webhooks: caBundle is not the operator's CA in backup.pods`, i.configurations,
		},
		"a hook fails open": {
			edit(func(m *admissionregistrationv1.MutatingWebhookConfiguration) {
				m.Webhooks[1].FailurePolicy = new(admissionregistrationv1.Ignore)
			}), `Failure webhooks: hook restore.pods.* failurePolicy is Ignore instead of Fail`, i.configurations,
		},
		"a policy that acts has no hook": {
			func() {
				s.Kubectl(t, `{apiVersion: stash.appscode.com/v1beta1, kind: ProtectionPolicy, metadata: {name: warned}, spec: {action: Warn}}`, "create", "--filename=-")
			}, `Failure webhooks: ValidatingWebhookConfiguration "stash" lacks hook .*protection`, i.kubectl("delete", "protectionpolicy", "warned"),
		},
		"a configuration is gone": {
			i.kubectl("delete", "validatingwebhookconfiguration", "stash"), `Failure webhooks: ValidatingWebhookConfiguration "stash" is missing`, i.configurations,
		},
		"a policy is gone": {
			i.kubectl("delete", "validatingadmissionpolicy", "tokens.stash.appscode.com"), `Failure policies: policy tokens.* is missing`, again,
		},
		"a policy is not bound": {
			i.kubectl("delete", "validatingadmissionpolicybinding", "tokens.stash.appscode.com"), `Failure policies: policy tokens.* is not bound`, again,
		},
		"a policy ignores failures": {
			i.kubectl("patch", "validatingadmissionpolicy", "tokens.stash.appscode.com", "--type=merge", "--patch", `{"spec":{"failurePolicy":"Ignore"}}`),
			`Failure policies: policy tokens.* is not as this build has it`, again,
		},
		"a version is not served": {
			i.kubectl("patch", "crd", "repositories.stash.appscode.com", "--type=json", "--patch", `[{"op":"replace","path":"/spec/versions/1/served","value":false}]`),
			`Failure kinds: definition repositories.* v1alpha2 \(not served\)`, again,
		},
		"a schema is another one": {
			i.kubectl("patch", "crd", "backupsessions.stash.appscode.com", "--type=json", "--patch", `[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/retryLeft"}]`),
			`Failure kinds: definition backupsessions.* another schema`, again,
		},
		"the operator has lost a right": {
			func() {
				withoutRule(t, s, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "stash-operator"}}, certs.SecretName)
			},
			`Failure rights: the operator may not update secrets "stash-certs" in namespace stash`, again,
		},
		"the operator has too many rights": {
			i.kubectl("create", "clusterrolebinding", "generous", "--clusterrole=cluster-admin", "--serviceaccount=stash:stash-operator"),
			`Warning rights: the operator may also list secrets`, i.kubectl("delete", "clusterrolebinding", "generous"),
		},
		"the role is older than the doctor": {
			func() {
				withoutRule(t, s, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "stash-operator"}}, "tokens.stash.appscode.com")
			},
			`Warning policies: not checked: .*forbidden`, again,
		},
		"a replica is not ready":  {func() { i.ready(1, corev1.ConditionFalse) }, `Warning replicas: 1 of 2 replicas are ready`, func() { i.ready(1, corev1.ConditionTrue) }},
		"nobody leads":            {i.kubectl("delete", "lease", "--namespace=stash", doctor.LeaseName), `Failure leader: no replica leads`, i.lead},
		"the certificate is gone": {i.kubectl("delete", "secret", "--namespace=stash", certs.SecretName), `Failure certificates: not checked: .*not found`, i.certificate},
		"agents have no CA":       {i.kubectl("delete", "configmap", "--namespace=protected", api.ConfigMapCA), `Failure namespaces: ConfigMap stash-ca is missing in protected`, ca},
	} {
		t.Run(name, func(t *testing.T) {
			c.harm()
			defer c.undo()
			eventually(t, "", func() error { return i.told(t, c.want) })
		})
	}
	s.Kubectl(t, "", "delete", "namespace", "protected")
}

// withoutRule takes the rule about an object of a name out of a role.
func withoutRule(t *testing.T, s *apiserver.Server, role client.Object, name string) {
	t.Helper()
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(role), role); err != nil {
		t.Fatal(err)
	}
	about := func(r rbacv1.PolicyRule) bool { return slices.Contains(r.ResourceNames, name) }
	switch role := role.(type) {
	case *rbacv1.Role:
		role.Rules = slices.DeleteFunc(role.Rules, about)
	case *rbacv1.ClusterRole:
		role.Rules = slices.DeleteFunc(role.Rules, about)
	}
	if err := s.Client.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
}

// told looks for a finding.
func (i *installation) told(t *testing.T, want string) error {
	t.Helper()
	var text strings.Builder
	for _, f := range i.examine(t).Findings {
		line := string(f.Status) + " " + f.Check + ": " + f.Seen
		if regexp.MustCompile("^" + want).MatchString(line) {
			return nil
		}
		text.WriteString(line + "\n")
	}
	return errors.New("it was not told of:\n" + text.String())
}

// testWell compares the whole report, without what is new each time.
func testWell(t *testing.T, i *installation) {
	var report doctor.Report
	eventually(t, "", func() error {
		if report = i.examine(t); report.Count(doctor.OK) != len(report.Findings) {
			var text bytes.Buffer
			_ = report.Text(&text)
			return errors.New(text.String())
		}
		return nil
	})
	var text bytes.Buffer
	if err := report.Text(&text); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(text.String(), i.pods[0].Name, "stash-operator-0")
	const path = "testdata/doctor.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; -update rewrites):\n%s", path, d)
	}
}
