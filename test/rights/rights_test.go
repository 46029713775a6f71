// Package rights_test holds the operator's rights to what its code does: each has a place that needs
// it, and each write has a right. What nobody uses, an attacker would.
package rights_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// need is a right and the function that uses it.
type need struct {
	role  string // of the cluster, or of the operator's own namespace
	what  string // group/resource, [name] where it is limited to one
	verbs string
	where string // folder: function, or type.method
	by    string // what stands in the function, where it is no write of a client
}

const (
	cluster, own = "ClusterRole", "Role"
	watch        = "get list watch" // what a cache needs
	ours, apps   = "stash.appscode.com/", "apps/"
	hooks        = "admissionregistration.k8s.io/"
)

// needs are all rights.
func needs() []need {
	return slices.Concat(lookedAt(), []need{
		{cluster, ours + "backupconfigurations", watch, "controller: setupBackupConfigurations", "v1beta1.BackupConfiguration"},
		{cluster, ours + "backupconfigurations", "create update", "controller: Workloads.storeConfiguration", ""},
		{cluster, ours + "backupconfigurations", "delete", "controller: Workloads.collect", ""},
		{cluster, ours + "backupconfigurations/status", "update", "controller: BackupConfigurations.Reconcile", ""},
		{cluster, ours + "repositories", watch, "controller: setupRepositories", "v1alpha1.Repository"},
		{cluster, ours + "repositories", "create update", "controller: Workloads.storeRepository", ""},
		{cluster, ours + "repositories/status", "update", "controller: Repositories.act", ""},
		{cluster, ours + "repositories/status", "update", "controller: World.holds", ""},
		{cluster, ours + "backupsessions", watch, "controller: setupBackupSessions", "v1beta1.BackupSession"},
		{cluster, ours + "backupsessions", "create", "controller: Schedule.create", ""},
		{cluster, ours + "backupsessions", "create", "controller: BackupSessions.retry", ""},
		{cluster, ours + "backupsessions", "delete", "controller: BackupConfigurations.forget", ""},
		{cluster, ours + "backupsessions", "patch", "controller: BackupSessions.adopt", ""},
		{cluster, ours + "backupsessions/status", "update", "controller: BackupSessions.act", ""},
		{cluster, ours + "backupsessions/status", "update", "controller: BackupSessions.retry", ""},
		{cluster, ours + "backupsessions/status", "update", "controller: updateStatus", ""},
		{cluster, ours + "restoresessions", watch, "controller: setupRestoreSessions", "v1beta1.RestoreSession"},
		{cluster, ours + "restoresessions/status", "update", "controller: RestoreSessions.act", ""},
		{cluster, ours + "backupblueprints", watch, "controller: setupWorkloads", "v1beta1.BackupBlueprint"},
		{cluster, ours + "backuptemplates", watch, "controller: setupWorkloads", "v1beta1.BackupTemplate"},
		{cluster, ours + "protectionpolicies", watch, "controller: setupProtectionPolicies", "v1beta1.ProtectionPolicy"},
		{cluster, ours + "protectionpolicies/status", "update", "controller: ProtectionPolicies.Reconcile", ""},

		{cluster, "secrets", "get", "controller: World.secret", "w.Live.Get"},
		{cluster, apps + "deployments", watch, "controller: setupWorkloads", "target.Workloads"},
		{cluster, apps + "statefulsets", watch, "controller: setupWorkloads", "target.Workloads"},
		{cluster, apps + "daemonsets", watch, "controller: setupWorkloads", "target.Workloads"},
		{cluster, apps + "deployments", "patch", "controller: World.labelTemplate", ""},
		{cluster, apps + "statefulsets", "patch", "controller: World.labelTemplate", ""},
		{cluster, apps + "daemonsets", "patch", "controller: World.labelTemplate", ""},
		{cluster, apps + "replicasets", watch, "controller: World.workloadOfPod", "replicaSetKind"},
		{cluster, apps + "replicasets", "patch", "controller: RestoreSessions.touchShort", ""},
		{cluster, "pods", watch, "controller: setupBackupSessions", "corev1.Pod"},
		{cluster, "pods", "create", "controller: Workloads.try", "client.DryRunAll"},
		{cluster, "pods", "create", "controller: World.Closed", "client.DryRunAll"},
		{cluster, "pods", "create", "controller: World.tryPod", "client.DryRunAll"},
		{cluster, "pods", "delete", "controller: RestoreSessions.deletePods", ""},
		{cluster, "pods", "delete", "controller: Workloads.free", ""},
		{cluster, "pods/eviction", "create", "controller: Workloads.replace", `SubResource("eviction")`},
		{cluster, "persistentvolumeclaims", "get", "controller: World.volumeID", "PersistentVolumeClaim"},
		{cluster, "persistentvolumeclaims", "list", "controller: World.claims", "PartialObjectMetadataList"},
		{cluster, "nodes", watch, "controller: World.WatchNodes", "corev1.Node"},
		{cluster, "namespaces", watch, "controller: setupBackupConfigurations", "corev1.Namespace"},
		{cluster, "namespaces", "patch", "controller: World.labelNamespace", ""},
		{cluster, "resourcequotas", watch, "cmd/stash: assembly.watchPlans", "corev1.ResourceQuota"},
		{cluster, "batch/jobs", watch, "controller: setupRepositories", "batchv1.Job"},
		{cluster, "batch/jobs", "create", "controller: Repositories.createWorker", ""},
		{cluster, "batch/jobs", "delete", "controller: Repositories.ensureWorker", ""},
		{cluster, "batch/jobs", "create", "controller: World.execute", ""},
		{cluster, "batch/jobs", "create", "controller: World.tryJob", "client.DryRunAll"},
		{cluster, "batch/jobs", "delete", "controller: World.deleteJob", ""},
		{cluster, "configmaps", "create", "controller: World.createCA", ""},
		{cluster, "configmaps [stash-ca]", watch, "controller: setupAuthorities", "corev1.ConfigMap"},
		{cluster, "configmaps [stash-ca]", "update", "controller: World.ensureCA", ""},
		{cluster, "authentication.k8s.io/tokenreviews", "create", "broker: Authenticator.Identify", "TokenReview"},
		{cluster, "authorization.k8s.io/subjectaccessreviews", "create", "controller: Rights.Allowed", "SubjectAccessReview"},
		{cluster, hooks + "mutatingwebhookconfigurations", "create", "controller: WebhookConfigurations.put", ""},
		{cluster, hooks + "validatingwebhookconfigurations", "create", "controller: WebhookConfigurations.put", ""},
		{cluster, hooks + "mutatingwebhookconfigurations [stash]", "get update", "controller: WebhookConfigurations.put", ""},
		{cluster, hooks + "validatingwebhookconfigurations [stash]", "get update", "controller: WebhookConfigurations.put", ""},
		{cluster, "rbac.authorization.k8s.io/clusterroles [stash-operator]", "get", "controller: WebhookConfigurations.keep", "rbacv1.ClusterRole"},
		// An event that is repeated is patched; leader election writes those of the older group.
		{cluster, "events.k8s.io/events", "create patch", "cmd/stash: run", "GetEventRecorder"},
		{cluster, "events", "create patch", "cmd/stash: newManager", "LeaderElection:"},

		{own, "coordination.k8s.io/leases", "get create update", "cmd/stash: newManager", "LeaderElection:"},
		{own, "coordination.k8s.io/leases", "create", "controller: World.claim", ""},
		{own, "coordination.k8s.io/leases", "get", "controller: World.claimant", ""},
		{own, "coordination.k8s.io/leases", "update", "controller: World.takeOver", ""},
		{own, "coordination.k8s.io/leases", "delete", "controller: World.unclaim", ""},
		{own, "coordination.k8s.io/leases", "delete", "controller: World.exclusiveWork", ""},
		{own, "secrets", "create", "certs: Keeper.once", ""},
		{own, "secrets [stash-certs]", "update", "certs: Keeper.once", ""},
	})
}

// lookedAt are the rights with which stash doctor compares an installation with its build; what else
// it reads, the operator reads too.
func lookedAt() []need {
	out := []need{
		{own, "cert-manager.io/certificates [stash]", "get", "certs: CertManager.read", ".Get(ctx"},
		{cluster, "authorization.k8s.io/subjectaccessreviews", "create", "doctor: Doctor.may", ""},
		{cluster, "pods", "create", "doctor: Doctor.reached", "client.DryRunAll"},
	}
	for _, kind := range []string{"backupblueprints", "backupconfigurations", "backupsessions", "backuptemplates", "functions", "protectionpolicies", "repositories", "restoresessions", "tasks"} {
		name := kind + "." + strings.TrimSuffix(ours, "/")
		out = append(out, need{cluster, "apiextensions.k8s.io/customresourcedefinitions [" + name + "]", "get", "doctor: Doctor.kinds", "client.Get(ctx"})
	}
	for _, policy := range []string{"tokens", "webhooks-must-exist", "namespaces"} {
		name := " [" + policy + "." + strings.TrimSuffix(ours, "/") + "]"
		out = append(out,
			need{cluster, hooks + "validatingadmissionpolicies" + name, "get", "doctor: Doctor.policies", "judgePolicy("},
			need{cluster, hooks + "validatingadmissionpolicybindings" + name, "get", "doctor: Doctor.policies", "judgeBinding("})
	}
	return out
}

func TestEachRightIsNeededAndEachNeedIsARight(t *testing.T) {
	given := granted(t)
	needed := map[string]bool{}
	for _, n := range needs() {
		for verb := range strings.FieldsSeq(n.verbs) {
			right := n.role + " " + n.what + " " + verb
			needed[right] = true
			if given[right] == 0 {
				t.Errorf("%s is needed by %s and not in deploy/rbac.yaml", right, n.where)
			}
		}
	}
	for right, times := range given {
		if !needed[right] {
			t.Errorf("%s is in deploy/rbac.yaml and nothing needs it: remove it, or say here what does", right)
		}
		if times > 1 {
			t.Errorf("%s is given by %d rules", right, times)
		}
		if inCluster, isOwn := strings.CutPrefix(right, own+" "); isOwn && given[cluster+" "+inCluster] > 0 {
			t.Errorf("%s is given by the ClusterRole already", right)
		}
	}
}

// granted counts how often each right is given.
func granted(t *testing.T) map[string]int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "deploy", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile(filepath.Join(root, "deploy", "cert-manager", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	data = slices.Concat(data, []byte("\n---\n"), more)
	given := map[string]int{}
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			t.Fatal(err)
		}
		for _, r := range role.Rules {
			for _, right := range rights(r) {
				given[role.Kind+" "+right]++
			}
		}
	}
	return given
}

func rights(r rbacv1.PolicyRule) []string {
	var out []string
	names := r.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			for _, name := range names {
				for _, verb := range r.Verbs {
					out = append(out, strings.TrimPrefix(group+"/", "/")+resource+named(name)+" "+verb)
				}
			}
		}
	}
	return out
}

func named(name string) string {
	if name == "" {
		return ""
	}
	return " [" + name + "]"
}

// write is the method of a client that a verb is.
func write(n need, verb string) string {
	switch {
	case n.by != "":
		return n.by
	case strings.HasSuffix(n.what, "/status"):
		return "Status()" + call(verb)
	}
	return call(verb)
}

func call(verb string) string { return "." + strings.ToUpper(verb[:1]) + verb[1:] + "(ctx" }

func TestEachNeedIsWhereItIsSaid(t *testing.T) {
	functions := read(t)
	for _, n := range needs() {
		text, found := functions[n.where]
		if !found {
			t.Errorf("%s is gone: %s %s may be superfluous", n.where, n.what, n.verbs)
			continue
		}
		for verb := range strings.FieldsSeq(n.verbs) {
			if want := write(n, verb); !strings.Contains(text, want) {
				t.Errorf("%s does not hold %s: it may not need to %s %s", n.where, want, verb, n.what)
			}
		}
	}
}

func TestEachWriteHasItsRight(t *testing.T) {
	for where, text := range read(t) {
		for _, verb := range []string{"create", "update", "patch", "delete", "deleteAllOf"} {
			known := slices.ContainsFunc(needs(), func(n need) bool {
				return n.where == where && slices.Contains(strings.Fields(n.verbs), verb)
			})
			if strings.Contains(text, call(verb)) && !known {
				t.Errorf("%s writes with %s…): say here what it needs", where, call(verb))
			}
		}
	}
}

// read returns the functions of the packages that talk to the API server, by folder and name.
func read(t *testing.T) map[string]string {
	t.Helper()
	functions := map[string]string{}
	for _, dir := range []string{"controller", "certs", "broker", "webhook", "doctor", "cmd/stash"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files in %s, %v", len(files), dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					functions[dir+": "+nameOf(f)] = string(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
				}
			}
		}
	}
	return functions
}

// nameOf returns function or type.method.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	of := f.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	return fmt.Sprintf("%s.%s", of, f.Name.Name)
}
