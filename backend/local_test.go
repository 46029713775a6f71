package backend_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/backend"
	"github.com/seed-731df569/stash/backend/backendtest"
)

func claim(name string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}
}

func hostPath(path string) corev1.VolumeSource {
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}
}

func local(source corev1.VolumeSource, mount, sub string) v1alpha1.Backend {
	return v1alpha1.Backend{Local: &v1alpha1.LocalSpec{VolumeSource: source, MountPath: mount, SubPath: sub}}
}

func localSample() backendtest.Sample {
	return backendtest.Sample{
		Backend: local(claim("backups"), "/backup", "demo/app"),
		Same: []v1alpha1.Backend{
			local(claim("backups"), "/other/mount", "demo/app"),
			local(claim("backups"), "/backup/", "demo//app/"),
		},
		Other: []v1alpha1.Backend{
			local(claim("backups2"), "/backup", "demo/app"),
			local(claim("backups"), "/backup", "demo"),
			local(claim("backups"), "/backup", ""),
			local(hostPath("/backups"), "/backup", "demo/app"),
		},
		Texts: map[string]func(*v1alpha1.Backend, string){
			"mountPath": func(b *v1alpha1.Backend, text string) { b.Local.MountPath = "/backup/" + text },
			"subPath":   func(b *v1alpha1.Backend, text string) { b.Local.SubPath = text },
		},
		Place: func(url string) string { return strings.SplitAfterN(url, "/", 3)[1] },
	}
}

func TestLocalRepositoryIsBelowItsMount(t *testing.T) {
	secret := map[string][]byte{"RESTIC_PASSWORD": []byte("p")}
	for want, b := range map[string]v1alpha1.Backend{
		"/backup":          local(claim("c"), "/backup", ""),
		"/backup/demo/app": local(claim("c"), "/backup/", "demo/app/"),
	} {
		r, err := backend.Local{}.Repository(b, secret)
		if err != nil || r.URL != want {
			t.Errorf("URL = %q, %v, want %q", r.URL, err, want)
		}
	}
}

func TestLocalVolumeIsMountedAsItAlwaysWas(t *testing.T) {
	b := local(claim("c"), "/backup", "demo/")
	v, m := backend.Local{}.Volume(b)
	if v.Name != api.VolumeLocal || v.PersistentVolumeClaim.ClaimName != "c" {
		t.Errorf("volume = %+v", v)
	}
	if m.Name != api.VolumeLocal || m.MountPath != "/backup" || m.SubPath != "demo" {
		t.Errorf("mount = %+v", m)
	}
	v.PersistentVolumeClaim.ClaimName = "x"
	if b.Local.PersistentVolumeClaim.ClaimName != "c" {
		t.Error("the volume shares memory with the backend")
	}
}

func TestLocalLocationIsThatOfTheVolume(t *testing.T) {
	l := backend.Local{}
	if a, b := l.Location(local(claim("c"), "/b", ""), "one"), l.Location(local(claim("c"), "/b", ""), "two"); a == b {
		t.Errorf("claims of two namespaces are one place: %q", a)
	}
	if a, b := l.Location(local(hostPath("/x/"), "/b", ""), "one"), l.Location(local(hostPath("/x"), "/c", ""), "two"); a != b {
		t.Errorf("a path of the node is two places: %q, %q", a, b)
	}
	nfs := func(server, path string) v1alpha1.Backend {
		return local(corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: server, Path: path}}, "/b", "")
	}
	if a, b := l.Location(nfs("NAS.example", "/x"), "one"), l.Location(nfs("nas.example.", "/x/"), "two"); a != b {
		t.Errorf("a share is two places: %q, %q", a, b)
	}
}

func TestLocalValidateNamesTheField(t *testing.T) {
	for name, c := range map[string]struct {
		b     v1alpha1.Backend
		field string
	}{
		"no volume":             {local(corev1.VolumeSource{}, "/b", ""), ""},
		"two volumes":           {local(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}, EmptyDir: &corev1.EmptyDirVolumeSource{}}, "/b", ""), ""},
		"a Secret":              {local(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}, "/b", ""), ".secret"},
		"no mount path":         {local(claim("c"), "", ""), ".mountPath"},
		"the root":              {local(claim("c"), "//", ""), ".mountPath"},
		"a relative mount path": {local(claim("c"), "b", ""), ".mountPath"},
		"our folder":            {local(claim("c"), "/stash", ""), ".mountPath"},
		"below our scratch":     {local(claim("c"), "/stash-tmp/x", ""), ".mountPath"},
		"over the token":        {local(claim("c"), "/var/run", ""), ".mountPath"},
		"the token":             {local(claim("c"), "/var/run/secrets/stash", ""), ".mountPath"},
		"around it":             {local(claim("c"), "/b/../stash-tmp", ""), ".mountPath"},
		"the system":            {local(claim("c"), "/usr/bin", ""), ".mountPath"},
		"a sub path out":        {local(claim("c"), "/b", "../x"), ".subPath"},
		"an absolute sub path":  {local(claim("c"), "/b", "/x"), ".subPath"},
	} {
		errs := backend.Validate(c.b, field.NewPath("spec", "backend"))
		if len(errs) != 1 || errs[0].Field != "spec.backend.local"+c.field {
			t.Errorf("%s: %v, want one fault at local%s", name, errs, c.field)
		}
	}
	if errs := backend.Validate(local(claim("c"), "/stash-data", ""), field.NewPath("b")); len(errs) > 0 {
		t.Errorf("a path that only looks like ours is refused: %v", errs)
	}
}

func TestLocalWarnsOfVolumesThatDie(t *testing.T) {
	for name, source := range map[string]corev1.VolumeSource{
		"emptyDir":  {EmptyDir: &corev1.EmptyDirVolumeSource{}},
		"ephemeral": {Ephemeral: &corev1.EphemeralVolumeSource{}},
		"hostPath":  hostPath("/x"),
	} {
		if got := (backend.Local{}).Warnings(local(source, "/b", "")); len(got) != 1 || !strings.Contains(got[0], name) {
			t.Errorf("%s: warnings = %q, want one", name, got)
		}
	}
	if got := (backend.Local{}).Warnings(local(claim("c"), "/b", "")); len(got) != 0 {
		t.Errorf("warnings = %q, want none", got)
	}
}
