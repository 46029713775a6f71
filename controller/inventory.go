package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/protection"
	"github.com/seed-731df569/stash/target"
)

// inventory is what policies are judged by, read once for all objects. It holds the cache's own objects:
// nothing of it is changed.
type inventory struct {
	namespaces map[string]protection.Namespace
	// backups by the key of their target.
	backups map[string][]protection.Backup
	// repositories are those of the configurations.
	repositories map[*v1beta1.BackupConfiguration]*v1alpha1.Repository
	origins      *origins
}

func (w *World) newInventory() *inventory {
	return &inventory{
		namespaces: map[string]protection.Namespace{}, backups: map[string][]protection.Backup{},
		repositories: map[*v1beta1.BackupConfiguration]*v1alpha1.Repository{}, origins: w.origins(),
	}
}

// of returns the backups of a target. What says to come from a blueprint, and lies elsewhere, says so.
func (in *inventory) of(ctx context.Context, t *blueprint.Target) ([]protection.Backup, error) {
	out := slices.Clone(in.backups[target.Key(t.Kind.String(), t.Namespace, t.Name)])
	for i := range out {
		var err error
		if out[i].Strayed, err = in.origins.strayed(ctx, t, out[i].Configuration, in.repositories[out[i].Configuration]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inventory reads namespaces and backups from the cache.
func (w *World) inventory(ctx context.Context) (*inventory, error) {
	out := w.newInventory()
	var namespaces corev1.NamespaceList
	var repos v1alpha1.RepositoryList
	var configs v1beta1.BackupConfigurationList
	for _, list := range []client.ObjectList{&namespaces, &repos, &configs} {
		if err := w.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	for i := range namespaces.Items {
		// What is in a namespace that goes away needs no protection any more.
		if n := &namespaces.Items[i]; n.DeletionTimestamp == nil {
			out.namespaces[n.Name] = protection.NamespaceOf(n)
		}
	}
	stored := make(map[string]*v1alpha1.Repository, len(repos.Items))
	for i := range repos.Items {
		stored[repos.Items[i].Namespace+"/"+repos.Items[i].Name] = &repos.Items[i]
	}
	for i := range configs.Items {
		c := &configs.Items[i]
		out.add(c, stored[repositoryKey(c.Spec.Repository, c.Namespace)])
	}
	return out, nil
}

// add takes in a configuration with its Repository; nil where there is none.
func (in *inventory) add(c *v1beta1.BackupConfiguration, repo *v1alpha1.Repository) {
	if c.Spec.Target == nil || c.DeletionTimestamp != nil {
		return
	}
	key, place := target.KeyOf(c.Spec.Target.Ref, c.Namespace), ""
	if repo != nil {
		place = location(repo)
		in.repositories[c] = repo
	}
	in.backups[key] = append(in.backups[key], protection.Backup{Configuration: c, Location: place, Problem: notReady(c)})
}

// usersOfClaimsIn are the workloads of a namespace with backups, for a request on one of its claims:
// read by index, since whoever may create claims decides how often.
func (w *World) usersOfClaimsIn(ctx context.Context, namespace string) (claimUsers, error) {
	in := w.newInventory()
	configs := &v1beta1.BackupConfigurationList{}
	if err := w.List(ctx, configs, client.MatchingFields{indexTargetIn: namespace}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list BackupConfigurations: %w", err)
	}
	for i := range configs.Items {
		c := &configs.Items[i]
		repo, err := w.Repository(ctx, c.Spec.Repository, c.Namespace)
		if err != nil {
			return nil, err
		}
		in.add(c, repo)
	}
	if len(in.backups) == 0 {
		return nil, nil //nolint:nilnil // no users are an answer
	}
	return w.usersOfClaims(ctx, in, client.InNamespace(namespace))
}

// notReady says why a configuration makes no backups; empty where it does, or where that is not known
// yet.
func notReady(c *v1beta1.BackupConfiguration) string {
	if c.Status.Phase == "" || c.Status.Phase == v1beta1.BackupInvokerReady {
		return ""
	}
	for _, kind := range []string{api.ValidationPassed, api.RepositoryFound, api.BackendSecretFound, api.BackupTargetFound, api.CronJobCreated, api.BackendReachable, api.StashSidecarInjected} {
		if cond := api.FindCondition(c.Status.Conditions, kind); cond != nil && cond.Status != metav1.ConditionTrue {
			return cond.Message
		}
	}
	return fmt.Sprintf("it is %s", c.Status.Phase)
}

// judgedObject is an object that a policy may select.
type judgedObject struct {
	object client.Object
	protection.Object
}

// objects calls fn for every object of a kind.
func (w *World) objects(ctx context.Context, k target.Kind, in *inventory, fn func(judgedObject)) error {
	if k.GVK == target.PersistentVolumeClaim().GVK {
		return w.claims(ctx, in, fn)
	}
	var failed error
	err := w.eachWorkload(ctx, k, func(o client.Object) {
		n, known := in.namespaces[o.GetNamespace()]
		t, ok := blueprint.TargetOf(o, o.GetNamespace())
		if !known || !ok || o.GetDeletionTimestamp() != nil {
			return
		}
		judged := protection.ObjectOf(&t, n)
		backups, err := in.of(ctx, &t)
		if failed = cmp.Or(failed, err); failed != nil {
			return
		}
		judged.Backups = backups
		fn(judgedObject{object: o, Object: judged})
	}, client.UnsafeDisableDeepCopy)
	return cmp.Or(err, failed)
}

// claims calls fn for every PersistentVolumeClaim. They are not kept in memory, and of each the metadata
// is read only.
func (w *World) claims(ctx context.Context, in *inventory, fn func(judgedObject)) error {
	users, err := w.usersOfClaims(ctx, in)
	if err != nil {
		return err
	}
	empty := func() *metav1.PartialObjectMetadataList { return metadataOf(target.PersistentVolumeClaim().GVK) }
	_, err = anyPage(ctx, w, empty, func(list *metav1.PartialObjectMetadataList) bool {
		for i := range list.Items {
			o := &list.Items[i]
			n, known := in.namespaces[o.Namespace]
			if !known || o.DeletionTimestamp != nil {
				continue
			}
			o.SetGroupVersionKind(target.PersistentVolumeClaim().GVK)
			fn(judgedObject{object: o, Object: claim(o, n, users)})
		}
		return false
	})
	return err
}

// claim makes what a policy looks at of a claim's metadata.
func claim(o metav1.Object, n protection.Namespace, users claimUsers) protection.Object {
	out := protection.Object{
		Kind: target.PersistentVolumeClaim(), Namespace: n, Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(), Persistent: true,
	}
	for _, u := range users[n.Name] {
		out.Backups = append(out.Backups, u.Holding(out.Name)...)
	}
	return out
}

// claimUsers are the workloads with backups, which may be of claims, by namespace.
type claimUsers map[string][]*protection.ClaimUser

// usersOfClaims reads them; options narrow where they are looked for. What may be spent on looking at their
// backups is a namespace's.
func (w *World) usersOfClaims(ctx context.Context, in *inventory, opts ...client.ListOption) (claimUsers, error) {
	out, looks := claimUsers{}, map[string]*target.Looks{}
	for _, k := range target.Workloads() {
		var failed error
		err := w.eachWorkload(ctx, k, func(o client.Object) {
			ns := o.GetNamespace()
			if len(in.backups[target.Key(k.String(), ns, o.GetName())]) == 0 {
				return
			}
			if t, ok := blueprint.TargetOf(o, ns); ok {
				backups, err := in.of(ctx, &t)
				if failed = cmp.Or(failed, err); failed != nil {
					return
				}
				if looks[ns] == nil {
					looks[ns] = &target.Looks{}
				}
				out[ns] = append(out[ns], protection.NewClaimUser(&t, backups, looks[ns]))
			}
		}, append(opts, client.UnsafeDisableDeepCopy)...)
		if err = cmp.Or(err, failed); err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource, err)
		}
	}
	in.claims(out, looks)
	return out, nil
}

// claims adds the claims that backups name themselves.
func (in *inventory) claims(to claimUsers, looks map[string]*target.Looks) {
	k := target.PersistentVolumeClaim()
	for key, backups := range in.backups {
		parts := strings.Split(key, "/")
		if len(parts) != 3 || parts[0] != k.String() {
			continue
		}
		ns, c := parts[1], &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: parts[1], Name: parts[2]}}
		t := blueprint.Target{Kind: k, Namespace: ns, Name: c.Name, Template: k.PodTemplate(c), Volumes: k.Volumes(c)}
		if looks[ns] == nil {
			looks[ns] = &target.Looks{}
		}
		to[ns] = append(to[ns], protection.NewClaimUser(&t, backups, looks[ns]))
	}
}
