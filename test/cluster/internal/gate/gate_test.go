package gate

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// through sends data to an echo server through the lanes and returns how long
// its way there and back took.
func through(t *testing.T, ls lanes, data []byte) time.Duration {
	t.Helper()
	echo, door := listen(t), listen(t)
	go func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	go ls.serve(door, echo.Addr().String()) //nolint:errcheck // ends with the listener
	conn, err := net.Dial("tcp", door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := time.Now()
	go func() {
		_, _ = conn.Write(data)
		closeWrite(conn)
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes came back (%v)", len(got), len(data), err)
	}
	return time.Since(begin)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestGatePassesEverything(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	if took := through(t, newLanes(), data); took > 10*time.Second {
		t.Errorf("4 MiB without limits took %s", took)
	}
}

func TestGateIsSlowAsAsked(t *testing.T) {
	ls := newLanes()
	ls.up.set(Limits{BytesPerSecond: 200_000})
	if took := through(t, ls, make([]byte, 100_000)); took < 400*time.Millisecond || took > 2*time.Second {
		t.Errorf("100 kB at 200 kB/s took %s", took)
	}
}

func TestGateDelaysEachDirection(t *testing.T) {
	ls := newLanes()
	ls.up.set(Limits{Delay: 100 * time.Millisecond})
	ls.down.set(Limits{Delay: 100 * time.Millisecond})
	if took := through(t, ls, make([]byte, 100_000)); took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("100 ms there and back took %s", took)
	}
}

func TestLaneSharesItsRate(t *testing.T) {
	l := &lane{limits: Limits{BytesPerSecond: 1000}}
	now := time.Now()
	var last time.Time
	for range 10 {
		last = l.admit(now, 100)
	}
	if wait := last.Sub(now); wait < 900*time.Millisecond || wait > time.Second {
		t.Errorf("1000 bytes at 1000 B/s leave after %s", wait)
	}
	if later := l.admit(now.Add(time.Minute), 100); later.After(now.Add(time.Minute + 100*time.Millisecond)) {
		t.Error("silence did not free the lane")
	}
}

func TestLimitsAreReadBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "limits.json")
	if l := ReadLimits(file); l != (Limits{}) {
		t.Errorf("an absent file limits: %+v", l)
	}
	want := Limits{BytesPerSecond: 5, Delay: time.Second}
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	if l := ReadLimits(file); l != want {
		t.Errorf("read %+v, want %+v", l, want)
	}
}
