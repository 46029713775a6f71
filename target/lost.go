package target

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Lost names a volume whose content ends with its pod, for example emptyDir "cache"; empty for all
// others.
func Lost(v *corev1.Volume) string {
	switch {
	case v.EmptyDir != nil:
		return fmt.Sprintf("emptyDir %q", v.Name)
	case v.Ephemeral != nil:
		return fmt.Sprintf("ephemeral volume %q", v.Name)
	}
	return ""
}
