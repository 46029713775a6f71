package load_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-731df569/stash/test/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bounds() load.Bounds {
	return load.Bounds{Time: 10 * time.Second, Count: 1000, AtOnce: 4, Patience: 3 * time.Second}
}

func TestRequestsAreCountedByTheirAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := load.Run(t.Context(), bounds(), load.Request{Name: "pods", Rate: 10, Do: func(_ context.Context, i int) (bool, error) {
			time.Sleep(time.Duration(i+1) * time.Millisecond)
			switch {
			case i >= 20 && i < 30:
				return true, errors.New("refused")
			case i >= 50 && i < 53:
				return false, nil
			}
			return true, nil
		}})
		f := all[0]
		if f.Sent != 99 && f.Sent != 100 || f.Failed != 10 || f.Bare != 3 || f.Skipped != 0 || f.Errors["refused"] != 10 {
			t.Errorf("%+v", f)
		}
		if f.LastFailed-f.FirstFailed != 900*time.Millisecond || f.LastBare-f.FirstBare != 200*time.Millisecond {
			t.Errorf("failed from %s to %s, bare from %s to %s", f.FirstFailed, f.LastFailed, f.FirstBare, f.LastBare)
		}
		if q := f.Quantile(1); q != time.Duration(f.Sent)*time.Millisecond {
			t.Errorf("the longest took %s", q)
		}
	})
}

func TestAServerThatHangsIsNotBuried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		f := load.Run(t.Context(), bounds(), load.Request{Rate: 50, Do: func(ctx context.Context, _ int) (bool, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-ctx.Done()
			return true, ctx.Err()
		}})[0]
		if most.Load() != 4 || f.Failed != f.Sent || f.Skipped < 400 || f.Quantile(0.5) != 0 {
			t.Errorf("%d at once, %d sent, %d skipped", most.Load(), f.Sent, f.Skipped)
		}
	})
}

func TestARunEndsByItsNumberAndByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bounds()
		b.Count = 7
		quick := load.Request{Rate: 100, Do: func(context.Context, int) (bool, error) { return true, nil }}
		if f := load.Run(t.Context(), b, quick, quick); f[0].Sent != 7 || f[1].Sent != 7 {
			t.Errorf("%d and %d, not 7 each", f[0].Sent, f[1].Sent)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		load.Run(ctx, bounds(), quick)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it went on for %s", took)
		}
	})
}

func TestErrorsOfAllKindsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := load.Run(t.Context(), bounds(), load.Request{Rate: 20, Do: func(_ context.Context, i int) (bool, error) {
			return false, fmt.Errorf("error %d", i)
		}})[0]
		if len(f.Errors) != 6 || f.Errors["others"] != f.Failed-5 {
			t.Errorf("%v", f.Errors)
		}
	})
}
