package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Runtime are the metrics that are counted as things happen, on every replica.
type Runtime struct {
	admissions *prometheus.HistogramVec
	lag        prometheus.Histogram
	streams    prometheus.GaugeFunc
	refusals   *prometheus.CounterVec
	closed     *prometheus.CounterVec
}

// Known are the values of labels that are there from the start: a rate of what never happened is 0.
type Known struct {
	// Refusals of the broker.
	Refusals []string
	// Servers, and why they close connections.
	Servers, Closed []string
}

// NewRuntime declares them; streams returns the number of agents that are connected.
func NewRuntime(streams func() int64, known Known) *Runtime {
	r := &Runtime{
		admissions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stash_admission_duration_seconds",
			Help:    "Time to answer an admission request, by hook, decision and reason.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 3},
		}, []string{"hook", "decision", "reason"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stash_scheduler_lag_seconds",
			Help:    "Time from a slot of a schedule to the creation of its BackupSession.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600},
		}),
		streams: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stash_broker_connections",
			Help: "Agents that are connected to this replica.",
		}, func() float64 { return float64(streams()) }),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stash_broker_refused_total",
			Help: "Agents, and others, that the broker has refused or whose stream it has ended, by reason.",
		}, []string{"reason"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stash_connections_closed_total",
			Help: "Connections that were closed since there were too many or the peer has not proven who it is, by server and reason.",
		}, []string{"server", "reason"}),
	}
	for _, reason := range known.Refusals {
		r.refusals.WithLabelValues(reason)
	}
	for _, server := range known.Servers {
		for _, reason := range known.Closed {
			r.closed.WithLabelValues(server, reason)
		}
	}
	return r
}

// Register adds the metrics to a registry.
func (r *Runtime) Register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{r.admissions, r.lag, r.streams, r.refusals, r.closed} {
		if err := reg.Register(c); err != nil {
			return err //nolint:wrapcheck // it names the metric
		}
	}
	return nil
}

// Observe counts an admission request.
func (r *Runtime) Observe(hook, decision, reason string, seconds float64) {
	r.admissions.WithLabelValues(hook, decision, reason).Observe(seconds)
}

// Lag counts a session that was created so late after its slot.
func (r *Runtime) Lag(d time.Duration) { r.lag.Observe(max(0, d.Seconds())) }

// Refused counts a refusal of the broker.
func (r *Runtime) Refused(reason string) { r.refusals.WithLabelValues(reason).Inc() }

// Closed counts a connection that a server closed.
func (r *Runtime) Closed(server, reason string) { r.closed.WithLabelValues(server, reason).Inc() }
