package controller

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/scheduler"
)

// Schedule creates BackupSessions when they are due. Names follow from configuration and slot, so a
// slot that is dealt with twice, by two leaders or after a crash, makes one session.
type Schedule struct {
	*World
	// Lag is told how late each session was created.
	Lag func(time.Duration)

	mu    sync.Mutex
	queue *scheduler.Queue
	known map[string]known
	wake  chan struct{}
}

// known is what the queue was filled from.
type known struct {
	spec    string
	parsed  scheduler.Schedule
	created time.Time
}

// retryAfter is how long a session that could not be created is waited with.
const retryAfter = 5 * time.Second

// leaderSkew is how far the clocks of two leaders may be apart: a slot that is noted and only so far
// ahead was dealt with by another one.
const leaderSkew = time.Minute

// disbelieve takes back a last slot that is still to come. A clock that was ahead has noted it, and
// nothing would run until then.
func (s *Schedule) disbelieve(c *v1beta1.BackupConfiguration) {
	now := metav1.NewTime(s.Now().Truncate(time.Second))
	if last := c.Status.LastSlot; last != nil && last.After(now.Add(leaderSkew)) {
		s.Log.Warn("the last slot of a schedule is in the future: a clock was ahead; the schedule begins now",
			"configuration", c.Namespace+"/"+c.Name, "lastSlot", last.Time)
		c.Status.LastSlot = &now
	}
}

// NewSchedule returns an empty schedule.
func NewSchedule(w *World) *Schedule {
	return &Schedule{World: w, queue: scheduler.NewQueue(), known: map[string]known{}, wake: make(chan struct{}, 1)}
}

// Set makes a configuration's schedule known and returns its next slot. A slot that was missed is
// due at once, and only the latest of them.
func (s *Schedule) Set(c *v1beta1.BackupConfiguration, parsed scheduler.Schedule) time.Time {
	key := client.ObjectKeyFromObject(c).String()
	spec := c.Spec.Schedule + "\x00" + c.Spec.TimeZone + "\x00" + string(c.UID)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, has := s.known[key]
	soonest := parsed.Next(s.Now().Add(leaderSkew), c.CreationTimestamp.Time)
	if next, ok := s.queue.Next(key); has && ok && old.spec == spec && !next.After(soonest) {
		return next
	}
	created := c.CreationTimestamp.Time
	after := created
	if c.Status.LastSlot != nil {
		after = c.Status.LastSlot.Time
	}
	if has { // a schedule that was edited begins now
		after = later(after, s.Now())
	}
	s.known[key] = known{spec: spec, parsed: parsed, created: created}
	next := s.queue.Set(key, parsed, created, after)
	s.poke()
	return next
}

func (s *Schedule) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Remove forgets a configuration.
func (s *Schedule) Remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.Remove(key)
	delete(s.known, key)
}

// Start implements manager.Runnable: it runs on the leader until ctx ends.
func (s *Schedule) Start(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.untilNext())
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-timer.C:
			s.fire(ctx)
		}
	}
}

func (s *Schedule) untilNext() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, ok := s.queue.NextTime()
	if !ok {
		return time.Hour
	}
	// Never longer than a minute: the wall clock may jump.
	return min(time.Minute, max(0, next.Sub(s.Now())))
}

// fire creates the sessions that are due.
func (s *Schedule) fire(ctx context.Context) {
	s.mu.Lock()
	due := s.queue.PopDue(s.Now())
	s.mu.Unlock()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, d := range due {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer func() { <-slots; wg.Done() }()
			if err := s.create(ctx, d); err != nil {
				s.Log.Error("a scheduled session could not be created; it is tried again", "configuration", d.Key, "err", err)
				s.retry(d)
			}
		}()
	}
	wg.Wait()
}

// retry makes a slot due again after a while.
func (s *Schedule) retry(d scheduler.Due) {
	time.AfterFunc(retryAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if k, ok := s.known[d.Key]; ok {
			s.queue.Set(d.Key, k.parsed, k.created, d.Slot.Add(-time.Second))
			s.poke()
		}
	})
}

// mayRecur tells whether a finished session is all that keeps its slot from running again: until the
// slot is noted as the last one, whoever leads next creates the session of that name once more.
// One that a clock has run ahead of its time makes room for that slot.
func mayRecur(c *v1beta1.BackupConfiguration, session string, now time.Time) bool {
	if c.Spec.Schedule == "" || c.Spec.Paused {
		return false // slots of the past are never caught up
	}
	seconds, err := strconv.ParseInt(session[strings.LastIndexByte(session, '-')+1:], 10, 64)
	if err != nil {
		return false
	}
	slot := time.Unix(seconds, 0)
	return session == scheduler.SessionName(c.Name, slot) && !slot.After(now.Add(leaderSkew)) && (c.Status.LastSlot == nil || slot.After(c.Status.LastSlot.Time))
}

func (s *Schedule) create(ctx context.Context, d scheduler.Due) error {
	key, err := parseKey(d.Key)
	if err != nil {
		return err
	}
	c := &v1beta1.BackupConfiguration{}
	if err := s.Get(ctx, key, c); err != nil {
		return client.IgnoreNotFound(err)
	}
	if c.Spec.Paused || c.DeletionTimestamp != nil {
		return nil
	}
	bs := newSession(c, scheduler.SessionName(c.Name, d.Slot))
	if err := s.Create(ctx, bs); err != nil {
		if !apierrors.IsAlreadyExists(err) {
			s.event(c, corev1.EventTypeWarning, "BackupSession Creation Failed", err.Error())
			return fmt.Errorf("create BackupSession: %w", err)
		}
	} else if s.Lag != nil {
		s.Lag(s.Now().Sub(d.Slot))
	}
	slot := metav1.NewTime(d.Slot)
	return ignoreGone(updateStatus(ctx, s.World, key, c, func(c *v1beta1.BackupConfiguration) (bool, error) {
		if c.Status.LastSlot != nil && !c.Status.LastSlot.Before(&slot) {
			return false, nil
		}
		c.Status.LastSlot = &slot
		s.mu.Lock()
		defer s.mu.Unlock()
		if next, ok := s.queue.Next(d.Key); ok {
			at := metav1.NewTime(next)
			c.Status.NextSlot = &at
		}
		return true, nil
	}))
}
