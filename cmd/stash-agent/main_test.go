package main

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// idleBudget is what an idle agent may hold in memory.
const idleBudget = 20 << 20

// TestAnIdleAgentIsSmall builds the program as it is shipped, lets it connect and settle, and reads
// its resident memory.
func TestAnIdleAgentIsSmall(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "stash-agent")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	lines := make(chan string, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		scanner := bufio.NewScanner(r.Body)
		for scanner.Scan() {
			fmt.Fprintln(w, `{"alive":true}`)
			_ = http.NewResponseController(w).Flush()
			lines <- scanner.Text()
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for path, text := range map[string][]byte{token: []byte("token"), ca: certificate} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	agent := exec.Command(program, "-role", "sidecar", "-broker", strings.TrimPrefix(server.URL, "https://"),
		"-token", token, "-ca", ca, "-tmp", filepath.Join(dir, "tmp"))
	agent.Stderr = &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = agent.Process.Signal(os.Interrupt)
		if err := agent.Wait(); err != nil {
			t.Errorf("the agent ended badly: %v\n%s", err, log.String())
		}
	}()
	// Hello, a sign of life, and one of the next heartbeat: by then it is idle.
	for range 3 {
		select {
		case <-lines:
		case <-time.After(30 * time.Second):
			t.Fatal("the agent is silent")
		}
	}
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", agent.Process.Pid)); err != nil || !regexp.MustCompile(`(?m)^Max core file size +1 +1 `).Match(limits) {
		t.Errorf("it may leave core dumps: %v\n%s", err, limits)
	}
	resident := rss(t, agent.Process.Pid)
	t.Logf("resident memory of the idle agent: %.1f MiB", float64(resident)/(1<<20))
	if resident > idleBudget {
		t.Errorf("resident memory is %d bytes, the budget is %d", resident, idleBudget)
	}
}

func rss(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	t.Fatal("the process has no VmRSS")
	return 0
}

func TestTheEnvironmentDoesNotSayWhichProgramsRun(t *testing.T) {
	t.Setenv("PATH", "/data")
	if err := harden(); err != nil {
		t.Fatal(err)
	}
	if got := os.Getenv("PATH"); got != programs {
		t.Errorf("programs are looked for in %s", got)
	}
}

// TestNothingOfKubernetesIsLinked keeps the agent small: what it links is memory in every pod.
func TestNothingOfKubernetesIsLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	const ours = "github.com/seed-731df569/stash/"
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		domain, _, _ := strings.Cut(name, "/")
		if strings.HasPrefix(name, ours) || strings.HasPrefix(name, "golang.org/x/") || !strings.Contains(domain, ".") {
			continue
		}
		t.Errorf("the agent links %s", name)
	}
}
