package agent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// storage is an S3 server that gives one answer: to requests about the bucket, and to those about
// objects in it.
func storage(t *testing.T, bucket, object string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := object
		if strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0 {
			code = bucket
		}
		status, message, _ := strings.Cut(code, " ")
		w.Header().Set("Content-Type", "application/xml")
		switch status {
		case "":
			_, _ = fmt.Fprint(w, `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>`)
		case "NoSuchBucket", "NoSuchKey":
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
		if status != "" && r.Method != http.MethodHead {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", status, message)
		}
	}))
	t.Cleanup(server.Close)
	return "s3:" + server.URL + "/bucket/prefix"
}

func TestProbeOfABucketGivesTheBackendsAnswer(t *testing.T) {
	ask, r := worker(t)
	for name, c := range map[string]struct {
		bucket, object, region string
		reason                 protocol.Reason // empty: absent
	}{
		"an absent repository":                     {"", "NoSuchKey The specified key does not exist.", "", ""},
		"an absent repository in a region":         {"", "NoSuchKey The specified key does not exist.", "eu-west-1", ""},
		"an absent bucket":                         {"NoSuchBucket The specified bucket does not exist", "NoSuchBucket x", "", protocol.ReasonNoBucket},
		"an absent bucket in a region":             {"NoSuchBucket The specified bucket does not exist", "NoSuchBucket x", "eu-west-1", protocol.ReasonNoBucket},
		"a wrong key":                              {"InvalidAccessKeyId The Access Key Id you provided does not exist in our records.", "InvalidAccessKeyId x", "", protocol.ReasonAccessDenied},
		"a wrong secret":                           {"SignatureDoesNotMatch The request signature we calculated does not match the signature you provided.", "SignatureDoesNotMatch x", "", protocol.ReasonAccessDenied},
		"a key without rights":                     {"AccessDenied Access Denied.", "AccessDenied Access Denied.", "", protocol.ReasonAccessDenied},
		"a key that may see the bucket alone":      {"", "AccessDenied Access Denied.", "eu-west-1", protocol.ReasonAccessDenied},
		"a key that may not see the bucket's name": {"AccessDenied Access Denied.", "NoSuchKey The specified key does not exist.", "eu-west-1", ""},
	} {
		s3 := r
		s3.Repository = restic.Repository{URL: storage(t, c.bucket, c.object), Env: map[string]string{
			"RESTIC_PASSWORD": password, "AWS_ACCESS_KEY_ID": "the-key-id", "AWS_SECRET_ACCESS_KEY": "the-secret",
		}}
		if c.region != "" {
			s3.Env["AWS_DEFAULT_REGION"] = c.region
		}
		begin := time.Now()
		result := ask(s3, protocol.Maintain{Operation: protocol.OpProbe})
		switch {
		case c.reason != "" && (result.Reason != c.reason || result.Maintained.Exists != nil):
			t.Errorf("%s: result = %s, want reason %s", name, asJSON(result), c.reason)
		case c.reason == "" && (result.Error != "" || result.Maintained.Exists == nil || *result.Maintained.Exists):
			t.Errorf("%s: result = %s, want absent", name, asJSON(result))
		}
		if strings.Contains(asJSON(result), "the-secret") || strings.Contains(asJSON(result), "the-key-id") {
			t.Errorf("%s: the result holds a key: %s", name, asJSON(result))
		}
		t.Logf("%s: %s %s", name, time.Since(begin).Round(time.Millisecond), result.Error)
	}
}
