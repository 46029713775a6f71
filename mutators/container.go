package mutators

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/seed-731df569/stash/api"
)

// Where stash-init records that it is done: a volume on disk, so that it survives a reboot of the
// node, after which kubelet runs init-containers again in the same pod.
const (
	VolumeRestoreState = "stash-restore-state"
	MountRestoreState  = "/stash-restore"
)

// AgentCommand is the program of our containers; a container of our name that runs anything else is
// not ours.
const AgentCommand = agentBinary

const (
	tokenSeconds   = 3600
	tokenFile      = "token"
	defaultTmpSize = "1Gi"
	stateSize      = "16Mi"
)

// ownEnv is what every container of ours is told about its pod.
func ownEnv() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	return []corev1.EnvVar{
		field("NODE_NAME", "spec.nodeName"),
		field("POD_NAME", "metadata.name"),
		field("POD_NAMESPACE", "metadata.namespace"),
	}
}

// container is what both of our containers have in common.
func (u union) container(name, role string, s Settings, mounts []corev1.VolumeMount) corev1.Container {
	c := corev1.Container{
		Name:            name,
		Image:           s.Image,
		ImagePullPolicy: s.ImagePullPolicy,
		Command:         []string{AgentCommand},
		Args: []string{
			"-role", role,
			"-broker", s.BrokerAddress,
			"-server-name", s.ServerName,
			"-token", api.MountToken + "/" + tokenFile,
			"-ca", api.MountCA + "/" + api.ConfigMapCAKey,
			"-tmp", api.MountTmp,
		},
		Env:                      ownEnv(),
		EnvFrom:                  u.Container.EnvFrom,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	own := c.Env
	for _, e := range u.Container.Env { // each name once
		if i := slices.IndexFunc(own, func(o corev1.EnvVar) bool { return o.Name == e.Name }); i >= 0 {
			c.Env[i] = e
		} else {
			c.Env = append(c.Env, e)
		}
	}
	c.VolumeMounts = append([]corev1.VolumeMount{
		{Name: api.VolumeTmp, MountPath: api.MountTmp},
		{Name: api.VolumeToken, MountPath: api.MountToken, ReadOnly: true},
		{Name: api.VolumeCA, MountPath: api.MountCA, ReadOnly: true},
	}, mounts...)
	for i, l := range u.Locals {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: localName(i), MountPath: l.Path, SubPath: l.SubPath})
	}
	return c
}

// volumes are those that come with our containers.
func (u union) volumes() []corev1.Volume {
	size := resource.MustParse(defaultTmpSize)
	if u.SizeLimit != nil {
		size = *u.SizeLimit
	}
	out := make([]corev1.Volume, 0, 3+len(u.Locals))
	out = append(out, []corev1.Volume{
		{Name: api.VolumeTmp, VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: u.Medium, SizeLimit: &size},
		}},
		projected(api.VolumeToken, corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: api.TokenAudience, ExpirationSeconds: new(int64(tokenSeconds)), Path: tokenFile,
		}}),
		projected(api.VolumeCA, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: api.ConfigMapCA},
			Items:                []corev1.KeyToPath{{Key: api.ConfigMapCAKey, Path: api.ConfigMapCAKey}},
			// A pod of the user's must start even where the ConfigMap is late; the agent waits for it.
			Optional: new(true),
		}}),
	}...)
	for i, l := range u.Locals {
		out = append(out, corev1.Volume{Name: localName(i), VolumeSource: l.Source})
	}
	return out
}

func projected(name string, source corev1.VolumeProjection) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}},
	}}
}

// pullSecrets are the operator's and the user's, each once.
func pullSecrets(settings []string, user []corev1.LocalObjectReference) []corev1.LocalObjectReference {
	var out []corev1.LocalObjectReference
	for _, name := range settings {
		out = append(out, corev1.LocalObjectReference{Name: name})
	}
	for _, s := range user {
		if s.Name != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
