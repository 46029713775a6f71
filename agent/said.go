package agent

import (
	"sync"
	"time"
)

// saidBefore keeps a log from being filled with one sentence.
type saidBefore struct {
	mu   sync.Mutex
	last map[string]said
}

type said struct {
	text string
	at   time.Time
}

// first tells whether text is new for the topic or was last said longer ago than every.
func (s *saidBefore) first(topic, text string, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if old, found := s.last[topic]; found && old.text == text && now.Sub(old.at) < every {
		return false
	}
	if s.last == nil {
		s.last = map[string]said{}
	}
	s.last[topic] = said{text: text, at: now}
	return true
}

// forget makes the next sentence of the topic new.
func (s *saidBefore) forget(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, topic)
}
