package task

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-731df569/stash/api"
	appcatalog "github.com/seed-731df569/stash/api/appcatalog/v1alpha1"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
)

// variables collects values; empty ones are left out, so that defaults of Functions hold.
type variables map[string]string

func (v variables) set(name, value string) {
	if value != "" {
		v[name] = value
	}
}

func (v variables) list(name string, values []string) { v.set(name, strings.Join(values, ",")) }

func (v variables) number(name string, n int64) {
	if n != 0 {
		v[name] = strconv.FormatInt(n, 10)
	}
}

func (v variables) flag(name string, b bool) {
	if b {
		v[name] = "true"
	}
}

func (v variables) repository(r *v1alpha1.Repository) {
	v.set("REPOSITORY_NAME", r.Name)
	v.set("REPOSITORY_NAMESPACE", r.Namespace)
	v.set("REPOSITORY_SECRET_NAME", r.Spec.Backend.StorageSecretName)
	v.set("REPOSITORY_SECRET_NAMESPACE", r.Namespace)
	p := placeOf(&r.Spec.Backend)
	v.set("REPOSITORY_PROVIDER", p.provider)
	v.set("REPOSITORY_BUCKET", p.container)
	v.set("REPOSITORY_PREFIX", p.prefix)
	v.set("REPOSITORY_ENDPOINT", withoutUser(p.endpoint))
	v.set("REPOSITORY_REGION", p.region)
	v.set("REPOSITORY_URL", p.url)
	v["REPOSITORY_INSECURE_TLS"] = strconv.FormatBool(p.insecure)
	v["MAX_CONNECTIONS"] = strconv.FormatInt(p.connections, 10)
}

// place is what all backends have, each under its own names.
type place struct {
	provider, container, prefix, endpoint, region, url string
	insecure                                           bool
	connections                                        int64
}

// placeOf takes the first block in the order of the API, as the existing Stash does.
func placeOf(b *v1alpha1.Backend) place {
	switch {
	case b.Local != nil:
		return place{provider: "local", container: b.Local.MountPath}
	case b.S3 != nil:
		return place{
			provider: "s3", container: b.S3.Bucket, prefix: b.S3.Prefix, endpoint: b.S3.Endpoint, region: b.S3.Region,
			insecure: b.S3.InsecureTLS, connections: b.S3.MaxConnections,
		}
	case b.GCS != nil:
		return place{provider: "gcs", container: b.GCS.Bucket, prefix: b.GCS.Prefix, connections: b.GCS.MaxConnections}
	case b.Azure != nil:
		return place{provider: "azure", container: b.Azure.Container, prefix: b.Azure.Prefix, connections: b.Azure.MaxConnections}
	case b.Swift != nil:
		return place{provider: "swift", container: b.Swift.Container, prefix: b.Swift.Prefix}
	case b.B2 != nil:
		return place{provider: "b2", container: b.B2.Bucket, prefix: b.B2.Prefix, connections: b.B2.MaxConnections}
	case b.Rest != nil:
		p := place{provider: "rest", url: withoutUser(b.Rest.URL)}
		if u, err := url.Parse(p.url); err == nil {
			p.container, p.prefix = u.Host, strings.Trim(u.Path, "/")
		}
		return p
	}
	return place{}
}

// withoutUser takes user, password and query out of a URL or a host. What cannot be read is left out,
// rather than shown with what may be a password.
func withoutUser(s string) string {
	if at := strings.IndexAny(s, "?#"); at >= 0 {
		if strings.ContainsRune(s[at:], '@') {
			return "" // a password with such a character in it
		}
		s = s[:at]
	}
	before, after, found := strings.Cut(s, "://")
	if !found {
		before, after = "", s
	} else {
		before += "://"
	}
	host, path, slash := strings.Cut(after, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if strings.ContainsRune(path, '@') {
		return "" // a password with a slash in it
	}
	if slash {
		path = "/" + path
	}
	return before + host + path
}

func (v variables) backup(j *Job) {
	spec, _ := j.Backup.Spec.Shipped()
	v.invoker(j.Backup.Namespace, v1beta1.KindBackupConfiguration, j.Backup.Name)
	v.set("BACKUP_SESSION", j.Session)
	v.set("PROMETHEUS_JOB_NAME", "stash-backup")
	if t := spec.Target; t != nil {
		v.target(t.Ref, j.Backup.Namespace)
		v["TARGET_MOUNT_PATH"] = DefaultMountPath
		if len(t.VolumeMounts) > 0 {
			v["TARGET_MOUNT_PATH"] = t.VolumeMounts[0].MountPath
		}
		v["TARGET_PATHS"] = v["TARGET_MOUNT_PATH"]
		v.list("TARGET_PATHS", t.Paths)
		v["TARGET_DIRECTORIES"] = v["TARGET_PATHS"]
		v.list("EXCLUDE_PATTERNS", t.Exclude)
		v.set("DRIVER_ARGS", strings.Join(t.Args, " "))
	}
	v.retention(&spec.RetentionPolicy)
	v.dirs(spec.TempDir.DisableCaching, spec.InterimVolumeTemplate != nil)
}

func (v variables) restore(j *Job) {
	spec, _ := j.Restore.Spec.Shipped()
	v.invoker(j.Restore.Namespace, v1beta1.KindRestoreSession, j.Restore.Name)
	v.set("RESTORE_SESSION", j.Restore.Name)
	v.set("PROMETHEUS_JOB_NAME", "stash-restore")
	v.set("SOURCE_HOSTNAME", j.Host)
	if t := spec.Target; t != nil {
		v.target(t.Ref, j.Restore.Namespace)
		v["TARGET_MOUNT_PATH"] = DefaultMountPath
		if len(t.VolumeMounts) > 0 {
			v["TARGET_MOUNT_PATH"] = t.VolumeMounts[0].MountPath
		}
		if t.Replicas != nil {
			v["TARGET_APP_REPLICAS"] = strconv.FormatInt(int64(*t.Replicas), 10)
		}
		v.set("DRIVER_ARGS", strings.Join(t.Args, " "))
	}
	if r := j.Rule; r != nil {
		v.set("SOURCE_HOSTNAME", r.SourceHost)
		v.list("RESTORE_PATHS", r.Paths)
		v.list("RESTORE_DIRECTORIES", r.Paths)
		v.list("RESTORE_SNAPSHOTS", r.Snapshots)
		v.list("INCLUDE_PATTERNS", r.Include)
		v.list("EXCLUDE_PATTERNS", r.Exclude)
	}
	v.dirs(spec.TempDir.DisableCaching, spec.InterimVolumeTemplate != nil)
}

func (v variables) invoker(namespace, kind, name string) {
	v.set("NAMESPACE", namespace)
	v.set("INVOKER_KIND", kind)
	v.set("INVOKER_NAME", name)
}

func (v variables) target(ref v1beta1.TargetRef, namespace string) {
	v.set("TARGET_API_VERSION", ref.APIVersion)
	v.set("TARGET_KIND", ref.Kind)
	v.set("TARGET_NAME", ref.Name)
	v.set("TARGET_NAMESPACE", target.Namespace(ref, namespace))
	for _, k := range target.All() {
		if k.GVK.Kind == ref.Kind {
			v["TARGET_RESOURCE"] = k.Resource
		}
	}
}

func (v variables) app(b *appcatalog.AppBinding) {
	v.set("TARGET_APP_VERSION", b.Spec.Version)
	v.set("TARGET_APP_TYPE", b.Spec.Type)
	at := strings.LastIndexByte(b.Spec.Type, '/')
	v.set("TARGET_APP_GROUP", b.Spec.Type[:max(at, 0)])
	v["TARGET_APP_RESOURCE"] = "appbinding"
	v.set("TARGET_APP_RESOURCE", b.Spec.Type[at+1:])
}

func (v variables) retention(p *v1beta1.RetentionPolicy) {
	v.number("RETENTION_KEEP_LAST", p.KeepLast)
	v.number("RETENTION_KEEP_HOURLY", p.KeepHourly)
	v.number("RETENTION_KEEP_DAILY", p.KeepDaily)
	v.number("RETENTION_KEEP_WEEKLY", p.KeepWeekly)
	v.number("RETENTION_KEEP_MONTHLY", p.KeepMonthly)
	v.number("RETENTION_KEEP_YEARLY", p.KeepYearly)
	v.list("RETENTION_KEEP_TAGS", p.KeepTags)
	v.flag("RETENTION_PRUNE", p.Prune)
	v.flag("RETENTION_DRY_RUN", p.DryRun)
}

func (v variables) dirs(disableCaching, interim bool) {
	v["ENABLE_CACHE"] = strconv.FormatBool(!disableCaching)
	v["INTERIM_DATA_DIR"] = api.MountTmp + mountInterim + "/data"
	if interim {
		v["INTERIM_DATA_DIR"] = mountInterim + "/data"
	}
}

// image takes the operator's image apart. One with a digest cannot be put together from the parts, and
// has none.
func (v variables) image(image string) {
	slash := strings.LastIndexByte(image, '/')
	name, tag, _ := strings.Cut(image[slash+1:], ":")
	if name == "" || strings.ContainsRune(image, '@') || slash < 0 {
		return
	}
	v.set("STASH_DOCKER_REGISTRY", image[:slash])
	v.set("STASH_DOCKER_IMAGE", name)
	v["STASH_IMAGE_TAG"] = "latest"
	v.set("STASH_IMAGE_TAG", tag)
}
