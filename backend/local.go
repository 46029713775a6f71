package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/restic"
)

// Local is a volume that is mounted into the pods that use it. The repository is at
// <mountPath>/<subPath>, and the volume is mounted there with that subPath too: so it always was
// for Stash, and so the repositories are where they were.
type Local struct{}

// Name is "local".
func (Local) Name() string { return "local" }

// Matches tells whether the local block is given.
func (Local) Matches(b v1alpha1.Backend) bool { return b.Local != nil }

// Keys are the password alone.
func (Local) Keys() Keys { return Keys{Required: []string{KeyPassword}} }

// Repository returns the path and the password. See Storage.
func (l Local) Repository(b v1alpha1.Backend, secret map[string][]byte) (restic.Repository, error) {
	if errs := l.Validate(b, field.NewPath("spec", "backend")); len(errs) > 0 {
		return restic.Repository{}, fmt.Errorf("build repository: %w", errs.ToAggregate())
	}
	if err := missing(secret, KeyPassword); err != nil {
		return restic.Repository{}, err
	}
	return restic.Repository{
		URL: path.Join(b.Local.MountPath, b.Local.SubPath),
		Env: map[string]string{KeyPassword: string(secret[KeyPassword])},
	}, nil
}

// Location is local://<kind>/<identity>: of a claim its namespace and name, of a path on the node
// or on a server that path, of other volumes a digest of their source. The mount path is not part
// of it.
func (l Local) Location(b v1alpha1.Backend, namespace string) string {
	if b.Local == nil {
		return ""
	}
	sub := cleanPath(b.Local.SubPath)
	inside := path.Join("/", sub, sub)
	switch v := b.Local.VolumeSource; {
	case v.PersistentVolumeClaim != nil:
		return "local://persistentVolumeClaim/" + path.Join(namespace, v.PersistentVolumeClaim.ClaimName) + ":" + inside
	case v.HostPath != nil:
		return "local://hostPath" + path.Join("/", v.HostPath.Path, inside)
	case v.NFS != nil:
		return "local://nfs/" + strings.TrimSuffix(strings.ToLower(v.NFS.Server), ".") + path.Join("/", v.NFS.Path, inside)
	}
	kinds, digest := source(b.Local.VolumeSource)
	return "local://" + strings.Join(kinds, ",") + "/" + namespace + "/" + digest + ":" + inside
}

// Validate checks the volume's source and both paths.
func (l Local) Validate(b v1alpha1.Backend, at *field.Path) field.ErrorList {
	at = at.Child("local")
	if b.Local == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	kinds, _ := source(b.Local.VolumeSource)
	if len(kinds) != 1 {
		errs = append(errs, field.Invalid(at, strings.Join(kinds, ","), "exactly one volume source must be given, for example persistentVolumeClaim: {claimName: backups}"))
	} else if slices.Contains([]string{"secret", "configMap", "downwardAPI", "projected", "image", "gitRepo"}, kinds[0]) {
		errs = append(errs, field.Invalid(at.Child(kinds[0]), "", "this kind of volume cannot be written to; for example persistentVolumeClaim: {claimName: backups}"))
	}
	errs = append(errs, checkMountPath(b.Local.MountPath, at.Child("mountPath"))...)
	if strings.HasPrefix(b.Local.SubPath, "/") && cleanPath(b.Local.SubPath) != "" {
		errs = append(errs, field.Invalid(at.Child("subPath"), b.Local.SubPath, "must be relative: write "+cleanPath(b.Local.SubPath)))
	}
	return append(errs, checkPrefix(b.Local.SubPath, at.Child("subPath"))...)
}

// checkMountPath refuses what would hide our own mounts, the credentials or the image itself.
func checkMountPath(mount string, at *field.Path) field.ErrorList {
	if bad := controlCharacter(mount); bad != "" {
		return field.ErrorList{field.Invalid(at, mount, bad)}
	}
	clean := path.Clean(mount)
	switch {
	case mount == "":
		return field.ErrorList{field.Required(at, "for example /backup")}
	case !path.IsAbs(mount) || clean == "/":
		return field.ErrorList{field.Invalid(at, mount, "must be an absolute path other than /, for example /backup")}
	case strings.Contains(mount, ":"):
		return field.ErrorList{field.Invalid(at, mount, `must not hold ":"`)}
	case slices.Contains(strings.Split(mount, "/"), ".."):
		return field.ErrorList{field.Invalid(at, mount, `must not hold ".."`)}
	}
	for _, taken := range []string{"/stash", api.MountTmp, "/var/run/secrets", "/run/secrets", "/proc", "/sys", "/dev"} {
		if clean == taken || strings.HasPrefix(clean, taken+"/") || strings.HasPrefix(taken, clean+"/") {
			return field.ErrorList{field.Invalid(at, mount, "must not be at, above or below "+taken+", which the pods of Stash use themselves: for example /backup")}
		}
	}
	if slices.Contains([]string{"/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr"}, clean) || strings.HasPrefix(clean, "/usr/") {
		return field.ErrorList{field.Invalid(at, mount, "must not hide the system of the image: for example /backup")}
	}
	return nil
}

// Warnings tells of volumes that do not outlive what they should.
func (Local) Warnings(b v1alpha1.Backend) []string {
	switch {
	case b.Local == nil:
		return nil
	case b.Local.EmptyDir != nil:
		return []string{"spec.backend.local.emptyDir dies with its pod, and the backups in it with it: use a persistentVolumeClaim, nfs or an object storage"}
	case b.Local.Ephemeral != nil:
		return []string{"spec.backend.local.ephemeral dies with its pod, and the backups in it with it: use a persistentVolumeClaim, nfs or an object storage"}
	case b.Local.HostPath != nil:
		return []string{"spec.backend.local.hostPath is another place on each node unless it is a shared file system: backups are found only where they were made"}
	}
	return nil
}

// Volume returns the volume, named api.VolumeLocal, and its mount.
func (Local) Volume(b v1alpha1.Backend) (*corev1.Volume, *corev1.VolumeMount) {
	if b.Local == nil {
		return nil, nil
	}
	return &corev1.Volume{Name: api.VolumeLocal, VolumeSource: *b.Local.VolumeSource.DeepCopy()},
		&corev1.VolumeMount{Name: api.VolumeLocal, MountPath: b.Local.MountPath, SubPath: cleanPath(b.Local.SubPath)}
}

// source returns the kinds of volume that are given, by the names of their fields, and a digest of
// them all.
func source(v corev1.VolumeSource) (kinds []string, digest string) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, ""
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, ""
	}
	for kind := range fields {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	sum := sha256.Sum256(text)
	return kinds, hex.EncodeToString(sum[:8])
}
