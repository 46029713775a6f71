package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// ErrNotLoaded is what a handshake gets before the first certificate was read.
var ErrNotLoaded = errors.New("the serving certificate is not loaded yet")

// Source hands the current certificate to TLS servers and the current CA bundle to whoever publishes
// it. The zero Source is empty and ready for use, by several goroutines at once.
type Source struct {
	mu      sync.RWMutex
	data    map[string][]byte
	leaf    *tls.Certificate
	bundle  []byte
	changed chan struct{}
}

// GetCertificate is for tls.Config: each handshake gets the newest leaf, without a restart.
func (s *Source) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.leaf == nil {
		return nil, ErrNotLoaded
	}
	return s.leaf, nil
}

// Bundle returns the CAs that clients must trust, as PEM; empty before the first load. The channel
// is closed when the bundle is no longer this one.
func (s *Source) Bundle() ([]byte, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return bytes.Clone(s.bundle), s.changed
}

// Loaded tells whether there is a certificate to serve.
func (s *Source) Loaded() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.leaf != nil
}

// load takes over a Secret's data.
func (s *Source) load(data map[string][]byte) error {
	leaf, err := tls.X509KeyPair(data[KeyLeafCert], data[KeyLeafKey])
	if err != nil {
		return fmt.Errorf("load the serving certificate: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.leaf = maps.Clone(data), &leaf
	if b := bundle(data); !bytes.Equal(b, s.bundle) {
		s.bundle = b
		if s.changed != nil {
			close(s.changed)
		}
		s.changed = make(chan struct{})
	}
	return nil
}

// remembered is the data that was loaded last; nil before.
func (s *Source) remembered() map[string][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.data)
}

// TLSConfig is for servers of ours: TLS 1.3, the newest certificate for each handshake.
func TLSConfig(s *Source) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.GetCertificate,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}
