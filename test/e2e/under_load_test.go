package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/certs"
	"github.com/seed-731df569/stash/test/cluster"
	"github.com/seed-731df569/stash/webhook"
)

// underLoad are tests of admission while something breaks.
func underLoad() []scenario {
	return []scenario{
		{"what Stash has nothing to do with never reaches it", nobodyAsks},
		{"a rolling update of the operator is noticed by nobody", rolledUnderLoad},
		{"an upgrade from the version that finished the main job is noticed by nobody", upgradedUnderLoad},
		{"a replica that dies keeps nobody from anything", replicaDiesUnderLoad},
		{"without any replica everything but our own kinds goes on", allDieUnderLoad},
		{"a replica's node that loses its power keeps nobody from anything", powerCutUnderLoad},
		{"a Secret of certificates that is lost, expired or foreign is put right", certificatesBreak},
		{"webhook configurations that are deleted or edited are put right", configurationsBreak},
		{"the API server can be started anew", apiServerStartsAnew},
		{"a cluster that was switched off comes back without Stash, and then with it", coldStart},
	}
}

// asked applies a protected application, for whileAsked.
func (s *site) asked() {
	s.Helper()
	s.apply("blueprint.yaml")
	s.apply("deployment.yaml")
	s.running(1)
	s.configReady("deploy-web")
	s.repoReady("deploy-web")
}

func rolledUnderLoad(s *site) {
	s.asked()
	s.nobodyNoticed(s.whileAsked(s.rollOperator))
}

func replicaDiesUnderLoad(s *site) {
	s.asked()
	s.nobodyFailed(s.whileAsked(func() {
		s.killLeader()
		s.operatorReady()
	}))
	s.asBefore()
}

func allDieUnderLoad(s *site) {
	s.asked()
	other := s.inVault() // with a Repository in it
	other.apply("repository.yaml")
	t := s.whileAsked(func() {
		s.withoutOperator(func() {
			err := suite.client.Create(s.Context(), &v1beta1.BackupSession{
				ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "unchecked"},
				Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: "deploy-web"}},
			})
			if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
				s.Errorf("a session was stored, or refused for something else, while nobody could check it: %v", err)
			}
			s.goes(other.ns)
			s.comesBackBare()
		})
	})
	s.nobodyFailed(t)
	if t.pods.Bare == 0 || t.sessions.Failed == 0 {
		s.Errorf("the replicas were never away:\n%s\n%s", &t.pods, &t.sessions)
	}
	s.sidecarComesBack()
	s.asBefore()
	s.backup("deploy-web")
}

// comesBackBare deletes the application's pod while nobody can complete another one.
func (s *site) comesBackBare() {
	s.Helper()
	old := s.running(1)[0]
	if err := suite.client.Delete(s.Context(), &old); err != nil {
		s.Fatal(err)
	}
	if p := s.running(1)[0]; p.UID == old.UID || container(&p, api.ContainerSidecar) != nil {
		s.Errorf("pod %s is the old one, or has a sidecar of nobody", p.Name)
	}
}

// sidecarComesBack waits until the application's one pod is a protected one, by no doing of ours.
func (s *site) sidecarComesBack() {
	s.Helper()
	s.eventually(longest, "the pod has its sidecar again", func(ctx context.Context) error {
		pods, err := s.pods(ctx)
		if err != nil {
			return err
		}
		if len(pods) != 1 || container(&pods[0], api.ContainerSidecar) == nil || !isReady(&pods[0]) {
			return notYet("%d pods", len(pods))
		}
		return nil
	})
}

// goes deletes a namespace and waits until it is gone.
func (s *site) goes(namespace string) {
	s.Helper()
	if out, err := suite.kubectl.Run(s.Context(), "", "delete", "namespace", namespace, "--timeout=60s"); err != nil {
		s.Errorf("%v: %s", err, out)
	}
}

func powerCutUnderLoad(s *site) {
	s.asked()
	leader, err := s.leader(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := suite.client.Get(s.Context(), client.ObjectKey{Namespace: operatorNS, Name: leader}, pod); err != nil {
		s.Fatal(err)
	}
	node := pod.Spec.NodeName
	s.nobodyFailed(s.whileAsked(func() {
		s.powerCut(node)
		s.eventually(long, "another replica leads", func(ctx context.Context) error {
			now, err := s.leader(ctx)
			if err == nil && now == leader {
				err = notYet("%s does", leader)
			}
			return err
		})
	}))
	s.powerBack(node)
	s.asBefore()
}

func certificatesBreak(s *site) {
	s.asked()
	for _, c := range []struct {
		name string
		data map[string][]byte
	}{
		{"the Secret is gone", nil},
		{"the Secret is empty", map[string][]byte{}},
		{"all of it has expired", selfSigned(s, -time.Hour)},
		{"all of it is somebody else's", selfSigned(s, 24*time.Hour)},
	} {
		t := s.whileAsked(func() {
			s.Logf("%s", c.name)
			s.replaceCertificates(c.data)
			s.eventually(long, "the Secret is put right", func(ctx context.Context) error {
				secret := &corev1.Secret{}
				if err := suite.client.Get(ctx, client.ObjectKey{Namespace: operatorNS, Name: certs.SecretName}, secret); err != nil {
					return err
				}
				if need := certs.Needs(time.Now(), secret.Data, certs.Terms{Names: certs.Names(operatorNS, "stash-webhook", "stash-broker")}); need != certs.NeedNothing {
					return notYet("it needs: %s", need)
				}
				return nil
			})
		})
		s.nobodyFailed(t)
		s.asBefore()
	}
	s.backup("deploy-web") // agents trust the broker
}

// replaceCertificates writes other data into the Secret of the certificates; nil deletes it.
func (s *site) replaceCertificates(data map[string][]byte) {
	s.Helper()
	s.eventually(soon, "the Secret is changed", func(ctx context.Context) error {
		secret := &corev1.Secret{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: operatorNS, Name: certs.SecretName}, secret); err != nil {
			return err
		}
		if data == nil {
			return suite.client.Delete(ctx, secret)
		}
		secret.Data = data
		return suite.client.Update(ctx, secret)
	})
}

// selfSigned is a CA that is its own leaf, for none of our names, and good for that long from now.
func selfSigned(s *site, left time.Duration) map[string][]byte {
	s.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody"}, DNSNames: []string{"somebody.example"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(left),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return map[string][]byte{certs.KeyCACert: cert, certs.KeyCAKey: keyPEM, certs.KeyLeafCert: cert, certs.KeyLeafKey: keyPEM}
}

func configurationsBreak(s *site) {
	s.asked()
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	name := client.ObjectKey{Name: webhook.Mutating(webhook.Installation{}).Name}
	other := client.ObjectKey{Name: webhook.Validating(webhook.Installation{}).Name}
	foreign := selfSigned(s, 24*time.Hour)[certs.KeyCACert]
	read := func(ctx context.Context) (string, error) {
		if err := suite.client.Get(ctx, name, mutating); err != nil {
			return "", err
		}
		if err := suite.client.Get(ctx, other, validating); err != nil {
			return "", err
		}
		// The operator's own CA may be replaced at any time, and is after its Secret was damaged.
		var all []string
		for _, h := range mutating.Webhooks {
			all = append(all, fmt.Sprintf("%s %s foreign=%t", h.Name, *h.FailurePolicy, bytes.Equal(h.ClientConfig.CABundle, foreign)))
		}
		for _, h := range validating.Webhooks {
			all = append(all, fmt.Sprintf("%s %s foreign=%t", h.Name, *h.FailurePolicy, bytes.Equal(h.ClientConfig.CABundle, foreign)))
		}
		return strings.Join(all, "\n"), nil
	}
	want, err := read(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for what, change := range map[string]func(ctx context.Context) error{
		"both are deleted": func(ctx context.Context) error {
			if err := suite.client.Delete(ctx, mutating); err != nil {
				return err
			}
			return suite.client.Delete(ctx, validating)
		},
		"the CA is a foreign one": func(ctx context.Context) error {
			for i := range mutating.Webhooks {
				mutating.Webhooks[i].ClientConfig.CABundle = foreign
			}
			for i := range validating.Webhooks {
				validating.Webhooks[i].ClientConfig.CABundle = foreign
			}
			if err := suite.client.Update(ctx, mutating); err != nil {
				return err
			}
			return suite.client.Update(ctx, validating)
		},
		"a hook is taken out": func(ctx context.Context) error {
			mutating.Webhooks = mutating.Webhooks[1:]
			return suite.client.Update(ctx, mutating)
		},
	} {
		t := s.whileAsked(func() {
			s.Logf("%s", what)
			if _, err := read(s.Context()); err != nil {
				s.Fatal(err)
			}
			if err := change(s.Context()); err != nil {
				s.Fatal(err)
			}
			s.eventually(soon, "they are put right", func(ctx context.Context) error {
				got, err := read(ctx)
				if err == nil && got != want {
					err = notYet("they differ")
				}
				return err
			})
		})
		s.nobodyFailed(t)
		s.asBefore()
	}
}

func apiServerStartsAnew(s *site) {
	s.asked()
	s.whileAsked(func() {
		if err := suite.cluster.StopProcess(s.Context(), cluster.ControlPlane, "kube-apiserver"); err != nil {
			s.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if err := suite.cluster.StartProcess(context.WithoutCancel(s.Context()), cluster.ControlPlane, "kube-apiserver"); err != nil {
			s.Fatal(err)
		}
		if err := suite.cluster.WaitAPI(s.Context()); err != nil {
			s.Fatal(err)
		}
	})
	s.operatorReady()
	s.asBefore()
	s.backup("deploy-web")
}

// coldStart switches everything off while no replica of the operator runs, so that nobody answers
// webhooks when the cluster comes up.
func coldStart(s *site) {
	s.asked()
	dir := s.claimDir("web")
	want := s.planted(dir, 1)
	s.withoutOperator(func() {
		hosts := []string{cluster.ControlPlane}
		for i := range suite.cluster.Nodes {
			hosts = append(hosts, fmt.Sprintf("n%d", i+1))
		}
		ctx := context.WithoutCancel(s.Context())
		for _, h := range hosts {
			if err := suite.cluster.PowerOff(ctx, h); err != nil {
				s.Error(err)
			}
		}
		begin := time.Now()
		for _, h := range hosts {
			if err := suite.cluster.PowerOn(ctx, h); err != nil {
				s.Error(err)
			}
		}
		if err := suite.cluster.WaitReady(ctx); err != nil {
			s.Fatal(err)
		}
		// A new pod of each, not one that a kubelet merely starts again.
		for _, workload := range []string{"kube-system/coredns", s.ns + "/web"} {
			ns, name, _ := strings.Cut(workload, "/")
			for _, args := range [][]string{{"restart", "deployment/" + name}, {"status", "deployment/" + name, "--timeout=120s"}} {
				if out, err := suite.kubectl.Run(ctx, "", append([]string{"rollout", "--namespace=" + ns}, args...)...); err != nil {
					s.Fatalf("%v: %s", err, out)
				}
			}
		}
		s.Logf("the cluster and its pods are up after %s", time.Since(begin).Round(time.Second))
	})
	s.sidecarComesBack()
	s.asBefore()
	s.same("the volume", want, dir)
	s.backupIsWhole(s.backup("deploy-web"), "host-0")
}
