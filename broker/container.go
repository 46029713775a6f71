package broker

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/restic"
)

// What follows holds a container against what we add. Images and flags of an older or newer Stash, and
// what users may set of it (resources, security, probes of the sidecar, their variables), pass. It is
// no proof: whoever may create pods can read what a process of theirs holds. It keeps work away from
// what only looks like an agent, and says aloud where another tool has changed one.

// checkContainer returns the container of the role, which the pod must hold as we add it.
func (a *Authenticator) checkContainer(pod *corev1.Pod, role protocol.Role) (*corev1.Container, error) {
	c := containerOf(pod, role)
	if c == nil {
		return nil, fmt.Errorf("%w: pod \"%s/%s\" has no container of Stash for role %q", ErrDenied, pod.Namespace, pod.Name, role)
	}
	for _, why := range []string{a.program(c), arguments(c.Args, role), surroundings(c, role), intruder(pod)} {
		if why != "" {
			return nil, fmt.Errorf("%w: container %q of pod \"%s/%s\" is not as Stash adds it: %s", ErrDenied, c.Name, pod.Namespace, pod.Name, why)
		}
	}
	return c, nil
}

// containerOf finds the container of a role where we put it. Ephemeral ones are none of ours.
func containerOf(pod *corev1.Pod, role protocol.Role) *corev1.Container {
	named := func(list []corev1.Container, name string) *corev1.Container {
		if i := slices.IndexFunc(list, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	always := func(c *corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}
	switch role {
	case protocol.RoleSidecar:
		if c := named(pod.Spec.InitContainers, api.ContainerSidecar); c != nil && always(c) {
			return c
		}
		return named(pod.Spec.Containers, api.ContainerSidecar)
	case protocol.RoleInit:
		if c := named(pod.Spec.InitContainers, api.ContainerRestore); c != nil && !always(c) {
			return c
		}
	case protocol.RoleWorker:
		return named(pod.Spec.Containers, api.ContainerWorker)
	case protocol.RoleBackupJob, protocol.RoleRestoreJob:
		return named(pod.Spec.Containers, api.ContainerJob)
	}
	return nil
}

// program says what is wrong with what the container runs.
func (a *Authenticator) program(c *corev1.Container) string {
	untrusted := UntrustedImage(c.Image, a.Image, a.TrustedImages)
	switch {
	case len(c.Command) != 1 || c.Command[0] != a.AgentCommand:
		return fmt.Sprintf("its command is not %s", a.AgentCommand)
	case untrusted != "":
		return untrusted
	case c.WorkingDir != "":
		return "it has a workingDir"
	}
	for _, e := range c.Env {
		if restic.ReservedEnv(e.Name) {
			return fmt.Sprintf("its environment has %s", e.Name)
		}
	}
	return ""
}

// UntrustedImage says why an agent of the image is refused by an operator with an image of its own that
// trusts others, too, and what to do about it; empty: the image is trusted.
func UntrustedImage(image, own string, trusted []string) string {
	if slices.ContainsFunc(append([]string{own}, trusted...), func(known string) bool { return repository(known) == repository(image) }) {
		return ""
	}
	return fmt.Sprintf("its image is not of %s, but %s; where that is meant, start the operator with --trusted-images=%s, else have the pod made anew",
		repository(own), image, image)
}

// repository is an image's name without tag and digest, with the registry that is meant where there
// is none.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		image = image[:i]
	}
	host, rest, found := strings.Cut(image, "/")
	switch {
	case !found:
		return "docker.io/library/" + image
	case host == "docker.io" && !strings.Contains(rest, "/"):
		return "docker.io/library/" + rest
	case host != "localhost" && !strings.ContainsAny(host, ".:"):
		return "docker.io/" + image
	}
	return image
}

// arguments says what is wrong with an agent's flags: which program is restic, and where the agent
// takes its token and its trust from, is not a pod's to say.
func arguments(args []string, role protocol.Role) string {
	fixed := map[string]string{
		"role": string(role), "token": api.MountToken + "/token", "ca": api.MountCA + "/" + api.ConfigMapCAKey,
		"tmp": api.MountTmp, "state": mutators.MountRestoreState,
	}
	free := []string{"broker", "server-name", "restore-id", "idle", "mounted", "log-format"}
	seen := map[string]bool{}
	for len(args) > 0 {
		word := args[0]
		name, value, joined := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
		if args = args[1:]; !joined && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		want, isFixed := fixed[name]
		switch {
		case !strings.HasPrefix(word, "-"), !isFixed && !slices.Contains(free, name):
			return fmt.Sprintf("its argument %q is none of an agent's", word)
		case seen[name]:
			return fmt.Sprintf("its argument -%s is given twice", name)
		case isFixed && value != want, strings.Contains(value, "$("):
			return fmt.Sprintf("its argument -%s is %q", name, value)
		}
		seen[name] = true
	}
	if !seen["role"] {
		return "its argument -role is missing"
	}
	return ""
}

// surroundings says what is wrong with what the container mounts and what runs beside its program.
func surroundings(c *corev1.Container, role protocol.Role) string {
	own := map[string]string{
		api.MountTmp: api.VolumeTmp, api.MountToken: api.VolumeToken, api.MountCA: api.VolumeCA,
		mutators.MountRestoreState: mutators.VolumeRestoreState,
	}
	for _, m := range c.VolumeMounts {
		at := path.Clean("/" + m.MountPath)
		if name, ok := own[at]; ok && name == m.Name && m.SubPath == "" && m.SubPathExpr == "" {
			continue
		}
		if mutators.Hides(at) || at == "/etc/ld.so.preload" {
			return fmt.Sprintf("volume %q is mounted at %s, over what the agent needs", m.Name, at)
		}
	}
	if role != protocol.RoleSidecar && (c.Lifecycle != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil || c.StartupProbe != nil) {
		return "it has probes or a lifecycle"
	}
	return ""
}

// intruder finds who else in the pod gets at an agent's token or scratch files, or at its process.
func intruder(pod *corev1.Pod) string {
	if v := volume(pod, api.VolumeTmp); v != nil && v.EmptyDir == nil {
		return fmt.Sprintf("volume %q is not the pod's own", v.Name)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if ours(c.Name) {
			continue
		}
		if why := shares(pod, c.Name, c.VolumeMounts); why != "" {
			return why
		}
	}
	for _, c := range pod.Spec.EphemeralContainers {
		if ours(c.TargetContainerName) {
			return fmt.Sprintf("the ephemeral container %q sees its processes", c.Name)
		}
		if why := shares(pod, c.Name, c.VolumeMounts); why != "" {
			return why
		}
	}
	return ""
}

func ours(container string) bool {
	return slices.Contains([]string{api.ContainerSidecar, api.ContainerRestore, api.ContainerWorker, api.ContainerJob}, container)
}

// shares tells whether a container mounts what is for agents alone: their scratch files, and any
// volume with a token of their audience.
func shares(pod *corev1.Pod, container string, mounts []corev1.VolumeMount) string {
	for _, m := range mounts {
		private := m.Name == api.VolumeTmp || m.Name == api.VolumeToken
		if v := volume(pod, m.Name); v != nil {
			private = private || slices.ContainsFunc(projections(v), func(s corev1.VolumeProjection) bool {
				return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == api.TokenAudience
			})
		}
		if private {
			return fmt.Sprintf("volume %q is also mounted by container %q", m.Name, container)
		}
	}
	return ""
}

func volume(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func projections(v *corev1.Volume) []corev1.VolumeProjection {
	if v.Projected == nil {
		return nil
	}
	return v.Projected.Sources
}
