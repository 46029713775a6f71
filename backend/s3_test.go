package backend_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/backend/backendtest"
	"github.com/seed-731df569/stash/restic"
)

func s3(endpoint, bucket, prefix string) v1alpha1.Backend {
	return v1alpha1.Backend{S3: &v1alpha1.S3Spec{Endpoint: endpoint, Bucket: bucket, Prefix: prefix}}
}

func s3Sample() backendtest.Sample {
	return backendtest.Sample{
		Backend: s3("https://minio.example:9000", "backups", "demo/app"),
		Same: []v1alpha1.Backend{
			s3("minio.example:9000", "backups", "demo/app"),
			s3("HTTPS://Minio.Example:9000/", "backups", "/demo//app/"),
			s3("http://minio.example:9000", "backups", "demo/./app"),
		},
		Other: []v1alpha1.Backend{
			s3("https://minio.example", "backups", "demo/app"),
			s3("https://minio.example:9000", "backups", "demo/app2"),
			s3("https://minio.example:9000", "backups", ""),
			s3("https://minio.example:9000", "backups-demo", "app"),
			s3("https://other.example:9000", "backups", "demo/app"),
		},
		Texts: map[string]func(*v1alpha1.Backend, string){
			"prefix": func(b *v1alpha1.Backend, text string) { b.S3.Prefix = text },
			"bucket": func(b *v1alpha1.Backend, text string) { b.S3.Bucket = text },
			"region": func(b *v1alpha1.Backend, text string) { b.S3.Region = text },
			"lookup": func(b *v1alpha1.Backend, text string) { b.S3.BucketLookup = text },
			"endpoint, port": func(b *v1alpha1.Backend, text string) {
				b.S3.Endpoint = "https://minio.example:9000" + text
			},
		},
		Place: func(url string) string {
			_, rest, _ := strings.Cut(url, "://")
			host, _, _ := strings.Cut(rest, "/")
			return host
		},
	}
}

func TestS3URLIsThatOfExistingRepositories(t *testing.T) {
	secret := map[string][]byte{"RESTIC_PASSWORD": []byte("p")}
	for want, b := range map[string]v1alpha1.Backend{
		"s3:s3.amazonaws.com/bucket/stash/demo":    s3("s3.amazonaws.com", "bucket", "stash/demo"),
		"s3:s3.amazonaws.com/bucket":               s3("s3.amazonaws.com/", "bucket", "/"),
		"s3:http://minio.demo.svc:9000/bucket/a/b": s3("http://minio.demo.svc:9000/", "bucket", "/a//b/"),
		"s3:https://[fd00::1]:9000/bucket/a":       s3("https://[fd00::1]:9000", "bucket", "a"),
		"s3:https://10.0.0.1/bucket/a":             s3("https://10.0.0.1", "bucket", "a"),
		// restic takes whatever begins with http for a URL.
		"s3:https://httpd.example/bucket/a": s3("httpd.example", "bucket", "a"),
	} {
		r, err := backend.S3{}.Repository(b, secret)
		if err != nil || r.URL != want {
			t.Errorf("URL of %q = %q, %v, want %q", b.S3.Endpoint, r.URL, err, want)
		}
	}
}

func TestS3RepositoryHoldsAllSettings(t *testing.T) {
	b := s3("https://minio.example", "backups", "p")
	b.S3.Region, b.S3.InsecureTLS, b.S3.BucketLookup, b.S3.MaxConnections = "eu-west-1", true, "path", 7
	got, err := backend.S3{}.Repository(b, map[string][]byte{
		"RESTIC_PASSWORD": []byte(" pass\n"), "AWS_ACCESS_KEY_ID": []byte("id\n"), "AWS_SECRET_ACCESS_KEY": []byte("key\n"),
		"CA_CERT_DATA": []byte("pem"), "OTHER": []byte("x"),
	})
	want := restic.Repository{
		URL: "s3:https://minio.example/backups/p",
		Env: map[string]string{
			"RESTIC_PASSWORD": " pass\n", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_DEFAULT_REGION": "eu-west-1",
		},
		CACert: []byte("pem"), InsecureTLS: true, Options: []string{"s3.bucket-lookup=path", "s3.connections=7"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("repository differs: %v\n%s", err, diff)
	}
}

func TestS3KeysComeTogetherOrNotAtAll(t *testing.T) {
	b := s3("minio.example", "backups", "")
	if r, err := (backend.S3{}).Repository(b, map[string][]byte{"RESTIC_PASSWORD": []byte("p")}); err != nil || len(r.Env) != 1 {
		t.Errorf("without keys: %v, %v, want the pod's identity to be used", r, err)
	}
	_, err := backend.S3{}.Repository(b, map[string][]byte{"RESTIC_PASSWORD": []byte("p"), "AWS_ACCESS_KEY_ID": []byte("id")})
	if err == nil {
		t.Error("half a key is taken")
	}
}

func TestS3NamesTheKeysThatItDoesNotFind(t *testing.T) {
	for name, c := range map[string]struct {
		keys []string
		want string
	}{
		"the pod's own identity":         {nil, ""},
		"keys of other storages":         {[]string{"AZURE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT_JSON_KEY", "B2_ACCOUNT_KEY"}, ""},
		"other variables of the cloud":   {[]string{"AWS_ROLE_ARN", "AWS_DEFAULT_REGION"}, ""},
		"both misspelt":                  {[]string{"AWS_ACCESS_KEY", "AWS_SECRET_KEY"}, "missing or empty: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; it holds AWS_ACCESS_KEY, AWS_SECRET_KEY, RESTIC_PASSWORD"},
		"in small letters":               {[]string{"accesskey", "secretkey"}, "it holds RESTIC_PASSWORD, accesskey, secretkey"},
		"a letter is missing":            {[]string{"AWS_ACESS_KEY_ID"}, "it holds AWS_ACESS_KEY_ID, RESTIC_PASSWORD"},
		"one of them":                    {[]string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY"}, "missing or empty: AWS_SECRET_ACCESS_KEY; it holds AWS_ACCESS_KEY_ID, AWS_SECRET_KEY, RESTIC_PASSWORD"},
		"among many, of which few named": {strings.Fields("k1 k2 k3 k4 k5 k6 k7 k8 k9 AWS_KEY"), "k7, k8 and 1 more"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := map[string][]byte{"RESTIC_PASSWORD": []byte("hidden")}
			for _, key := range c.keys {
				secret[key] = []byte("hidden")
			}
			_, err := backend.S3{}.Repository(s3Sample().Backend, secret)
			switch {
			case c.want == "":
				if err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got %v, want %q", err, c.want)
			case strings.Contains(err.Error(), "hidden"):
				t.Error("it names a value")
			}
		})
	}
}

func TestS3LocationJoinsWhatIsOnePlace(t *testing.T) {
	for _, same := range [][]string{
		{"s3.amazonaws.com", "https://s3.eu-west-1.amazonaws.com", "s3.dualstack.eu-west-1.amazonaws.com", "S3.AMAZONAWS.COM."},
		{"minio.example", "http://minio.example:80", "https://minio.example:443/", "minio.example."},
		{"[::1]:9000", "http://[0:0:0:0:0:0:0:1]:9000"},
	} {
		want := backend.S3{}.Location(s3(same[0], "bucket", "p"), "a")
		for _, endpoint := range same {
			if got := (backend.S3{}).Location(s3(endpoint, "bucket", "p/"), "b"); got != want {
				t.Errorf("location of %q = %q, want %q", endpoint, got, want)
			}
		}
	}
}

func TestS3ValidateNamesTheField(t *testing.T) {
	for name, c := range map[string]struct {
		b     v1alpha1.Backend
		field string
	}{
		"no endpoint":                   {s3("", "bucket", ""), "endpoint"},
		"a user in the endpoint":        {s3("https://user:pass@host", "bucket", ""), "endpoint"},
		"a path in the endpoint":        {s3("https://host/path", "bucket", ""), "endpoint"},
		"a query in the endpoint":       {s3("https://host?x=y", "bucket", ""), "endpoint"},
		"a fragment in the endpoint":    {s3("https://host#x", "bucket", ""), "endpoint"},
		"another scheme":                {s3("ftp://host", "bucket", ""), "endpoint"},
		"a port that is none":           {s3("host:99999", "bucket", ""), "endpoint"},
		"an empty port":                 {s3("host:", "bucket", ""), "endpoint"},
		"a space in the endpoint":       {s3("ho st", "bucket", ""), "endpoint"},
		"no bucket":                     {s3("host", "", ""), "bucket"},
		"a path in the bucket":          {s3("host", "bucket/path", ""), "bucket"},
		"a bucket that is too short":    {s3("host", "b", ""), "bucket"},
		"a prefix that leads out":       {s3("host", "bucket", "a/../../b"), "prefix"},
		"an encoded prefix":             {s3("host", "bucket", "a%2fb"), "prefix"},
		"a prefix that is an option":    {s3("host", "bucket", "/-o"), "prefix"},
		"a prefix with a control":       {s3("host", "bucket", "a\tb"), "prefix"},
		"a prefix with a question mark": {s3("host", "bucket", "a?b"), "prefix"},
	} {
		errs := backend.Validate(c.b, field.NewPath("spec", "backend"))
		if len(errs) != 1 || errs[0].Field != "spec.backend.s3."+c.field {
			t.Errorf("%s: %v, want one fault at %s", name, errs, c.field)
		}
		if strings.Contains(errs.ToAggregate().Error(), "pass@") {
			t.Errorf("%s: the fault shows a password", name)
		}
	}
}

func TestS3Warnings(t *testing.T) {
	b := s3("http://minio.example", "bucket", "")
	b.S3.InsecureTLS = true
	if got := (backend.S3{}).Warnings(b); len(got) != 2 {
		t.Errorf("warnings = %q, want one for http and one for insecureTLS", got)
	}
	if got := (backend.S3{}).Warnings(s3("minio.example", "bucket", "")); len(got) != 0 {
		t.Errorf("warnings = %q, want none", got)
	}
}
