package validators

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/scheduler"
	"github.com/seed-731df569/stash/target"
)

// schedule checks schedule and time zone. An empty schedule is allowed: backups are then by hand.
func (r *Result) schedule(expr, timeZone string, spec *field.Path) {
	if _, err := scheduler.Parse("@daily", timeZone); err != nil {
		r.add(field.Invalid(spec.Child("timeZone"), timeZone, err.Error()))
		timeZone = ""
	}
	if expr == "" {
		r.warn("%s is empty: a backup runs only when a BackupSession is created; %s", spec.Child("schedule"), scheduler.Example)
		return
	}
	s, err := scheduler.Parse(expr, timeZone)
	if err != nil {
		r.add(field.Invalid(spec.Child("schedule"), expr, err.Error()))
		return
	}
	r.pace(s, expr, spec.Child("schedule"))
}

// pace warns of schedules that come true hardly ever, or all the time.
func (r *Result) pace(s scheduler.Schedule, expr string, path *field.Path) {
	const day = 24 * time.Hour
	shortest, longest := s.Pace()
	if shortest <= time.Minute {
		r.warn("%s: %q has backups %d seconds apart, and passes over what is due while one runs; \"0 */6 * * *\" is every six hours", path, expr, shortest/time.Second)
	}
	if longest > 366*day {
		r.warn("%s: %q is due once in %d days; \"0 3 1 * *\" is once a month", path, expr, longest/day)
	}
}

// retention checks a policy, and tells of what is hardly meant: one without any rule removes nothing, ever,
// and one of tags alone removes all that is scheduled but the newest complete snapshot, which always stays.
func (r *Result) retention(p *v1beta1.RetentionPolicy, path *field.Path) {
	counts := false
	for _, k := range []struct {
		name string
		n    int64
	}{
		{"keepLast", p.KeepLast},
		{"keepHourly", p.KeepHourly},
		{"keepDaily", p.KeepDaily},
		{"keepWeekly", p.KeepWeekly},
		{"keepMonthly", p.KeepMonthly},
		{"keepYearly", p.KeepYearly},
	} {
		counts = counts || k.n != 0
		if k.n < 0 {
			r.add(field.Invalid(path.Child(k.name), k.n, "must not be negative; for example 5"))
		}
	}
	for i, tag := range p.KeepTags {
		if strings.TrimSpace(tag) == "" {
			r.add(field.Invalid(path.Child("keepTags").Index(i), tag, "must not be empty; for example release"))
		}
	}
	switch {
	case p.IsEmpty():
		r.warn("%s says of nothing that it is kept, so nothing is ever removed, and the repository grows without end; for example keepLast: 5", path)
	case !counts:
		r.warn("%s keeps, beside what is tagged by hand, nothing but the newest complete snapshot of each path; for example keepLast: 5", path)
	}
	if p.DryRun {
		r.warn("%s: nothing is removed as long as it is true", path.Child("dryRun"))
	}
}

// positive refuses a duration that is given and not positive.
func (r *Result) positive(d *metav1.Duration, path *field.Path) {
	if d != nil && d.Duration <= 0 {
		r.add(field.Invalid(path, d.Duration.String(), "must be positive, for example 2h; leave it out for no limit"))
	}
}

func (r *Result) retry(c *v1beta1.RetryConfig, path *field.Path) {
	if c == nil {
		return
	}
	if n := c.Retries(); n < 0 {
		r.add(field.Invalid(path.Child("maxRetry"), n, "must not be negative; for example 2"))
	}
	if c.Delay != nil && c.Delay.Duration < 0 {
		r.add(field.Invalid(path.Child("delay"), c.Delay.Duration.String(), "must not be negative, for example 10m"))
	}
}

func (r *Result) history(limit *int32, path *field.Path) {
	if limit != nil && *limit < 0 {
		r.add(field.Invalid(path, *limit, "must not be negative; the default is 1"))
	}
}

func (r *Result) tempDir(t *v1beta1.EmptyDirSettings, path *field.Path) {
	switch t.Medium {
	case corev1.StorageMediumDefault, corev1.StorageMediumMemory:
	default:
		r.add(field.NotSupported(path.Child("medium"), t.Medium, []corev1.StorageMedium{corev1.StorageMediumMemory}))
	}
	if t.SizeLimit != nil && t.SizeLimit.Sign() <= 0 {
		r.add(field.Invalid(path.Child("sizeLimit"), t.SizeLimit.String(), "must be positive, for example 1Gi"))
	}
}

// driver refuses drivers other than restic.
func (r *Result) driver(name string, path *field.Path) {
	switch name {
	case "", v1beta1.DriverRestic:
	case v1beta1.DriverVolumeSnapshotter:
		r.add(field.Forbidden(path, "the driver VolumeSnapshotter is not supported yet: use Restic"))
	default:
		r.add(field.NotSupported(path, name, []string{v1beta1.DriverRestic}))
	}
}

// unsupported refuses what backups and restores have in common and what comes later.
func (r *Result) unsupported(t *v1beta1.TaskRef, interim, hooks bool, spec *field.Path) {
	r.later(t.Name != "" || len(t.Params) > 0, spec.Child("task"), "this Task is")
	r.later(interim, spec.Child("interimVolumeTemplate"), "a volume for data on its way is")
	r.later(hooks, spec.Child("hooks"), "hooks are")
}

// byJob tells whether a Job works on a target.
func byJob(ref v1beta1.TargetRef) bool {
	kind, err := target.FindRef(ref)
	return err == nil && kind.Model == target.ModelJob
}

// jobRuntime checks settings for the pod of a Job and for our container in it.
func (r *Result) jobRuntime(s *v1beta1.RuntimeSettings, path *field.Path) {
	if s.Pod != nil && len(s.Pod.ServiceAccountAnnotations) > 0 {
		r.warn("%s: serviceAccountAnnotations have no effect, since Stash makes no ServiceAccount: annotate the one that serviceAccountName names", path.Child("pod"))
	}
	in := *s
	in.Pod = nil
	if c := in.Container; c != nil && (c.LivenessProbe != nil || c.ReadinessProbe != nil || c.Lifecycle != nil) {
		r.warn("%s: livenessProbe, readinessProbe and lifecycle have no effect in a Job", path.Child("container"))
	}
	r.runtime(&in, path, false)
}

// runtime checks settings for a container of ours in the application's pod.
func (r *Result) runtime(s *v1beta1.RuntimeSettings, path *field.Path, restore bool) {
	if names := podSettings(s.Pod); len(names) > 0 {
		r.warn("%s: %s have no effect, since the container runs in the application's pod: write them into its pod template; only imagePullSecrets is used", path.Child("pod"), strings.Join(names, ", "))
	}
	c := s.Container
	if c == nil {
		return
	}
	path = path.Child("container")
	if restore && (c.LivenessProbe != nil || c.ReadinessProbe != nil || c.Lifecycle != nil) {
		r.warn("%s: livenessProbe, readinessProbe and lifecycle have no effect, since an init-container has none", path)
	}
	between := func(v *int32, low, high int32, name ...string) {
		if v != nil && (*v < low || *v > high) {
			r.add(field.Invalid(path.Child(name[0], name[1:]...), *v, "must be between "+itoa(low)+" and "+itoa(high)+"; for example "+itoa(high)))
		}
	}
	if c.Nice != nil {
		between(c.Nice.Adjustment, -20, 19, "nice", "adjustment")
	}
	if c.IONice != nil {
		between(c.IONice.Class, 0, 3, "ionice", "class")
		between(c.IONice.ClassData, 0, 7, "ionice", "classData")
	}
	r.environment(c, path)
}

// podSettings names the settings of a pod that mean nothing in the application's pod.
func podSettings(p *v1beta1.PodRuntimeSettings) []string {
	if p == nil {
		return nil
	}
	var names []string
	for _, s := range []struct {
		name  string
		given bool
	}{
		{"podLabels", len(p.PodLabels) > 0},
		{"podAnnotations", len(p.PodAnnotations) > 0},
		{"nodeSelector", len(p.NodeSelector) > 0},
		{"serviceAccountName", p.ServiceAccountName != ""},
		{"serviceAccountAnnotations", len(p.ServiceAccountAnnotations) > 0},
		{"automountServiceAccountToken", p.AutomountServiceAccountToken != nil},
		{"nodeName", p.NodeName != ""},
		{"securityContext", p.SecurityContext != nil},
		{"affinity", p.Affinity != nil},
		{"schedulerName", p.SchedulerName != ""},
		{"tolerations", len(p.Tolerations) > 0},
		{"priorityClassName", p.PriorityClassName != ""},
		{"priority", p.Priority != nil},
		{"readinessGates", len(p.ReadinessGates) > 0},
		{"runtimeClassName", p.RuntimeClassName != nil},
		{"enableServiceLinks", p.EnableServiceLinks != nil},
		{"topologySpreadConstraints", len(p.TopologySpreadConstraints) > 0},
	} {
		if s.given {
			names = append(names, s.name)
		}
	}
	return names
}
