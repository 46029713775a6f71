package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/session"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/webhook"
)

// Admission answers for the webhooks from the cache, on every replica. Plans are kept until
// something that they are made of changes.
type Admission struct {
	*World

	// epoch counts the changes of what plans are made of, beside the workload itself.
	epoch atomic.Int64
	// forgotten counts the changes of workloads.
	forgotten atomic.Int64
	mu        sync.RWMutex
	plans     map[types.UID]kept
}

// kept is a plan with what it was made of. A pod says itself who owns it, and may name the UID of
// somebody else's workload: the plan is for pods that name all of its workload.
type kept struct {
	plan   mutators.Plan
	owner  planOwner
	epoch  int64
	native bool
	made   time.Time
}

// planOwner is the workload of a plan.
type planOwner struct{ namespace, kind, name string }

var (
	_ webhook.Pods      = (*Admission)(nil)
	_ webhook.Workloads = (*Admission)(nil)
)

// NewAdmission returns the source of what webhooks read.
func NewAdmission(w *World) *Admission {
	return &Admission{World: w, plans: map[types.UID]kept{}}
}

// Changed makes all plans be made anew: a configuration, Repository, blueprint or namespace changed.
func (a *Admission) Changed() { a.epoch.Add(1) }

// Forget drops the plan of a workload that changed or is gone.
func (a *Admission) Forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgotten.Add(1)
	delete(a.plans, uid)
}

// BackupPlan implements webhook.Pods.
func (a *Admission) BackupPlan(ctx context.Context, pod webhook.PodRef) (mutators.Plan, error) {
	uid, ref, err := a.workloadUID(ctx, pod)
	if err != nil || ref.Name == "" {
		return mutators.Plan{}, err
	}
	owner := planOwner{namespace: pod.Namespace, kind: ref.Kind, name: ref.Name}
	epoch, native := a.epoch.Load(), a.Native.Load()
	a.mu.RLock()
	k, ok := a.plans[uid]
	forgotten := a.forgotten.Load()
	a.mu.RUnlock()
	if ok && k.owner == owner && k.epoch == epoch && k.native == native && !a.outdated(k) {
		return k.plan, nil
	}
	obj, kind, err := a.Workload(ctx, ref, pod.Namespace)
	if err != nil || obj == nil {
		return mutators.Plan{}, err
	}
	made := a.Now()
	plan, _, err := a.fullPlan(ctx, obj, kind, nil)
	if err != nil {
		return mutators.Plan{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// A workload that changed meanwhile was forgotten before its old plan came to be known.
	if a.forgotten.Load() == forgotten {
		a.plans[obj.GetUID()] = kept{plan: plan, owner: owner, epoch: epoch, native: native, made: made}
	}
	return plan, nil
}

// outdated tells of a plan whose pull secrets may have come or gone: Secrets are not watched.
func (a *Admission) outdated(k kept) bool {
	return len(a.PullSecrets) > 0 && a.Now().Sub(k.made) >= pullSecretsFor
}

// fullPlan makes the plan of a workload from stored configurations and from what its annotations
// expand into, which may not be stored yet.
func (a *Admission) fullPlan(ctx context.Context, obj client.Object, kind target.Kind, pairs []blueprint.Pair) (mutators.Plan, []mutators.Problem, error) {
	configs, err := a.allConfigs(ctx, obj, kind, pairs)
	if err != nil {
		return mutators.Plan{}, nil, err
	}
	return a.planOf(ctx, obj, kind, configs)
}

// allConfigs joins stored configurations with expanded ones, which hold where both have the name.
func (a *Admission) allConfigs(ctx context.Context, obj client.Object, kind target.Kind, pairs []blueprint.Pair) ([]v1beta1.BackupConfiguration, error) {
	configs, err := a.ConfigsOf(ctx, kind.Ref("", obj.GetName()), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	if pairs == nil {
		if t, ok := blueprint.TargetOf(obj, obj.GetNamespace()); ok {
			in, err := a.ExpansionInput(ctx, t)
			if err != nil {
				return nil, err
			}
			out, _ := blueprint.Expand(in)
			pairs = out.Pairs
		}
	}
	for _, p := range pairs {
		i := slices.IndexFunc(configs, func(c v1beta1.BackupConfiguration) bool {
			return c.Namespace == p.Configuration.Namespace && c.Name == p.Configuration.Name
		})
		if i >= 0 {
			configs[i].Spec = p.Configuration.Spec
		} else {
			configs = append(configs, *p.Configuration)
		}
	}
	return configs, nil
}

// workloadUID follows a pod's owner to its workload. A ReplicaSet that the cache does not have yet
// is read from the API server.
func (a *Admission) workloadUID(ctx context.Context, pod webhook.PodRef) (types.UID, v1beta1.TargetRef, error) {
	o := pod.Owner
	if o.Kind == "" {
		return "", v1beta1.TargetRef{}, nil
	}
	if o.Kind != "ReplicaSet" {
		return types.UID(o.UID), v1beta1.TargetRef{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name}, nil
	}
	key := client.ObjectKey{Namespace: pod.Namespace, Name: o.Name}
	set := &metav1.PartialObjectMetadata{}
	set.SetGroupVersionKind(replicaSetKind())
	err := a.Get(ctx, key, set)
	if apierrors.IsNotFound(err) {
		live := &appsv1.ReplicaSet{}
		if err = a.Live.Get(ctx, key, live); err == nil {
			set.ObjectMeta = live.ObjectMeta
		}
	}
	if err != nil {
		return "", v1beta1.TargetRef{}, fmt.Errorf("read ReplicaSet of the pod: %w", err)
	}
	ref := metav1.GetControllerOfNoCopy(set)
	if ref == nil || string(set.UID) != o.UID {
		return "", v1beta1.TargetRef{}, nil
	}
	return ref.UID, v1beta1.TargetRef{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name}, nil
}

// RestorePlan implements webhook.Pods.
func (a *Admission) RestorePlan(ctx context.Context, pod webhook.PodRef) (mutators.Plan, webhook.RestoreState, error) {
	list := &v1beta1.RestoreSessionList{}
	if err := a.List(ctx, list, client.MatchingFields{indexHash: pod.Stamp.Restore}); err != nil {
		return mutators.Plan{}, webhook.RestoreUnknown, fmt.Errorf("list RestoreSessions: %w", err)
	}
	if len(list.Items) == 0 {
		return a.restoreGone(ctx, pod)
	}
	rs := &list.Items[0]
	if rs.Spec.Target == nil || rs.Status.Phase == v1beta1.RestoreInvalid {
		return mutators.Plan{}, webhook.RestoreUnknown, nil
	}
	_, ref, err := a.workloadUID(ctx, pod)
	if err != nil {
		return mutators.Plan{}, webhook.RestoreUnknown, err
	}
	if !target.Same(ref, pod.Namespace, rs.Spec.Target.Ref, rs.Namespace) {
		return mutators.Plan{}, webhook.RestoreForeign, nil
	}
	if rs.Status.Phase == v1beta1.RestoreSucceeded {
		return mutators.Plan{}, webhook.RestoreFinished, nil
	}
	obj, kind, err := a.Workload(ctx, ref, pod.Namespace)
	if err != nil {
		return mutators.Plan{}, webhook.RestoreUnknown, err
	}
	if obj == nil {
		return mutators.Plan{}, webhook.RestoreUnknown, fmt.Errorf("%s \"%s/%s\" is not known", ref.Kind, pod.Namespace, ref.Name)
	}
	plan, problems, err := a.restorePlan(ctx, obj, kind, rs)
	if err == nil && plan.Empty() {
		err = fmt.Errorf("the pod cannot be restored: %s", joinProblems(problems))
	}
	return plan, webhook.RestoreActive, err
}

// restoreGone tells of a restore label that no RestoreSession in the cache answers to. The session may
// be newer than the cache, and then the pod must wait. One that the API server does not have either was
// deleted, perhaps long ago: templates, and revisions of them that are rolled back to, carry the labels
// of restores that nobody remembers, and no pod is to wait for these.
func (a *Admission) restoreGone(ctx context.Context, pod webhook.PodRef) (mutators.Plan, webhook.RestoreState, error) {
	live, err := a.liveRestores(ctx)
	if _, there := live[pod.Stamp.Restore]; err != nil || there {
		return mutators.Plan{}, webhook.RestoreUnknown, err
	}
	return mutators.Plan{}, webhook.RestoreFinished, nil
}

// liveRestores are the hashes of all RestoreSessions that the API server has; true: it is not being deleted.
// Any pod can name a restore, and many pods can come at once: one list at a time answers all of them. It
// begins after it is asked for, and a hash is made from a UID: a pod that has one which the list does not
// have is of a restore that is gone for good.
func (w *World) liveRestores(ctx context.Context) (map[string]bool, error) {
	return w.restores.ask(ctx, w.listRestores)
}

// listRestores is one look of liveRestores.
func (w *World) listRestores(ctx context.Context) (map[string]bool, error) {
	list := metadataOf(v1beta1.GroupVersion().WithKind(v1beta1.KindRestoreSession))
	if err := w.Live.List(ctx, list); err != nil {
		return nil, fmt.Errorf("list RestoreSessions: %w", err)
	}
	out := make(map[string]bool, len(list.Items))
	for i := range list.Items {
		out[mutators.HashRestore(string(list.Items[i].UID))] = list.Items[i].DeletionTimestamp == nil
	}
	return out, nil
}

func joinProblems(problems []mutators.Problem) string {
	text := ""
	for _, p := range problems {
		text = joined(text, p.Message)
	}
	return text
}

// ActiveRestore implements webhook.Pods.
func (a *Admission) ActiveRestore(ctx context.Context, pod webhook.PodRef) (name, hash string, err error) {
	_, ref, err := a.workloadUID(ctx, pod)
	if err != nil || ref.Name == "" {
		return "", "", err
	}
	rs, err := a.activeRestore(ctx, ref, pod.Namespace)
	if err != nil || rs == nil {
		return "", "", err
	}
	return rs.Name, rs.Status.Hash, nil
}

// activeRestore is the restore that pods of a workload must wait for.
func (a *Admission) activeRestore(ctx context.Context, ref v1beta1.TargetRef, namespace string) (*v1beta1.RestoreSession, error) {
	restores, err := a.RestoresOf(ctx, ref, namespace)
	if err != nil {
		return nil, err
	}
	return barring(restores), nil
}

// want says which stamp a workload is to carry for a plan, and when.
func (a *Admission) want(out *webhook.Wanted, obj client.Object, kind target.Kind, configs []v1beta1.BackupConfiguration, plan mutators.Plan) {
	out.Stamp.Inject = plan.Hash()
	out.Later = rollout.Later(waits(configs), plan.Lost(&kind.PodTemplate(obj).Spec, claimTemplates(obj)...))
	if m := remembered(configs, plan.Hash()); rollout.Withdrawn(m, plan.Hash(), plan.Image(), a.Now()) {
		out.Stamp.Inject, out.Withheld = "", rollout.WithdrawnMessage(m)
	}
}

// Wanted implements webhook.Workloads.
func (a *Admission) Wanted(ctx context.Context, w webhook.Workload) (webhook.Wanted, error) {
	obj, ok := w.Object.(client.Object)
	if !ok {
		return webhook.Wanted{}, fmt.Errorf("a %T is not an object", w.Object)
	}
	if obj.GetNamespace() == "" {
		obj.SetNamespace(w.Namespace)
	}
	pairs := w.Pairs
	if pairs == nil {
		pairs = []blueprint.Pair{}
	}
	configs, err := a.allConfigs(ctx, obj, w.Kind, pairs)
	if err != nil {
		return webhook.Wanted{}, err
	}
	var out webhook.Wanted
	if len(configs) > 0 {
		plan, problems, err := a.planOf(ctx, obj, w.Kind, configs)
		if err != nil {
			return out, err
		}
		out.Problems = problems
		if !plan.Empty() {
			a.want(&out, obj, w.Kind, configs, plan)
		}
	}
	rs, err := a.activeRestore(ctx, w.Kind.Ref("", obj.GetName()), w.Namespace)
	if err != nil {
		return out, err
	}
	if rs != nil && !session.RestoreFinished(rs.Status.Phase) || rs != nil && rs.Status.Phase == v1beta1.RestoreFailed {
		out.Stamp.Restore = rs.Status.Hash
	}
	return out, nil
}
