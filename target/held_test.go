package target

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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
		"all but what is not in it":          {paths: []string{"/data/db"}, exclude: []string{"*", "!/no/such"}},
		"all but what lies below the rest":   {paths: []string{"/data/db"}, exclude: []string{"/data/db/*", "!/data/db/a/b"}},
		"all but itself":                     {paths: []string{"/data/db"}, exclude: []string{"*", "!/data/db"}, held: true},
		"all but it, below what is left out": {paths: []string{"/data"}, exclude: []string{"/data", "!/data/db"}},
		"taken in and left out again":        {paths: []string{"/data/db"}, exclude: []string{"*", "!/data/db", "db"}},
		"every name, in other words":         {paths: []string{"/data/db"}, exclude: []string{"/data/db/?*"}},
		"some of the names":                  {paths: []string{"/data/db"}, exclude: []string{"/data/db/??*", "/data/db/[a-z]*"}, held: true},
		"patterns that mean nothing":         {paths: []string{"/data/db"}, exclude: []string{"", "!", ".", "[", "/data/["}, held: true},
		"the root":                           {paths: []string{"/data/db"}, exclude: []string{"/"}},
		"patterns that are not clean":        {paths: []string{"/data/db"}, exclude: []string{"x/../*"}},
		"a folder that is not clean":         {paths: []string{"/data/db"}, exclude: []string{"/data//x/../db/."}},
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

// Arguments leave out as fields do. What only the files tell may be all of them.
func TestWhatArgumentsLeaveOut(t *testing.T) {
	for name, c := range map[string]struct {
		path          string
		exclude, args []string
		held          bool
	}{
		"nothing":                              {args: []string{"--compression=max", "--tag", "nightly", "--exclude-caches"}, held: true},
		"everything":                           {args: []string{"--exclude=*"}},
		"everything, in two words":             {args: []string{"--exclude", "*"}},
		"everything, in short":                 {args: []string{"-e", "/data/db"}},
		"everything, in capitals":              {args: []string{"--iexclude=/DATA/*"}},
		"capitals elsewhere":                   {args: []string{"--exclude=/DATA/*"}, held: true},
		"some files":                           {args: []string{"--exclude=*.tmp", "--iexclude=*.BAK"}, held: true},
		"what the field takes in, in one list": {exclude: []string{"/data/db/*"}, args: []string{"--exclude=!/data/db/dump"}, held: true},
		"what the other list takes in":         {exclude: []string{"/data/db/*"}, args: []string{"--iexclude=!/data/db/dump"}},
		"whatever is large":                    {args: []string{"--exclude-larger-than=1"}},
		"whatever lies beside something":       {args: []string{"--exclude-if-present=PG_VERSION"}},
		"other file systems than the path's":   {args: []string{"-x"}, held: true},
		"other file systems than the path's, which lies above the volume":        {path: "/data", args: []string{"--one-file-system"}},
		"other file systems than the path's, which lies in the volume":           {path: "/data/db/a", args: []string{"--one-file-system"}, held: true},
		"arguments that the backup is refused with, so that it never makes some": {args: []string{"--password-command=id"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &v1beta1.BackupTarget{Paths: []string{cmp.Or(c.path, "/data/db")}, Exclude: c.exclude, Args: c.args, VolumeMounts: []corev1.VolumeMount{{Name: "db", MountPath: "/data/db"}}}
			if got := slices.Contains(Held(nil, b), "db"); got != c.held {
				t.Errorf("held: %v", got)
			}
		})
	}
}

// Patterns, paths and mounts are a tenant's: what is too much to look at counts for nothing, and is not
// looked at.
func TestPatternsThatAreTooMuchToLookAtLeaveAllOut(t *testing.T) {
	deep := strings.Repeat("/d", 1000)
	long, slow := "/"+strings.Repeat("a", MaxPath-1), "*"+strings.Repeat("a", 2000)+"b*"
	for name, c := range map[string]struct {
		path    string
		exclude []string
		held    bool
	}{
		"few of a deep path":     {deep, slices.Repeat([]string{"/x/**/y"}, 2), true},
		"many of a deep path":    {deep, slices.Repeat([]string{"/x/**/y"}, 5000), false},
		"long, and matched soon": {long, slices.Repeat([]string{"*" + strings.Repeat("a", 2000) + "b"}, 100), true},
		"long, and matched late": {long, slices.Repeat([]string{slow}, 100), false},
		"long, of short names":   {"/" + strings.Repeat("a", 255), []string{slow}, true},
		"longer than is read":    {"/d", []string{strings.Repeat("x", maxLook+1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &v1beta1.BackupTarget{Paths: []string{c.path}, Exclude: c.exclude, VolumeMounts: []corev1.VolumeMount{{Name: "db", MountPath: "/" + strings.Split(c.path, "/")[1]}}}
			l := &Looks{}
			if got := slices.Contains(MountsOf(nil).Held(l, b), "db"); got != c.held {
				t.Errorf("held %v", got)
			}
			if l.spent > maxLook+maxLook/4 {
				t.Errorf("%d spent", l.spent)
			}
		})
	}
}

// However many backups there are of a workload, they share what may be spent on a judgement.
func TestManyBackupsTogetherAreBounded(t *testing.T) {
	costly := &v1beta1.BackupTarget{Paths: []string{"/" + strings.Repeat("a", 255)}, Exclude: slices.Repeat([]string{"*" + strings.Repeat("a", 200) + "b*"}, 100), VolumeMounts: []corev1.VolumeMount{{Name: "db", MountPath: "/"}}}
	cheap := &v1beta1.BackupTarget{Paths: []string{"/data"}, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}}
	l, mounts := &Looks{}, MountsOf(nil)
	if got := mounts.Held(l, cheap); len(got) != 1 {
		t.Fatalf("held %q", got)
	}
	for range 10 {
		mounts.Held(l, costly)
	}
	if got := mounts.Held(l, cheap); len(got) != 0 || l.spent > maxLooks+maxLook {
		t.Errorf("held %q, %d spent", got, l.spent)
	}
}

// What is not matched by path.Match is matched as by it.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"*.tmp", "a.tmp"}, {"a*", "a"}, {"?*", "é"}, {"a?c*d", "abcd"}, {`\*`, "*"}, {"[a-c]*", "b"}, {"*a*", "aa"}, {"ab*ba", "aba"}, {"[", "["}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if strings.Contains(text+name, "/") || name == "" || text == "" || !utf8.ValidString(text+name) {
			t.Skip()
		}
		p := parsePart(text)
		want, err := path.Match(text, name)
		if got := p.matches(name, func(int) bool { return true }); got != (want && err == nil) || p.all && !want {
			t.Errorf("%q, %q: %v, path.Match says %v, %v", text, name, got, want, err)
		}
	})
}
