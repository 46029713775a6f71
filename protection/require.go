package protection

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/scheduler"
	"github.com/seed-731df569/stash/target"
)

// faults returns what the policy misses of one backup.
func (p *Policy) faults(b *Backup) []Fault {
	c, r := b.Configuration, &p.Spec.Require
	name := fmt.Sprintf("BackupConfiguration \"%s/%s\"", c.Namespace, c.Name)
	var out []Fault
	add := func(reason Reason, format string, args ...any) {
		out = append(out, Fault{reason, name + " " + fmt.Sprintf(format, args...)})
	}
	if len(r.Blueprints) > 0 && !slices.Contains(r.Blueprints, holder(c)) {
		add(OtherBlueprint, "does not come from one of the blueprints that count: %s", strings.Join(r.Blueprints, ", "))
	} else if len(r.Blueprints) > 0 && b.Strayed {
		add(OtherBlueprint, "keeps its snapshots in Repository %q, which lies elsewhere than blueprint %s says: to move there, delete the Repository (the data stays in the backend), and the BackupConfiguration", b.repository(), holder(c))
	}
	if len(r.Repositories) > 0 && !slices.ContainsFunc(r.Repositories, func(want v1beta1.RequiredRepository) bool { return b.in(want) }) {
		add(OtherRepository, "keeps its snapshots in Repository %q, which is none that counts: %s", b.repository(), repositories(r.Repositories))
	}
	if r.MaxInterval != nil || r.MinRetention != nil {
		out = append(out, p.timing(c, name)...)
	}
	if b.Problem != "" {
		add(NotReady, "makes no backups: %s", b.Problem)
	}
	return out
}

// holder returns the blueprint that a configuration was expanded from; empty where it does not say so of
// its own target. The operator puts back, or deletes, what says so and is not what the target asks for; of
// anything else the annotations may be somebody's, stored before they were refused.
func holder(c *v1beta1.BackupConfiguration) string {
	spec, _ := c.Spec.Shipped()
	if spec.Target == nil || c.Annotations[api.AnnotationExpandedFrom] != target.KeyOf(spec.Target.Ref, c.Namespace) {
		return ""
	}
	return blueprint.Holder(c.Annotations)
}

// timing checks schedule and retention.
func (p *Policy) timing(c *v1beta1.BackupConfiguration, name string) []Fault {
	limit, keep := p.Spec.Require.MaxInterval, p.Spec.Require.MinRetention
	schedule, err := scheduler.Parse(c.Spec.Schedule, c.Spec.TimeZone)
	var out []Fault
	add := func(reason Reason, format string, args ...any) {
		out = append(out, Fault{reason, name + " " + fmt.Sprintf(format, args...)})
	}
	if err != nil {
		within := ""
		if limit != nil {
			within = fmt.Sprintf(" of at most %s between two", hours(limit.Duration))
		}
		add(NotScheduled, "has no schedule that makes backups: write one%s, %s", within, scheduler.Example)
		return out // what is kept of no backups says nothing
	}
	shortest, longest := schedule.Gaps()
	if limit != nil && longest > limit.Duration {
		add(IntervalTooLong, "has the schedule %q, with up to %s between two backups: at most %s are allowed", c.Spec.Schedule, hours(longest), hours(limit.Duration))
	}
	if limit != nil && c.Spec.Paused {
		add(Paused, "is paused: set spec.paused to false")
	}
	if keep == nil {
		return out
	}
	if back := reach(&c.Spec.RetentionPolicy, shortest); back < keep.Duration {
		add(RetentionTooShort, "keeps snapshots for %s by its schedule and retentionPolicy, counted at the worst moment: at least %s are required", hours(back), hours(keep.Duration))
	}
	return out
}

// hours prints a duration as people do who write it: 24h, 1h30m.
func hours(d time.Duration) string {
	if d == forever {
		return "ever"
	}
	text := d.Truncate(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
}

// repository is <namespace>/<name> of the backup's Repository.
func (b *Backup) repository() string {
	return b.repositoryNamespace() + "/" + b.Configuration.Spec.Repository.Name
}

func (b *Backup) repositoryNamespace() string {
	if ns := b.Configuration.Spec.Repository.Namespace; ns != "" {
		return ns
	}
	return b.Configuration.Namespace
}

// in tells whether the backup's Repository is one that a policy means. A place that is not known is
// none that it means.
func (b *Backup) in(want v1beta1.RequiredRepository) bool {
	switch {
	case want.Namespace != "" && want.Namespace != b.repositoryNamespace():
		return false
	case want.Name != "" && want.Name != b.Configuration.Spec.Repository.Name:
		return false
	case want.Location != "":
		place := strings.TrimRight(want.Location, "/")
		return b.Location == place || strings.HasPrefix(b.Location, place+"/")
	}
	return true
}

// repositories prints those that count.
func repositories(list []v1beta1.RequiredRepository) string {
	out := make([]string, 0, len(list))
	for _, r := range list {
		var parts []string
		if r.Namespace != "" || r.Name != "" {
			parts = append(parts, or(r.Namespace)+"/"+or(r.Name))
		}
		if r.Location != "" {
			parts = append(parts, "at "+r.Location)
		}
		out = append(out, strings.Join(parts, " "))
	}
	return strings.Join(out, ", ")
}

func or(name string) string {
	if name == "" {
		return "*"
	}
	return name
}
