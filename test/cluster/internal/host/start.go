package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Record identifies the running process 1 of a host, beyond the life of the
// program that started it. The start time and the machine's boot guard
// against a number that has been given to another process since.
type Record struct {
	PID   int
	Start string
	Boot  string
}

// Start boots a host with the program binary (command host). Its files,
// NAME.json, NAME.pid and NAME.log, go to runDir and spec.LogDir. plug is
// called with the process number to put the host on its network. Start
// returns when the host has its mounts and network and supervises.
func Start(ctx context.Context, binary, runDir string, spec Spec, plug func(pid int) error) error {
	specPath := filepath.Join(runDir, spec.Name+".json")
	if err := spec.write(specPath); err != nil {
		return fmt.Errorf("write description of host %s: %w", spec.Name, err)
	}
	logPath := filepath.Join(spec.LogDir, spec.Name+".log")
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of host %s: %w", spec.Name, err)
	}
	defer out.Close()
	wait, ready, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	defer ready.Close()
	// Not CommandContext: the host outlives the context and this program.
	cmd := exec.Command(binary, "boot", specPath)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{wait}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "GOMEMLIMIT=64MiB"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	err = cmd.Start()
	_ = wait.Close() // the child has its own copy
	if err != nil {
		return fmt.Errorf("start host %s: %w", spec.Name, err)
	}
	go cmd.Wait() //nolint:errcheck // only so that no zombie stays
	if err := remember(filepath.Join(runDir, spec.Name+".pid"), cmd.Process.Pid); err != nil {
		return errors.Join(err, cmd.Process.Kill())
	}
	if err := plug(cmd.Process.Pid); err != nil {
		return errors.Join(fmt.Errorf("plug in host %s: %w", spec.Name, err), cmd.Process.Kill())
	}
	if _, err := ready.Write([]byte{1}); err != nil {
		return fmt.Errorf("boot host %s: %w", spec.Name, err)
	}
	return awaitControl(ctx, spec, filepath.Join(runDir, spec.Name+".pid"))
}

// awaitControl returns when the host answers on its control socket.
func awaitControl(ctx context.Context, spec Spec, recordPath string) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		_, err := call(attempt, spec.Control, request{Op: "status"})
		cancel()
		if err == nil {
			return nil
		}
		if PID(recordPath) == 0 {
			return fmt.Errorf("boot host %s: it ended at once", spec.Name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("boot host %s: %w", spec.Name, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Status asks a running host for its processes.
func Status(ctx context.Context, socket string) ([]ProcessStatus, error) {
	answer, err := call(ctx, socket, request{Op: "status"})
	return answer.Processes, err
}

// Stop kills one process of a host and leaves it off until StartProcess or
// the next boot.
func Stop(ctx context.Context, socket, process string) error {
	_, err := call(ctx, socket, request{Op: "stop", Process: process})
	return err
}

// StartProcess starts a process that Stop has stopped.
func StartProcess(ctx context.Context, socket, process string) error {
	_, err := call(ctx, socket, request{Op: "start", Process: process})
	return err
}

// PID returns the number of the living process 1 that the record names, 0 when
// there is none.
func PID(recordPath string) int {
	data, err := os.ReadFile(recordPath)
	if err != nil {
		return 0
	}
	var r Record
	if json.Unmarshal(data, &r) != nil || r.PID == 0 {
		return 0
	}
	now, alive := identify(r.PID)
	if !alive || now != r {
		return 0
	}
	return r.PID
}

// Kill cuts the power of the host that the record names and waits until its
// process 1 is gone. A host that is off already is no error.
func Kill(ctx context.Context, recordPath string) error {
	pid := PID(recordPath)
	if pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
		for PID(recordPath) != 0 {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for the end of process %d: %w", pid, ctx.Err())
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	if err := os.Remove(recordPath); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove record: %w", err)
	}
	return nil
}

func remember(path string, pid int) error {
	r, alive := identify(pid)
	if !alive {
		return fmt.Errorf("identify process %d: it ended at once", pid)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return os.WriteFile(path, data, 0o600)
}

// identify describes a process; alive is false for a zombie, which holds
// nothing any more.
func identify(pid int) (r Record, alive bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Record{}, false
	}
	// The name in parentheses may contain anything; fields count after it.
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return Record{}, false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Record{}, false
	}
	return Record{PID: pid, Start: fields[19], Boot: strings.TrimSpace(string(boot))}, true
}
