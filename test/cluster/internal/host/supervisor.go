package host

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// environment is that of the host's processes. The memory limit is process 1's own: an API server
// below it would do nothing but collect garbage.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") })
}

// supervisor starts the host's processes, restarts those that end, and reaps
// every orphan, which is the duty of process 1.
type supervisor struct {
	spec Spec

	// mu also keeps the reaper away from a process that is being forked.
	mu    sync.Mutex
	state map[string]*processState
	byPID map[int]*processState
}

type processState struct {
	Process
	pid     int
	starts  int
	stopped bool          // by request: not restarted
	ended   chan struct{} // closed when a step has succeeded
}

func newSupervisor(spec Spec) *supervisor {
	s := &supervisor{spec: spec, state: map[string]*processState{}, byPID: map[int]*processState{}}
	for _, p := range spec.Processes {
		s.state[p.Name] = &processState{Process: p, ended: make(chan struct{})}
	}
	return s
}

// run supervises for ever; it returns only when the control socket fails.
func (s *supervisor) run() error {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go s.reap(children)
	go s.startAll()
	return s.serveControl()
}

// startAll starts the processes in order; a step holds up those after it.
func (s *supervisor) startAll() {
	for _, p := range s.spec.Processes {
		if p.After != "" {
			waitURL(p.After, p.CAFile)
		}
		st := s.state[p.Name]
		s.start(st)
		if p.Once {
			<-st.ended
		}
	}
}

// start starts a process unless it runs or has been stopped by request.
func (s *supervisor) start(st *processState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.pid != 0 || st.stopped {
		return
	}
	if err := s.fork(st); err != nil {
		log.Printf("start %s: %v", st.Name, err)
		time.AfterFunc(restartDelay, func() { s.start(st) })
	}
}

// fork starts the process; the caller holds s.mu.
func (s *supervisor) fork(st *processState) error {
	path, err := exec.LookPath(st.Args[0])
	if err != nil {
		return err
	}
	out, err := os.OpenFile(s.spec.Log(st.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("open null device: %w", err)
	}
	defer null.Close()
	// Not os/exec: its Wait and the reaper would take results from each other.
	p, err := os.StartProcess(path, st.Args, &os.ProcAttr{
		Dir:   st.Dir,
		Env:   environment(),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	st.pid = p.Pid
	st.starts++
	s.byPID[p.Pid] = st
	return p.Release()
}

// reap collects every ended child of the host.
func (s *supervisor) reap(children <-chan os.Signal) {
	for range children {
		s.mu.Lock()
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
			if st := s.byPID[pid]; st != nil {
				delete(s.byPID, pid)
				s.ended(st, status)
			}
		}
		s.mu.Unlock()
	}
}

// ended handles the end of a process; the caller holds s.mu.
func (s *supervisor) ended(st *processState, status syscall.WaitStatus) {
	st.pid = 0
	if st.Once && status.Exited() && status.ExitStatus() == 0 {
		close(st.ended)
		return
	}
	if st.stopped {
		return
	}
	log.Printf("%s ended: exit status %d, signal %d; starting it again", st.Name, status.ExitStatus(), status.Signal())
	time.AfterFunc(restartDelay, func() { s.start(st) })
}

// stop kills a process and its process group's session leader for good.
func (s *supervisor) stop(st *processState) {
	s.mu.Lock()
	st.stopped = true
	pid := st.pid
	s.mu.Unlock()
	if pid == 0 {
		return
	}
	// The process is a session leader, so its group is its own.
	_ = syscall.Kill(-pid, syscall.SIGKILL) // it may have ended just now
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for s.running(st) && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *supervisor) running(st *processState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.pid != 0
}
