package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/seed-731df569/stash/api"
)

// Flags that Settings are read from.
const (
	FlagFailurePolicy = "webhook-failure-policy"
	FlagTimeout       = "webhook-timeout"
)

// maxTimeout is when the server ends a request, whatever the API server would wait.
const maxTimeout = 10

// Settings are what was configured of single hooks, by their names. The zero value changes nothing.
type Settings struct {
	failurePolicies map[string]admissionregistrationv1.FailurePolicyType
	timeouts        map[string]int32
}

// ParseSettings reads HOOK=POLICY and HOOK=SECONDS. The error names every value that is wrong, why,
// and what to write. A failure policy that is unsafe for its hook is refused.
func ParseSettings(failurePolicies, timeouts []string) (Settings, error) {
	s := Settings{failurePolicies: map[string]admissionregistrationv1.FailurePolicyType{}, timeouts: map[string]int32{}}
	var errs []error
	for _, text := range failurePolicies {
		if err := parseSetting(s.failurePolicies, text, "POLICY", "annotated.workloads=Fail", parsePolicy); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", FlagFailurePolicy, err))
		}
	}
	for _, text := range timeouts {
		if err := parseSetting(s.timeouts, text, "SECONDS", "backup.pods=1", parseTimeout); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", FlagTimeout, err))
		}
	}
	return s, errors.Join(errs...)
}

func parseSetting[T any](into map[string]T, text, kind, example string, parse func(Hook, string) (T, error)) error {
	name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
	if !ok {
		return fmt.Errorf("%q: expected HOOK=%s; for example %s", text, kind, example)
	}
	name = strings.TrimSuffix(name, "."+api.Group)
	hooks := Hooks()
	i := slices.IndexFunc(hooks, func(h Hook) bool { return h.Name == name })
	if i < 0 {
		names := make([]string, 0, len(hooks))
		for _, h := range hooks {
			names = append(names, h.Name)
		}
		return fmt.Errorf("%q: there is no hook %q; write one of %s, for example %s", text, name, strings.Join(names, ", "), example)
	}
	if _, twice := into[name]; twice {
		return fmt.Errorf("%q: hook %s is set twice; write it once", text, name)
	}
	v, err := parse(hooks[i], value)
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	into[name] = v
	return nil
}

func parsePolicy(h Hook, value string) (admissionregistrationv1.FailurePolicyType, error) {
	policy := admissionregistrationv1.FailurePolicyType(value)
	switch {
	case policy != admissionregistrationv1.Fail && policy != admissionregistrationv1.Ignore:
		return "", fmt.Errorf("expected Fail or Ignore; for example %s=%s", h.Name, h.FailurePolicy)
	case policy != h.FailurePolicy && h.Unsafe != "":
		return "", fmt.Errorf("%s; write %s=%s, or leave it out", h.Unsafe, h.Name, h.FailurePolicy)
	}
	return policy, nil
}

func parseTimeout(h Hook, value string) (int32, error) {
	seconds, err := strconv.ParseInt(value, 10, 32)
	if err != nil || seconds < 1 || seconds > maxTimeout {
		return 0, fmt.Errorf("expected whole seconds from 1 to %d, when the operator ends a request; for example %s=%d", maxTimeout, h.Name, h.TimeoutSeconds)
	}
	return int32(seconds), nil
}

// Hooks is the table with the settings.
func (s Settings) Hooks() []Hook {
	hooks := Hooks()
	for i := range hooks {
		h := &hooks[i]
		if policy, ok := s.failurePolicies[h.Name]; ok {
			h.FailurePolicy = policy
		}
		if seconds, ok := s.timeouts[h.Name]; ok {
			h.TimeoutSeconds = seconds
		}
	}
	return hooks
}

// Warnings are sentences about settings that are legal and cost something while nobody answers.
func (s Settings) Warnings() []string {
	var out []string
	changed := s.Hooks()
	for i, h := range Hooks() {
		now := changed[i]
		if now.FailurePolicy != h.FailurePolicy {
			out = append(out, fmt.Sprintf("hook %s has the failure policy %s instead of %s: %s", h.Name, now.FailurePolicy, h.FailurePolicy, h.Risk))
		}
		if now.FailurePolicy == admissionregistrationv1.Ignore && now.TimeoutSeconds > h.TimeoutSeconds {
			out = append(out, fmt.Sprintf("hook %s has a timeout of %d s instead of %d s: while no replica answers, each of its requests may wait that long before it passes", h.Name, now.TimeoutSeconds, h.TimeoutSeconds))
		}
	}
	return out
}

func opposite(p admissionregistrationv1.FailurePolicyType) admissionregistrationv1.FailurePolicyType {
	if p == admissionregistrationv1.Fail {
		return admissionregistrationv1.Ignore
	}
	return admissionregistrationv1.Fail
}
