package backend

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkPrefix refuses a path below a bucket that could mean another place than it says. A URL would
// end at "?" or "#" and decode "%"; restic would follow "..".
func checkPrefix(prefix string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if bad := controlCharacter(prefix); bad != "" {
		errs = append(errs, field.Invalid(at, prefix, bad))
	}
	if i := strings.IndexAny(prefix, `?#%\`); i >= 0 {
		errs = append(errs, field.Invalid(at, prefix, fmt.Sprintf("must not hold %q: write a path such as stash/my-namespace/my-app", prefix[i])))
	}
	if slices.Contains(strings.Split(prefix, "/"), "..") {
		errs = append(errs, field.Invalid(at, prefix, `must not hold "..": write the path itself, for example stash/my-namespace/my-app`))
	}
	if strings.HasPrefix(cleanPath(prefix), "-") {
		errs = append(errs, field.Invalid(at, prefix, `must not begin with "-"; for example stash/my-namespace/my-app`))
	}
	return errs
}

// cleanPath drops empty and "." parts and outer slashes; "" stands for the root.
func cleanPath(text string) string {
	return strings.TrimPrefix(path.Clean("/"+text), "/")
}

// controlCharacter says what is wrong with text that holds control or invalid characters.
func controlCharacter(text string) string {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return fmt.Sprintf("must not hold the character %U", r)
		}
	}
	return ""
}
