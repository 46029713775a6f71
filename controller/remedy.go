package controller

import (
	"fmt"
	"strings"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// remedy says which field or key of a Repository a failure of its storage is about, and what to do.
// It shows no secret. Empty: restic's words have to do.
func remedy(repo *v1alpha1.Repository, r protocol.Result) string {
	b := repo.Spec.Backend
	secret := fmt.Sprintf("Secret \"%s/%s\"", repo.Namespace, b.StorageSecretName)
	if r.Reason == restic.ReasonWrongPassword {
		return fmt.Sprintf("; RESTIC_PASSWORD in %s is not the one that the repository was made with", secret)
	}
	if b.S3 == nil {
		return ""
	}
	switch r.Reason {
	case restic.ReasonNoBucket:
		return fmt.Sprintf("; spec.backend.s3.bucket is %q: create it at %s, or correct the name; Stash makes no buckets", b.S3.Bucket, b.S3.Endpoint)
	case restic.ReasonAccessDenied:
		return fmt.Sprintf("; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in %s must be good for bucket %q at %s", secret, b.S3.Bucket, b.S3.Endpoint)
	case restic.ReasonUnreachable:
		if strings.Contains(strings.ToLower(r.Error), "server gave http response to https client") {
			return fmt.Sprintf("; spec.backend.s3.endpoint is %q, which means https: of a server without TLS write \"http://%s\"", b.S3.Endpoint, strings.TrimPrefix(b.S3.Endpoint, "https://"))
		}
		return fmt.Sprintf("; spec.backend.s3.endpoint is %q", b.S3.Endpoint)
	default:
		return ""
	}
}

// withRemedy bounds a failure so that what to do about it is never cut off.
func withRemedy(text, cure string) string {
	if room := max(0, maxErrorLength-len(cure)); len(text) > room {
		text = strings.ToValidUTF8(text[:room], "") + "…"
	}
	return text + cure
}
