package exec

import (
	"os"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/restic"
)

// environment is all that restic sees: nothing is inherited that is not named here.
func (r Runner) environment(repository restic.Repository) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + r.WorkDir,
		"TMPDIR=" + r.WorkDir,
		"RESTIC_PROGRESS_FPS=1",
		"RESTIC_REPOSITORY=" + repository.URL,
	}
	for _, name := range r.Inherit {
		if value, found := os.LookupEnv(name); found && repository.Env[name] == "" {
			env = append(env, name+"="+value)
		}
	}
	names := make([]string, 0, len(repository.Env))
	for name := range repository.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		env = append(env, name+"="+repository.Env[name])
	}
	return env
}

// minSecret is the length from which a value is taken out of texts: shorter ones would tear up the
// text and are no secrets.
const minSecret = 4

// scrubber replaces the values of the repository's environment in texts, the longest first. A word that
// restic says by itself stays: taken out of a sentence that everybody knows it would be given away.
func scrubber(repository restic.Repository) *strings.Replacer {
	values := make([]string, 0, len(repository.Env))
	for name, value := range repository.Env {
		if len(value) < minSecret || name == "AWS_DEFAULT_REGION" || restic.Says(value) {
			continue
		}
		values = append(values, value)
		if trimmed := strings.TrimSpace(value); trimmed != value && len(trimmed) >= minSecret {
			values = append(values, trimmed)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(values))
	for _, value := range values {
		pairs = append(pairs, value, "***")
	}
	return strings.NewReplacer(pairs...)
}
