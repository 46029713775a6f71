package restic

import (
	"fmt"
	"slices"
	"strings"
)

// ReservedTagPrefix begins the tags by which Stash finds its snapshots again; users may not set them.
const ReservedTagPrefix = "stash-"

// userFlag is an option that users may pass on.
type userFlag struct {
	name string
	// short form, without dash; empty: none.
	short string
	// value tells that it takes one.
	value bool
}

// backupFlags are those that change what or how a backup reads, and nothing of where it goes, what
// it is called or what else is run. Left out on purpose: --password-command and -o (run programs),
// --repo, --cacert, --cache-dir, --host, --json (ours), --stdin*, --files-from*, --*-file (read what
// the pod holds, such as the token), --parent, --time, --group-by (forge history), --dry-run,
// --skip-if-unchanged (success without a snapshot).
func backupFlags() []userFlag {
	return []userFlag{
		{name: "compression", value: true},
		{name: "exclude", short: "e", value: true},
		{name: "exclude-caches"},
		{name: "exclude-if-present", value: true},
		{name: "exclude-larger-than", value: true},
		{name: "force", short: "f"},
		{name: "iexclude", value: true},
		{name: "ignore-ctime"},
		{name: "ignore-inode"},
		{name: "limit-download", value: true},
		{name: "limit-upload", value: true},
		{name: "no-extra-verify"},
		{name: "no-scan"},
		{name: "one-file-system", short: "x"},
		{name: "pack-size", value: true},
		{name: "read-concurrency", value: true},
		{name: "tag", value: true},
		{name: "with-atime"},
	}
}

// restoreFlags are those that change what or how a restore writes below its target. Left out
// besides those above: --target, --host, --path, --tag (which snapshot is pinned before) and
// --delete (a rule has a field for it).
func restoreFlags() []userFlag {
	return []userFlag{
		{name: "exclude", short: "e", value: true},
		{name: "exclude-xattr", value: true},
		{name: "iexclude", value: true},
		{name: "iinclude", value: true},
		{name: "include", short: "i", value: true},
		{name: "include-xattr", value: true},
		{name: "limit-download", value: true},
		{name: "limit-upload", value: true},
		{name: "overwrite", value: true},
		{name: "sparse"},
		{name: "verify"},
	}
}

// AllowedBackupArgs returns an error that names the first argument that users may not pass to a
// backup, and the list of those that they may.
func AllowedBackupArgs(args []string) error {
	_, err := ParseBackupArgs(args)
	return err
}

// AllowedRestoreArgs is AllowedBackupArgs for a restore.
func AllowedRestoreArgs(args []string) error {
	_, err := ParseRestoreArgs(args)
	return err
}

// ParseBackupArgs checks arguments of users and returns them as --name or --name=value, one word
// each; "--name value" may be given as two words.
func ParseBackupArgs(args []string) ([]string, error) {
	return parseUserArgs(args, backupFlags())
}

// LeavesOut tells whether arguments of users may keep files out of a backup.
func LeavesOut(args []string) bool {
	parsed, err := ParseBackupArgs(args)
	return err != nil || slices.ContainsFunc(parsed, func(a string) bool {
		return strings.HasPrefix(a, "--exclude") || strings.HasPrefix(a, "--iexclude") || a == "--one-file-system"
	})
}

// ParseRestoreArgs is ParseBackupArgs for a restore.
func ParseRestoreArgs(args []string) ([]string, error) {
	return parseUserArgs(args, restoreFlags())
}

func parseUserArgs(args []string, allowed []userFlag) ([]string, error) {
	var parsed []string
	for i := 0; i < len(args); i++ {
		word := args[i]
		if strings.TrimSpace(word) == "" {
			continue
		}
		name, value, hasValue := strings.Cut(word, "=")
		at := slices.IndexFunc(allowed, func(f userFlag) bool {
			return name == "--"+f.name || f.short != "" && name == "-"+f.short
		})
		if at < 0 {
			return nil, fmt.Errorf("argument %q is not allowed: allowed are %s", word, names(allowed))
		}
		flag := allowed[at]
		switch {
		case !flag.value && hasValue && value != "true":
			return nil, fmt.Errorf("argument %q takes no value", word)
		case !flag.value:
			parsed = append(parsed, "--"+flag.name)
			continue
		case !hasValue:
			i++
			if i == len(args) {
				return nil, fmt.Errorf("argument %q needs a value: write it as --%s=<value>", word, flag.name)
			}
			value = args[i]
		}
		if err := checkValue(flag.name, value); err != nil {
			return nil, err
		}
		parsed = append(parsed, "--"+flag.name+"="+value)
	}
	return parsed, nil
}

func checkValue(name, value string) error {
	if value == "" {
		return fmt.Errorf("argument %q needs a value: write it as --%s=<value>", "--"+name, name)
	}
	if strings.ContainsRune(value, 0) {
		return fmt.Errorf("value of argument %q must not hold a NUL byte", "--"+name)
	}
	switch name {
	case "exclude", "iexclude", "include", "iinclude":
		if err := CheckPattern(value); err != nil {
			return fmt.Errorf("argument %q: %w", "--"+name, err)
		}
	}
	if name != "tag" {
		return nil
	}
	for tag := range strings.SplitSeq(value, ",") {
		if strings.HasPrefix(strings.TrimSpace(tag), ReservedTagPrefix) {
			return fmt.Errorf("tag %q is not allowed: tags that begin with %q are set by Stash", tag, ReservedTagPrefix)
		}
	}
	return nil
}

func names(flags []userFlag) string {
	words := make([]string, len(flags))
	for i, f := range flags {
		words[i] = "--" + f.name
		if f.value {
			words[i] += "="
		}
	}
	return strings.Join(words, " ")
}
