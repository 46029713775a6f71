package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// dataSet is a tree of files of random bytes, which neither compress nor repeat.
type dataSet struct {
	title string
	// files of that many bytes, in folders of a hundred.
	files int
	size  func(i int) int64
	// change is what changes between a first and a second backup: that many files, each from its
	// beginning to that many bytes.
	changedFiles int
	changedBytes int64
}

const largeCount = 4

// largeFiles is a few large files; a hundredth of the bytes changes, in one of them.
func largeFiles(mebibytes int) dataSet {
	total := int64(mebibytes) << 20
	return dataSet{
		title: fmt.Sprintf("%d files, %d MiB", largeCount, mebibytes), files: largeCount,
		size:         func(int) int64 { return total / largeCount },
		changedFiles: 1, changedBytes: total / 100,
	}
}

// smallFiles is many files of 1 to 8 KiB; a hundredth of the files changes.
func smallFiles(count int) dataSet {
	size := func(i int) int64 { return 1<<10 + int64(i*7919)%(7<<10) }
	var total int64
	for i := range count {
		total += size(i)
	}
	return dataSet{
		title: fmt.Sprintf("%d files, %d MiB", count, total>>20), files: count, size: size,
		changedFiles: count / 100, changedBytes: 8 << 10,
	}
}

func (d dataSet) path(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%04d/%02d", i/100, i%100))
}

// plant writes the files.
func (d dataSet) plant(dir string) error {
	random := newRandom(1)
	for i := range d.files {
		if err := write(d.path(dir, i), random, d.size(i), os.O_CREATE|os.O_TRUNC); err != nil {
			return err
		}
	}
	return nil
}

// alter changes what changes between two backups. No two seeds write the same.
func (d dataSet) alter(dir string, seed uint64) error {
	random := newRandom(seed)
	for n := range d.changedFiles {
		i := n * (d.files / d.changedFiles)
		if err := write(d.path(dir, i), random, min(d.size(i), d.changedBytes), 0); err != nil {
			return err
		}
	}
	return nil
}

func newRandom(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

func write(path string, random io.Reader, size int64, flags int) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|flags, 0o600) //nolint:gosec // a file of our own
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	_, err = io.CopyN(f, random, size)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
