package blueprint

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-731df569/stash/api"
)

// Unknown warns of annotations of our group that a request sets and that mean nothing: what is
// misspelt does nothing, and says nothing, ever. Those that are stored already were warned of when
// they came.
func Unknown(oldAnnotations, newAnnotations map[string]string) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(newAnnotations)) {
		name, ours := strings.CutPrefix(key, api.Group+"/")
		if was, has := oldAnnotations[key]; !ours || known(key) || has && was == newAnnotations[key] {
			continue
		}
		text := annotation(key) + " is not an annotation of Stash and does nothing: "
		if meant := closest(name); meant != "" {
			text += "did you mean " + api.Group + "/" + meant + "?"
		} else {
			text += "those are " + strings.Join(offered(), ", ")
		}
		if out = append(out, text); len(out) == maxUnknown {
			break
		}
	}
	return out
}

// maxUnknown bounds the warnings: the API server cuts off what is too long in sum.
const maxUnknown = 5

// known tells whether a key means something to Stash, or is what the existing Stash leaves on workloads.
func known(key string) bool {
	keys := slices.Concat(blueprintKeys(), pathKeys(), restoreKeys(), []string{
		api.AnnotationVolumeMounts, api.AnnotationSchedule, api.AnnotationDraftMountPath, api.AnnotationExemption,
		api.AnnotationExpandedFrom, api.AnnotationExpandedBlueprint, api.Group + "/tag",
	})
	return slices.Contains(keys, key) || strings.HasPrefix(key, api.Group+"/last-applied-")
}

// offered are the keys that an owner of an application writes, as they are documented.
func offered() []string {
	return []string{api.AnnotationBlueprint, api.AnnotationTargetPaths, api.AnnotationVolumeMounts, api.AnnotationSchedule, api.AnnotationExemption}
}

// closest returns the name of the annotation that a misspelt name is most like, empty if it is like
// none. Spelling in capitals and with other separators does not count.
func closest(name string) string {
	best, meant := 0, ""
	for _, key := range offered() {
		want := strings.TrimPrefix(key, api.Group+"/")
		d := distance(plain(name), plain(want))
		if limit := max(2, len(want)/4); d <= limit && (meant == "" || d < best) {
			best, meant = d, want
		}
	}
	return meant
}

func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// distance counts the letters to add, to drop or to exchange that lead from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			exchange := diagonal
			if a[i] != b[j] {
				exchange++
			}
			diagonal = row[j+1]
			row[j+1] = min(exchange, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
