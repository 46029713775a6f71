package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestRecordNamesOneProcessOnly(t *testing.T) {
	record := filepath.Join(t.TempDir(), "x.pid")
	if PID(record) != 0 {
		t.Error("an absent record names a process")
	}
	child := exec.Command("sleep", "100")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := remember(record, child.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if PID(record) != child.Process.Pid {
		t.Error("the living process was not found")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// The child is a zombie until it is waited for: that counts as gone.
	if err := Kill(ctx, record); err != nil {
		t.Fatal(err)
	}
	if _, alive := identify(child.Process.Pid); alive {
		t.Error("the process is alive")
	}
	if err := Kill(ctx, record); err != nil {
		t.Errorf("kill what is gone: %v", err)
	}
	_ = child.Wait()
	for _, text := range []string{"", "12", `{"PID": 1, "Start": "0", "Boot": "another"}`} {
		if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid := PID(record); pid != 0 {
			t.Errorf("%q names process %d", text, pid)
		}
	}
}

func TestSameSpecIsRecognized(t *testing.T) {
	dir := t.TempDir()
	spec := Spec{Name: "x", Routes: map[string]string{}, Processes: []Process{{Name: "p", Args: []string{"true"}}}}
	if Same(dir, spec) {
		t.Error("a host that was never started is the same")
	}
	if err := spec.write(filepath.Join(dir, "x.json")); err != nil {
		t.Fatal(err)
	}
	if !Same(dir, spec) {
		t.Error("the same host is another")
	}
	spec.Processes[0].Args = []string{"false"}
	if Same(dir, spec) {
		t.Error("another host is the same")
	}
}
