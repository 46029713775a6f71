package backend_test

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/backend/backendtest"
)

func TestEveryStorageConforms(t *testing.T) {
	samples := map[string]backendtest.Sample{"s3": s3Sample(), "local": localSample()}
	for _, s := range backend.All() {
		t.Run(s.Name(), func(t *testing.T) {
			sample, ok := samples[s.Name()]
			if !ok {
				t.Fatal("there is no sample of it")
			}
			sample.Storage = s
			backendtest.Run(t, sample)
		})
	}
}

func TestForBackendNamesWhatIsNotSupportedYet(t *testing.T) {
	for provider, b := range map[string]v1alpha1.Backend{
		"gcs":   {GCS: &v1alpha1.GCSSpec{Bucket: "b"}},
		"azure": {Azure: &v1alpha1.AzureSpec{Container: "c"}},
		"swift": {Swift: &v1alpha1.SwiftSpec{Container: "c"}},
		"b2":    {B2: &v1alpha1.B2Spec{Bucket: "b"}},
		"rest":  {Rest: &v1alpha1.RestServerSpec{URL: "http://h"}},
	} {
		_, err := backend.ForBackend(b)
		var notYet backend.NotSupportedYetError
		if !errors.As(err, &notYet) || notYet.Provider != provider {
			t.Errorf("%s: error = %v, want NotSupportedYetError of it", provider, err)
		}
		if errs := backend.Validate(b, field.NewPath("spec", "backend")); len(errs) != 1 || errs[0].Field != "spec.backend."+provider {
			t.Errorf("%s: Validate = %v, want one fault at its block", provider, errs)
		}
	}
}

func TestForBackendWantsOneBlock(t *testing.T) {
	for name, b := range map[string]v1alpha1.Backend{
		"none": {},
		"two":  {S3: &v1alpha1.S3Spec{}, B2: &v1alpha1.B2Spec{}},
	} {
		if s, err := backend.ForBackend(b); err == nil {
			t.Errorf("%s: found %s, want an error", name, s.Name())
		}
		if errs := backend.Validate(b, field.NewPath("spec", "backend")); len(errs) != 1 {
			t.Errorf("%s: Validate = %v, want one fault", name, errs)
		}
	}
}
