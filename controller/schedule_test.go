package controller

import (
	"context"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// clock is a schedule whose time can be moved.
type clock struct {
	now time.Time
	r   *BackupConfigurations
	t   *testing.T
}

func newClock(t *testing.T, c *v1beta1.BackupConfiguration) *clock {
	t.Helper()
	k := &clock{now: noon(), t: t}
	w := newWorld(t, interceptor.Funcs{}, c)
	w.Now = func() time.Time { return k.now }
	k.r = &BackupConfigurations{World: w, Schedule: NewSchedule(w)}
	return k
}

// look is a reconcile of the schedule after the spec was changed.
func (k *clock) look(change func(*v1beta1.BackupConfigurationSpec)) {
	k.t.Helper()
	c := read(k.t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{})
	if change != nil {
		change(&c.Spec)
		if err := k.r.Update(k.t.Context(), c); err != nil {
			k.t.Fatal(err)
		}
	}
	if err := k.r.schedule(k.t.Context(), c); err != nil {
		k.t.Fatal(err)
	}
	if err := k.r.Status().Update(k.t.Context(), c); err != nil {
		k.t.Fatal(err)
	}
}

// sessions fires what is due and returns the names of all sessions.
func (k *clock) sessions() int {
	k.t.Helper()
	k.r.Schedule.fire(k.t.Context())
	list := &v1beta1.BackupSessionList{}
	if err := k.r.List(k.t.Context(), list); err != nil {
		k.t.Fatal(err)
	}
	return len(list.Items)
}

func hourly() *v1beta1.BackupConfiguration {
	c := configuration()
	c.Spec.Schedule = "0 * * * *"
	c.Status.LastSlot = agoP(0)
	return c
}

func TestMissedSlotsAreCaughtUpOnce(t *testing.T) {
	c := hourly()
	c.Status.LastSlot = agoP(7 * time.Hour)
	k := newClock(t, c)
	k.look(nil)
	if n := k.sessions(); n != 1 {
		t.Fatalf("%d sessions after seven missed slots", n)
	}
	if n := k.sessions(); n != 1 {
		t.Fatalf("%d sessions when asked again", n)
	}
	k.now = k.now.Add(time.Hour)
	if n := k.sessions(); n != 2 {
		t.Fatalf("%d sessions at the next slot", n)
	}
}

func TestANewLeaderDoesNotRunASlotTwice(t *testing.T) {
	k := newClock(t, hourly())
	k.look(nil)
	k.now = k.now.Add(time.Hour)
	if n := k.sessions(); n != 1 {
		t.Fatal(n)
	}
	// It died before it could note the slot.
	c := read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{})
	c.Status.LastSlot = agoP(0)
	if err := k.r.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	k.r.Schedule = NewSchedule(k.r.World)
	k.look(nil)
	if n := k.sessions(); n != 1 {
		t.Fatalf("the slot ran twice: %d sessions", n)
	}
}

// Without a history nothing but the session itself tells that its slot has run, until that is noted.
func TestASlotWithoutAHistoryDoesNotRunTwice(t *testing.T) {
	none, one := int32(0), int32(1)
	for name, limit := range map[string]*int32{"no history": &none, "a history of one, and a session by hand": &one} {
		t.Run(name, func(t *testing.T) {
			c := hourly()
			c.Spec.BackupHistoryLimit = limit
			k := newClock(t, c)
			k.look(nil)
			k.now = k.now.Add(time.Hour)
			k.sessions()
			// The leader dies before it can note the slot; the next one finds the session finished.
			c = read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{})
			noted := c.Status.LastSlot
			c.Status.LastSlot = agoP(0)
			if err := k.r.Status().Update(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			bs := k.only()
			bs.Status.Phase = v1beta1.BackupSessionSucceeded
			if err := k.r.Status().Update(t.Context(), bs); err != nil {
				t.Fatal(err)
			}
			byHand := finished("by-hand", -2*time.Hour, v1beta1.BackupSessionSucceeded)
			if err := k.r.Create(t.Context(), byHand); err != nil {
				t.Fatal(err)
			}
			k.r.Schedule = NewSchedule(k.r.World)
			clean(t, k.r, c)
			if k.only().UID != bs.UID {
				t.Fatal("the session of the slot is gone")
			}
			k.look(nil)
			k.sessions()
			if c = read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{}); !c.Status.LastSlot.Equal(noted) {
				t.Fatalf("the slot is not noted: %v", c.Status.LastSlot)
			}
			clean(t, k.r, c)
			if n := k.sessions(); n != int(*limit) {
				t.Errorf("%d sessions are left", n)
			}
		})
	}
}

// only returns the session of a slot.
func (k *clock) only() *v1beta1.BackupSession {
	k.t.Helper()
	list := &v1beta1.BackupSessionList{}
	if err := k.r.List(k.t.Context(), list); err != nil {
		k.t.Fatal(err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(bs v1beta1.BackupSession) bool { return bs.Name == "by-hand" })
	if len(list.Items) != 1 {
		k.t.Fatalf("%d sessions of slots", len(list.Items))
	}
	return &list.Items[0]
}

func TestWhatFellIntoAPauseWasNotMissed(t *testing.T) {
	for name, restarted := range map[string]bool{"by the same leader": false, "by another leader": true} {
		t.Run(name, func(t *testing.T) {
			k := newClock(t, hourly())
			k.look(nil)
			k.look(func(s *v1beta1.BackupConfigurationSpec) { s.Paused = true })
			k.now = k.now.Add(5 * time.Hour)
			if n := k.sessions(); n != 0 {
				t.Fatalf("%d sessions in the pause", n)
			}
			k.now = k.now.Add(time.Minute)
			if restarted {
				k.r.Schedule = NewSchedule(k.r.World)
			}
			k.look(func(s *v1beta1.BackupConfigurationSpec) { s.Paused = false })
			if n := k.sessions(); n != 0 {
				t.Fatalf("%d sessions for slots in the pause", n)
			}
			k.now = k.now.Add(time.Hour)
			if n := k.sessions(); n != 1 {
				t.Fatalf("%d sessions after the pause", n)
			}
		})
	}
}

func TestAnEditedScheduleBeginsNow(t *testing.T) {
	k := newClock(t, hourly())
	k.look(nil)
	k.now = k.now.Add(30 * time.Minute)
	k.look(func(s *v1beta1.BackupConfigurationSpec) { s.Schedule = "*/10 * * * *" })
	if n := k.sessions(); n != 0 {
		t.Fatalf("%d sessions for slots that the schedule did not have", n)
	}
	k.now = k.now.Add(10 * time.Minute)
	if n := k.sessions(); n != 1 {
		t.Fatal(n)
	}
}

// A node whose clock was days ahead has led for a while.
func TestAClockThatWasAheadDoesNotSilenceASchedule(t *testing.T) {
	for name, restarted := range map[string]bool{"another leader": true, "the same leader": false} {
		t.Run(name, func(t *testing.T) {
			k := newClock(t, hourly())
			k.now = noon().Add(72 * time.Hour)
			k.look(nil)
			before := k.sessions()
			k.now = noon().Add(30 * time.Minute)
			if restarted {
				k.r.Schedule = NewSchedule(k.r.World)
			}
			k.look(nil)
			c := read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{})
			if !c.Status.NextSlot.Time.Equal(noon().Add(time.Hour)) {
				t.Errorf("the next slot is %s", c.Status.NextSlot)
			}
			for i := 1; i <= 2; i++ {
				k.now = noon().Add(time.Duration(i) * time.Hour)
				if n := k.sessions() - before; n != i {
					t.Fatalf("%d sessions after %d slots", n, i)
				}
			}
			if c = read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{}); !c.Status.LastSlot.Time.Equal(k.now) {
				t.Errorf("the last slot is %s", c.Status.LastSlot)
			}
		})
	}
}

// Two leaders whose clocks differ by a moment run no slot twice, whatever the first one noted.
func TestAClockThatIsAMomentBehindRunsNoSlotAgain(t *testing.T) {
	c := hourly()
	c.Status.LastSlot = agoP(-20 * time.Second)
	k := newClock(t, c)
	k.look(nil)
	if c := read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{}); !c.Status.LastSlot.Time.Equal(noon().Add(20 * time.Second)) {
		t.Errorf("what was noted is forgotten: %s", c.Status.LastSlot)
	}
}

func TestAScheduleThatCannotBeReadIsSaid(t *testing.T) {
	k := newClock(t, hourly())
	k.look(func(s *v1beta1.BackupConfigurationSpec) { s.Schedule = "every day" })
	c := read(t, k.r.World, "demo", "shop", &v1beta1.BackupConfiguration{})
	if !api.IsFalse(c.Status.Conditions, api.CronJobCreated) || c.Status.NextSlot != nil {
		t.Errorf("%+v", c.Status)
	}
}

func finished(name string, at time.Duration, phase v1beta1.BackupSessionPhase) *v1beta1.BackupSession {
	bs := newSession(configuration(), name)
	bs.CreationTimestamp, bs.UID = ago(at), typesUID("u-"+name)
	bs.Status.Phase = phase
	bs.Status.Targets = []v1beta1.BackupTargetStatus{{Stats: []v1beta1.HostBackupStats{{Hostname: "host-0", Phase: v1beta1.HostBackupPhase(phase)}}}}
	return bs
}

// clean notes the results of finished sessions and deletes those beyond the limit.
func clean(t *testing.T, r *BackupConfigurations, c *v1beta1.BackupConfiguration) {
	t.Helper()
	over, err := r.history(t.Context(), c)
	if err == nil {
		err = r.forget(t.Context(), over)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestASessionIsDeletedOnlyWhenItsResultIsStored(t *testing.T) {
	none := int32(0)
	c, repo := hourly(), repository()
	c.Spec.BackupHistoryLimit, c.Spec.Schedule = &none, ""
	conflicts := 1
	w := newWorld(t, interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, cl client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
		if conflicts--; conflicts >= 0 {
			return apierrors.NewConflict(v1beta1.GroupVersion().WithResource("backupconfigurations").GroupResource(), o.GetName(), nil)
		}
		return cl.SubResource(sub).Update(ctx, o, opts...)
	}}, c, repo, finished("by-hand", 0, v1beta1.BackupSessionSucceeded))
	r := &BackupConfigurations{World: w, Schedule: NewSchedule(w)}
	sessions := func() int {
		list := &v1beta1.BackupSessionList{}
		if err := w.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	for i, want := range []int{1, 0} {
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c)}); err != nil {
			t.Fatal(err)
		}
		if n := sessions(); n != want {
			t.Errorf("%d sessions after look %d, want %d", n, i+1, want)
		}
	}
	if l := read(t, w, "demo", "shop", &v1beta1.BackupConfiguration{}).Status.LastSession; l == nil || l.Name != "by-hand" {
		t.Errorf("the last session is %+v", l)
	}
}

func TestHistoryKeepsWhatIsNeeded(t *testing.T) {
	retry := finished("d-retry", 4*time.Hour, v1beta1.BackupSessionFailed)
	retry.Spec.RetryLeft = 1
	c := configuration()
	w := newWorld(t, interceptor.Funcs{}, c,
		finished("a", 9*time.Hour, v1beta1.BackupSessionSucceeded), finished("b", 8*time.Hour, v1beta1.BackupSessionSucceeded),
		finished("c", 7*time.Hour, v1beta1.BackupSessionFailed), retry, finished("e", time.Hour, v1beta1.BackupSessionRunning))
	two := int32(2)
	c.Spec.BackupHistoryLimit = &two
	clean(t, &BackupConfigurations{World: w}, c)
	list := &v1beta1.BackupSessionList{}
	if err := w.List(t.Context(), list, client.InNamespace("demo")); err != nil {
		t.Fatal(err)
	}
	if got := keysOf(list.Items); len(got) != 4 || got[0].Name != "b" {
		t.Errorf("left are %v", got)
	}
	if l := c.Status.LastSession; l == nil || l.Name != "d-retry" || !c.Status.LastSuccessTime.Equal(agoP(8*time.Hour)) {
		t.Errorf("last %+v, success %v", l, c.Status.LastSuccessTime)
	}
	// What was seen is not taken for news, and an older session never for the last.
	before := c.Status.DeepCopy()
	track(c, finished("a", 9*time.Hour, v1beta1.BackupSessionSucceeded))
	track(c, finished("z", 0, v1beta1.BackupSessionSkipped))
	if !equalStatus(before, &c.Status) {
		t.Errorf("%+v", c.Status)
	}
}

func TestTheRecordOfHostsIsBounded(t *testing.T) {
	c := configuration()
	for i := range 1200 {
		bs := finished("s", time.Duration(2000-i)*time.Minute, v1beta1.BackupSessionSucceeded)
		bs.Name, bs.UID = "s"+time.Duration(i).String(), typesUID(time.Duration(i).String())
		bs.Status.Targets[0].Stats[0].Hostname = "node-" + time.Duration(i).String()
		track(c, bs)
	}
	if n := len(c.Status.Hosts); n != 1000 {
		t.Errorf("%d hosts are recorded", n)
	}
	for _, h := range c.Status.Hosts {
		if h.Hostname == "node-0s" {
			t.Error("the oldest is still there")
		}
	}
}

func TestANameOfARetryIsValid(t *testing.T) {
	bs := &v1beta1.BackupSession{ObjectMeta: metav1.ObjectMeta{Name: "deployment-with-a-very-long-name-that-has-dots-in.x.-y", UID: "u"}}
	if got := retryName(bs); got != "deployment-with-a-very-long-name-that-has-dots-in-r0bfe935e" {
		t.Errorf("got %q", got)
	}
}
