package doctor

import (
	"context"
	"fmt"
	"strings"

	utilversion "k8s.io/apimachinery/pkg/util/version"
)

// oldestRestic is the first with the messages and exit codes that agents read.
const oldestRestic = "0.18.0"

func (d *Doctor) restic(ctx context.Context, _ *site) []Finding {
	if d.Restic == nil {
		return []Finding{fine("not looked at: this is not the image of the operator, which agents run too")}
	}
	text, err := d.Restic(ctx)
	return []Finding{judgeRestic(text, err)}
}

func judgeRestic(text string, err error) Finding {
	const do = "build the image from deploy/Dockerfile, on a base whose restic is 0.18 or newer"
	if err != nil {
		return fail(do, "restic does not run in this image: %v", err)
	}
	var version string
	if n, err := fmt.Sscanf(text, "restic %s", &version); err != nil || n != 1 {
		return warn(do, "restic says %q", strings.TrimSpace(text))
	}
	have, err := utilversion.ParseGeneric(version)
	if err != nil {
		return warn(do, "restic says version %q, which cannot be read", version)
	}
	if have.LessThan(utilversion.MustParseGeneric(oldestRestic)) {
		return fail(do, "restic is %s", version)
	}
	return fine("restic is %s", version)
}
