package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// backupNow asks for an instant backup and returns its name.
func (s *site) backupNow(config string) string {
	s.Helper()
	bs := &v1beta1.BackupSession{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, GenerateName: config + "-"},
		Spec:       v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: config}},
	}
	s.create(bs)
	return bs.Name
}

// ended waits for the end of a session and returns it.
func (s *site) ended(name string) *v1beta1.BackupSession {
	s.Helper()
	bs := &v1beta1.BackupSession{}
	s.eventually(longest, "BackupSession "+name+" ends", func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		if !session.Finished(bs.Status.Phase) {
			return notYet("it is %q: %s %s", bs.Status.Phase, bs.Status.Reason, bs.Status.Progress)
		}
		return nil
	})
	return bs
}

// succeeded waits for the end of a session and fails the test unless it succeeded.
func (s *site) succeeded(name string) *v1beta1.BackupSession {
	s.Helper()
	bs := s.ended(name)
	if bs.Status.Phase != v1beta1.BackupSessionSucceeded {
		s.Fatalf("BackupSession %s is %s: %s", name, bs.Status.Phase, bs.Status.Reason)
	}
	return bs
}

// backup takes a backup by hand.
func (s *site) backup(config string) *v1beta1.BackupSession {
	s.Helper()
	return s.succeeded(s.backupNow(config))
}

// failed waits for the end of a session and fails the test unless it failed for that reason.
func (s *site) failed(name string, why ...string) *v1beta1.BackupSession {
	s.Helper()
	bs := s.ended(name)
	if bs.Status.Phase != v1beta1.BackupSessionFailed {
		s.Fatalf("BackupSession %s is %s: %s", name, bs.Status.Phase, bs.Status.Reason)
	}
	s.says(bs.Status.Reason, why...)
	return bs
}

// scheduled waits for a session of a configuration that began after a time and succeeded.
func (s *site) scheduled(config string, after time.Time) *v1beta1.BackupSession {
	s.Helper()
	var found *v1beta1.BackupSession
	s.eventually(long, "a scheduled backup succeeds", func(ctx context.Context) error {
		all := &v1beta1.BackupSessionList{}
		if err := suite.client.List(ctx, all, client.InNamespace(s.ns)); err != nil {
			return err
		}
		why := errors.New("no session yet")
		for i := range all.Items {
			bs := &all.Items[i]
			// The API server writes whole seconds.
			if bs.Spec.InvokerRef().Name != config || !bs.CreationTimestamp.After(after.Truncate(time.Second)) {
				continue
			}
			switch bs.Status.Phase {
			case v1beta1.BackupSessionSucceeded:
				found = bs
				return nil
			case v1beta1.BackupSessionFailed:
				return final{fmt.Errorf("BackupSession %s failed: %s", bs.Name, bs.Status.Reason)}
			default:
				why = notYet("%s is %q: %s", bs.Name, bs.Status.Phase, bs.Status.Reason)
			}
		}
		return why
	})
	return found
}

// progressing waits until restic has read some bytes for a session, and returns the pod that works.
func (s *site) progressing(name string) string {
	s.Helper()
	var pod string
	s.eventually(soon, "BackupSession "+name+" progresses", func(ctx context.Context) error {
		bs := &v1beta1.BackupSession{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, bs); err != nil {
			return err
		}
		if session.Finished(bs.Status.Phase) {
			return final{notYet("it is over already: %s %s", bs.Status.Phase, bs.Status.Reason)}
		}
		for _, t := range bs.Status.Targets {
			for _, a := range t.Assignments {
				if a.Progress != nil && a.Progress.BytesDone > 0 {
					pod = a.Pod
					return nil
				}
			}
		}
		return notYet("%q: %s", bs.Status.Phase, bs.Status.Reason)
	})
	return pod
}

// configReady waits until a configuration is Ready, with its sidecars in place, and returns it.
func (s *site) configReady(name string) *v1beta1.BackupConfiguration {
	s.Helper()
	c := &v1beta1.BackupConfiguration{}
	s.eventually(long, "BackupConfiguration "+name+" is ready", func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, c); err != nil {
			return err
		}
		byJob := c.Spec.Target != nil && c.Spec.Target.Ref.IsClaim()
		if c.Status.Phase != v1beta1.BackupInvokerReady || !byJob && !api.IsTrue(c.Status.Conditions, api.StashSidecarInjected) {
			return notYet("it is %q: %s", c.Status.Phase, conditions(c.Status.Conditions))
		}
		return nil
	})
	return c
}

// repoReady waits until a Repository is Ready and returns it.
func (s *site) repoReady(name string) *v1alpha1.Repository {
	s.Helper()
	r := &v1alpha1.Repository{}
	s.eventually(long, "Repository "+name+" is ready", func(ctx context.Context) error {
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: name}, r); err != nil {
			return err
		}
		if r.Status.Phase != v1alpha1.RepositoryReady || !api.IsTrue(r.Status.Conditions, api.BackendRepositoryInitialized) {
			return notYet("it is %q: %s", r.Status.Phase, conditions(r.Status.Conditions))
		}
		return nil
	})
	return r
}

func conditions(list []api.Condition) string {
	var out string
	for _, c := range list {
		out += fmt.Sprintf("%s=%s (%s: %s) ", c.Type, c.Status, c.Reason, c.Message)
	}
	return out
}

// hosts returns the names of the hosts that a session has results of, in its order.
func hosts(bs *v1beta1.BackupSession) []string {
	var names []string
	for _, t := range bs.Status.Targets {
		for _, h := range t.Stats {
			names = append(names, h.Hostname)
		}
	}
	return names
}

// happened waits for an event about an object of the test's namespace.
func (s *site) happened(object, reason string) {
	s.Helper()
	s.eventually(soon, fmt.Sprintf("event %q of %s", reason, object), func(context.Context) error {
		out, err := s.tryKubectl("get", "events", "-o", `jsonpath={range .items[*]}{.involvedObject.name}{"|"}{.reason}{"\n"}{end}`)
		if err != nil {
			return err
		}
		if !slices.Contains(lines(out), object+"|"+reason) {
			return notYet("events are:\n%s", out)
		}
		return nil
	})
}
