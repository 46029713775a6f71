package backend

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/restic"
)

// Keys of the storage Secret for S3. Both or none: without them the pod's own identity is used
// (IRSA and the like).
const (
	KeyAWSAccessKeyID     = "AWS_ACCESS_KEY_ID"
	KeyAWSSecretAccessKey = "AWS_SECRET_ACCESS_KEY" //nolint:gosec // the name of a key
	envAWSRegion          = "AWS_DEFAULT_REGION"
)

// S3 is Amazon S3 and everything that speaks its protocol. The repository is at
// s3:<endpoint>/<bucket>/<prefix>, as it always was for Stash.
type S3 struct{}

// Name is "s3".
func (S3) Name() string { return "s3" }

// Matches tells whether the s3 block is given.
func (S3) Matches(b v1alpha1.Backend) bool { return b.S3 != nil }

// Keys are the password and, if the pods have no identity of their own, the access key.
func (S3) Keys() Keys {
	return Keys{
		Required: []string{KeyPassword},
		Optional: []string{KeyAWSAccessKeyID, KeyAWSSecretAccessKey, KeyCACert},
	}
}

// Repository returns the URL and the environment. See Storage.
func (s S3) Repository(b v1alpha1.Backend, secret map[string][]byte) (restic.Repository, error) {
	if errs := s.Validate(b, field.NewPath("spec", "backend")); len(errs) > 0 {
		return restic.Repository{}, fmt.Errorf("build repository: %w", errs.ToAggregate())
	}
	keys := []string{KeyPassword}
	if len(secret[KeyAWSAccessKeyID]) > 0 || len(secret[KeyAWSSecretAccessKey]) > 0 || slices.ContainsFunc(slices.Collect(maps.Keys(secret)), likeAccessKey) {
		keys = append(keys, KeyAWSAccessKeyID, KeyAWSSecretAccessKey)
	}
	if err := missing(secret, keys...); err != nil {
		return restic.Repository{}, err
	}
	r := restic.Repository{
		URL:         "s3:" + s.address(b.S3) + "/" + joinPath(b.S3.Bucket, b.S3.Prefix),
		Env:         map[string]string{KeyPassword: string(secret[KeyPassword])},
		CACert:      secret[KeyCACert],
		InsecureTLS: b.S3.InsecureTLS,
	}
	for _, key := range keys[1:] {
		r.Env[key] = strings.TrimSpace(string(secret[key]))
	}
	if b.S3.Region != "" {
		r.Env[envAWSRegion] = b.S3.Region
	}
	if b.S3.BucketLookup != "" {
		r.Options = append(r.Options, "s3.bucket-lookup="+b.S3.BucketLookup)
	}
	if b.S3.MaxConnections > 0 {
		r.Options = append(r.Options, "s3.connections="+strconv.FormatInt(b.S3.MaxConnections, 10))
	}
	return r, nil
}

// likeAccessKey tells whether the name of a key is one that somebody may have written for those that
// are read, such as AWS_SECRET_KEY or accesskey. Who has put one there does not count on the pod's own
// identity, and would be told of that.
func likeAccessKey(name string) bool {
	if name == KeyAWSAccessKeyID || name == KeyAWSSecretAccessKey {
		return false // left empty on purpose
	}
	letters := strings.Map(func(r rune) rune {
		if r < 'A' || r > 'Z' {
			return -1
		}
		return r
	}, strings.ToUpper(name))
	return strings.Contains(letters, "ACCESSKEY") || strings.Contains(letters, "SECRETKEY") ||
		strings.HasPrefix(letters, "AWS") && strings.Contains(letters, "KEY")
}

// address is the endpoint as restic takes it: with a scheme where one was given, or where the host
// begins with "http", which restic would take for a scheme.
func (S3) address(spec *v1alpha1.S3Spec) string {
	scheme, host, _ := splitEndpoint(spec.Endpoint)
	if scheme == "" && strings.HasPrefix(host, "http") {
		scheme = "https"
	}
	if scheme == "" {
		return host
	}
	return scheme + "://" + host
}

// Location is s3://<host>[:<port>]/<bucket>[/<prefix>]: without scheme and default ports, and with
// one host for all regional hosts of Amazon, whose bucket names are unique.
func (S3) Location(b v1alpha1.Backend, _ string) string {
	if b.S3 == nil {
		return ""
	}
	_, host, err := splitEndpoint(b.S3.Endpoint)
	if err != nil {
		host = strings.ToLower(b.S3.Endpoint)
	}
	name, port := host, ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, p
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if amazonPattern.MatchString(name) {
		name = "s3.amazonaws.com"
	}
	if ip := net.ParseIP(name); ip != nil {
		name = ip.String()
	}
	if port != "" && port != "443" && port != "80" {
		name = net.JoinHostPort(name, port)
	}
	return "s3://" + name + "/" + joinPath(b.S3.Bucket, b.S3.Prefix)
}

// Validate checks endpoint, bucket, prefix, region and the numbers.
func (S3) Validate(b v1alpha1.Backend, path *field.Path) field.ErrorList {
	path = path.Child("s3")
	if b.S3 == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	switch _, _, err := splitEndpoint(b.S3.Endpoint); {
	case b.S3.Endpoint == "":
		errs = append(errs, field.Required(path.Child("endpoint"), "for example s3.amazonaws.com or https://minio.example:9000"))
	case err != nil:
		// The value is not printed: a user and password may be in it.
		errs = append(errs, field.Invalid(path.Child("endpoint"), "<endpoint>", err.Error()))
	}
	switch bucket := b.S3.Bucket; {
	case bucket == "":
		errs = append(errs, field.Required(path.Child("bucket"), "the name of a bucket that exists; for example backups"))
	case !bucketPattern.MatchString(bucket) || strings.Contains(bucket, ".."):
		errs = append(errs, field.Invalid(path.Child("bucket"), bucket, "must be the name of a bucket, 3 to 63 letters, digits, dots and hyphens; for example backups; a path inside of it belongs into prefix"))
	}
	errs = append(errs, checkPrefix(b.S3.Prefix, path.Child("prefix"))...)
	if !regionPattern.MatchString(b.S3.Region) {
		errs = append(errs, field.Invalid(path.Child("region"), b.S3.Region, "must be the name of a region, for example eu-west-1"))
	}
	switch b.S3.BucketLookup {
	case "", "auto", "path", "dns":
	default:
		errs = append(errs, field.NotSupported(path.Child("bucketLookup"), b.S3.BucketLookup, []string{"auto", "path", "dns"}))
	}
	if b.S3.MaxConnections < 0 {
		errs = append(errs, field.Invalid(path.Child("maxConnections"), b.S3.MaxConnections, "must not be negative"))
	}
	return errs
}

// Warnings tells of connections that can be read or spoofed.
func (S3) Warnings(b v1alpha1.Backend) []string {
	if b.S3 == nil {
		return nil
	}
	var warnings []string
	if scheme, _, _ := splitEndpoint(b.S3.Endpoint); scheme == "http" {
		warnings = append(warnings, "spec.backend.s3.endpoint is plain http: anyone on the way can read the requests and delete by replaying them; the data itself is encrypted")
	}
	if b.S3.InsecureTLS {
		warnings = append(warnings, "spec.backend.s3.insecureTLS skips the check of the server's certificate: put its CA into the key "+KeyCACert+" of the storage Secret instead")
	}
	return warnings
}

// Volume is none.
func (S3) Volume(v1alpha1.Backend) (*corev1.Volume, *corev1.VolumeMount) { return nil, nil }

var (
	hostPattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?\.?$`)
	bucketPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{1,61}[A-Za-z0-9]$`)
	regionPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{0,64}$`)
	amazonPattern = regexp.MustCompile(`^s3[a-z0-9.-]*\.amazonaws\.com$`)
)

// splitEndpoint returns the scheme, empty if none is given, and host[:port] in lower case.
func splitEndpoint(endpoint string) (scheme, host string, err error) {
	const want = "expected host[:port] or a URL such as https://minio.example:9000"
	rest := endpoint
	if s, r, found := strings.Cut(endpoint, "://"); found {
		scheme, rest = strings.ToLower(s), r
		if scheme != "http" && scheme != "https" {
			return "", "", fmt.Errorf("its scheme is neither http nor https: %s", want)
		}
	}
	rest = strings.ToLower(strings.TrimRight(rest, "/"))
	// The parser is asked as well, since it is what restic uses.
	u, parseErr := url.Parse("https://" + rest)
	if parseErr != nil || u.Host != rest || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return "", "", fmt.Errorf("it has user, path, query or other parts: %s", want)
	}
	name, port := u.Hostname(), u.Port()
	if !hostPattern.MatchString(name) && net.ParseIP(name) == nil {
		return "", "", fmt.Errorf("its host is not one: %s", want)
	}
	if n, err := strconv.ParseUint(port, 10, 16); strings.HasSuffix(rest, ":") || port != "" && (err != nil || n == 0) {
		return "", "", fmt.Errorf("its port is not one: %s", want)
	}
	return scheme, rest, nil
}

func joinPath(bucket, prefix string) string {
	if prefix = cleanPath(prefix); prefix != "" {
		return bucket + "/" + prefix
	}
	return bucket
}
