package exec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// script makes a program that stands in for restic.
func script(t *testing.T, text string) exec.Runner {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "restic")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return exec.Runner{Binary: path, WorkDir: dir, Grace: 5 * time.Second}
}

func repository() restic.Repository {
	return restic.Repository{URL: "s3:https://host/bucket", Env: map[string]string{"RESTIC_PASSWORD": "correct-horse", "AWS_SECRET_ACCESS_KEY": "s3cr3t/key"}}
}

func TestRunMakesTheEnvironmentFromNothing(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of-the-agent")
	t.Setenv("RESTIC_REST_USERNAME", "of-the-agent")
	t.Setenv("HTTPS_PROXY", "http://proxy")
	r := script(t, "env | sort")
	r.Inherit = []string{"HTTPS_PROXY", "ABSENT"}
	out, err := r.Run(t.Context(), exec.Command{Repository: repository(), Args: []string{"stats"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out.Output)) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	want := []string{"AWS_SECRET_ACCESS_KEY", "HOME", "HTTPS_PROXY", "PATH", "PWD", "RESTIC_PASSWORD", "RESTIC_PROGRESS_FPS", "RESTIC_REPOSITORY", "TMPDIR"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("variables differ (PWD is the shell's):\n%s", diff)
	}
	if strings.Contains(string(out.Output), "of-the-agent") {
		t.Errorf("our own environment is inherited:\n%s", out.Output)
	}
}

func TestRunPassesOptionsAsOneWord(t *testing.T) {
	r := script(t, `for a in "$@"; do echo "$a"; done`)
	r.CacheDir = "/cache"
	repository := repository()
	repository.InsecureTLS, repository.Options = true, []string{"s3.bucket-lookup=path"}
	out, err := r.Run(t.Context(), exec.Command{Repository: repository, Args: []string{"stats", "--", "x"}, RetryLock: time.Minute})
	want := "--cache-dir=/cache\n--cleanup-cache\n--insecure-tls\n--option=s3.bucket-lookup=path\n--retry-lock=1m0s\nstats\n--\nx\n"
	if diff := cmp.Diff(want, string(out.Output)); err != nil || diff != "" {
		t.Errorf("arguments differ: %v\n%s", err, diff)
	}
}

func TestRunWritesTheCAForTheTimeOfTheRun(t *testing.T) {
	r := script(t, `for a in "$@"; do case $a in --cacert=*) stat -c %a "${a#--cacert=}"; cat "${a#--cacert=}";; esac; done`)
	repository := repository()
	repository.CACert = []byte("the certificate")
	out, err := r.Run(t.Context(), exec.Command{Repository: repository})
	if err != nil || string(out.Output) != "600\nthe certificate" {
		t.Errorf("output = %q, %v", out.Output, err)
	}
	if left, _ := filepath.Glob(filepath.Join(r.WorkDir, "ca-*")); len(left) > 0 {
		t.Errorf("the file is left: %v", left)
	}
}

func TestRunTakesSecretsOutOfErrors(t *testing.T) {
	r := script(t, `echo "Stat(<config/>) returned error, retrying after 1s: key s3cr3t/key of correct-horse" >&2
echo '{"message_type":"exit_error","code":1,"message":"Fatal: password correct-horse, key s3cr3t/key"}' >&2; exit 1`)
	out, err := r.Run(t.Context(), exec.Command{Repository: repository(), Args: []string{"cat"}})
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, text := range append(out.Stderr.Tail(), fmt.Sprint(err), out.Stderr.Exit, out.Stderr.LastRetry) {
		if strings.Contains(text, "correct-horse") || strings.Contains(text, "s3cr3t") {
			t.Errorf("a secret is in %q", text)
		}
	}
	if want := "run restic cat: password ***, key ***"; fmt.Sprint(err) != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

// A mask in a sentence that everybody knows would say what is behind it.
func TestAPasswordThatIsAWordOfRestic(t *testing.T) {
	for password, want := range map[string]string{
		"wrong":      "run restic cat: wrong password or no key found",
		"Wrong":      "run restic cat: wrong password or no key found",
		"wrong-1f7a": "run restic cat: wrong password or no key found",
		"found: no":  "run restic cat: wrong password or no key found",
	} {
		repo := repository()
		repo.Env = map[string]string{"RESTIC_PASSWORD": password}
		r := script(t, `echo '{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}' >&2; exit 12`)
		if _, err := r.Run(t.Context(), exec.Command{Repository: repo, Args: []string{"cat"}}); fmt.Sprint(err) != want {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestRunTellsFailuresApart(t *testing.T) {
	for code, want := range map[int]error{
		3: restic.ErrIncomplete, 10: restic.ErrNoRepository, 11: restic.ErrLocked, 12: restic.ErrWrongPassword, 130: restic.ErrInterrupted,
	} {
		_, err := script(t, "exit "+strconv.Itoa(code)).Run(t.Context(), exec.Command{Args: []string{"backup"}})
		if !errors.Is(err, want) {
			t.Errorf("exit code %d is %v, want %v", code, err, want)
		}
	}
	if _, err := (exec.Runner{Binary: "/absent"}).Run(t.Context(), exec.Command{}); restic.ReasonOf(err) != restic.ReasonOther {
		t.Errorf("an absent program is %v", err)
	}
	if _, err := script(t, "kill -9 $$").Run(t.Context(), exec.Command{}); err == nil || !strings.Contains(fmt.Sprint(err), "killed") {
		t.Errorf("a killed program is %v", err)
	}
}

func TestRunStreamsLinesAndToleratesGarbage(t *testing.T) {
	r := script(t, `printf '{"message_type":"status","percent_done":0.5}\n\nnot json\n\377\376\n'
head -c 3000000 /dev/zero | tr '\0' x; echo
printf '{"message_type":"summary","snapshot_id":"abc"}'`)
	var output restic.BackupOutput
	var statuses, longest int
	output.OnStatus = func(restic.BackupStatus) { statuses++ }
	out, err := r.Run(t.Context(), exec.Command{Args: []string{"backup"}, Line: func(line []byte) {
		longest = max(longest, len(line))
		output.Line(line)
	}})
	if err != nil || statuses != 1 || output.Summary == nil || output.Summary.SnapshotID != "abc" {
		t.Errorf("statuses = %d, summary = %+v, %v", statuses, output.Summary, err)
	}
	if longest != 1<<20 || len(out.Output) != 0 {
		t.Errorf("longest line = %d, kept = %d, want lines cut at 1 MiB and nothing kept", longest, len(out.Output))
	}
}

func TestRunReadsToTheEndForAReaderThatStops(t *testing.T) {
	r := script(t, `head -c 1000000 /dev/zero`)
	if _, err := r.Run(t.Context(), exec.Command{Read: func(io.Reader) error { return nil }}); err != nil {
		t.Errorf("the run failed: %v", err)
	}
	want := errors.New("unreadable")
	if _, err := r.Run(t.Context(), exec.Command{Read: func(io.Reader) error { return want }}); !errors.Is(err, want) {
		t.Errorf("error = %v, want the reader's", err)
	}
}

func TestRunInterruptsWhatIsCanceled(t *testing.T) {
	r := script(t, `trap 'echo cleaned; exit 130' INT; echo started; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	_, err := r.Run(ctx, exec.Command{Args: []string{"backup"}, Line: func(line []byte) {
		lines = append(lines, string(line))
		cancel()
	}})
	if restic.ReasonOf(err) != restic.ReasonCanceled || strings.Join(lines, " ") != "started cleaned" {
		t.Errorf("lines = %q, error = %v, want an interrupt and time to clean up", lines, err)
	}
}

// Interrupted while it looks for the key that fits, restic 0.18 ends with the code of a wrong password.
func TestRunBelievesNoWrongPasswordOfWhatItStopped(t *testing.T) {
	text := `trap 'echo "Fatal: wrong password or no key found" >&2; exit 12' INT; echo started; while :; do sleep 0.05; done`
	ctx, cancel := context.WithCancel(t.Context())
	_, err := script(t, text).Run(ctx, exec.Command{Args: []string{"cat"}, Line: func([]byte) { cancel() }})
	if restic.ReasonOf(err) != restic.ReasonCanceled {
		t.Errorf("stopped by its caller: %v", err)
	}
	_, err = script(t, text).Run(t.Context(), exec.Command{Args: []string{"cat"}, Limit: 100 * time.Millisecond})
	if got := restic.ReasonOf(err); got != restic.ReasonUnreachable {
		t.Errorf("stopped for want of an answer: %s, %v", got, err)
	}
}

func TestRunKillsTheWholeGroupOfWhatDoesNotEnd(t *testing.T) {
	r := script(t, `trap '' INT; sleep 1000 & echo $!; wait; while :; do sleep 1000; done`)
	r.Grace = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var child int
	begin := time.Now()
	_, err := r.Run(ctx, exec.Command{Args: []string{"backup"}, Line: func(line []byte) {
		child, _ = strconv.Atoi(string(line))
		cancel()
	}})
	if restic.ReasonOf(err) != restic.ReasonCanceled || time.Since(begin) > patience/2 {
		t.Errorf("error = %v after %s", err, time.Since(begin))
	}
	for child == 0 || alive(child) { // killed it is; that it is gone takes the kernel a moment
		if time.Since(begin) > patience {
			t.Fatalf("its child %d is still there", child)
		}
		runtime.Gosched()
	}
}

// alive tells whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestRunSaysTheDeadline(t *testing.T) {
	r := script(t, `trap 'exit 130' INT; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Run(ctx, exec.Command{Args: []string{"backup"}}); restic.ReasonOf(err) != restic.ReasonDeadline {
		t.Errorf("error = %v, want %s", err, restic.ReasonDeadline)
	}
	if _, err := r.Run(ctx, exec.Command{Args: []string{"backup"}}); restic.ReasonOf(err) != restic.ReasonDeadline {
		t.Errorf("a run after the deadline is %v", err)
	}
}

func TestRunWithALimitSaysWhyResticWasRetrying(t *testing.T) {
	retrying := func(cause string, times int) string {
		return fmt.Sprintf(`trap 'echo "{\"message_type\":\"exit_error\",\"code\":1,\"message\":\"Fatal: unable to open config file: context canceled\"}" >&2; exit 1' INT
i=0; while [ $i -lt %d ]; do echo "Stat(<config/>) returned error, retrying after 1s: %s" >&2; i=$((i+1)); done
while :; do sleep 0.05; done`, times, cause)
	}
	for name, c := range map[string]struct {
		text  string
		limit time.Duration
		want  restic.Reason
	}{
		"refused":               {retrying("dial tcp 127.0.0.1:1: connect: connection refused", 5), 200 * time.Millisecond, restic.ReasonUnreachable},
		"untrusted certificate": {retrying("Get x: tls: failed to verify certificate: x509: unknown authority", 1), 200 * time.Millisecond, restic.ReasonUnreachable},
		"silence":               {retrying("", 0), 100 * time.Millisecond, restic.ReasonUnreachable},
		"a late first failure":  {"sleep 0.3; " + retrying("dial tcp 10.0.0.1:9000: i/o timeout", 1), 200 * time.Millisecond, restic.ReasonUnreachable},
		// These will not change: they are given up long before the limit.
		"wrong key":     {retrying("Stat: The Access Key Id you provided does not exist in our records.", 3), patience, restic.ReasonAccessDenied},
		"absent bucket": {retrying("Stat: The specified bucket does not exist", 3), patience, restic.ReasonNoBucket},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := script(t, c.text).Run(t.Context(), exec.Command{Args: []string{"cat"}, Limit: c.limit})
			if restic.ReasonOf(err) != c.want || time.Since(begin) > patience/2 {
				t.Errorf("error = %v after %s, want reason %s", err, time.Since(begin), c.want)
			}
			if strings.Contains(fmt.Sprint(err), "context canceled") {
				t.Errorf("the error tells that it was stopped and not why: %v", err)
			}
		})
	}
}

func TestRunWithAnOpenLimitEndsWhatTheBackendRefusesBeforeTheFirstLine(t *testing.T) {
	const (
		status  = `echo "{\"message_type\":\"status\"}"; sleep 0.2; `
		refused = `echo "Load(<index/0>) returned error, retrying after 1s: dial tcp 10.0.0.1:9000: i/o timeout" >&2; `
		denied  = `for i in 1 2 3; do echo "Stat(<config/>) returned error, retrying after 1s: The Access Key Id you provided does not exist in our records." >&2; done; `
		hangs   = `while :; do sleep 0.05; done`
	)
	for name, c := range map[string]struct {
		text  string
		limit time.Duration
		want  restic.Reason
	}{
		"a wrong key is given up at once":                     {denied + hangs, patience, restic.ReasonAccessDenied},
		"a backend that cannot be reached has the limit":      {refused + hangs, 100 * time.Millisecond, restic.ReasonUnreachable},
		"silence is no refusal: the index may be large":       {"sleep 0.5; " + status, 100 * time.Millisecond, ""},
		"after the first line restic may try for long":        {status + refused + denied + "sleep 0.3", 100 * time.Millisecond, ""},
		"a backend that came back within the limit goes on":   {refused + status + "sleep 0.5", time.Second, ""},
		"a wrong key in the middle of a backup is restic's":   {status + denied, patience, ""},
		"a definite no that is said too seldom is not enough": {strings.Replace(denied, "1 2 3", "1 2", 1) + status, patience, ""},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := script(t, "trap 'exit 130' INT\n"+c.text).Run(t.Context(), exec.Command{
				Args: []string{"backup"}, OpenLimit: c.limit, Line: func([]byte) {},
			})
			if restic.ReasonOf(err) != c.want || time.Since(begin) > patience/2 {
				t.Errorf("error = %v after %s, want reason %q", err, time.Since(begin), c.want)
			}
		})
	}
}

func TestRunSetsThePriority(t *testing.T) {
	r := script(t, `nice; ionice -p $$`)
	r.Nice, r.IOClass, r.IOLevel = new(7), 2, 6
	out, err := r.Run(t.Context(), exec.Command{Args: []string{"backup"}})
	now, nowErr := unix.Getpriority(unix.PRIO_PROCESS, 0) // the system call returns 20 minus the priority
	if nowErr != nil {
		t.Fatal(nowErr)
	}
	if want := fmt.Sprintf("%d\nbest-effort: prio 6\n", 20-now+7); err != nil || string(out.Output) != want {
		t.Errorf("priority = %q, %v, want %q", out.Output, err, want)
	}
	t.Setenv("PATH", "/absent")
	r.Binary = "/bin/true"
	if _, err := r.Run(t.Context(), exec.Command{}); err != nil {
		t.Errorf("without the programs: %v, want a run at the usual priority", err)
	}
}
