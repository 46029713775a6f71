package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// Every init-container whose restore the cache does not have asks the API server for all RestoreSessions;
// a thousand that come at once are answered by a few lists.
func TestAFloodOfPodsOfUnknownRestoresIsAFewLists(t *testing.T) {
	const pods = 1000
	var lists, at atomic.Int32
	w := newWorld(t, interceptor.Funcs{})
	w.Live = newWorld(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		if _, metadata := list.(*metav1.PartialObjectMetadataList); !metadata {
			t.Errorf("all of a %T is read", list)
		}
		lists.Add(1)
		if at.Add(1) > 1 {
			t.Error("two lists at a time")
		}
		defer at.Add(-1)
		time.Sleep(20 * time.Millisecond)
		return c.List(ctx, list, opts...)
	}}, restoring()).Live
	g := NewAgents(w)
	var done sync.WaitGroup
	for i := range pods {
		done.Go(func() {
			id := initContainer(fmt.Sprintf("p%d", i))
			known := i%2 == 0
			if !known {
				id.Restore = "deleted"
			}
			o, err := g.Orders(context.Background(), id, func(string) bool { return false })
			if err != nil || o.Finish == known || (o.Wait != "") != known {
				t.Errorf("pod %d: %+v, %v", i, o, err)
			}
		})
	}
	done.Wait()
	if n := lists.Load(); n > pods/10 {
		t.Errorf("%d lists", n)
	}
}

// No answer is older than its question: a restore that is there when a pod asks is never said to be gone.
func TestASharedAnswerIsNotOlderThanItsQuestion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s shared[int64]
		var clock atomic.Int64
		how := func(context.Context) (int64, error) {
			began := clock.Load()
			time.Sleep(time.Duration(began%4) * 50 * time.Microsecond)
			return began, nil
		}
		var done sync.WaitGroup
		failed := make(chan string, 100)
		for range rapid.IntRange(1, 20).Draw(t, "askers") {
			done.Go(func() {
				asked := clock.Add(1)
				if answer, err := s.ask(context.Background(), how); err != nil || answer < asked {
					failed <- fmt.Sprintf("asked at %d, answer of %d, %v", asked, answer, err)
				}
			})
		}
		done.Wait()
		close(failed)
		for text := range failed {
			t.Error(text)
		}
	})
}

// The look of one who gives up goes on for the others, who may wait for it.
func TestWhoGivesUpEndsNobodyElsesLook(t *testing.T) {
	var s shared[int]
	var ended error
	begun, release := make(chan struct{}), make(chan struct{})
	impatient, giveUp := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan int, 1)
	go func() {
		_, err := s.ask(impatient, func(ctx context.Context) (int, error) {
			close(begun)
			<-release
			ended = ctx.Err()
			return 1, nil
		})
		first <- err
	}()
	<-begun
	go func() {
		n, err := s.ask(t.Context(), func(context.Context) (int, error) { return 2, nil })
		if err != nil {
			n = 0
		}
		second <- n
	}()
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who gives up: %v", err)
	}
	close(release)
	if n := <-second; n != 2 || ended != nil {
		t.Errorf("answer %d; the look of the first: %v", n, ended)
	}
}
