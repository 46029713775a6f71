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
}

// NewRuntime declares them; streams returns the number of agents that are connected.
func NewRuntime(streams func() int64) *Runtime {
	return &Runtime{
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
	}
}

// Register adds the metrics to a registry.
func (r *Runtime) Register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{r.admissions, r.lag, r.streams} {
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
