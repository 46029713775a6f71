package restic

import (
	"slices"
	"strings"
)

// TuningEnv are the variables of a user's container by which restic, or the Go that it is written
// in, does the same work faster, slower or smaller. Left out on purpose: RESTIC_PASSWORD_COMMAND
// (runs a program), RESTIC_REPOSITORY*, RESTIC_PASSWORD*, RESTIC_KEY_HINT, RESTIC_FROM_* (another
// repository), RESTIC_CACERT, RESTIC_TLS_CLIENT_CERT, SSL_CERT_FILE, SSL_CERT_DIR, TZ (name files),
// RESTIC_CACHE_DIR, TMPDIR, HOME, PATH (ours), RESTIC_HOST (the snapshot's identity),
// RESTIC_PROGRESS_FPS (how often we hear of a run), RESTIC_FEATURES (formats that are not settled),
// GODEBUG (also weakens TLS), GOTRACEBACK (dumps memory, with the keys in it).
func TuningEnv() []string {
	return []string{
		"RESTIC_COMPRESSION", "RESTIC_PACK_SIZE", "RESTIC_READ_CONCURRENCY",
		"GOMAXPROCS", "GOGC", "GOMEMLIMIT",
	}
}

// ProxyEnv are the variables by which a container reaches the storage through a proxy.
func ProxyEnv() []string {
	return []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
}

// IdentityEnv are the variables that give a pod an identity of its own at the storage, which counts
// where the Repository's Secret holds no key.
func IdentityEnv() []string {
	return []string{
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_REGION",
		"AWS_STS_REGIONAL_ENDPOINTS", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	}
}

// UserEnv are all variables of a user's container that restic may get; no other has an effect on it.
func UserEnv() []string {
	return slices.Concat(TuningEnv(), ProxyEnv(), IdentityEnv())
}

// ReservedEnv tells whether a variable would change which programs our containers run, or what those
// leave behind when they crash: it is nobody's to set.
func ReservedEnv(name string) bool {
	return strings.HasPrefix(name, "LD_") || slices.Contains([]string{"PATH", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR"}, name)
}
