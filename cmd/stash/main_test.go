package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
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
