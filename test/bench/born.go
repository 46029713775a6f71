package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// born is when a file was made: containerd makes the log of a container when it starts it.
func born(path string) (time.Time, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_BTIME, &st); err != nil {
		return time.Time{}, fmt.Errorf("stat log: %w", err)
	}
	if st.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}, errors.New("stat log: this file system does not say when a file was made")
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)), nil
}
