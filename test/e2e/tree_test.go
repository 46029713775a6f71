package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tree is what lies in a volume, by path: everything that a restore has to bring back. It is read
// from the node's disk, where nanoseconds, links and extended attributes show.
type tree map[string]file

type file struct {
	Mode    fs.FileMode
	UID     uint32
	GID     uint32
	Time    string // of files and folders
	Content string // digest of a file, target of a symbolic link
	Same    string // the first path of the same file, if it has several
	Attrs   map[string]string
}

// readTree reads a folder. Of the folder itself, owner and mode count; its time is the mount's.
func readTree(dir string) (tree, error) {
	t := tree{}
	first := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, inode, err := readFile(path)
		if err != nil {
			return err
		}
		if name == "." {
			f.Time = ""
		}
		if f.Mode.IsRegular() {
			if other, ok := first[inode]; ok {
				f.Same = other
			} else {
				first[inode] = name
			}
		}
		t[name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	return t, nil
}

func readFile(path string) (f file, inode uint64, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return f, 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return f, 0, fmt.Errorf("stat %s: no owner", path)
	}
	f = file{Mode: info.Mode(), UID: stat.Uid, GID: stat.Gid, Time: info.ModTime().UTC().Format(time.RFC3339Nano)}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		f.Content, err = os.Readlink(path)
		return f, 0, err
	case info.Mode().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			return f, 0, err
		}
		sum := sha256.Sum256(data)
		f.Content = hex.EncodeToString(sum[:8])
	}
	f.Attrs, err = readAttrs(path)
	return f, stat.Ino, err
}

func readAttrs(path string) (map[string]string, error) {
	buffer := make([]byte, 4<<10)
	n, err := unix.Llistxattr(path, buffer)
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return nil, err
	}
	attrs := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(buffer[:n]), "\x00"), "\x00") {
		value := make([]byte, 4<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		attrs[name] = string(value[:n])
	}
	return attrs, nil
}

// diff says how two trees differ, in few words.
func (t tree) diff(other tree) string {
	d := cmp.Diff(t, other)
	if len(d) > 3000 {
		d = d[:3000] + "…"
	}
	return d
}

// plant fills a folder with files of all kinds, the same ones for the same seed.
func plant(dir string, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	var errs []error
	do := func(err error) { errs = append(errs, err) }
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		do(os.MkdirAll(filepath.Dir(path), 0o755))
		do(os.WriteFile(path, data, 0o644))
	}
	for i := range 40 {
		write(fmt.Sprintf("many/%02d/file-%d", i%7, i), noise(r, r.IntN(3000)))
	}
	write("large", noise(r, 300_000))
	write("empty", nil)
	write("zeros", make([]byte, 200_000))
	write("odd/a name with blanks, \"quotes\" and ümläute", []byte("odd"))
	write("odd/line\nbreak", []byte("odder"))
	write("odd/-rf", []byte("oddest"))
	write("odd/*?[x]$", []byte("glob"))
	do(os.MkdirAll(filepath.Join(dir, "hollow/inside"), 0o755))
	do(os.Symlink("../large", filepath.Join(dir, "odd/link")))
	do(os.Symlink("/nowhere", filepath.Join(dir, "dangling")))
	do(os.Symlink("many", filepath.Join(dir, "folder-link")))
	do(os.Link(filepath.Join(dir, "large"), filepath.Join(dir, "many/large-too")))
	do(os.Link(filepath.Join(dir, "odd/-rf"), filepath.Join(dir, "hollow/hard")))
	do(unix.Mkfifo(filepath.Join(dir, "odd/pipe"), 0o600))
	do(own(dir, r))
	return errors.Join(errs...)
}

func noise(r *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// own gives files owners, modes, attributes and times that no umask would.
func own(dir string, r *rand.Rand) error {
	var errs []error
	do := func(err error) { errs = append(errs, err) }
	in := func(name string) string { return filepath.Join(dir, name) }
	do(os.Lchown(in("odd/link"), 1234, 4321))
	do(os.Lchown(in("many/00/file-0"), 1000, 1000))
	do(os.Chown(in("many/01"), 70, 70))
	do(os.Chmod(in("many/00/file-0"), 0o400))
	do(os.Chmod(in("many/01"), 0o2775|fs.ModeSetgid))
	do(os.Chmod(in("empty"), 0o755|fs.ModeSetuid))
	do(os.Chmod(in("hollow"), 0o777|fs.ModeSticky))
	do(os.Chmod(in("zeros"), 0))
	if err := unix.Setxattr(in("many/00/file-7"), "user.colour", []byte("blue"), 0); !errors.Is(err, unix.ENOTSUP) {
		do(err)
	}
	do(os.Chown(dir, 33, 44))
	do(os.Chmod(dir, 0o750))
	// Last, since everything above changes times. Folders come after what is in them.
	var paths []string
	do(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	for _, path := range slices.Backward(paths) {
		at := unix.NsecToTimespec(1_500_000_000_000_000_000 + r.Int64N(200_000_000_000_000_000))
		do(unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return errors.Join(errs...)
}

// bulk writes a file of n random bytes, which restic cannot make smaller.
func bulk(dir, name string, n int, seed uint64) error {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	data := make([]byte, n)
	if _, err := r.Read(data); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), data, 0o644)
}

// empty removes what lies in a folder, and gives the folder another mode and owner.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	errs := []error{err, os.Chmod(dir, 0o777), os.Chown(dir, 0, 0)}
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// holds tells whether a folder has a file with that content.
func holds(dir, name, content string) error {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil && !bytes.Equal(data, []byte(content)) {
		err = fmt.Errorf("%s holds %q, not %q", name, data, content)
	}
	return err
}
