package restic_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-731df569/stash/restic"
)

func TestClassify(t *testing.T) {
	for want, texts := range map[restic.Reason][]string{
		restic.ReasonAccessDenied: {
			"Stat: Access Denied.",
			"Stat: The Access Key Id you provided does not exist in our records.",
			"Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.",
			"s3.getCredentials: no credentials found. Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication",
			"open /backup/config: permission denied",
		},
		restic.ReasonNoBucket: {
			"Stat: The specified bucket does not exist",
			"client.GetObject: Bucket name cannot be shorter than 3 characters",
		},
		restic.ReasonUnreachable: {
			`Stat: Get "http://127.0.0.1:1/bucket/?location=": dial tcp 127.0.0.1:1: connect: connection refused`,
			`Stat: Get "https://x/": dial tcp: lookup x on 10.96.0.10:53: no such host`,
			`Stat: Get "https://x/": dial tcp 10.0.0.1:443: i/o timeout`,
			`Stat: Get "https://x/": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
			"Stat: Please reduce your request rate.",
		},
		restic.ReasonNoSnapshot: {
			"could not find snapshot: no matching ID found for prefix \"12345678\"",
		},
		restic.ReasonPathMissing: {
			"path source/data: not found",
			"path source/data: not a directory",
		},
		restic.ReasonLocked: {
			"unable to create lock in backend: repository is already locked by PID 1 on pod-0 by root",
		},
		restic.ReasonOther: {
			"something else",
			"",
		},
	} {
		for _, text := range texts {
			if got := restic.Classify(restic.ExitFailed, text); got != want {
				t.Errorf("%q is %s, want %s", text, got, want)
			}
		}
	}
	if got := restic.Classify(restic.ExitNoRepository, "access denied"); got != restic.ReasonNoRepository {
		t.Errorf("the exit code is not believed: %s", got)
	}
}

func TestErrorsKeepTheirReason(t *testing.T) {
	err := fmt.Errorf("back up: %w", &restic.Error{Command: "backup", Code: restic.ExitLocked, Reason: restic.ReasonLocked, Message: "locked"})
	if !errors.Is(err, restic.ErrLocked) || errors.Is(err, restic.ErrIncomplete) || restic.ReasonOf(err) != restic.ReasonLocked {
		t.Errorf("%v is not told from others", err)
	}
	if got := fmt.Sprint(err); got != "back up: run restic backup: locked" {
		t.Errorf("error = %q", got)
	}
	if got := fmt.Sprint(&restic.Error{Command: "stats", Code: 7}); got != "run restic stats: exit code 7" {
		t.Errorf("error = %q", got)
	}
	if restic.ReasonOf(nil) != "" || restic.ReasonOf(errors.New("x")) != restic.ReasonOther {
		t.Error("other errors have wrong reasons")
	}
}

func TestStderrIsBounded(t *testing.T) {
	var s restic.Stderr
	for i := range 1000 {
		s.Line(fmt.Appendf(nil, `{"message_type":"error","error":{"message":%q},"during":"archival","item":"/f%d"}`, strings.Repeat("x", 5000), i))
		s.Line(fmt.Appendf(nil, `{"message_type":"error","error":{"message":"again"},"during":"scan","item":"/f%d"}`, i))
		s.Line(fmt.Appendf(nil, `{"message_type":"error","message":"fault %d"}`, i))
		s.Line(fmt.Appendf(nil, "Save(<data/1>) returned error, retrying after 1.5s: cause %d", i))
	}
	if len(s.Items) != restic.MaxItems || s.ItemCount != 1000 || len(s.Faults) != restic.MaxItems || s.FaultCount != 1000 {
		t.Errorf("items %d of %d, faults %d of %d", len(s.Items), s.ItemCount, len(s.Faults), s.FaultCount)
	}
	if len(s.Items[0].Message) > 2000 || len(s.Tail()) > 20 {
		t.Errorf("a message has %d bytes, the tail %d lines", len(s.Items[0].Message), len(s.Tail()))
	}
	if s.Retries != 1000 || s.LastRetry != "cause 999" {
		t.Errorf("retries = %d, last %q", s.Retries, s.LastRetry)
	}
}

func TestTheMessageIsResticsOwnWord(t *testing.T) {
	for want, lines := range map[string][]string{
		"unable to open config file: Stat: Access Denied.": {
			"Stat(<config/>) failed: Stat: Access Denied.", "Fatal: unable to open config file: Stat: Access Denied.",
			"Is there a repository at the following location?", "s3:http://host/bucket",
		},
		"s3.getCredentials: no credentials found: neither the storage Secret nor the pod's own identity gives any": {
			"Fatal: s3.getCredentials: no credentials found. Use `-o s3.unsafe-anonymous-auth=true` for anonymous authentication",
		},
		"the last line":            {"a line", "the last line"},
		"dial tcp: refused":        {"Stat(<config/>) returned error, retrying after 1s: dial tcp: refused", `{"message_type":"exit_error","code":1,"message":"Fatal: unable to open config file: context canceled"}`},
		"wrong password":           {"Stat(<config/>) returned error, retrying after 1s: dial tcp: refused", `{"message_type":"exit_error","code":12,"message":"Fatal: wrong password"}`},
		"failed: /a: permission":   {`{"message_type":"error","error":{"message":"permission"},"during":"restore","item":"/a"}`, `{"message_type":"exit_error","code":1,"message":"failed"}`},
		"permission denied for /a": {`{"message_type":"error","error":{"message":"permission denied for /a"},"during":"restore","item":"/a"}`},
		"":                         nil,
	} {
		var s restic.Stderr
		for _, line := range lines {
			s.Line([]byte(line))
		}
		if got := s.Message(); got != want {
			t.Errorf("message = %q, want %q", got, want)
		}
	}
}
