package metrics

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Objects are what the gauges are derived from.
type Objects struct {
	Configurations []v1beta1.BackupConfiguration
	Backups        []v1beta1.BackupSession
	Restores       []v1beta1.RestoreSession
	Repositories   []v1alpha1.Repository
	Policies       []v1beta1.ProtectionPolicy
}

// Status is a collector that derives gauges from objects at each scrape. Where List reports false
// (this replica does not lead, or the cache is not there yet) it sends nothing.
type Status struct {
	List func(ctx context.Context) (Objects, bool)

	declared declared
}

// NewStatus returns the collector.
func NewStatus(list func(ctx context.Context) (Objects, bool)) *Status {
	return &Status{List: list, declared: declare()}
}

// scrapeLimit bounds the reading of the cache.
const scrapeLimit = 10 * time.Second

// Describe implements prometheus.Collector.
func (s *Status) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range s.declared.all() {
		g.describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Status) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	o, ok := s.List(ctx)
	if !ok {
		return
	}
	for i := range o.Configurations {
		s.configuration(ch, &o.Configurations[i])
	}
	for i := range o.Backups {
		b := &o.Backups[i]
		s.declared.sessionCreated.send(ch, float64(b.CreationTimestamp.Unix()), []string{b.Namespace, b.Name})
		s.declared.sessionInfo.send(ch, 1, []string{b.Namespace, b.Name, string(b.Status.Phase)})
	}
	for i := range o.Restores {
		s.restore(ch, &o.Restores[i])
	}
	for i := range o.Repositories {
		s.repository(ch, &o.Repositories[i])
	}
	for i := range o.Policies {
		s.policy(ch, &o.Policies[i])
	}
}

// policy sends how many objects a policy selects and what is found of them: a few numbers for each
// policy, however many objects there are. One that was not looked at yet has none.
func (s *Status) policy(ch chan<- prometheus.Metric, p *v1beta1.ProtectionPolicy) {
	if p.Status.ObservedGeneration == 0 {
		return
	}
	for state, n := range map[string]int32{"protected": p.Status.Protected, "unprotected": p.Status.Unprotected, "exempt": p.Status.Exempt} {
		s.declared.policyObjects.send(ch, float64(n), []string{p.Name, string(p.Spec.Action), state})
	}
}

// configuration sends the last results, which the configuration's own status holds: a history limit
// of 1 loses nothing.
func (s *Status) configuration(ch chan<- prometheus.Metric, c *v1beta1.BackupConfiguration) {
	d := s.declared
	object := []string{c.Namespace, c.Name}
	d.configCreated.send(ch, float64(c.CreationTimestamp.Unix()), object)
	ref := v1beta1.TargetRef{}
	if c.Spec.Target != nil {
		ref = c.Spec.Target.Ref
	}
	d.configInfo.send(ch, 1, append(object, c.Spec.Driver, c.Spec.Repository.Name, c.Spec.Schedule, ref.APIVersion, ref.Kind, ref.Name))
	for _, cond := range unique(c.Status.Conditions, func(o api.Condition) string { return o.Type }) {
		d.configConditions.send(ch, 1, append(object, cond.Type, string(cond.Status)))
	}
	last := c.Status.LastSession
	if last == nil {
		return
	}
	session := []string{v1beta1.KindBackupConfiguration, c.Name, c.Namespace, driver(c.Spec.Driver), c.Spec.Repository.Name}
	target := append(slices.Clip(session), ref.Kind, group(ref.APIVersion), ref.Name)
	hosts := unique(c.Status.Hosts, func(h v1beta1.HostResult) string { return h.Hostname })
	ok := truth(last.Phase == v1beta1.BackupSessionSucceeded)
	d.sessionSuccess.send(ch, ok, session)
	d.sessionDuration.send(ch, seconds(last.Duration), session)
	d.sessionTargets.send(ch, 1, session)
	d.targetSuccess.send(ch, ok, target)
	d.targetHosts.send(ch, float64(len(hosts)), target)
	if t := c.Status.LastSuccessTime; t != nil {
		d.lastSuccess.send(ch, float64(t.Unix()), session)
		d.targetLastSuccess.send(ch, float64(t.Unix()), target)
	}
	for _, h := range hosts {
		s.host(ch, h, append(slices.Clip(target), h.Hostname))
	}
}

// unique leaves out what was there before: one metric twice makes the whole scrape fail, and anybody
// may have written a status.
func unique[T any](list []T, key func(T) string) []T {
	seen := make(map[string]bool, len(list))
	var out []T
	for _, v := range list {
		if !seen[key(v)] {
			seen[key(v)] = true
			out = append(out, v)
		}
	}
	return out
}

func (s *Status) host(ch chan<- prometheus.Metric, h v1beta1.HostResult, labels []string) {
	d := s.declared
	d.hostSuccess.send(ch, truth(h.Phase == v1beta1.HostBackupSucceeded), labels)
	d.hostDuration.send(ch, seconds(h.Duration), labels)
	var size, uploaded, total, fresh, modified, same int64
	var processing time.Duration
	for _, snap := range h.Snapshots {
		size += snap.TotalBytes
		uploaded += snap.UploadedBytes
		processing += minutes(snap.ProcessingTime)
		total += value(snap.FileStats.TotalFiles)
		fresh += value(snap.FileStats.NewFiles)
		modified += value(snap.FileStats.ModifiedFiles)
		same += value(snap.FileStats.UnmodifiedFiles)
	}
	d.hostSize.send(ch, float64(size), labels)
	d.hostUploaded.send(ch, float64(uploaded), labels)
	d.hostProcessing.send(ch, processing.Seconds(), labels)
	d.filesTotal.send(ch, float64(total), labels)
	d.filesNew.send(ch, float64(fresh), labels)
	d.filesModified.send(ch, float64(modified), labels)
	d.filesUnmodified.send(ch, float64(same), labels)
}

func (s *Status) restore(ch chan<- prometheus.Metric, r *v1beta1.RestoreSession) {
	d := s.declared
	d.restoreCreated.send(ch, float64(r.CreationTimestamp.Unix()), []string{r.Namespace, r.Name})
	d.restoreInfo.send(ch, 1, []string{r.Namespace, r.Name, string(r.Status.Phase)})
	if r.Status.Phase != v1beta1.RestoreSucceeded && r.Status.Phase != v1beta1.RestoreFailed || r.Spec.Target == nil {
		return
	}
	ref := r.Spec.Target.Ref
	session := []string{v1beta1.KindRestoreSession, r.Name, r.Namespace, driver(r.Spec.Driver), r.Spec.Repository.Name}
	target := append(slices.Clip(session), ref.Kind, group(ref.APIVersion), ref.Name)
	ok := truth(r.Status.Phase == v1beta1.RestoreSucceeded)
	d.restoreSuccess.send(ch, ok, session)
	d.restoreDuration.send(ch, seconds(r.Status.SessionDuration), session)
	d.restoreTargets.send(ch, 1, session)
	d.restoreTarget.send(ch, ok, target)
	if n := r.Status.TotalHosts; n != nil {
		d.restoreHosts.send(ch, float64(*n), target)
	}
	for _, h := range unique(r.Status.Stats, func(o v1beta1.HostRestoreStats) string { return o.Hostname }) {
		labels := append(slices.Clip(target), h.Hostname)
		d.restoreHostSuccess.send(ch, truth(h.Phase == v1beta1.HostRestoreSucceeded), labels)
		d.restoreHostDuration.send(ch, seconds(h.Duration), labels)
	}
}

func (s *Status) repository(ch chan<- prometheus.Metric, r *v1alpha1.Repository) {
	d := s.declared
	d.repositoryCreated.send(ch, float64(r.CreationTimestamp.Unix()), []string{r.Namespace, r.Name})
	backend, bucket, prefix := place(r.Spec.Backend)
	for _, invoker := range invokers(r) {
		labels := []string{r.Name, r.Namespace, backend, bucket, prefix, invoker.Kind, invoker.Name}
		if i := r.Status.Integrity; i != nil {
			d.integrity.send(ch, truth(*i), labels)
		}
		if r.Status.LastListTime != nil {
			d.size.send(ch, float64(r.Status.TotalBytes), labels)
			d.snapshots.send(ch, float64(r.Status.SnapshotCount), labels)
			d.cleaned.send(ch, float64(r.Status.SnapshotsRemovedOnLastCleanup), labels)
		}
	}
}

// invokers are the users of a Repository: each has gauges of it, as in the existing Stash, where each
// sends its own. One that nobody uses has them too, with empty labels, which is to have none.
func invokers(r *v1alpha1.Repository) []api.ObjectReference {
	if len(r.Status.References) == 0 {
		return []api.ObjectReference{{}}
	}
	return unique(r.Status.References, func(o api.ObjectReference) string { return o.Kind + "/" + o.Name })
}

// place names a backend as the existing Stash's labels do.
func place(b v1alpha1.Backend) (backend, bucket, prefix string) {
	switch {
	case b.Local != nil:
		return "local", b.Local.MountPath, ""
	case b.S3 != nil:
		return "s3", b.S3.Bucket, b.S3.Prefix
	case b.GCS != nil:
		return "gcs", b.GCS.Bucket, b.GCS.Prefix
	case b.Azure != nil:
		return "azure", b.Azure.Container, b.Azure.Prefix
	case b.Swift != nil:
		return "swift", b.Swift.Container, b.Swift.Prefix
	case b.B2 != nil:
		return "b2", b.B2.Bucket, b.B2.Prefix
	case b.Rest != nil:
		return "rest", "", ""
	}
	return "", "", ""
}

func driver(d string) string {
	if d == "" {
		return v1beta1.DriverRestic
	}
	return d
}

func group(apiVersion string) string {
	g, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return g
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func value(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// minutes reads minutes:seconds, as a snapshot's processing time is written.
func minutes(s string) time.Duration {
	m, rest, ok := strings.Cut(s, ":")
	d, err := time.ParseDuration(m + "m" + rest + "s")
	if !ok || err != nil {
		return 0
	}
	return d
}

func seconds(d string) float64 {
	v, err := time.ParseDuration(d)
	if err != nil {
		return 0
	}
	return v.Seconds()
}
