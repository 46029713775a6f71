package cluster

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const postgresPrograms = "/usr/lib/postgresql/*/bin"

// databases is the table of what tests need of databases: servers, which tests start by themselves, and
// their programs.
func databases() []requirement {
	return []requirement{
		{postgresPrograms + "/initdb", "postgresql"},
		{"mariadbd", "mariadb-server-core"},
		{"mariadb-install-db", "mariadb-server-core"},
		{"mariadb", "mariadb-client-core"},
		{"mariadb-dump", "mariadb-client"},
		{"redis-server", "redis-server"},
		{"redis-cli", "redis-tools"},
	}
}

// DatabasePath installs the databases of the machine's own release and returns a PATH with their
// programs, and with everything else.
func (c *Cache) DatabasePath(ctx context.Context) (string, error) {
	if err := checkMachine(); err != nil {
		return "", err
	}
	if err := completePath(); err != nil {
		return "", err
	}
	if err := c.install(ctx, databases()); err != nil {
		return "", err
	}
	found, err := filepath.Glob(postgresPrograms)
	if err != nil {
		return "", err
	}
	slices.Sort(found)
	newest := found[len(found)-1:]
	return strings.Join(append(newest, os.Getenv("PATH")), string(filepath.ListSeparator)), nil
}
