package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/seed-731df569/stash/mutators"
	"github.com/seed-731df569/stash/webhook"
)

const podHook = "/mutate/pods/backup"

// slow is a cluster whose plans take until it is told.
type slow struct {
	*cluster
	inside atomic.Int64
	done   chan struct{}
}

func (s *slow) BackupPlan(ctx context.Context, _ webhook.PodRef) (mutators.Plan, error) {
	s.inside.Add(1)
	defer s.inside.Add(-1)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	return mutators.Plan{}, ctx.Err()
}

// crowd sends requests at the same time and counts the answers by code.
type crowd struct {
	t     *testing.T
	h     http.Handler
	wg    sync.WaitGroup
	mu    sync.Mutex
	codes map[int]int
}

func (c *crowd) send(n int, address string, body func() io.Reader, length int64) {
	for range n {
		c.wg.Go(func() {
			r := httptest.NewRequestWithContext(c.t.Context(), http.MethodPost, podHook, body())
			r.RemoteAddr, r.ContentLength = address, length
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, r)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.codes[w.Code]++
			if w.Code == http.StatusTooManyRequests && (w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "try again")) {
				c.t.Errorf("the answer does not say when to try again: %v %s", w.Header(), w.Body)
			}
		})
	}
	synctest.Wait()
}

func (c *crowd) want(codes map[int]int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if fmt.Sprint(c.codes) != fmt.Sprint(codes) {
		c.t.Errorf("answers %v, want %v", c.codes, codes)
	}
}

// stampedPod is a request that the pod hook looks a plan up for.
func stampedPod(t *testing.T) []byte {
	t.Helper()
	return encode(t, &admissionv1.AdmissionRequest{
		UID: "7e1d", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: "demo", Operation: admissionv1.Create,
		Object: runtime.RawExtension{Raw: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"stash.appscode.com/inject":"0"},"ownerReferences":[` +
			`{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-1","uid":"u","controller":true}]},"spec":{"containers":[{"name":"app"}]}}`)},
	})
}

func TestWhoComesWhileThereIsNoRoomIsAskedToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{cluster: &cluster{}, done: make(chan struct{})}
		seen := &counts{}
		h, err := webhook.Handler(webhook.Options{Pods: s, Workloads: s, Own: s, Policies: s, Access: s.access(), Observer: seen})
		if err != nil {
			t.Fatal(err)
		}
		body := stampedPod(t)
		read := func() io.Reader { return bytes.NewReader(body) }
		c := &crowd{t: t, h: h, codes: map[int]int{}}
		c.send(300, "10.0.0.1:1", read, int64(len(body)))
		if got := s.inside.Load(); got != 256 {
			t.Errorf("%d of one address are worked on", got)
		}
		c.send(1, "10.0.0.2:1", read, int64(len(body)))
		if got := s.inside.Load(); got != 257 {
			t.Error("another address has to wait")
		}
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		c.want(map[int]int{http.StatusTooManyRequests: 44})
		c.send(255, "10.0.0.2:1", read, int64(len(body)))
		c.send(1, "10.0.0.3:1", read, int64(len(body)))
		if got := s.inside.Load(); got != 512 {
			t.Errorf("%d are worked on", got)
		}
		close(s.done)
		c.wg.Wait()
		// The last one got the room that the others left.
		c.want(map[int]int{http.StatusTooManyRequests: 44, http.StatusOK: 513})
		if len(seen.seen) != 557 || seen.seen[0] != "backup.pods failed Busy" {
			t.Errorf("%d counted, the first as %q", len(seen.seen), seen.seen[0])
		}
	})
}

func TestLargeRequestsShareTheirRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, h: handler(t, &cluster{}, nil), codes: map[int]int{}}
		never, writer := io.Pipe()
		body := func() io.Reader { return struct{ io.Reader }{never} } // whoever closes it leaves it to the others
		c.send(8, "10.0.0.1:1", body, 7<<20)
		c.send(1, "10.0.0.2:1", body, 1<<20)
		c.send(1, "10.0.0.2:1", body, -1)
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		c.want(map[int]int{http.StatusTooManyRequests: 2})
		// Small ones do not wait for large ones.
		small := stampedPod(t)
		c.send(1, "10.0.0.2:1", func() io.Reader { return bytes.NewReader(small) }, int64(len(small)))
		c.want(map[int]int{http.StatusTooManyRequests: 2, http.StatusOK: 1})
		c.send(1, "10.0.0.2:1", body, 7<<20+1)
		c.want(map[int]int{http.StatusTooManyRequests: 2, http.StatusOK: 1, http.StatusRequestEntityTooLarge: 1})
		_ = writer.CloseWithError(io.ErrUnexpectedEOF)
		c.wg.Wait()
		c.send(8, "10.0.0.3:1", func() io.Reader { return strings.NewReader("") }, 7<<20)
		c.wg.Wait()
		c.want(map[int]int{http.StatusTooManyRequests: 2, http.StatusOK: 1, http.StatusRequestEntityTooLarge: 1, http.StatusBadRequest: 16})
	})
}

func TestABodyThatTricklesInIsGivenUp(t *testing.T) {
	server := httptest.NewServer(handler(t, &cluster{}, nil))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: stash\r\nContent-Length: 100000\r\n\r\n{", podHook); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(start.Add(20 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if took := time.Since(start); response.StatusCode != http.StatusBadRequest || took > 10*time.Second {
		t.Errorf("%d after %s", response.StatusCode, took)
	}
}
