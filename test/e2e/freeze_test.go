package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// agents returns the processes of our sidecar or init-container in a pod, as the machine sees them.
func (s *site) agents(pod corev1.Pod) []int {
	s.Helper()
	var pids []int
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.Fatal(err)
	}
	for _, f := range files {
		cmdline, err := os.ReadFile(f)
		if err != nil || !bytes.HasPrefix(cmdline, []byte("/usr/local/bin/stash-agent")) {
			continue
		}
		environ, err := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
		if err != nil || !bytes.Contains(environ, []byte("POD_NAME="+pod.Name+"\x00")) || !bytes.Contains(environ, []byte("POD_NAMESPACE="+pod.Namespace+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			s.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// freeze stops a pod's agent as a machine without memory would: it lives and does nothing.
func (s *site) freeze(pod corev1.Pod) {
	s.Helper()
	pids := s.agents(pod)
	if len(pids) == 0 {
		s.Fatalf("pod %s has no agent", pod.Name)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			s.Fatal(err)
		}
	}
}
