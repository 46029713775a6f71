package mutators

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// nobody is the user of a container that must not be root, where the pod names none.
const nobody = 65534

// backupCapabilities lets root read every file; baseline does not allow DAC_READ_SEARCH, so the
// wider DAC_OVERRIDE stands in (the mounts are read-only all the same). A repository on a mounted
// volume must be written whoever owns it.
func backupCapabilities(level Level, local bool) []corev1.Capability {
	switch {
	case level == Baseline:
		return []corev1.Capability{"DAC_OVERRIDE"}
	case local:
		return []corev1.Capability{"DAC_OVERRIDE", "DAC_READ_SEARCH"}
	default:
		return []corev1.Capability{"DAC_READ_SEARCH"}
	}
}

// restoreCapabilities lets root write every file with its owner, mode, set-user-ID bits, device
// numbers and file capabilities. All of them are on baseline's list.
func restoreCapabilities() []corev1.Capability {
	return []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"}
}

// securityContext is ours for the namespace's level with the user's fields in place of ours.
func securityContext(level Level, capabilities []corev1.Capability, pod *corev1.PodSpec, mounted map[string]bool, user *corev1.SecurityContext) *corev1.SecurityContext {
	ours := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if level == Restricted || nonRootByUser(user) {
		ours.RunAsNonRoot = new(true)
		uid, gid := applicationUser(pod, mounted)
		ours.RunAsUser, ours.RunAsGroup = new(uid), gid
	} else {
		// Stated, since a pod that says runAsNonRoot would keep our container from starting.
		ours.RunAsNonRoot = new(false)
		ours.RunAsUser, ours.RunAsGroup = new(int64(0)), new(int64(0))
		ours.Capabilities.Add = capabilities
	}
	replaceFields(ours, user)
	return ours
}

func nonRootByUser(user *corev1.SecurityContext) bool {
	return user != nil && user.RunAsUser == nil && isTrue(user.RunAsNonRoot)
}

// applicationUser is the user of the container that works on the data, else the pod's, else nobody.
func applicationUser(pod *corev1.PodSpec, mounted map[string]bool) (int64, *int64) {
	var uid, gid *int64
	if pod.SecurityContext != nil {
		uid, gid = pod.SecurityContext.RunAsUser, pod.SecurityContext.RunAsGroup
	}
	for _, c := range pod.Containers {
		if c.SecurityContext == nil || !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return mounted[m.Name] }) {
			continue
		}
		if c.SecurityContext.RunAsUser != nil {
			uid = c.SecurityContext.RunAsUser
		}
		if c.SecurityContext.RunAsGroup != nil {
			gid = c.SecurityContext.RunAsGroup
		}
		break
	}
	if uid == nil || *uid == 0 {
		return nobody, gid
	}
	return *uid, gid
}

// replaceFields puts each field that the user set in place of ours.
func replaceFields(ours, user *corev1.SecurityContext) {
	if user == nil {
		return
	}
	replace(&ours.Capabilities, user.Capabilities)
	replace(&ours.Privileged, user.Privileged)
	replace(&ours.SELinuxOptions, user.SELinuxOptions)
	replace(&ours.WindowsOptions, user.WindowsOptions)
	replace(&ours.RunAsUser, user.RunAsUser)
	replace(&ours.RunAsGroup, user.RunAsGroup)
	replace(&ours.RunAsNonRoot, user.RunAsNonRoot)
	replace(&ours.ReadOnlyRootFilesystem, user.ReadOnlyRootFilesystem)
	replace(&ours.ProcMount, user.ProcMount)
	replace(&ours.SeccompProfile, user.SeccompProfile)
	replace(&ours.AppArmorProfile, user.AppArmorProfile)
	// The API server refuses a container that is privileged and must not escalate.
	if user.AllowPrivilegeEscalation != nil {
		ours.AllowPrivilegeEscalation = user.AllowPrivilegeEscalation
	} else if isTrue(ours.Privileged) || hasCapability(ours.Capabilities, "SYS_ADMIN") {
		ours.AllowPrivilegeEscalation = nil
	}
}

func hasCapability(c *corev1.Capabilities, name corev1.Capability) bool {
	return c != nil && (slices.Contains(c.Add, name) || slices.Contains(c.Add, "CAP_"+name) || slices.Contains(c.Add, "ALL"))
}

func replace[T any](ours **T, user *T) {
	if user != nil {
		*ours = user
	}
}

func isTrue(b *bool) bool { return b != nil && *b }
