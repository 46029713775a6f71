package mutators

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// Paths in our image that a mount must not hide.
const (
	agentBinary  = "/usr/local/bin/stash-agent"
	resticBinary = "/usr/bin/restic"
)

// Hides tells whether a mount at p would hide what our container needs, or lie inside of it.
func Hides(p string) bool {
	p = path.Clean("/" + p)
	for _, ours := range []string{
		api.MountTmp, api.MountToken, api.MountCA, MountRestoreState, "/run",
		agentBinary, resticBinary, "/lib", "/lib64", "/etc/ssl/certs", "/proc", "/sys", "/dev",
	} {
		if p == "/" || p == ours || strings.HasPrefix(ours, p+"/") {
			return true
		}
	}
	for _, ours := range []string{api.MountTmp, path.Dir(api.MountToken), MountRestoreState} {
		if strings.HasPrefix(p, ours+"/") {
			return true
		}
	}
	return false
}

func reserved(at string) *Problem {
	return problem(ProblemMountReserved, "nothing can be mounted at %s, where it would hide what the backup container itself needs: mount it at another path, for example /data", at)
}

// volumeNames are those that a pod of the template has.
func volumeNames(pod *corev1.PodSpec, claims []string) map[string]bool {
	names := make(map[string]bool, len(pod.Volumes)+len(claims))
	for _, v := range pod.Volumes {
		names[v.Name] = true
	}
	for _, name := range claims {
		names[name] = true
	}
	return names
}

// sharing adds the volumes that are another name of one in names: the same claim or the same
// directory of the host.
func sharing(pod *corev1.PodSpec, names map[string]bool) map[string]bool {
	out := maps.Clone(names)
	data := map[source]bool{}
	for i := range pod.Volumes {
		if s, ok := sourceOf(&pod.Volumes[i].VolumeSource); ok && names[pod.Volumes[i].Name] {
			data[s] = true
		}
	}
	for i := range pod.Volumes {
		if s, ok := sourceOf(&pod.Volumes[i].VolumeSource); ok && data[s] {
			out[pod.Volumes[i].Name] = true
		}
	}
	return out
}

// source tells the data of a volume from that of others.
type source struct{ kind, at, path string }

func sourceOf(v *corev1.VolumeSource) (source, bool) {
	switch {
	case v.PersistentVolumeClaim != nil:
		return source{"claim", v.PersistentVolumeClaim.ClaimName, ""}, true
	case v.HostPath != nil:
		return source{"host", "", v.HostPath.Path}, true
	case v.NFS != nil:
		return source{"nfs", v.NFS.Server, v.NFS.Path}, true
	}
	return source{}, false
}

// readOnly makes the mounts of a backup: whatever the user wrote, nothing of the application's is
// written to.
func readOnly(mounts []corev1.VolumeMount) []corev1.VolumeMount {
	out := slices.Clone(mounts)
	for i := range out {
		out[i].ReadOnly = true
	}
	return out
}

// writable makes the mounts of a restore.
func writable(mounts []corev1.VolumeMount) []corev1.VolumeMount {
	out := slices.Clone(mounts)
	for i := range out {
		out[i].ReadOnly, out[i].RecursiveReadOnly = false, nil
	}
	return out
}

// localName is the name of the n-th backend's volume.
func localName(n int) string {
	if n == 0 {
		return api.VolumeLocal
	}
	return api.VolumeLocal + "-" + strconv.Itoa(n)
}

func privileged(c *v1beta1.ContainerRuntimeSettings) bool {
	return c != nil && c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged)
}

// maxQuoted is how many names a sentence lists: a tenant writes how many there are.
const maxQuoted = 10

func quoted(names map[string]bool) string {
	if len(names) == 0 {
		return "none"
	}
	sorted := slices.Sorted(maps.Keys(names))
	if more := len(sorted) - maxQuoted; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(sorted[:maxQuoted], ", "), more)
	}
	return strings.Join(sorted, ", ")
}
