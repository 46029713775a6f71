package cluster_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/seed-731df569/stash/test/cluster"
)

// sign signs a request without a query for S3 (AWS signature version 4).
func sign(r *http.Request, s *cluster.Storage, body []byte, now time.Time) {
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	sum := sha256.Sum256(body)
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	const names = "host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{
		r.Method, r.URL.EscapedPath(), "",
		"host:" + r.URL.Host, "x-amz-content-sha256:" + r.Header.Get("X-Amz-Content-Sha256"), "x-amz-date:" + stamp, "",
		names, r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
	scope := day + "/" + cluster.Region + "/s3/aws4_request"
	hash := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + s.SecretKey())
	for _, part := range []string{day, cluster.Region, "s3", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.AccessKey()+"/"+scope+",SignedHeaders="+names+",Signature="+hex.EncodeToString(key))
}
