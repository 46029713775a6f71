package target

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api/v1beta1"
)

func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		paths, exclude []string
		held           bool
	}{
		"the mount itself":                   {paths: []string{"/data/db"}, held: true},
		"a folder in it":                     {paths: []string{"/data/db/today"}, held: true},
		"a folder above it":                  {paths: []string{"/data"}, held: true},
		"a path that is not clean":           {paths: []string{"/data//db/"}, held: true},
		"another folder":                     {paths: []string{"/data/dbs"}},
		"no path":                            {},
		"left out by its path":               {paths: []string{"/data"}, exclude: []string{"/data/db"}},
		"left out by its path, with a slash": {paths: []string{"/data"}, exclude: []string{"/data/db/"}},
		"left out by its name":               {paths: []string{"/data/db"}, exclude: []string{"db"}},
		"left out with what is above":        {paths: []string{"/data/db"}, exclude: []string{"/data"}},
		"left out by all that is in it":      {paths: []string{"/data/db"}, exclude: []string{"/data/db/*"}},
		"left out by all below it":           {paths: []string{"/data/db"}, exclude: []string{"/data/db/**"}},
		"left out by all folders":            {paths: []string{"/data/db"}, exclude: []string{"/*/*"}},
		"left out by everything":             {paths: []string{"/data/db"}, exclude: []string{"*"}},
		"left out anywhere":                  {paths: []string{"/data/db"}, exclude: []string{"/**/db"}},
		"some files are left out":            {paths: []string{"/data/db"}, exclude: []string{"*.tmp", "/data/db/wal", "/data/db/?", "cache"}, held: true},
		"another root":                       {paths: []string{"/data/db"}, exclude: []string{"/db"}, held: true},
		"all but some":                       {paths: []string{"/data/db"}, exclude: []string{"/data/db/*", "!/data/db/dump"}, held: true},
		"one path is left out, another not":  {paths: []string{"/data/db/a", "/data/db/b"}, exclude: []string{"/data/db/a"}, held: true},
		"patterns that mean nothing":         {paths: []string{"/data/db"}, exclude: []string{"", "/", "[", "/data/["}, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := &v1beta1.BackupTarget{Paths: c.paths, Exclude: c.exclude, VolumeMounts: []corev1.VolumeMount{{Name: "db", MountPath: "/data/db"}}}
			if got := slices.Contains(Held(nil, b), "db"); got != c.held {
				t.Errorf("held: %v", got)
			}
		})
	}
}

func TestOfNestedMountsAPathLiesInTheInnermost(t *testing.T) {
	b := &v1beta1.BackupTarget{Paths: []string{"/data/db/today"}, VolumeMounts: []corev1.VolumeMount{{Name: "all", MountPath: "/data"}, {Name: "db", MountPath: "/data/db"}, {Name: "logs", MountPath: "/logs"}}}
	if got := Held(nil, b); !slices.Equal(got, []string{"db"}) {
		t.Errorf("held: %q", got)
	}
	b.Paths = []string{"/"}
	if got := Held(nil, b); !slices.Equal(got, []string{"all", "db", "logs"}) {
		t.Errorf("held: %q", got)
	}
}

// Patterns, paths and mounts are a tenant's: what is too much to look at counts for nothing.
func TestPatternsThatAreTooMuchToLookAtLeaveAllOut(t *testing.T) {
	deep := strings.Repeat("/d", 1000)
	b := &v1beta1.BackupTarget{Paths: []string{deep}, VolumeMounts: []corev1.VolumeMount{{Name: "db", MountPath: "/d"}}}
	for n, held := range map[int]bool{2: true, 5000: false} {
		b.Exclude = slices.Repeat([]string{"/x/**/y"}, n)
		if got := slices.Contains(Held(nil, b), "db"); got != held {
			t.Errorf("%d patterns: held %v", n, got)
		}
	}
}
