package validators

import (
	"fmt"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/task"
)

// latest stands for the newest snapshot of each path.
const latest = "latest"

// RestoreSession validates rs. Old is what it replaces, nil on creation and for stored objects.
func RestoreSession(rs, old *v1beta1.RestoreSession, f Facts) Result {
	var r Result
	at := field.NewPath("spec")
	if old != nil {
		// The API server refuses this too; a user without a cluster has no API server.
		if !equality.Semantic.DeepEqual(rs.Spec, old.Spec) {
			r.add(field.Forbidden(at, "the spec of a RestoreSession cannot be changed: create another one"))
		}
		return r
	}
	r.missing(f.Missing, "the restore waits for it; if the name is wrong, delete this RestoreSession and create another one")
	spec, forms := rs.Spec.Shipped()
	r.drafts(forms)
	r.driver(spec.Driver, at.Child("driver"))
	if spec.Target != nil {
		spec.Task = r.claimTask(spec.Task, spec.Target.Ref, task.ActionRestore, at.Child("task"))
	}
	r.unsupported(&spec.Task, spec.InterimVolumeTemplate != nil, spec.Hooks != nil, at)
	r.positive(spec.TimeOut, at.Child("timeOut"))
	r.tempDir(&spec.TempDir, at.Child("tempDir"))
	if spec.Target != nil && byJob(spec.Target.Ref) {
		r.jobRuntime(&spec.RuntimeSettings, at.Child("runtimeSettings"))
	} else {
		r.runtime(&spec.RuntimeSettings, at.Child("runtimeSettings"), true)
	}
	pods := rs.Namespace
	if spec.Target != nil {
		pods = target.Namespace(spec.Target.Ref, rs.Namespace)
	}
	r.repositoryRef(spec.Repository, rs.Namespace, pods, &f, at.Child("repository"))
	if spec.Target == nil {
		r.add(field.Forbidden(at.Child("target"), "a restore without a target (of the cluster's resources) is not supported yet: name a Deployment, StatefulSet, DaemonSet or PersistentVolumeClaim"))
		return r
	}
	r.restoreTarget(rs, &spec, &f, at.Child("target"))
	return r
}

func (r *Result) restoreTarget(rs *v1beta1.RestoreSession, spec *v1beta1.RestoreSessionSpec, f *Facts, at *field.Path) {
	t := spec.Target
	r.later(t.Replicas != nil, at.Child("replicas"), "a restore into new claims, and this field of it, is")
	r.later(len(t.VolumeClaimTemplates) > 0, at.Child("volumeClaimTemplates"), "a restore into new claims is")
	r.alias(t.Alias, at.Child("alias"))
	kind, ok := r.ref(t.Ref, rs.Namespace, spec.Task.Name != "", f, at.Child("ref"))
	r.block(f.Target, at.Child("ref"))
	if err := restic.AllowedRestoreArgs(t.Args); err != nil {
		r.add(field.Invalid(at.Child("args"), t.Args, err.Error()))
	}
	if !ok || spec.Task.Name != "" {
		return
	}
	r.later(t.MountPath != "", at.Child("mountPath"), "this way to mount a claim is")
	rulesAt := at.Child("rules")
	var draft bool
	if rs.Spec.Target != nil {
		draft = len(rs.Spec.Target.Directories) > 0
	}
	r.rules(t.Rules, rulesAt)
	if r.manyMounts(t.Ref, t.VolumeMounts, at) {
		return
	}
	r.inUse(t, f, at)
	var paths []string
	for _, rule := range t.Rules {
		paths = append(paths, rule.Paths...)
	}
	pathsAt := at.Child("directories")
	if !draft {
		pathsAt = rulesAt
	}
	mounts := r.volumes(volumes{mounts: t.VolumeMounts, paths: paths, at: pathsAt, draft: draft}, at, f)
	r.sharing(t, mounts, f, at, pathsAt)
	if f.Target != nil {
		r.alone(t.Rules, kind.Hosts(f.Target, t.Alias), target.Apart(f.Target, mounts), rulesAt)
	}
	if len(t.VolumeMounts) == 0 {
		mounts = nil
	}
	mounted := mountedAt(mounts)
	for i, rule := range t.Rules {
		r.paths(rule.Paths, mounted, rulesAt.Index(i).Child("paths"), true)
	}
	if f.Target != nil {
		r.targetHosts(t.Rules, kind.Hosts(f.Target, t.Alias), rulesAt)
	}
}

// inUse refuses a restore into a claim that pods use, unless that is meant.
func (r *Result) inUse(t *v1beta1.RestoreTarget, f *Facts, at *field.Path) {
	switch {
	case !t.Ref.IsClaim() && t.InUse != "":
		r.warn("%s has no effect: pods of a %s are replaced by such that wait for their data", at.Child("inUse"), t.Ref.Kind)
	case !t.Ref.IsClaim() || len(f.InUseBy) == 0:
	case t.InUse == v1beta1.InUseRestore:
		r.warn("%s: pods use the claim and may read and write what is being restored: %s", at.Child("inUse"), list(f.InUseBy))
	default:
		r.add(field.Forbidden(at.Child("ref"), fmt.Sprintf("pods use claim %q: %s; scale their workload down and wait until they are gone, or restore the workload itself, whose pods wait for their data; spec.target.inUse: Restore restores under them", t.Ref.Name, list(f.InUseBy))))
	}
}

// manyMounts refuses to mount a claim more than once, and tells whether it did: nothing else can be said of
// such mounts then.
func (r *Result) manyMounts(ref v1beta1.TargetRef, mounts []corev1.VolumeMount, at *field.Path) bool {
	many := ref.IsClaim() && len(mounts) > 1
	if many {
		r.add(field.Invalid(at.Child("volumeMounts"), len(mounts), "a claim is mounted once: keep one entry, whose name does not matter; for example {name: data, mountPath: /stash-data}"))
	}
	return many
}

// rules checks which host gets what.
func (r *Result) rules(rules []v1beta1.Rule, at *field.Path) {
	if len(rules) == 0 {
		r.add(field.Required(at, "nothing would be restored; write {snapshots: [latest]} for the newest snapshots of each host, or {paths: [/source/data]} for one folder"))
	}
	everybody := -1
	hosts := map[string]bool{}
	for i := range rules {
		rule, at := &rules[i], at.Index(i)
		if len(rule.TargetHosts) == 0 {
			if everybody >= 0 {
				r.add(field.Invalid(at.Child("targetHosts"), "", "only one rule may leave targetHosts empty, and it holds for all hosts that no other names: name the hosts of this rule"))
			}
			everybody = i
		}
		for j, h := range rule.TargetHosts {
			r.host(h, at.Child("targetHosts").Index(j))
			if hosts[h] {
				r.add(field.Duplicate(at.Child("targetHosts").Index(j), h))
			}
			hosts[h] = true
		}
		if rule.SourceHost != "" {
			r.host(rule.SourceHost, at.Child("sourceHost"))
		}
		r.what(rule, at)
	}
}

// what checks the snapshots, paths and patterns of a rule.
func (r *Result) what(rule *v1beta1.Rule, at *field.Path) {
	switch {
	case len(rule.Snapshots) > 0 && len(rule.Paths) > 0:
		r.add(field.Invalid(at, "snapshots and paths", "snapshots and paths exclude each other, since a snapshot already names its path: remove one"))
	case len(rule.Snapshots) == 0 && len(rule.Paths) == 0:
		r.warn("%s names neither snapshots nor paths: the newest snapshot of every path of the host is restored; write snapshots: [latest] to say so", at)
	}
	seen := map[string]bool{}
	for i, s := range rule.Snapshots {
		at := at.Child("snapshots").Index(i)
		switch {
		case s != latest && !isID(s):
			r.add(field.Invalid(at, s, "must be 8 to 64 hexadecimal digits, as kubectl get repository -o yaml shows under status.snapshots, or latest"))
		case seen[s]:
			r.add(field.Duplicate(at, s))
		}
		seen[s] = true
	}
	if seen[latest] && len(seen) > 1 {
		r.add(field.Invalid(at.Child("snapshots"), latest, "latest stands for the newest snapshot of every path: name it alone or write IDs"))
	}
	r.patterns(rule.Include, at.Child("include"))
	r.patterns(rule.Exclude, at.Child("exclude"))
	switch rule.ExistingFiles {
	case "", v1beta1.ExistingFilesKeep, v1beta1.ExistingFilesDelete:
	default:
		r.add(field.NotSupported(at.Child("existingFiles"), rule.ExistingFiles, []v1beta1.ExistingFiles{v1beta1.ExistingFilesKeep, v1beta1.ExistingFilesDelete}))
	}
}

// isID tells whether a text may be the ID of a snapshot, in full or its beginning.
func isID(s string) bool {
	return len(s) >= 8 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// host checks a host's name. Repositories of others may hold names that Kubernetes would not accept.
func (r *Result) host(name string, at *field.Path) {
	odd := strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == ',' || c == 0x7f })
	if n := utf8.RuneCountInString(name); odd || n == 0 || n > 253 || !utf8.ValidString(name) {
		r.add(field.Invalid(at, name, "must be one host name, for example host-0"))
	}
}

// targetHosts warns of rules for hosts that the target does not have.
func (r *Result) targetHosts(rules []v1beta1.Rule, known []string, at *field.Path) {
	has := map[string]bool{}
	for _, h := range known {
		has[h] = true
	}
	for i := range rules {
		for j, h := range rules[i].TargetHosts {
			// A DaemonSet's hosts are not known here.
			if len(known) > 0 && !has[h] {
				r.warn("%s: the target has no host %q now; it has %s", at.Index(i).Child("targetHosts").Index(j), h, list(known))
			}
		}
	}
}

// alone says what becomes of the hosts for which there is no rule, where rules name hosts only. Apart tells
// that each host has its volumes for itself.
func (r *Result) alone(rules []v1beta1.Rule, known []string, apart bool, at *field.Path) {
	named := map[string]bool{}
	for i := range rules {
		if len(rules[i].TargetHosts) == 0 {
			return
		}
		for _, h := range rules[i].TargetHosts {
			named[h] = true
		}
	}
	var alone []string
	for _, h := range known {
		if !named[h] {
			alone = append(alone, h)
		}
	}
	who := list(alone)
	switch {
	case len(named) == 0, len(known) > 0 && len(alone) == 0:
		return
	case len(known) == 0: // a DaemonSet's hosts are not known here
		who = "all other hosts"
	}
	if apart {
		r.warn("%s: %s are left alone, since no rule is for them: their pods are replaced like the others, and start on what is in their volumes", at, who)
		return
	}
	r.warn("%s: no rule is for %s, which cannot be left alone, since only claims of volumeClaimTemplates and folders of a DaemonSet's nodes are a host's own and outlive its pods: the restore fails with nothing changed where there are such hosts", at, who)
}
