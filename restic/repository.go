// Package restic turns options into restic's arguments and restic's output into values: one file
// a sub-command. It is pure; restic/exec runs the binary. It imports nothing of Kubernetes, since
// the agent links it. The engine is restic 0.18 or newer (JSON messages and exit codes of 0.18).
package restic

// Repository is a place that restic can work on, with what it needs to open it. Values of Env are
// secrets: they are never logged and reach restic by its environment only, never by arguments.
type Repository struct {
	// URL in restic's form, for example s3:https://host:9000/bucket/prefix. It holds no credential.
	URL string `json:"url"`
	// Env for restic: RESTIC_PASSWORD and the keys of the storage.
	Env map[string]string `json:"env,omitempty"`
	// CACert is a PEM bundle that is passed by --cacert.
	CACert []byte `json:"caCert,omitempty"`
	// InsecureTLS passes --insecure-tls.
	InsecureTLS bool `json:"insecureTLS,omitempty"`
	// Options are passed by -o, for example s3.bucket-lookup=path.
	Options []string `json:"options,omitempty"`
}
