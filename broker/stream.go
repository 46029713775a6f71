package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
)

// maxRunning is how many tasks an agent may say that it has: for each of them it is asked whether it is wanted.
const maxRunning = 1000

// aliveEvery is how often it is told that an agent lives.
const aliveEvery = time.Minute

// stream is the conversation with one agent.
type stream struct {
	server *Server
	id     Identity
	w      http.ResponseWriter
	pokes  chan struct{}
	closed chan struct{}
	once   sync.Once

	writeMu sync.Mutex
	mu      sync.Mutex
	has     map[string]bool // tasks that the agent has
	stopped map[string]bool // tasks that it was told to stop
	said    string          // the last Wait
	alive   time.Time       // when it was last stored that the agent lives
}

func newStream(s *Server, id Identity, w http.ResponseWriter) *stream {
	return &stream{
		server: s, id: id, w: w,
		pokes: make(chan struct{}, 1), closed: make(chan struct{}),
		has: map[string]bool{}, stopped: map[string]bool{},
	}
}

func (st *stream) poke() {
	select {
	case st.pokes <- struct{}{}:
	default:
	}
}

func (st *stream) close() { st.once.Do(func() { close(st.closed) }) }

// run reads the agent's lines in a goroutine of its own and writes orders in this one.
func (st *stream) run(ctx context.Context, body io.ReadCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	lines := make(chan said)
	readErr := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		readErr <- st.read(ctx, body, lines)
	}()
	defer func() {
		st.close()
		cancel()
		_ = body.Close() // ends the reader
		<-done
	}()
	if err := st.hello(ctx, lines, readErr); err != nil {
		return err
	}
	recheck := st.server.Recheck
	if recheck == 0 {
		recheck = 15 * time.Second
	}
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	silent := time.NewTimer(3 * protocol.HeartbeatInterval)
	defer silent.Stop()
	st.poke()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-st.closed:
			return nil
		case err := <-readErr:
			return err
		case <-silent.C:
			return errSilent
		case s := <-lines:
			silent.Reset(3 * protocol.HeartbeatInterval)
			err := st.hear(ctx, s.up)
			s.free()
			if err != nil {
				return err
			}
		case <-tick.C:
			st.poke()
		case <-st.pokes:
			if over, err := st.order(ctx); over || err != nil {
				return err
			}
		}
	}
}

// said is a line of the agent's, and what gives its room back when it has been dealt with.
type said struct {
	up   protocol.Up
	free func()
}

// read decodes lines until the body ends.
func (st *stream) read(ctx context.Context, body io.Reader, lines chan<- said) error {
	limit := protocol.MaxLine
	if st.id.Role == protocol.RoleWorker {
		limit = protocol.MaxWorkerLine
	}
	reader := newLineReader(body, limit, st.server.shared().longLines)
	for {
		line, free, err := reader.next(ctx)
		if err != nil {
			return fmt.Errorf("read line: %w", err)
		}
		s := said{free: free}
		if err := json.Unmarshal(line, &s.up); err != nil {
			free()
			return fmt.Errorf("%w: %w", errNonsense, err)
		}
		select {
		case lines <- s:
		case <-ctx.Done():
			free()
			return ctx.Err()
		}
	}
}

func (st *stream) hello(ctx context.Context, lines <-chan said, readErr <-chan error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-readErr:
		return err
	case <-time.After(protocol.HeartbeatInterval):
		return errSilent
	case s := <-lines:
		defer s.free()
		up := s.up
		if up.Hello == nil {
			return fmt.Errorf("%w: the first one is not Hello", errNonsense)
		}
		if up.Hello.Version != protocol.Version {
			err := st.send(protocol.Down{Refuse: fmt.Sprintf("this Stash speaks version %d of the agent protocol, the agent version %d: restart the pod", protocol.Version, up.Hello.Version)})
			return errors.Join(errVersion, err)
		}
		if h := up.Hello.Hostname; h != "" && len(h) <= maxHostname {
			st.id.Hostname = h
		}
		if n := len(up.Hello.Running); n > maxRunning {
			return fmt.Errorf("%w: %d tasks cannot all be of this pod", errNonsense, n)
		}
		for _, t := range up.Hello.Running {
			st.has[t] = true
		}
		st.server.Log.Info("agent connected", "pod", st.id.Namespace+"/"+st.id.Pod, "role", string(st.id.Role), "build", up.Hello.Build)
		return st.stillAlive(ctx)
	}
}

// hear handles one line. What is not stored is not acknowledged, and does not end the stream.
func (st *stream) hear(ctx context.Context, up protocol.Up) error {
	switch {
	case up.Alive:
		if err := st.send(protocol.Down{Alive: true}); err != nil {
			return err
		}
		return st.stillAlive(ctx)
	case up.Accept != nil:
		st.warn("store that the work was taken", st.server.Results.Accepted(ctx, st.id, up.Accept.ID))
	case up.Progress != nil:
		st.warn("store progress", st.server.Results.Progress(ctx, st.id, *up.Progress))
	case up.Result != nil:
		err := st.server.Results.Result(ctx, st.id, *up.Result)
		st.warn("store result", err)
		if err != nil {
			return err // the agent repeats it when it is back
		}
		st.mu.Lock()
		delete(st.has, up.Result.ID)
		st.mu.Unlock()
		if err := st.send(protocol.Down{Ack: up.Result.ID}); err != nil {
			return err
		}
		st.poke()
	}
	return nil
}

func (st *stream) stillAlive(ctx context.Context) error {
	if time.Since(st.alive) < aliveEvery {
		return nil
	}
	st.mu.Lock()
	tasks := slices.Sorted(maps.Keys(st.has))
	st.mu.Unlock()
	if len(tasks) > 0 {
		if err := st.server.Results.Alive(ctx, st.id, tasks); err != nil {
			st.warn("store that the agent lives", err)
			return nil // its next sign of life is stored instead, before anybody takes it for dead
		}
	}
	st.alive = time.Now()
	return nil
}

// order sends what is new in the agent's orders; over tells that the conversation has ended.
func (st *stream) order(ctx context.Context) (over bool, err error) {
	o, err := st.server.Work.Orders(ctx, st.id, func(task string) bool {
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.has[task]
	})
	if err != nil {
		st.warn("read orders", err)
		return false, nil
	}
	orphans, err := st.orphans(ctx)
	st.warn("look for deleted sessions", err)
	if err := st.cancel(append(o.Cancel, orphans...)); err != nil {
		return false, err
	}
	for i := range o.Tasks {
		st.mu.Lock()
		st.has[o.Tasks[i].ID] = true
		st.mu.Unlock()
		if err := st.send(protocol.Down{Task: &o.Tasks[i]}); err != nil {
			return false, err
		}
	}
	switch {
	case o.Refuse != "":
		return true, st.send(protocol.Down{Refuse: o.Refuse})
	case o.Finish:
		return true, st.send(protocol.Down{Finish: true})
	case o.Wait != "" && o.Wait != st.said:
		st.said = o.Wait
		return false, st.send(protocol.Down{Wait: o.Wait})
	}
	return false, nil
}

// orphans are tasks that nobody wants any more, of those that were not stopped yet.
func (st *stream) orphans(ctx context.Context) ([]string, error) {
	st.mu.Lock()
	var tasks []string
	for _, id := range slices.Sorted(maps.Keys(st.has)) {
		if !st.stopped[id] {
			tasks = append(tasks, id)
		}
	}
	st.mu.Unlock()
	if len(tasks) == 0 {
		return nil, nil
	}
	return st.server.Work.Orphans(ctx, st.id, tasks) //nolint:wrapcheck // it is logged as it is
}

// cancel has the agent stop tasks, each once.
func (st *stream) cancel(tasks []string) error {
	for _, id := range tasks {
		if st.stopped[id] {
			continue
		}
		st.stopped[id] = true
		if err := st.send(protocol.Down{Cancel: id}); err != nil {
			return err
		}
	}
	return nil
}

func (st *stream) send(d protocol.Down) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	st.writeMu.Lock()
	defer st.writeMu.Unlock()
	rc := http.NewResponseController(st.w)
	if err := rc.SetWriteDeadline(time.Now().Add(protocol.HeartbeatInterval)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if _, err := st.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	if err := rc.Flush(); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	// A deadline that stays resets the stream when it is over, though nothing is being written.
	if err := rc.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

func (st *stream) warn(what string, err error) {
	if err != nil {
		st.server.Log.Warn("agent's report was not dealt with", "pod", st.id.Namespace+"/"+st.id.Pod, "what", what, "err", err)
	}
}
