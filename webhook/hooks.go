package webhook

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// Serve names the handler of a hook.
type Serve string

// Handlers.
const (
	// ServePod completes pods.
	ServePod Serve = "pod"
	// ServeRestoringPod holds back pods of workloads under restore.
	ServeRestoringPod Serve = "restoringPod"
	// ServeWorkload expands annotations and stamps pod templates.
	ServeWorkload Serve = "workload"
	// ServeOwn validates our own kinds.
	ServeOwn Serve = "own"
	// ServeProtection judges objects by a ProtectionPolicy.
	ServeProtection Serve = "protection"
	// ServeNamespace validates a Namespace that names a blueprint.
	ServeNamespace Serve = "namespace"
	// ServeWithdrawal judges by ProtectionPolicies what a request takes from objects that it is not about.
	ServeWithdrawal Serve = "withdrawal"
)

// Entries says what entries a hook of policies has in the configurations.
type Entries string

// Entries of a hook of policies.
const (
	// EntriesOfObjects: one for each policy, for the objects that it selects.
	EntriesOfObjects Entries = ""
	// EntriesOfNamespaces: one for each policy, for the namespaces that it selects.
	EntriesOfNamespaces Entries = "namespaces"
	// EntryOfAll: one for all policies together.
	EntryOfAll Entries = "all"
)

// Hook is one row of the table: everything that the API server and the mux are told about it.
type Hook struct {
	// Name, to which our group is appended in the configuration.
	Name string
	// Path of the route.
	Path string
	// Mutating hooks may patch; the others only allow or deny.
	Mutating bool
	Rules    []admissionregistrationv1.RuleWithOperations
	// FailurePolicy says what happens to requests while we do not answer.
	FailurePolicy admissionregistrationv1.FailurePolicyType
	// Unsafe says why the other failure policy cannot be chosen; empty where it can.
	Unsafe string
	// Risk says what it means to choose the other failure policy, where that can be done.
	Risk string
	// TimeoutSeconds that the API server waits.
	TimeoutSeconds int32
	// Excluded leaves out the namespaces that a cluster needs to run and our own.
	Excluded bool
	// Namespaces and Objects select by labels.
	Namespaces []metav1.LabelSelectorRequirement
	Objects    []metav1.LabelSelectorRequirement
	// Unfinished also leaves out the objects whose restore has ended; their hashes change at run time.
	Unfinished bool
	// MatchConditions are CEL; they never use namespaceObject, which fails at evaluation.
	MatchConditions []admissionregistrationv1.MatchCondition
	// Policies makes an entry of the hook for each ProtectionPolicy with one of these actions, which
	// selects namespaces, objects and kinds; without such a policy there is none.
	Policies []v1beta1.ProtectionAction
	// Entries says what a policy selects of the hook.
	Entries Entries
	// OwnWrites leaves out requests of the operator itself, which checks before it writes.
	OwnWrites bool
	// Reinvoked hooks are asked again where a later webhook changed the object.
	Reinvoked bool
	// Serve names the handler.
	Serve Serve
	// Kind is the one that ServeOwn accepts at this path.
	Kind string
	// Purpose is one sentence for the documentation.
	Purpose string
}

// annotated tells whether the object carries an annotation of ours, now or before the request.
const annotated = `(has(object.metadata.annotations) && object.metadata.annotations.exists(k, k.startsWith("` + api.Group + `/")))` +
	` || (oldObject != null && has(oldObject.metadata.annotations) && oldObject.metadata.annotations.exists(k, k.startsWith("` + api.Group + `/")))`

// people leaves out the controllers of Kubernetes, which write a workload's status and revision and
// never its pod template.
const people = `!(request.userInfo.username in ["system:kube-controller-manager", "system:serviceaccount:kube-system:deployment-controller",` +
	` "system:serviceaccount:kube-system:statefulset-controller", "system:serviceaccount:kube-system:daemon-set-controller"])`

// withoutNamespaces leaves out who deletes what is in a namespace that is being deleted.
const withoutNamespaces = `request.userInfo.username != "system:serviceaccount:kube-system:namespace-controller"`

// early is why a hook of restores cannot fail open.
const early = "a pod would start before its data is restored, and the data would be lost"

// Hooks is the table as it is without Settings, in the order of the configurations.
func Hooks() []Hook {
	return slices.Concat(podHooks(), workloadHooks(), policyHooks(), withdrawalHooks(), ownHooks())
}

func podHooks() []Hook {
	pods := []admissionregistrationv1.RuleWithOperations{rule("", []string{"v1"}, []string{"pods"}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Create)}
	return []Hook{
		{
			Name: "backup.pods", Path: "/mutate/pods/backup", Mutating: true, Rules: pods, Serve: ServePod,
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 2, Excluded: true, Reinvoked: true,
			Objects: []metav1.LabelSelectorRequirement{exists(api.LabelInject)},
			Risk:    "while no replica answers, no pod of a protected workload starts: not on another node when one is lost, and not when the cluster starts",
			Purpose: "Adds the backup sidecar to pods of stamped workloads.",
		},
		{
			Name: "restore.pods", Path: "/mutate/pods/restore", Mutating: true, Rules: pods, Serve: ServePod,
			FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 3, Excluded: true, Reinvoked: true, Unfinished: true,
			Objects: []metav1.LabelSelectorRequirement{exists(api.LabelRestore)}, Unsafe: early,
			Purpose: "Adds the restore init-container, and the sidecar; a pod whose restore is unknown does not start.",
		},
		{
			Name: "restoring.pods", Path: "/validate/pods/restoring", Rules: pods, Serve: ServeRestoringPod,
			FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 3, Excluded: true,
			Namespaces: []metav1.LabelSelectorRequirement{exists(api.LabelRestoring)}, Unsafe: early,
			Purpose: "While a namespace has a restore: holds back pods of its target that would start without it.",
		},
	}
}

func workloadHooks() []Hook {
	kinds := target.Workloads()
	resources := make([]string, 0, len(kinds))
	for _, k := range kinds {
		resources = append(resources, k.Resource)
	}
	rules := []admissionregistrationv1.RuleWithOperations{rule("apps", []string{"v1"}, resources, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Create, admissionregistrationv1.Update)}
	ofPeople := condition("not-by-kubernetes", people)
	return []Hook{
		{
			Name: "annotated.workloads", Path: "/mutate/workloads/annotated", Mutating: true, Rules: rules, Serve: ServeWorkload,
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Excluded: true, OwnWrites: true, Reinvoked: true,
			Namespaces:      []metav1.LabelSelectorRequirement{absent(api.LabelRestoring)},
			MatchConditions: []admissionregistrationv1.MatchCondition{ofPeople, condition("annotated", annotated)},
			Risk:            "while no replica answers, workloads with annotations of Stash cannot be created or changed",
			Purpose:         "Expands the annotations of a workload, refuses what cannot work, says what will appear, and stamps the pod template.",
		},
		{
			Name: "managed.workloads", Path: "/mutate/workloads/managed", Mutating: true, Rules: rules, Serve: ServeWorkload,
			FailurePolicy: admissionregistrationv1.Ignore, TimeoutSeconds: 3, Excluded: true, OwnWrites: true, Reinvoked: true,
			Namespaces:      []metav1.LabelSelectorRequirement{exists(api.LabelManaged), absent(api.LabelRestoring)},
			MatchConditions: []admissionregistrationv1.MatchCondition{ofPeople, condition("not-annotated", "!("+annotated+")")},
			Risk:            "while no replica answers, no workload of a namespace with configurations can be created or changed",
			Purpose:         "Stamps the pod templates of other workloads in namespaces with configurations.",
		},
		{
			Name: "restoring.workloads", Path: "/mutate/workloads/restoring", Mutating: true, Rules: rules, Serve: ServeWorkload,
			FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 3, Excluded: true, OwnWrites: true, Reinvoked: true,
			Namespaces:      []metav1.LabelSelectorRequirement{exists(api.LabelRestoring)},
			MatchConditions: []admissionregistrationv1.MatchCondition{ofPeople}, Unsafe: early,
			Purpose: "While a namespace has a restore: stamps its target, whoever writes it, so that no pod starts before its data is back.",
		},
	}
}

func ownHooks() []Hook {
	own := func(kind, resource string, scope admissionregistrationv1.ScopeType, versions []string, operations ...admissionregistrationv1.OperationType) Hook {
		return Hook{
			Name: resource, Path: "/validate/" + resource, Serve: ServeOwn, Kind: kind, OwnWrites: true,
			Rules:         []admissionregistrationv1.RuleWithOperations{rule(api.Group, versions, []string{resource}, scope, operations...)},
			FailurePolicy: admissionregistrationv1.Fail, TimeoutSeconds: 3,
			Unsafe:  "objects would be stored without asking whether their authors have the rights that Stash will use",
			Purpose: "Validates a " + kind + ", what schema and CEL cannot.",
		}
	}
	create, update := admissionregistrationv1.Create, admissionregistrationv1.Update
	// What goes, goes also while nobody answers: a namespace with a Repository could not be deleted else.
	deletion := own("Repository", "repositories", admissionregistrationv1.NamespacedScope, []string{"v1alpha1", "v1alpha2"}, admissionregistrationv1.Delete)
	deletion.Name, deletion.Path, deletion.FailurePolicy = "deletion.repositories", "/validate/repositories/deletion", admissionregistrationv1.Ignore
	deletion.MatchConditions = []admissionregistrationv1.MatchCondition{condition("not-with-its-namespace", withoutNamespaces)}
	deletion.Unsafe, deletion.Risk = "", "while no replica answers, no Repository can be deleted"
	deletion.Purpose = "Warns who uses a Repository that is deleted, and refuses to delete data that is in use."
	namespaced, cluster := admissionregistrationv1.NamespacedScope, admissionregistrationv1.ClusterScope
	beta := []string{"v1beta1"}
	return []Hook{
		own("Repository", "repositories", namespaced, []string{"v1alpha1", "v1alpha2"}, create, update),
		deletion,
		own("BackupConfiguration", "backupconfigurations", namespaced, beta, create, update),
		own("BackupSession", "backupsessions", namespaced, beta, create, update),
		own("RestoreSession", "restoresessions", namespaced, beta, create, update),
		own("BackupBlueprint", "backupblueprints", cluster, beta, create, update),
		own("BackupTemplate", "backuptemplates", cluster, beta, create, update),
		own("ProtectionPolicy", "protectionpolicies", cluster, beta, create, update),
		own("Function", "functions", cluster, beta, create, update),
		own("Task", "tasks", cluster, beta, create, update),
	}
}

func rule(group string, versions, resources []string, scope admissionregistrationv1.ScopeType, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: versions, Resources: resources, Scope: &scope},
	}
}

func condition(name, expression string) admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{Name: name, Expression: expression}
}

func exists(key string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpExists}
}

func absent(key string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist}
}
