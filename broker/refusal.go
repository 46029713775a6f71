package broker

import (
	"errors"
	"net/http"

	"golang.org/x/sync/semaphore"

	"github.com/seed-731df569/stash/guard"
)

// Refusal says why somebody was refused, or a stream ended; the values are stable and label metrics.
type Refusal string

// Refusals of requests.
const (
	// RefusedRequest: it is none of an agent's.
	RefusedRequest Refusal = "Request"
	// RefusedNoToken: it has no token, or one that is too long to be one.
	RefusedNoToken Refusal = "NoToken"
	// RefusedBusy: its turn to be identified did not come in time.
	RefusedBusy Refusal = "Busy"
	// RefusedDenied: the token or the pod is not an agent's.
	RefusedDenied Refusal = "Denied"
	// RefusedUnavailable: the API server could not be asked.
	RefusedUnavailable Refusal = "Unavailable"
	// RefusedTooMany: there are as many streams as there may be.
	RefusedTooMany Refusal = "TooManyAgents"
)

// Refusals of what a stream says, which end it.
const (
	// EndedTooLong: a line was too long.
	EndedTooLong Refusal = "LineTooLong"
	// EndedCrowded: there was no room for a long line in time.
	EndedCrowded Refusal = "Crowded"
	// EndedNonsense: a line was not understood.
	EndedNonsense Refusal = "Nonsense"
	// EndedSilent: nothing was said for too long.
	EndedSilent Refusal = "Silent"
	// EndedVersion: the agent speaks another version of the protocol.
	EndedVersion Refusal = "Version"
)

// Refusals lists all, so that metrics can be declared beforehand.
func Refusals() []Refusal {
	return []Refusal{
		RefusedRequest, RefusedNoToken, RefusedBusy, RefusedDenied, RefusedUnavailable, RefusedTooMany,
		EndedTooLong, EndedCrowded, EndedNonsense, EndedSilent, EndedVersion,
	}
}

var (
	errSilent   = errors.New("the agent was silent for too long")
	errVersion  = errors.New("the agent speaks another version of the protocol")
	errTooLong  = errors.New("the agent's line is too long")
	errCrowded  = errors.New("there is no room for the agent's long line now")
	errNonsense = errors.New("the agent's line is not understood")
)

// maxToken is far above the length of a ServiceAccount's token.
const maxToken = 16 << 10

const (
	// identifyAtOnce are proven at the same time, identifyPerAddress of them of one address: a node's,
	// where pods have none of their own.
	identifyAtOnce, identifyPerAddress = 64, 16
	// longLines is the room for all lines that are longer than shortLine. What is decoded from them
	// takes about as much again.
	longLines = 64 << 20
)

// limits are what all streams of a Server share.
type limits struct {
	identifying *guard.Gate
	longLines   *semaphore.Weighted
}

func (s *Server) shared() *limits {
	s.once.Do(func() {
		s.limits = &limits{identifying: guard.NewGate(identifyAtOnce, identifyPerAddress), longLines: semaphore.NewWeighted(longLines)}
	})
	return s.limits
}

// refuse answers a request that is not served.
func (s *Server) refuse(w http.ResponseWriter, why Refusal, code int, text string) {
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "10")
	}
	http.Error(w, text, code)
	s.count(why)
}

// ended counts a stream that was ended for what its agent said, or did not.
func (s *Server) ended(err error) {
	for cause, why := range map[error]Refusal{
		errSilent: EndedSilent, errVersion: EndedVersion, errTooLong: EndedTooLong, errCrowded: EndedCrowded, errNonsense: EndedNonsense,
	} {
		if errors.Is(err, cause) {
			s.count(why)
		}
	}
}

func (s *Server) count(why Refusal) {
	if s.Refused != nil {
		s.Refused(why)
	}
}
