package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/seed-731df569/stash/doctor"
)

func command(args ...string) (string, error) {
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestBadFlagsAreRefusedBeforeAnythingStarts(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "stash")
	t.Setenv("POD_NAME", "stash-operator-0")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no pod":            {[]string{"run", "--namespace="}, "neither --namespace nor --pod-name is given"},
		"sidecars":          {[]string{"run", "--native-sidecars=always"}, `--native-sidecars: expected auto or never, found "always"`},
		"level":             {[]string{"run", "--log-level=loud"}, "--log-level: expected debug, info, warn or error"},
		"format":            {[]string{"run", "--log-format=xml"}, "--log-format: expected json or text"},
		"pull secrets":      {[]string{"run", "--image-pull-secrets=registry,a b"}, `--image-pull-secrets: expected names of Secrets, found "a b"`},
		"a certificate":     {[]string{"run", "--cert-manager-certificate=a b"}, `--cert-manager-certificate: expected the name of a Certificate in namespace stash, found "a b"`},
		"an overlap":        {[]string{"run", "--ca-overlap=0s"}, "--ca-overlap: clients would not have the time to learn a CA within 0s; write 15m"},
		"an unsafe hook":    {[]string{"run", "--webhook-failure-policy=restore.pods=Ignore"}, "write restore.pods=Fail, or leave it out"},
		"a hook's timeout":  {[]string{"run", "--webhook-timeout=backup.pods=1,restore.pods=1m"}, `--webhook-timeout: "restore.pods=1m": expected whole seconds`},
		"a hook to print":   {[]string{"webhooks", "--webhook-timeout=pods=1"}, `there is no hook "pods"`},
		"duration":          {[]string{"run", "--heartbeat-limit=soon"}, `invalid argument "soon" for "--heartbeat-limit"`},
		"an extra argument": {[]string{"run", "now"}, `unknown command "now"`},
		"unknown command":   {[]string{"walk"}, `unknown command "walk"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := command(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

func TestWebhooksPrintsWhatDeployHolds(t *testing.T) {
	got, err := command("webhooks")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../deploy/webhooks.golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("deploy/webhooks.golden.yaml is not what `stash webhooks` prints: run make generate")
	}
	elsewhere, err := command("webhooks", "--namespace=backup", "--webhook-service=hooks")
	if err != nil || !strings.Contains(elsewhere, "namespace: backup") || !strings.Contains(elsewhere, "name: hooks") {
		t.Errorf("error = %v, output:\n%s", err, elsewhere)
	}
	changed, err := command("webhooks", "--webhook-failure-policy=backup.pods=Fail", "--webhook-timeout=backup.pods=7")
	if err != nil || strings.Count(changed, "failurePolicy: Fail") != strings.Count(got, "failurePolicy: Fail")+1 || !strings.Contains(changed, "timeoutSeconds: 7") {
		t.Errorf("error = %v, output:\n%s", err, changed)
	}
	if docs, err := command("webhooks", "--docs"); err != nil || !strings.HasPrefix(docs, "|") {
		t.Errorf("error = %v, output:\n%s", err, docs)
	}
}

func TestTheImageOfAgentsIsTheOperatorsOwn(t *testing.T) {
	pod := func(container string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: "me"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "mesh-proxy", Image: "proxy:1"}, {Name: container, Image: "stash:2"},
			}},
		}
	}
	for name, c := range map[string]struct {
		pod         *corev1.Pod
		image, want string
	}{
		"beside a container that another webhook added": {pod("operator"), "stash:2", ""},
		"a pod without the container":                   {pod("other"), "", `own pod has no container "operator": give --image`},
		"no pod":                                        {nil, "", "give --image"},
	} {
		t.Run(name, func(t *testing.T) {
			b := fake.NewClientBuilder()
			if c.pod != nil {
				b = b.WithObjects(c.pod)
			}
			image, err := ownImage(t.Context(), b.Build(), "stash", "me")
			if image != c.image || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("image = %q, error = %v, want %q, %q", image, err, c.image, c.want)
			}
		})
	}
}

func TestTheOperatorWaitsForItsKindsUntilItIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	// A scheme without our kinds is a server that does not serve them.
	err := waitForKinds(ctx, fake.NewClientBuilder().Build(), slog.New(slog.DiscardHandler))
	if err == nil {
		t.Error("the operator went on without its kinds")
	}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	if err := waitForKinds(t.Context(), fake.NewClientBuilder().WithScheme(scheme).Build(), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestTheDoctorReadsTheArgumentsOfTheOperator(t *testing.T) {
	for name, c := range map[string]struct {
		args    []string
		service string
		want    string
	}{
		"those of deploy":        {[]string{"run"}, "stash-webhook", ""},
		"another Service":        {[]string{"run", "--webhook-service=hooks", "--max-rollouts", "3"}, "hooks", ""},
		"flags of another build": {[]string{"run", "--shout"}, "", "unknown flag: --shout"},
		"an unsafe hook":         {[]string{"run", "--webhook-failure-policy=restore.pods=Ignore"}, "", "write restore.pods=Fail"},
		"another command":        {[]string{"walk"}, "", `expected the arguments of stash run, found ["walk"]`},
		"none":                   {nil, "", "expected the arguments of stash run"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseArguments(c.args)
			if o.WebhookService != c.service || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Service %q, error %v, want %q, %q", o.WebhookService, err, c.service, c.want)
			}
		})
	}
}

// A report is written, and the exit code says what it says, whatever cannot be reached.
func TestTheDoctorSaysWhatItCannotReach(t *testing.T) {
	path := t.TempDir() + "/kubeconfig"
	config := `{"apiVersion":"v1","kind":"Config","clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
	t.Setenv("POD_NAME", "")
	text, err := command("doctor", "--namespace=backup")
	if !errors.Is(err, errUnhealthy) || !strings.Contains(text, "FAILURE  kubernetes    not checked: the API server's version") || !strings.Contains(text, "namespace backup)") {
		t.Errorf("error = %v, output:\n%s", err, text)
	}
	data, err := command("doctor", "-o", "json")
	var report doctor.Report
	if !errors.Is(err, errUnhealthy) {
		t.Errorf("error = %v", err)
	}
	if err := json.Unmarshal([]byte(data), &report); err != nil || report.Healthy() || len(report.Findings) < 10 {
		t.Errorf("error = %v, output:\n%s", err, data)
	}
	if _, err := command("doctor", "-o", "yaml"); err == nil || !strings.Contains(err.Error(), `--output: expected text or json, found "yaml"`) {
		t.Errorf("error = %v", err)
	}
	help, err := command("doctor", "--help")
	if err != nil || !strings.Contains(help, "The exit code is 1 where a check failed") {
		t.Errorf("error = %v, output:\n%s", err, help)
	}
}
