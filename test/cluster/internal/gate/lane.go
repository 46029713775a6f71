package gate

import (
	"io"
	"sync"
	"time"
)

const (
	chunk = 32 << 10
	// burst is what may pass at once after silence.
	burst = 50 * time.Millisecond
	// inFlight bounds what is held back for the delay, for each connection.
	inFlight = 64
)

// lane is one direction through the gate; all connections share its rate.
type lane struct {
	mu     sync.Mutex
	limits Limits
	free   time.Time // when all bytes let in so far have passed
}

func (l *lane) set(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limits != l.limits {
		l.limits, l.free = limits, time.Time{}
	}
}

// admit returns when n bytes that arrive now have passed the lane.
func (l *lane) admit(now time.Time, n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.BytesPerSecond <= 0 {
		return now.Add(l.limits.Delay)
	}
	if earliest := now.Add(-burst); l.free.Before(earliest) {
		l.free = earliest
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.limits.BytesPerSecond))
	return l.free.Add(l.limits.Delay)
}

// limited tells whether bytes are held back at all, and how many are read at
// once: little enough for a slow lane to flow rather than to jump.
func (l *lane) limited() (size int, limited bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size = chunk
	if rate := l.limits.BytesPerSecond; rate > 0 {
		size = int(min(chunk, max(512, rate/20)))
	}
	return size, l.limits != Limits{}
}

// parcel is data and the time at which it leaves the lane.
type parcel struct {
	data []byte
	due  time.Time
}

// copy moves bytes until either end fails.
func (l *lane) copy(dst io.Writer, src io.Reader) {
	parcels := make(chan parcel, inFlight)
	failed := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		deliver(dst, parcels, failed)
	}()
	defer func() {
		close(parcels)
		<-done
	}()
	buffer := make([]byte, chunk)
	for {
		size, limited := l.limited()
		n, err := src.Read(buffer[:size])
		if n > 0 {
			p := parcel{due: l.admit(time.Now(), n), data: buffer[:n:n]}
			buffer = make([]byte, chunk)
			select {
			case parcels <- p:
			case <-failed:
				return
			}
			// A sender must feel the rate, not fill the queue with an upload
			// that it then believes to be over.
			if limited {
				pace(l, time.Until(p.due))
			}
		}
		if err != nil {
			return
		}
	}
}

// pace holds the reader back while the lane is behind by more than its delay.
func pace(l *lane, ahead time.Duration) {
	l.mu.Lock()
	ahead -= l.limits.Delay
	l.mu.Unlock()
	if ahead > 0 {
		time.Sleep(ahead)
	}
}

// deliver writes parcels when they are due; failed is closed when it cannot.
func deliver(dst io.Writer, parcels <-chan parcel, failed chan<- struct{}) {
	for p := range parcels {
		if wait := time.Until(p.due); wait > 0 {
			time.Sleep(wait)
		}
		if _, err := dst.Write(p.data); err != nil {
			close(failed)
			return
		}
	}
}
