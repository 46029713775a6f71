package e2e_test

import (
	"bufio"
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// dump writes what a failed test left behind to its log: objects, events, pods and what operator
// and agents said.
func (s *site) dump() {
	if !s.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var out strings.Builder
	for _, objects := range []client.ObjectList{
		&v1alpha1.RepositoryList{}, &v1beta1.BackupConfigurationList{}, &v1beta1.BackupSessionList{}, &v1beta1.RestoreSessionList{},
	} {
		dumpObjects(ctx, &out, s.ns, objects)
	}
	run := func(title string, args ...string) {
		text, err := suite.kubectl.Run(ctx, "", args...)
		if err != nil && text == "" {
			text = err.Error()
		}
		out.WriteString("--- " + title + "\n" + text + "\n")
	}
	run("workloads and pods", "get", "deploy,rs,sts,ds,pods,jobs,pvc", "--show-labels", "--output=wide", "--namespace="+s.ns)
	run("events", "get", "events", "--sort-by=.lastTimestamp", "--namespace="+s.ns)
	run("nodes", "get", "nodes", "--output=wide")
	run("operator", "get", "pods", "--output=wide", "--namespace=stash")
	s.dumpAgents(ctx, run)
	out.WriteString("--- operator's logs\n" + operatorLogs(ctx, s.ns))
	s.Log("what is left:\n" + out.String())
}

func dumpObjects(ctx context.Context, out *strings.Builder, ns string, objects client.ObjectList) {
	if err := suite.client.List(ctx, objects, client.InNamespace(ns)); err != nil {
		out.WriteString(err.Error() + "\n")
		return
	}
	var items []map[string]any
	text, err := yaml.Marshal(objects)
	if err == nil {
		var l struct {
			Items []map[string]any `json:"items"`
		}
		err = yaml.Unmarshal(text, &l)
		items = l.Items
	}
	for _, item := range items {
		if meta, ok := item["metadata"].(map[string]any); ok {
			delete(meta, "managedFields")
		}
		if text, err = yaml.Marshal(item); err == nil {
			out.WriteString("---\n" + string(text))
		}
	}
	if err != nil {
		out.WriteString(err.Error() + "\n")
	}
}

// dumpAgents shows what our containers said.
func (s *site) dumpAgents(ctx context.Context, run func(title string, args ...string)) {
	pods := &corev1.PodList{}
	if err := suite.client.List(ctx, pods, client.InNamespace(s.ns)); err != nil {
		return
	}
	for i := range pods.Items {
		for _, name := range []string{"stash", "stash-init", "stash-worker"} {
			if container(&pods.Items[i], name) != nil {
				run("log of "+pods.Items[i].Name+"/"+name, "logs", pods.Items[i].Name, "--container="+name, "--tail=40", "--namespace="+s.ns)
			}
		}
	}
}

// operatorLogs returns what both replicas said about a namespace, and all that they found wrong.
func operatorLogs(ctx context.Context, ns string) string {
	text, err := suite.kubectl.Run(ctx, "", "logs", "--namespace=stash", "--selector=app.kubernetes.io/name=stash", "--tail=2000", "--prefix")
	if err != nil {
		return err.Error()
	}
	var kept []string
	scan := bufio.NewScanner(strings.NewReader(text))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line := scan.Text()
		if strings.Contains(line, ns) || !strings.Contains(line, `"level":"INFO"`) {
			kept = append(kept, line[:min(len(line), 600)])
		}
	}
	return strings.Join(kept[max(0, len(kept)-80):], "\n")
}
