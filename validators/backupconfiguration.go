package validators

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/rollout"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/task"
)

// BackupConfiguration validates c. Old is what it replaces, nil on creation and for stored objects;
// a request that leaves the spec as it is is never refused.
func BackupConfiguration(c, old *v1beta1.BackupConfiguration, f Facts) Result {
	var r Result
	if old != nil && equality.Semantic.DeepEqual(c.Spec, old.Spec) {
		return r
	}
	if old != nil {
		r.expandedConfiguration(c, old)
	}
	r.missing(f.Missing, "nothing is backed up before it does")
	spec, forms := c.Spec.Shipped()
	r.drafts(forms)
	at := field.NewPath("spec")
	r.driver(spec.Driver, at.Child("driver"))
	if spec.Target != nil {
		spec.Task = r.claimTask(spec.Task, spec.Target.Ref, task.ActionBackup, at.Child("task"))
	}
	r.unsupported(&spec.Task, spec.InterimVolumeTemplate != nil, spec.Hooks != nil, at)
	r.schedule(spec.Schedule, spec.TimeZone, at)
	r.retention(&spec.RetentionPolicy, at.Child("retentionPolicy"))
	r.positive(spec.TimeOut, at.Child("timeOut"))
	r.retry(spec.RetryConfig, at.Child("retryConfig"))
	r.history(spec.BackupHistoryLimit, at.Child("backupHistoryLimit"))
	r.tempDir(&spec.TempDir, at.Child("tempDir"))
	if spec.Target != nil && byJob(spec.Target.Ref) {
		r.jobRuntime(&spec.RuntimeSettings, at.Child("runtimeSettings"))
	} else {
		r.runtime(&spec.RuntimeSettings, at.Child("runtimeSettings"), false)
	}
	r.repositoryRef(spec.Repository, c.Namespace, podsNamespace(c), &f, at.Child("repository"))
	if spec.Target == nil {
		r.add(field.Forbidden(at.Child("target"), "a backup without a target (of the cluster's resources) is not supported yet: name a Deployment, StatefulSet, DaemonSet or PersistentVolumeClaim"))
		return r
	}
	mounts := r.backupTarget(c, &spec, &f, at.Child("target"))
	if old != nil {
		r.moved(&spec, old, at)
	}
	if f.TargetRuns && (old == nil || !sameMounts(&spec, old)) {
		r.lost(mounts, f.Target)
	}
	return r
}

// sameMounts tells whether the sidecar mounts what it did before.
func sameMounts(spec *v1beta1.BackupConfigurationSpec, old *v1beta1.BackupConfiguration) bool {
	before, _ := old.Spec.Shipped()
	return before.Target != nil && equality.Semantic.DeepEqual(before.Target.VolumeMounts, spec.Target.VolumeMounts) &&
		equality.Semantic.DeepEqual(before.Target.Paths, spec.Target.Paths)
}

// lost warns of volumes that keep the workload from being rolled out for its sidecar.
func (r *Result) lost(mounts []corev1.VolumeMount, workload runtime.Object) {
	kind, ok := target.Of(workload)
	if !ok {
		return
	}
	mounted := map[string]bool{}
	for i := range mounts {
		mounted[mounts[i].Name] = true
	}
	volumes := kind.PodTemplate(workload).Spec.Volumes
	for i := range volumes {
		if lost := target.Lost(&volumes[i]); mounted[volumes[i].Name] && lost != "" {
			r.warn("%s", rollout.Later(false, lost))
			return
		}
	}
}

// backupTarget returns the mounts that the sidecar gets, as far as they are known.
func (r *Result) backupTarget(c *v1beta1.BackupConfiguration, spec *v1beta1.BackupConfigurationSpec, f *Facts, at *field.Path) []corev1.VolumeMount {
	t := spec.Target
	r.later(t.Replicas != nil, at.Child("replicas"), "the driver VolumeSnapshotter, and this field of it, is")
	r.later(t.SnapshotClassName != "", at.Child("snapshotClassName"), "the driver VolumeSnapshotter, and this field of it, is")
	r.alias(t.Alias, at.Child("alias"))
	kind, ok := r.ref(t.Ref, c.Namespace, spec.Task.Name != "", f, at.Child("ref"))
	r.block(f.Target, at.Child("ref"))
	r.patterns(t.Exclude, at.Child("exclude"))
	if err := restic.AllowedBackupArgs(t.Args); err != nil {
		r.add(field.Invalid(at.Child("args"), t.Args, err.Error()))
	}
	// Without a supported kind, or with a Task, nothing is known about what it needs.
	if !ok || spec.Task.Name != "" {
		return nil
	}
	r.later(t.MountPath != "", at.Child("mountPath"), "this way to mount a claim is")
	draft := c.Spec.Target.Directories
	pathsAt := at.Child("paths")
	if len(c.Spec.Target.Paths) == 0 && len(draft) > 0 {
		pathsAt = at.Child("directories")
	}
	if r.manyMounts(t.Ref, t.VolumeMounts, at) {
		return nil
	}
	if len(t.Paths) == 0 {
		r.add(field.Required(pathsAt, "the folders to back up, each inside one of volumeMounts; for example /source/data"))
	}
	mounts := r.volumes(volumes{mounts: t.VolumeMounts, paths: t.Paths, at: pathsAt, draft: len(draft) > 0}, at, f)
	// What the containers do not mount was said where the mounts were derived.
	// In the pod of a claim's Job there is nothing else: what is found outside is Stash's own.
	r.paths(t.Paths, mountedAt(t.VolumeMounts), pathsAt, t.Ref.IsClaim())
	r.unprotected(c, t, f)
	r.neighbours(c, spec, kind, f)
	return mounts
}

// moved refuses what would give a configuration with a history another identity: its snapshots stay
// under the old one, and so would the sidecar.
func (r *Result) moved(spec *v1beta1.BackupConfigurationSpec, old *v1beta1.BackupConfiguration, at *field.Path) {
	used := old.Status.Phase == v1beta1.BackupInvokerReady || old.Status.LastSession != nil || len(old.Status.Hosts) > 0
	before, _ := old.Spec.Shipped()
	if !used || before.Target == nil {
		return
	}
	if !target.Same(before.Target.Ref, old.Namespace, spec.Target.Ref, old.Namespace) {
		r.add(field.Forbidden(at.Child("target", "ref"), "the target of a configuration in use cannot be changed: create another BackupConfiguration and delete this one"))
	}
	if before.Target.Alias != spec.Target.Alias {
		r.add(field.Forbidden(at.Child("target", "alias"), "the alias of a configuration in use cannot be changed, since its snapshots are stored under it: create another BackupConfiguration"))
	}
	if before.Repository != spec.Repository {
		r.warn("%s changes: the snapshots taken so far stay in Repository %q", at.Child("repository"), before.Repository.Name)
	}
}

// neighbours compares c with other configurations: a location, host and path belong to one target.
func (r *Result) neighbours(c *v1beta1.BackupConfiguration, spec *v1beta1.BackupConfigurationSpec, kind target.Kind, f *Facts) {
	paths := map[string]bool{}
	for _, p := range clean(spec.Target.Paths) {
		paths[p] = true
	}
	for _, n := range f.Configurations {
		o := n.Configuration
		if o == nil || o.Namespace == c.Namespace && o.Name == c.Name {
			continue
		}
		other, _ := o.Spec.Shipped()
		if other.Target == nil {
			continue
		}
		same := target.Same(spec.Target.Ref, c.Namespace, other.Target.Ref, o.Namespace)
		name, whose := neighbour(c, o, &other)
		if n.SharesLocation && sharesSnapshots(kind, spec.Target, other.Target, paths) {
			if same {
				whose = "the same target"
			}
			r.addOnce(field.Forbidden(field.NewPath("spec", "repository"), fmt.Sprintf(
				"%s, of %s, keeps the same host and path at the same place of the backend, and retention would delete the snapshots of both: use another prefix in the Repository, or set spec.target.alias",
				whose, name)))
			continue
		}
		if same {
			r.warnOnce("%s backs up the same target", name)
			continue
		}
		if !n.SharesLocation {
			continue
		}
		r.warnOnce("%s keeps the snapshots of another target at the same place of the backend: one prefix for each target is easier to restore and to delete", name)
	}
}

// neighbour names a configuration, and its target, to whoever writes c: those of other namespaces are
// none of theirs.
func neighbour(c, o *v1beta1.BackupConfiguration, spec *v1beta1.BackupConfigurationSpec) (name, whose string) {
	if o.Namespace != c.Namespace {
		return "a BackupConfiguration of another namespace", "another target"
	}
	name = fmt.Sprintf("BackupConfiguration %q", o.Namespace+"/"+o.Name)
	if target.Namespace(spec.Target.Ref, o.Namespace) != c.Namespace {
		return name, "another target"
	}
	return name, target.KeyOf(spec.Target.Ref, o.Namespace)
}

// sharesSnapshots tells whether two configurations would keep snapshots of the same host and path.
// Paths are those of a.
func sharesSnapshots(kind target.Kind, a, b *v1beta1.BackupTarget, paths map[string]bool) bool {
	otherKind, err := target.FindRef(b.Ref)
	return err == nil && target.HostsOverlap(kind, a.Alias, otherKind, b.Alias) && slices.ContainsFunc(clean(b.Paths), func(p string) bool { return paths[p] })
}
