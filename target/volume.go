package target

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"

	corev1 "k8s.io/api/core/v1"
)

// Lasting is a volume of a pod that outlives the pod, and that others may mount. The zero value is one
// that lives and dies with its pod, or that Kubernetes fills itself.
type Lasting struct {
	// Claim is the name of the PersistentVolumeClaim behind it, in the pod's namespace.
	Claim string
	// Key is the identity of a volume without a claim: the same for two pods that mount the same folder
	// of a node or the same share.
	Key string
}

// LastingVolume tells what a pod's volume is.
func LastingVolume(pod *corev1.Pod, v *corev1.Volume) Lasting {
	s := &v.VolumeSource
	switch {
	case s.PersistentVolumeClaim != nil:
		return Lasting{Claim: s.PersistentVolumeClaim.ClaimName}
	case s.Ephemeral != nil:
		return Lasting{Claim: pod.Name + "-" + v.Name}
	case s.EmptyDir != nil, s.ConfigMap != nil, s.Secret != nil, s.Projected != nil, s.DownwardAPI != nil, s.Image != nil, made(v):
		return Lasting{}
	case s.HostPath != nil:
		return Lasting{Key: key(keyHostPath, pod.Spec.NodeName, path.Clean(s.HostPath.Path))}
	case s.NFS != nil:
		return Lasting{Key: key("nfs", s.NFS.Server, path.Clean(s.NFS.Path))}
	}
	text, err := json.Marshal(s)
	if err != nil || string(text) == "{}" { // a kind of volume that this build does not know
		return Lasting{Key: key("unknown", pod.Namespace, v.Name)}
	}
	return Lasting{Key: key("volume", string(text))}
}

// keyHostPath begins the key of a folder of a node.
const keyHostPath = "hostPath"

// made tells whether a CSI driver makes the volume for its pod, as all but those do that mount a share which
// the volume names.
func made(v *corev1.Volume) bool {
	if v.CSI == nil {
		return false
	}
	switch v.CSI.Driver {
	case "nfs.csi.k8s.io", "smb.csi.k8s.io", "file.csi.azure.com", "blob.csi.azure.com":
		return false
	}
	return true
}

func key(kind string, parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		sum.Write([]byte(p))
		sum.Write([]byte{0})
	}
	return kind + ":" + hex.EncodeToString(sum.Sum(nil))[:16]
}

// Place is a mount of a pod as far as who writes there is concerned.
type Place struct {
	// Path it is mounted at.
	Path string
	// Volume behind it.
	Volume Lasting
	// Part of the volume that is mounted; empty: all of it.
	Part string
	// Own tells that each pod of a workload has one of its own, which the next pod does not have.
	Own bool
	// Node tells that each node has one of its own, which pods of the same node share.
	Node bool
}

// Places lists the mounts of a container. A part that depends on the pod's environment is one of the
// pod's own.
func Places(pod *corev1.Pod, mounts []corev1.VolumeMount) []Place {
	volumes := map[string]*corev1.Volume{}
	for i := range pod.Spec.Volumes {
		volumes[pod.Spec.Volumes[i].Name] = &pod.Spec.Volumes[i]
	}
	out := make([]Place, 0, len(mounts))
	for _, m := range mounts {
		v := volumes[m.Name]
		if v == nil {
			continue
		}
		p := Place{
			Path: CleanPath(m.MountPath), Volume: LastingVolume(pod, v),
			Own: Lost(v) != "" || made(v) || m.SubPathExpr != "", Node: v.HostPath != nil,
		}
		switch {
		case m.SubPathExpr != "":
			p.Part = string(pod.UID) + ":" + m.SubPathExpr
		case m.SubPath != "":
			p.Part = path.Clean(m.SubPath)
		}
		out = append(out, p)
	}
	return out
}

// PlaceOf returns the mount that holds a path: the deepest one above it.
func PlaceOf(places []Place, p string) (Place, bool) {
	var best Place
	found := false
	for _, c := range places {
		if Covers(c.Path, p) && (!found || len(c.Path) > len(best.Path)) {
			best, found = c, true
		}
	}
	return best, found
}
