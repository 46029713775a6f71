package api_test

import (
	"bufio"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/test/apiserver"
	"github.com/seed-731df569/stash/webhook"
)

// beforePolicies are blueprints, namespaces, and workloads that were there first.
const beforePolicies = `
apiVersion: v1
kind: Namespace
metadata: {name: gold, labels: {tier: gold}}
---
apiVersion: v1
kind: Namespace
metadata: {name: silver, labels: {tier: silver}}
---
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: stash.appscode.com/v1beta1
kind: BackupBlueprint
metadata: {name: daily}
spec:
  schedule: "@daily"
  retentionPolicy: {name: keep, keepDaily: 7, prune: true}
  backend:
    s3: {endpoint: https://s3.example.com, bucket: backups, prefix: "${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"}
    storageSecretName: storage
---
apiVersion: stash.appscode.com/v1beta1
kind: BackupBlueprint
metadata: {name: weekly}
spec:
  schedule: "@weekly"
  retentionPolicy: {name: keep, keepWeekly: 7, prune: true}
  backend:
    s3: {endpoint: https://s3.example.com, bucket: backups, prefix: "weekly/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}"}
    storageSecretName: storage
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: legacy, namespace: gold}
spec:
  selector: {matchLabels: {app: legacy}}
  template:
    metadata: {labels: {app: legacy}}
    spec:
      containers: [{name: app, image: app, volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kept
  namespace: gold
  annotations: {stash.appscode.com/backup-blueprint: daily, stash.appscode.com/target-paths: /data, stash.appscode.com/volume-mounts: "data:/data"}
spec:
  selector: {matchLabels: {app: kept}}
  template:
    metadata: {labels: {app: kept}}
    spec:
      containers: [{name: app, image: app, volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

const storedPolicies = `
apiVersion: stash.appscode.com/v1beta1
kind: ProtectionPolicy
metadata: {name: gold}
spec:
  action: Deny
  namespaceSelector: {matchLabels: {tier: gold}}
  objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [none]}]}
  require: {blueprints: [daily], maxInterval: 24h}
---
apiVersion: stash.appscode.com/v1beta1
kind: ProtectionPolicy
metadata: {name: claims}
spec:
  action: Warn
  kinds: [PersistentVolumeClaim]
  namespaceSelector: {matchLabels: {tier: gold}}
---
apiVersion: stash.appscode.com/v1beta1
kind: ProtectionPolicy
metadata: {name: silver}
spec:
  action: Default
  default: {blueprint: daily}
  namespaceSelector: {matchLabels: {tier: silver}}
`

// testPolicies has people write objects that policies select, and others.
func testPolicies(t *testing.T, s *apiserver.Server, a *admission) {
	s.Kubectl(t, beforePolicies, "apply", "--filename=-")
	s.Kubectl(t, storedPolicies, "apply", "--filename=-")
	register(t, s, a)
	t.Run("answers", func(t *testing.T) {
		eachCase(t, "testdata/protection/*.txtar", func(t *testing.T, parts map[string]*txtar.File) {
			out, _ := s.TryKubectl(t, string(parts["input.yaml"].Data), strings.Fields(string(parts["kubectl"].Data))...)
			golden(t, parts["answer"], out)
		})
	})
	t.Run("nothing but a label is put on a workload", func(t *testing.T) { testNoDrift(t, s) })
	t.Run("whoever has a namespace backed up may change its workloads", func(t *testing.T) { testNamespaces(t, s, a) })
	t.Run("nobody is asked where no policy selects", func(t *testing.T) { testNoCalls(t, s) })
}

func encode(t *testing.T, object any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// register gives policies their entries, as the operator does, and waits until they are in force.
func register(t *testing.T, s *apiserver.Server, a *admission) {
	t.Helper()
	list := &v1beta1.ProtectionPolicyList{}
	if err := yaml.Unmarshal([]byte(s.Kubectl(t, "", "get", "protectionpolicies", "--output=yaml")), list); err != nil {
		t.Fatal(err)
	}
	in := a.installation
	var left map[string]string
	if in.Policies, left = protection.Acting(list.Items); len(in.Policies) != 3 || len(left) > 0 {
		t.Fatalf("%d policies act, %v", len(in.Policies), left)
	}
	for _, object := range []any{webhook.Mutating(in), webhook.Validating(in)} {
		s.Kubectl(t, encode(t, object), "replace", "--filename=-")
	}
	const refused = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: probe, namespace: gold}, spec: {selector: {matchLabels: {a: b}}, template: {
  metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a, volumeMounts: [{name: d, mountPath: /d}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]}}}}`
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		gold, err := s.TryKubectl(t, refused, "create", "--dry-run=server", "--filename=-")
		silver, _ := s.TryKubectl(t, strings.Replace(refused, "namespace: gold", "namespace: silver", 1), "create", "--dry-run=server", "--filename=-")
		if err != nil && strings.Contains(gold, "nothing backs it up") && strings.Contains(silver, "is applied") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the hooks are not in force: %s%s", gold, silver)
		}
	}
}

// testNoDrift: of a workload that a default applies to, one label of the pod template is changed.
func testNoDrift(t *testing.T, s *apiserver.Server) {
	const manifest = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: %s}, spec: {selector: {matchLabels: {a: b}}, template: {
  metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a, volumeMounts: [{name: d, mountPath: /d}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]}}}}`
	stored := func(namespace string) map[string]any {
		t.Helper()
		object := parse(t, file(strings.Replace(manifest, "%s", namespace, 1)))
		if err := s.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Kubectl(t, "", "delete", "deployment", "web", "--namespace="+namespace) })
		if len(object.GetAnnotations())+len(object.GetLabels()) > 0 {
			t.Errorf("it has %v, %v", object.GetAnnotations(), object.GetLabels())
		}
		spec, _, err := unstructured.NestedMap(object.Object, "spec")
		if err != nil {
			t.Fatal(err)
		}
		return spec
	}
	plain, silver := stored("plain"), stored("silver")
	labels, _, err := unstructured.NestedStringMap(silver, "template", "metadata", "labels")
	if err != nil || labels[api.LabelInject] == "" || len(labels) != 2 {
		t.Errorf("labels %v, %v", labels, err)
	}
	unstructured.RemoveNestedField(silver, "template", "metadata", "labels", api.LabelInject)
	if want, got := encode(t, plain), encode(t, silver); want != got {
		t.Errorf("the default changed it:\n%s\n%s", want, got)
	}
}

// testNamespaces: an annotation of a Namespace needs the rights to its workloads, and only it does.
func testNamespaces(t *testing.T, s *apiserver.Server, a *admission) {
	s.Kubectl(t, "", "create", "clusterrole", "namers", "--verb=get,patch", "--resource=namespaces")
	s.Kubectl(t, "", "create", "clusterrolebinding", "namers", "--clusterrole=namers", "--user=nam")
	annotate := func(args ...string) (string, error) {
		return s.TryKubectl(t, "", append([]string{"annotate", "namespace", "plain", "--dry-run=server", "--overwrite"}, args...)...)
	}
	asked := func() (n int) {
		_, seen := a.since()
		for _, hook := range seen {
			if strings.HasPrefix(hook, "namespaces ") {
				n++
			}
		}
		return n
	}
	asked()
	out, err := annotate("stash.appscode.com/backup-blueprint=daily", "--as=nam")
	for _, want := range []string{"needs update deployments.apps in namespace plain", "statefulsets.apps and daemonsets.apps"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("does not say %q: %s", want, out)
		}
	}
	if out, err := annotate("stash.appscode.com/backup-blueprint=daily"); err != nil {
		t.Error(out)
	}
	if out, err := annotate("stash.appscode.com/backup-blueprint=nightly"); err != nil || !strings.Contains(out, `there is no BackupBlueprint or BackupTemplate "nightly" yet`) {
		t.Error(out)
	}
	if n := asked(); n != 2 {
		t.Errorf("asked %d times: the API server's own policy comes first", n)
	}
	for _, args := range [][]string{{"team=shop", "--as=nam"}, {"stash.appscode.com/backup-blueprint-", "--as=nam"}} {
		if out, err := annotate(args...); err != nil {
			t.Error(out)
		}
	}
	if n := asked(); n != 0 {
		t.Errorf("asked %d times of what asks for nothing", n)
	}
}

// testNoCalls counts, by the API server's own metrics, how often it asks the hooks of policies.
func testNoCalls(t *testing.T, s *apiserver.Server) {
	calls := func() (n float64) {
		t.Helper()
		const metric = "apiserver_admission_webhook_admission_duration_seconds_count{"
		for lines := bufio.NewScanner(strings.NewReader(s.Kubectl(t, "", "get", "--raw", "/metrics"))); lines.Scan(); {
			line := lines.Text()
			if !strings.HasPrefix(line, metric) || !strings.Contains(line, ".protection."+api.Group) && !strings.Contains(line, ".default.workloads."+api.Group) {
				continue
			}
			count, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			n += count
		}
		return n
	}
	before := calls()
	const workload = `{apiVersion: apps/v1, kind: %s, metadata: {name: other, namespace: %s, labels: {tier: none}}, spec: {selector: {matchLabels: {a: b}}, template: {
  metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}}`
	write := func(kind, namespace string) {
		t.Helper()
		text := strings.NewReplacer("%s, metadata", kind+", metadata", "namespace: %s", "namespace: "+namespace).Replace(workload)
		s.Kubectl(t, text, "create", "--filename=-")
		s.Kubectl(t, "", "label", strings.ToLower(kind), "other", "any=thing", "--namespace="+namespace)
		s.Kubectl(t, "", "delete", strings.ToLower(kind), "other", "--namespace="+namespace)
	}
	write("Deployment", "plain")
	write("DaemonSet", "plain")
	write("Deployment", "kube-system")
	write("Deployment", "gold") // its label is not selected
	s.Kubectl(t, `{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: any, namespace: plain}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`, "create", "--filename=-")
	s.Kubectl(t, "", "create", "configmap", "any", "--namespace=gold")
	s.Kubectl(t, "", "scale", "deployment", "legacy", "--replicas=0", "--namespace=gold")
	s.Kubectl(t, "", "patch", "deployment", "legacy", "--namespace=gold", "--subresource=status", "--type=merge", `--patch={"status":{"observedGeneration":1}}`)
	s.Kubectl(t, "", "delete", "deployment", "legacy", "--namespace=gold")
	if n := calls() - before; n != 0 {
		t.Errorf("%.0f calls", n)
	}
	// The count is one that moves.
	s.Kubectl(t, "", "label", "deployment", "kept", "any=thing", "--namespace=gold")
	if n := calls() - before; n == 0 {
		t.Error("no call for an object that is selected")
	}
}
