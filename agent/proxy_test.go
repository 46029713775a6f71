package agent_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/seed-731df569/stash/test/databases"
)

// proxy stands between a server and its clients; answer copies what the server says.
func proxy(t *testing.T, to string, answer func(client, server net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			}()
			go func() {
				answer(client, server)
				_, _ = client.Close(), server.Close()
			}()
		}
	}()
	addr, _ := l.Addr().(*net.TCPAddr)
	return addr.Port
}

// later is a server that says to be of version 99.
func later(t *testing.T, p databases.Postgres) int {
	version := p.Exec("postgres", "SELECT split_part(current_setting('server_version'), '.', 1)")
	return proxy(t, p.Addr(), func(client, server net.Conn) {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			said := bytes.Replace(buffer[:n], []byte("server_version\x00"+version), []byte("server_version\x0099"), 1)
			if _, writeErr := client.Write(said); err != nil || writeErr != nil {
				return
			}
		}
	})
}

// hangsUp ends each connection after so many bytes.
func hangsUp(t *testing.T, p databases.Postgres, after int64) int {
	return proxy(t, p.Addr(), func(client, server net.Conn) { _, _ = io.CopyN(client, server, after) })
}
