// Package certs_test has two replicas of the operator's own program, and clients that never pause, go
// through what happens to certificates: on a real API server, with cert-manager's real controllers.
package certs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seed-731df569/stash/test/apiserver"
)

// overlap is that of the operators: long enough for this machine when it is busy.
const overlap = 12 * time.Second

// operators runs the operator's own program, with the rights of its account, behind its Services.
type operators struct {
	*apiserver.Server

	t          *testing.T
	program    string
	kubeconfig string
	made       int
	running    []*replica

	mu sync.Mutex
	// published are the brokers that agents are led to.
	published []string
}

// replica is one process.
type replica struct {
	name                   string
	cmd                    *exec.Cmd
	log                    *output
	ended                  chan error
	webhook, broker, probe string
}

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newOperators(t *testing.T, s *apiserver.Server) *operators {
	t.Helper()
	dir := t.TempDir()
	o := &operators{Server: s, t: t, program: filepath.Join(dir, "stash"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", o.program, "./cmd/stash")
	build.Dir = apiserver.Root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the operator: %v: %s", err, out)
	}
	request := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "stash-operator"}}
	if err := s.Client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	if err := rest.LoadTLSFiles(s.Config); err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: s.Config.Host, CertificateAuthorityData: s.Config.CAData}
	config.AuthInfos["operator"] = &clientcmdapi.AuthInfo{Token: request.Status.Token}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "operator"}
	config.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*config, o.kubeconfig); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, r := range o.running {
			o.end(r)
		}
	})
	return o
}

func (o *operators) free(host string) string {
	o.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		o.t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start begins a replica and waits until its probe says that it is ready.
func (o *operators) start(args ...string) *replica {
	o.t.Helper()
	o.made++
	r := &replica{
		name: fmt.Sprintf("replica-%d", o.made), log: &output{}, ended: make(chan error, 1),
		webhook: o.free(o.MachineIP), broker: o.free(o.MachineIP), probe: o.free("127.0.0.1"),
	}
	args = append([]string{
		"run", "--namespace=stash", "--pod-name=" + r.name, "--image=registry.example/stash:v1", "--webhook-address=" + r.webhook, "--broker-address=" + r.broker,
		"--metrics-address=0", "--probe-address=" + r.probe, "--ca-overlap=" + overlap.String(), "--drain=3s",
		"--log-format=text", "--webhook-timeout=repositories=10", // a busy machine is no failure
	}, args...)
	r.cmd = exec.Command(o.program, args...)
	r.cmd.Env = append(os.Environ(), "KUBECONFIG="+o.kubeconfig)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	go func() { r.ended <- r.cmd.Wait() }()
	o.running = append(o.running, r)
	o.await("replica is ready", func() error {
		select {
		case err := <-r.ended:
			r.ended <- err
			o.t.Fatalf("it ended: %v: %s", err, r.log)
		default:
		}
		response, err := http.Get("http://" + r.probe + "/readyz?verbose")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = errors.New(string(body))
		}
		return err
	})
	o.publish(r)
	return r
}

// publish leads the webhooks' Service to a replica too.
func (o *operators) publish(r *replica) {
	o.t.Helper()
	address, err := net.ResolveTCPAddr("tcp", r.webhook)
	if err != nil {
		o.t.Fatal(err)
	}
	err = o.Client.Create(o.t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "stash", Name: r.name, Labels: map[string]string{discoveryv1.LabelServiceName: "stash-webhook"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address.IP.String()}}},
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(address.Port))}},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published = append(o.published, r.broker)
}

// stop ends a replica as Kubernetes does: its endpoint goes, and it is asked to end.
func (o *operators) stop(r *replica) {
	o.t.Helper()
	o.Kubectl(o.t, "", "delete", "endpointslice", "--namespace=stash", r.name)
	o.mu.Lock()
	o.published = slices.DeleteFunc(o.published, func(b string) bool { return b == r.broker })
	o.mu.Unlock()
	o.end(r)
}

func (o *operators) end(r *replica) {
	o.t.Helper()
	o.running = slices.DeleteFunc(slices.Clone(o.running), func(other *replica) bool { return other == r })
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.ended:
		if err != nil {
			o.t.Errorf("%s ended: %v: %s", r.name, err, r.log)
		}
	case <-time.After(time.Minute):
		_ = r.cmd.Process.Kill()
		o.t.Errorf("%s did not end", r.name)
	}
}

// roll replaces all replicas by two with other arguments, a new one before an old one goes.
func (o *operators) roll(args ...string) {
	o.t.Helper()
	old := slices.Clone(o.running)
	for range 2 {
		o.start(args...)
		if len(old) > 0 {
			o.stop(old[0])
			old = old[1:]
		}
	}
}

// said waits until each replica has said something so many times.
func (o *operators) said(text string, times int) {
	o.t.Helper()
	for _, r := range o.running {
		o.await("log", func() error {
			if strings.Count(r.log.String(), text) < times {
				return fmt.Errorf("%s has not said %q: %s", r.name, text, r.log)
			}
			return nil
		})
	}
}

// await tries for as long as several overlaps take.
func (o *operators) await(what string, try func() error) {
	o.t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%s: %v", what, err)
		}
	}
}

// doctor runs stash doctor with the operator's rights.
func (o *operators) doctor(ctx context.Context) string {
	o.t.Helper()
	cmd := exec.CommandContext(ctx, o.program, "doctor", "--namespace=stash")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+o.kubeconfig)
	out, _ := cmd.Output() // no pod is ready: the exit code is 1
	return string(out)
}
