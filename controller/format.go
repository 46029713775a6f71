package controller

import (
	"fmt"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// formatBytes writes a size as Stash's status does, for example "1.720 GiB".
func formatBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, name := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB", "PiB"} {
		if value < unit {
			break
		}
		value, name = value/unit, next
	}
	return fmt.Sprintf("%.3f %s", value, name)
}

// total is what is known to be done in all: no less than what is done, whatever restic has counted so far,
// and as an agent of an older build counts, without what was there already. 0 is not known.
func total(done, known int64) int64 {
	if known == 0 {
		return 0
	}
	return max(done, known)
}

// formatMinutes writes seconds as minutes:seconds.
func formatMinutes(seconds float64) string {
	s := int(seconds)
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// progressText sums up how far the assignments are, for example "42%, 12s left".
func progressText(list []v1beta1.Assignment) string {
	var done, total, left int64
	for _, a := range list {
		if a.Progress == nil {
			continue
		}
		done += a.Progress.BytesDone
		total += a.Progress.TotalBytes
		left = max(left, a.Progress.SecondsLeft)
	}
	if total == 0 {
		return ""
	}
	text := fmt.Sprintf("%d%%", min(100, done*100/total))
	if left > 0 {
		text += fmt.Sprintf(", %s left", (time.Duration(left) * time.Second).String())
	}
	return text
}
