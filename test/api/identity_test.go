package api_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/controller"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/test/apiserver"
)

const agentImage = "registry.example/stash:v1"

// agentPod is a pod of a Deployment that Kubernetes made, completed as ours are but for what its owner
// changed, on node n1.
func agentPod(t *testing.T, s *apiserver.Server, name string, changes ...func(*corev1.PodSpec)) *corev1.Pod {
	t.Helper()
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app", TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{Name: "app", Image: "app", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			Volumes:    []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	backup := mutators.BackupInput{
		Template: template, Settings: mutators.Settings{Image: agentImage, BrokerAddress: "stash-broker.stash.svc:443", ServerName: "stash-broker.stash.svc", NativeSidecar: true},
		Configurations: []mutators.Configuration{{Name: "demo/" + name}},
	}
	backup.Configurations[0].Spec.Target = &v1beta1.BackupTarget{VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
	plan, problems := mutators.NewBackupPlan(backup)
	if plan.Empty() {
		t.Fatalf("no plan: %v", problems)
	}
	completed, reason, err := mutators.Apply(&corev1.Pod{Spec: template.Spec}, plan)
	if err != nil {
		t.Fatal(reason, err)
	}
	template.Spec = completed.Spec
	for _, change := range changes {
		change(&template.Spec)
	}
	create(t, s, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
	})
	var pods corev1.PodList
	eventually(t, "", func() error {
		if err := s.Client.List(t.Context(), &pods, client.InNamespace("demo"), client.MatchingLabels(template.Labels)); err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		return nil
	})
	pod := &pods.Items[0]
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "n1"}}
	if err := s.Client.SubResource("binding").Create(t.Context(), pod, binding); err != nil {
		t.Fatal(err)
	}
	return pod
}

// testIdentity has the API server review tokens that it made itself, with the operator's rights.
func testIdentity(t *testing.T, s *apiserver.Server) {
	operator := as(t, s, operatorName, "system:serviceaccounts", "system:serviceaccounts:stash", "system:authenticated")
	a := &broker.Authenticator{Client: operator, Reader: operator, AgentCommand: controller.AgentCommand, Image: agentImage}
	node := kubelet(t, s)
	denied := func(t *testing.T, token string, wants ...string) {
		t.Helper()
		id, err := a.Identify(t.Context(), token, protocol.RoleSidecar)
		if err == nil || !errors.Is(err, broker.ErrDenied) {
			t.Fatalf("got %+v, %v", id, err)
		}
		for _, want := range wants {
			if strings.Contains(err.Error(), want) {
				return
			}
		}
		t.Errorf("got %v, want %q", err, wants)
	}
	pod := agentPod(t, s, "web")
	var token string
	eventually(t, "", func() (err error) { // the node authorizer hears of the binding a moment later
		token, err = mint(t, node, "app", pod, api.TokenAudience)
		return err
	})
	id, err := a.Identify(t.Context(), token, protocol.RoleSidecar)
	if err != nil || id.Pod != pod.Name || id.PodUID != string(pod.UID) || id.Owner.Kind != "Deployment" || id.Owner.Name != "web" {
		t.Fatalf("the pod's own token: %+v, %v", id, err)
	}
	const notValid = "not valid for audience"
	for name, audiences := range map[string][]string{"the API server's audience": nil, "another audience": {"vault"}} {
		other, err := mint(t, s.Client, "app", pod, audiences...)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { denied(t, other, notValid) })
	}
	t.Run("expired", func(t *testing.T) {
		hour := time.Now().Add(-time.Hour).Unix()
		// The same change that leaves it in force, to know that it is time that is refused.
		if _, err := a.Identify(t.Context(), resigned(t, s, token, map[string]any{"exp": time.Now().Add(time.Hour).Unix()}), protocol.RoleSidecar); err != nil {
			t.Fatal(err)
		}
		denied(t, resigned(t, s, token, map[string]any{"iat": hour - 600, "nbf": hour - 600, "exp": hour}), notValid)
	})
	t.Run("signed by somebody else", func(t *testing.T) { denied(t, token[:len(token)-8]+"AAAAAAAA", notValid) })
	t.Run("no token", func(t *testing.T) { denied(t, "nonsense", notValid) })
	t.Run("of another pod", func(t *testing.T) {
		spec := pod.Spec.DeepCopy()
		spec.NodeName = "n1"
		other := create(t, s, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "other"}, Spec: *spec})
		theirs, err := mint(t, node, "app", other, api.TokenAudience)
		if err != nil {
			t.Fatal(err)
		}
		denied(t, theirs, "belongs to no workload")
	})
	t.Run("of a pod that says it belongs to a workload", func(t *testing.T) {
		forged := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "forged"}, Spec: *pod.Spec.DeepCopy()}
		forged.Spec.NodeName = "n1"
		forged.OwnerReferences = []metav1.OwnerReference{*pod.OwnerReferences[0].DeepCopy()}
		forged.OwnerReferences[0].UID = "00000000-0000-4000-8000-000000000000"
		forged.Finalizers = []string{"example.com/stay"} // Kubernetes removes it, later
		create(t, s, forged)
		theirs, err := mint(t, node, "app", forged, api.TokenAudience)
		if err != nil {
			t.Fatal(err)
		}
		denied(t, theirs, "the owner of the pod, does not exist")
	})
	t.Run("of a container that only looks like ours", func(t *testing.T) {
		disguised := agentPod(t, s, "disguised", func(spec *corev1.PodSpec) {
			spec.InitContainers[0].Command = []string{"/bin/sh", "-c", "sleep 1d"}
		})
		var theirs string
		eventually(t, "", func() (err error) {
			theirs, err = mint(t, node, "app", disguised, api.TokenAudience)
			return err
		})
		denied(t, theirs, "its command is not")
	})
	t.Run("of a pod that another took the name of", func(t *testing.T) {
		kill(t, s, pod)
		create(t, s, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: pod.Name}, Spec: corev1.PodSpec{
			ServiceAccountName: "app", Containers: []corev1.Container{{Name: "app", Image: "app"}},
		}})
		// The API server remembers for some seconds that a token was good; the broker looks itself.
		denied(t, token, "another pod", notValid)
	})
	t.Run("of a deleted pod", func(t *testing.T) {
		gone := agentPod(t, s, "gone")
		var token string
		eventually(t, "", func() (err error) {
			token, err = mint(t, node, "app", gone, api.TokenAudience)
			return err
		})
		if _, err := a.Identify(t.Context(), token, protocol.RoleSidecar); err != nil {
			t.Fatal(err)
		}
		kill(t, s, gone)
		denied(t, token, "does not exist", notValid)
	})
}

// kill deletes a pod at once: there is no kubelet to do it.
func kill(t *testing.T, s *apiserver.Server, pod *corev1.Pod) {
	t.Helper()
	if err := s.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

// resigned changes claims of a token and signs it as the API server would.
func resigned(t *testing.T, s *apiserver.Server, token string, change map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	claims := map[string]any{}
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	maps.Copy(claims, change)
	if text, err = json.Marshal(claims); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.TokenKey())
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)
	sum := sha256.Sum256([]byte(signed))
	r, sig, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), sig.FillBytes(make([]byte, 32))...))
}
