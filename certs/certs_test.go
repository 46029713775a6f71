package certs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/seed-731df569/stash/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func names() []string { return certs.Names("stash", "stash-webhook", "stash-broker") }

// ours are the terms without cert-manager.
func ours() certs.Terms { return certs.Terms{Names: names()} }

func start() time.Time { return time.Date(2026, 11, 21, 6, 0, 0, 123456789, time.UTC) }

func advance(t *testing.T, now time.Time, data map[string][]byte) map[string][]byte {
	t.Helper()
	out, err := certs.Advance(now, data, ours(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if need := certs.Needs(now, out, ours()); need != certs.NeedNothing {
		t.Fatalf("after Advance: %s", need)
	}
	return out
}

func TestNeeds(t *testing.T) {
	t0 := start()
	fresh := advance(t, t0, nil)
	with := func(change func(map[string][]byte)) map[string][]byte {
		out := maps.Clone(fresh)
		change(out)
		return out
	}
	other := advance(t, t0, nil)
	for name, c := range map[string]struct {
		at   time.Duration
		data map[string][]byte
		want certs.Need
	}{
		"an empty Secret needs a CA":            {0, nil, certs.NeedCA},
		"a fresh one needs nothing":             {0, fresh, certs.NeedNothing},
		"a leaf of 19 days is good":             {19 * 24 * time.Hour, fresh, certs.NeedNothing},
		"a leaf of 21 days is renewed":          {21 * 24 * time.Hour, fresh, certs.NeedLeaf},
		"a CA of eight months gets a successor": {245 * 24 * time.Hour, fresh, certs.NeedNext},
		"an expired CA is replaced":             {366 * 24 * time.Hour, fresh, certs.NeedCA},
		"a clock that was ahead is noticed":     {-24 * time.Hour, fresh, certs.NeedNext},
		"a damaged CA is replaced":              {0, with(func(d map[string][]byte) { d[certs.KeyCACert] = []byte("x") }), certs.NeedCA},
		"a missing CA key is like a damaged CA": {0, with(func(d map[string][]byte) { delete(d, certs.KeyCAKey) }), certs.NeedCA},
		"a leaf as CA is no CA": {0, with(func(d map[string][]byte) {
			d[certs.KeyCACert], d[certs.KeyCAKey] = d[certs.KeyLeafCert], d[certs.KeyLeafKey]
		}), certs.NeedCA},
		"a damaged leaf is replaced":          {0, with(func(d map[string][]byte) { d[certs.KeyLeafCert] = d[certs.KeyLeafCert][:40] }), certs.NeedLeaf},
		"a leaf with another key is replaced": {0, with(func(d map[string][]byte) { d[certs.KeyLeafKey] = other[certs.KeyLeafKey] }), certs.NeedLeaf},
		"a leaf of another CA is replaced": {0, with(func(d map[string][]byte) {
			d[certs.KeyLeafCert], d[certs.KeyLeafKey] = other[certs.KeyLeafCert], other[certs.KeyLeafKey]
		}), certs.NeedLeaf},
		"somebody else's CA that will not take over is dropped": {0, with(func(d map[string][]byte) { d[certs.KeyNextCert] = other[certs.KeyCACert] }), certs.NeedForget},
		"a damaged old CA is dropped":                           {0, with(func(d map[string][]byte) { d[certs.KeyOldCert] = []byte("x") }), certs.NeedDrop},
		"an old CA is kept while its leaf may be served":        {0, with(func(d map[string][]byte) { d[certs.KeyOldCert] = other[certs.KeyCACert] }), certs.NeedNothing},
		"an old CA is dropped when nobody serves its leaf":      {certs.Overlap, with(func(d map[string][]byte) { d[certs.KeyOldCert] = other[certs.KeyCACert] }), certs.NeedDrop},
	} {
		t.Run(name, func(t *testing.T) {
			if got := certs.Needs(t0.Add(c.at), c.data, ours()); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			advance(t, t0.Add(c.at), c.data)
		})
	}
	if got := certs.Needs(t0, fresh, certs.Terms{Names: append(names(), "new.stash.svc")}); got != certs.NeedLeaf {
		t.Errorf("a leaf that lacks a name: %q", got)
	}
}

func TestForeignKeysAreKept(t *testing.T) {
	out := advance(t, start(), map[string][]byte{"note": []byte("mine")})
	if string(out["note"]) != "mine" {
		t.Error("gone")
	}
}

// TestRotationIsNeverSeenByClients walks through two years: at every change clients may still know
// the bundle of before, and replicas may still serve the leaf of before.
func TestRotationIsNeverSeenByClients(t *testing.T) {
	type moment struct{ leaf, bundle []byte }
	var before []moment
	var data map[string][]byte
	cas := map[string]bool{}
	var step time.Duration
	for at := time.Duration(0); at < 2*certs.LifeCA; at += step {
		now := start().Add(at)
		next := advance(t, now, data)
		step = 12 * time.Hour
		if next[certs.KeyNextCert] != nil || next[certs.KeyOldCert] != nil {
			step = 5 * time.Minute // watch a rotation closely
		}
		if maps.EqualFunc(data, next, bytes.Equal) {
			continue
		}
		data = next
		s := &certs.Source{}
		load(t, s, now, data)
		bundle, _ := s.Bundle()
		cas[string(data[certs.KeyCACert])] = true
		before = append(before, moment{data[certs.KeyLeafCert], bundle})
		last := before[max(0, len(before)-2)]
		verify(t, now, last.leaf, bundle)
		verify(t, now, data[certs.KeyLeafCert], last.bundle)
	}
	if len(cas) < 3 {
		t.Errorf("%d CAs in two years", len(cas))
	}
}

func verify(t *testing.T, now time.Time, leaf, bundle []byte) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	pair := parse(t, leaf)
	for _, name := range names() {
		if _, err := pair.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			t.Fatalf("at %s: %v", now, err)
		}
	}
}

func parse(t *testing.T, b []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatal("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// load puts data into a Source the way a replica does.
func load(t *testing.T, s *certs.Source, now time.Time, data map[string][]byte) {
	t.Helper()
	c := fake.NewClientBuilder().WithObjects(secret(data)).Build()
	k := keeper(c, s, func() time.Time { return now })
	if err := k.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func secret(data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "stash", Name: certs.SecretName}, Data: data}
}

func keeper(c certs.Client, s *certs.Source, now func() time.Time) *certs.Keeper {
	return &certs.Keeper{Client: c, Namespace: "stash", Names: names(), Source: s, Now: now}
}

func stored(t *testing.T, c client.Client) map[string][]byte {
	t.Helper()
	var got corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "stash", Name: certs.SecretName}, &got); err != nil {
		t.Fatal(err)
	}
	return got.Data
}

func TestTwoWritersAgree(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	now := start()
	sources := make([]*certs.Source, 8)
	for _, at := range []time.Duration{0, 21 * 24 * time.Hour, 250 * 24 * time.Hour} {
		var wg sync.WaitGroup
		for i := range sources {
			if sources[i] == nil {
				sources[i] = &certs.Source{}
			}
			wg.Go(func() {
				k := keeper(c, sources[i], func() time.Time { return now.Add(at) })
				for k.Reconcile(t.Context()) != nil { // contended by eight: tried again, as Run does
				}
			})
		}
		wg.Wait()
		want := stored(t, c)
		for i, s := range sources {
			got, err := s.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Certificate[0], parse(t, want[certs.KeyLeafCert]).Raw) {
				t.Errorf("replica %d serves another certificate", i)
			}
		}
	}
}

func TestALostSecretHealsWithoutLossOfTrust(t *testing.T) {
	c := fake.NewClientBuilder().Build()
	now := start()
	s := &certs.Source{}
	k := keeper(c, s, func() time.Time { return now })
	reconcile(t, k)
	before := stored(t, c)
	if err := c.Delete(t.Context(), secret(nil)); err != nil {
		t.Fatal(err)
	}
	reconcile(t, k)
	after := stored(t, c)
	if !bytes.Equal(before[certs.KeyLeafCert], after[certs.KeyLeafCert]) {
		t.Error("the leaf changed before the new CA is known")
	}
	if after[certs.KeyNextCert] == nil {
		t.Fatal("the CA is not replaced, although the Secret was deleted")
	}
	now = now.Add(certs.Overlap)
	reconcile(t, k)
	if switched := stored(t, c); !bytes.Equal(switched[certs.KeyCACert], after[certs.KeyNextCert]) || switched[certs.KeyOldCert] == nil {
		t.Error("the next CA did not take over")
	}
	now = now.Add(certs.Overlap)
	reconcile(t, k)
	if done := stored(t, c); done[certs.KeyOldCert] != nil || done[certs.KeyNextCert] != nil {
		t.Error("the old CA is still there")
	}
}

func TestACorruptedSecretHeals(t *testing.T) {
	for _, damaged := range []string{certs.KeyCACert, certs.KeyCAKey, certs.KeyLeafCert, certs.KeyLeafKey} {
		c := fake.NewClientBuilder().Build()
		s := &certs.Source{}
		k := keeper(c, s, start)
		reconcile(t, k)
		data := stored(t, c)
		data[damaged] = []byte("damaged")
		var live corev1.Secret
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret(nil)), &live); err != nil {
			t.Fatal(err)
		}
		live.Data = data
		if err := c.Update(t.Context(), &live); err != nil {
			t.Fatal(err)
		}
		reconcile(t, k)
		bundle, _ := s.Bundle()
		verify(t, start(), stored(t, c)[certs.KeyLeafCert], bundle)
		fresh := &certs.Source{} // a replica without memory agrees
		reconcile(t, keeper(c, fresh, start))
		other, _ := fresh.Bundle()
		if !bytes.Equal(bundle, other) {
			t.Errorf("%s damaged: replicas disagree", damaged)
		}
	}
}

func reconcile(t *testing.T, k *certs.Keeper) {
	t.Helper()
	if err := k.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// refusing fails every write, as an API server that others keep busy.
type refusing struct{ certs.Client }

func (refusing) Create(context.Context, client.Object, ...client.CreateOption) error {
	return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, certs.SecretName)
}

func TestContentionIsTold(t *testing.T) {
	s := &certs.Source{}
	err := keeper(refusing{fake.NewClientBuilder().Build()}, s, start).Reconcile(t.Context())
	if err == nil || s.Loaded() {
		t.Fatalf("err=%v loaded=%v", err, s.Loaded())
	}
}

func TestServersReloadAndOldClientsAreRefused(t *testing.T) {
	s := &certs.Source{}
	now := time.Now()
	c := fake.NewClientBuilder().Build()
	k := keeper(c, s, func() time.Time { return now })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = certs.TLSConfig(s)
	server.StartTLS()
	defer server.Close()
	dial := func(newest uint16) (*x509.Certificate, error) {
		bundle, _ := s.Bundle()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: names()[2], MaxVersion: newest})
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0], nil
	}
	server.TLS.Certificates = nil // httptest adds its own
	if _, err := dial(0); err == nil {
		t.Fatal("a handshake before the first load")
	}
	reconcile(t, k)
	first, err := dial(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is accepted")
	}
	now = now.Add(certs.LifeLeaf * 3 / 4)
	reconcile(t, k)
	s2, err := s.GetCertificate(nil)
	if err != nil || slices.Equal(s2.Certificate[0], first.Raw) {
		t.Errorf("not reloaded: %v", err)
	}
}

func TestRunRenewsOnTheWallClockAndTellsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &certs.Source{}
		c := fake.NewClientBuilder().Build()
		k := keeper(c, s, nil)
		_, changed := s.Bundle()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		<-changed
		first, changed := s.Bundle()
		if !s.Loaded() || len(first) == 0 {
			t.Fatal("nothing loaded")
		}
		if err := c.Delete(ctx, secret(nil)); err != nil {
			t.Fatal(err)
		}
		<-changed
		second, changed := s.Bundle()
		<-changed
		third, changed := s.Bundle()
		<-changed
		fourth, _ := s.Bundle()
		if bytes.Equal(second, third) || len(second) != 2*len(first) && len(second) < len(first)+400 || len(fourth) >= len(third) {
			t.Errorf("bundles of %d, %d, %d, %d bytes", len(first), len(second), len(third), len(fourth))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
