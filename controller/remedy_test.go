package controller

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
)

// What the storage refuses is told with the field or key that is to be corrected.
func TestAFailureOfTheStorageNamesItsCure(t *testing.T) {
	for said, c := range map[string]struct {
		reason restic.Reason
		want   string
	}{
		"Stat: The specified bucket does not exist.":         {restic.ReasonNoBucket, `; spec.backend.s3.bucket is "demoo": create it at 10.97.0.3:9000, or correct the name; Stash makes no buckets`},
		"http: server gave HTTP response to HTTPS client":    {restic.ReasonUnreachable, `; spec.backend.s3.endpoint is "10.97.0.3:9000", which means https: of a server without TLS write "http://10.97.0.3:9000"`},
		"connection refused":                                 {restic.ReasonUnreachable, `; spec.backend.s3.endpoint is "10.97.0.3:9000"`},
		"The request signature we calculated does not match": {restic.ReasonAccessDenied, `; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in Secret "demo/keys" must be good for bucket "demoo" at 10.97.0.3:9000`},
		"wrong password or no key found":                     {restic.ReasonWrongPassword, `; RESTIC_PASSWORD in Secret "demo/keys" is not the one that the repository was made with`},
	} {
		t.Run(said, func(t *testing.T) {
			repo := repository()
			repo.Spec.Backend = v1alpha1.Backend{StorageSecretName: "keys", S3: &v1alpha1.S3Spec{Endpoint: "10.97.0.3:9000", Bucket: "demoo"}}
			recordFailure(repo, v1alpha1.RepositoryWork{Operation: v1alpha1.OperationProbe}, protocol.Result{Reason: c.reason, Error: said}, metav1.NewTime(noon()))
			got := api.FindCondition(repo.Status.Conditions, api.BackendReachable)
			if got == nil || !strings.HasPrefix(got.Message, said) || !strings.HasSuffix(got.Message, c.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
