package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// Options are what the handlers decide with.
type Options struct {
	Pods      Pods
	Workloads Workloads
	Own       Own
	Policies  Policies
	// Access answers for the rights of who asks.
	Access Access
	// Settings are those of the webhook configurations.
	Settings Settings
	// Observer may be nil.
	Observer Observer
	// Log gets bugs and failed reads; nil: slog's default.
	Log *slog.Logger
}

// serveFunc decides on one request.
type serveFunc func(ctx context.Context, v *review) answer

// Route is a hook with the handler that answers it.
type Route struct {
	Hook    Hook
	Handler http.Handler
}

// Routes returns the handlers of all hooks.
func Routes(o Options) ([]Route, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Access == nil {
		return nil, errors.New("serve hooks: there is nobody to ask for rights")
	}
	var out []Route
	shared := newLoad()
	for _, h := range o.Settings.Hooks() {
		serve, err := o.serve(h)
		if err != nil {
			return nil, err
		}
		out = append(out, Route{Hook: h, Handler: &endpoint{hook: h, serve: serve, load: shared, observer: o.Observer, log: o.Log}})
	}
	return out, nil
}

// Handler returns the mux with all routes.
func Handler(o Options) (http.Handler, error) {
	routes, err := Routes(o)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle("POST "+r.Hook.Path, r.Handler)
	}
	return mux, nil
}

func (o *Options) serve(h Hook) (serveFunc, error) {
	switch h.Serve {
	case ServePod:
		return func(ctx context.Context, v *review) answer { return o.pod(ctx, v, h.FailurePolicy) }, nil
	case ServeRestoringPod:
		return o.restoringPod, nil
	case ServeWorkload:
		return func(ctx context.Context, v *review) answer { return o.workload(ctx, v, h.FailurePolicy) }, nil
	case ServeOwn:
		return func(ctx context.Context, v *review) answer { return o.own(ctx, v, h.Kind) }, nil
	case ServeProtection:
		return o.protection, nil
	case ServeNamespace:
		return o.namespaceDefault, nil
	case ServeWithdrawal:
		return o.withdrawal, nil
	}
	return nil, fmt.Errorf("serve hook %q: there is no handler %q", h.Name, h.Serve)
}

// endpoint is the HTTP side of a hook.
type endpoint struct {
	hook     Hook
	serve    serveFunc
	load     *load
	observer Observer
	log      *slog.Logger
}

// ServeHTTP answers one AdmissionReview. What cannot be read gets an HTTP error, upon which the API
// server does what the hook's failure policy says. While there is no room it is 429, upon which the
// API server tries again, as long as the hook's time lasts.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	defer func() { _ = r.Body.Close() }()
	// The API server has given up by then; whoever is asked should not work on.
	limit := time.Duration(e.hook.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	leave, err := e.load.enter(ctx, r)
	if err != nil {
		e.fail(w, err, start)
		return
	}
	defer leave()
	// A body that trickles in must not keep its room; tests have no connection to set this on.
	_ = http.NewResponseController(w).SetReadDeadline(start.Add(limit))
	body, err := readBody(r)
	var v review
	if err == nil {
		v, err = readReview(body)
	}
	if err != nil {
		e.fail(w, err, start)
		return
	}
	v.policy = r.PathValue("policy")
	a := e.decide(ctx, &v)
	out, err := a.write(make([]byte, 0, a.size()), v.uid)
	if err != nil {
		e.fail(w, fmt.Errorf("%w: %w", errUnwritten, err), start)
		return
	}
	w.Header()["Content-Type"] = jsonType()
	if _, err := w.Write(out); err != nil {
		e.log.WarnContext(ctx, "admission response was not sent", "hook", e.hook.Name, "error", err)
	}
	e.observe(a.decision(), a.reason, start)
}

func jsonType() []string { return []string{"application/json"} }

// decide calls the handler. A panic is a bug, and no reason to be down: it is answered as the hook's
// failure policy would.
func (e *endpoint) decide(ctx context.Context, v *review) (a answer) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		e.log.ErrorContext(ctx, "admission handler panicked", "hook", e.hook.Name, "namespace", v.namespace, "name", v.name,
			"panic", p, "stack", string(debug.Stack()))
		a = allow(Panicked)
		if e.hook.FailurePolicy == admissionregistrationv1.Fail {
			a = unavailable(Panicked, "this is a bug in Stash, its log has the details; nothing was changed")
		}
	}()
	a = e.serve(ctx, v)
	if a.reason == LookupFailed {
		e.log.WarnContext(ctx, "admission decided without all facts", "hook", e.hook.Name, "namespace", v.namespace, "name", v.name, "warnings", a.warnings, "status", a.status)
	}
	return a
}

var errUnwritten = errors.New("the answer cannot be written")

func (e *endpoint) fail(w http.ResponseWriter, err error, start time.Time) {
	code, reason := http.StatusBadRequest, Unreadable
	switch {
	case errors.Is(err, errTooLarge):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, errUnwritten):
		code = http.StatusInternalServerError
	case errors.Is(err, errBusy):
		code, reason = http.StatusTooManyRequests, Busy
		w.Header().Set("Retry-After", "1")
	}
	if reason == Busy {
		// There are many of them.
		e.log.Debug("admission request refused", "hook", e.hook.Name, "error", err)
	} else {
		e.log.Warn("admission request failed", "hook", e.hook.Name, "error", err)
	}
	http.Error(w, err.Error(), code)
	e.observe(Failed, reason, start)
}

func (e *endpoint) observe(d Decision, r Reason, start time.Time) {
	if e.observer != nil {
		e.observer.Observe(e.hook.Name, d, r, time.Since(start).Seconds())
	}
}
