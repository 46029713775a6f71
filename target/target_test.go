package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/target"
	"github.com/seed-731df569/stash/target/targettest"
)

func TestConformance(t *testing.T) {
	short := map[string]bool{}
	for _, k := range target.All() {
		t.Run(k.GVK.Kind, func(t *testing.T) { targettest.Run(t, k) })
		if short[k.Short] {
			t.Errorf("two kinds are called %q", k.Short)
		}
		short[k.Short] = true
	}
	if got := len(target.Workloads()); got != 3 {
		t.Errorf("%d workloads", got)
	}
}

func TestHosts(t *testing.T) {
	set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), Ordinals: &appsv1.StatefulSetOrdinals{Start: 5}}}
	daemons := &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 4}}
	cases := map[string]struct {
		kind  target.Kind
		obj   runtime.Object
		alias string
		want  string
		count int32
	}{
		"a Deployment has one whatever its replicas": {target.Deployment(), &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(3))}}, "", "host-0", 1},
		"a Deployment with an alias":                 {target.Deployment(), &appsv1.Deployment{}, "web", "web", 1},
		"a StatefulSet has one for each ordinal":     {target.StatefulSet(), set, "", "host-5,host-6", 2},
		"a StatefulSet with an alias":                {target.StatefulSet(), set, "db", "db-5,db-6", 2},
		"a StatefulSet without replicas has one":     {target.StatefulSet(), &appsv1.StatefulSet{}, "", "host-0", 1},
		"a StatefulSet scaled to zero has none":      {target.StatefulSet(), &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(int32(0))}}, "", "", 0},
		"a DaemonSet does not know its nodes":        {target.DaemonSet(), daemons, "", "", 4},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(c.kind.Hosts(c.obj, c.alias), ","); got != c.want {
				t.Errorf("hosts %q, want %q", got, c.want)
			}
			if got := c.kind.HostCount(c.obj); got != c.count {
				t.Errorf("%d hosts, want %d", got, c.count)
			}
		})
	}
}

func TestHostFor(t *testing.T) {
	cases := map[string]struct {
		kind             target.Kind
		alias, pod, node string
		want             string
	}{
		"any pod of a Deployment":            {target.Deployment(), "", "web-7f9c-x2x", "", "host-0"},
		"a pod of a StatefulSet":             {target.StatefulSet(), "", "db-12", "", "host-12"},
		"a pod of an aliased StatefulSet":    {target.StatefulSet(), "pg", "my-db-0", "", "pg-0"},
		"a stranger among a StatefulSet":     {target.StatefulSet(), "", "db-x", "", ""},
		"an ordinal with leading zeros":      {target.StatefulSet(), "", "db-007", "", ""},
		"an ordinal without a name":          {target.StatefulSet(), "", "-1", "", ""},
		"a pod of a DaemonSet":               {target.DaemonSet(), "", "log-x2x", "worker-1", "worker-1"},
		"a pod of an aliased DaemonSet":      {target.DaemonSet(), "logs", "log-x2x", "worker-1", "logs-worker-1"},
		"a pod of a DaemonSet without node":  {target.DaemonSet(), "", "log-x2x", "", ""},
		"what is backed up by a Job, always": {target.PersistentVolumeClaim(), "", "", "", "host-0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := c.kind.HostFor(c.alias, c.pod, c.node)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	cases := map[string]struct {
		apiVersion, kind, want string
		err                    error
	}{
		"a Deployment":                   {"apps/v1", "Deployment", "Deployment", nil},
		"an old version of the group":    {"apps/v1beta1", "StatefulSet", "StatefulSet", nil},
		"without an apiVersion":          {"", "DaemonSet", "DaemonSet", nil},
		"a claim":                        {"v1", "PersistentVolumeClaim", "PersistentVolumeClaim", nil},
		"a database":                     {"appcatalog.appscode.com/v1alpha1", "AppBinding", "AppBinding", target.ErrNotSupportedYet},
		"a kind that nobody knows":       {"kubedb.com/v1alpha2", "Postgres", "", target.ErrNotSupportedYet},
		"a namespace":                    {"v1", "Namespace", "", target.ErrNotSupportedYet},
		"a misspelt kind":                {"apps/v1", "Deploymnt", "", target.ErrUnknownKind},
		"a kind in the wrong group":      {"v1", "Deployment", "", target.ErrUnknownKind},
		"an apiVersion with two slashes": {"a/b/c", "Deployment", "", target.ErrUnknownKind},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			k, err := target.Find(c.apiVersion, c.kind)
			if k.GVK.Kind != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v", k.GVK.Kind, err)
			}
		})
	}
}

func TestSame(t *testing.T) {
	web := v1beta1.TargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	old := v1beta1.TargetRef{APIVersion: "apps/v1beta2", Kind: "Deployment", Name: "web", Namespace: "demo"}
	short := v1beta1.TargetRef{Kind: "Deployment", Name: "web"}
	other := v1beta1.TargetRef{APIVersion: "example.com/v1", Kind: "Deployment", Name: "web"}
	if !target.Same(web, "demo", old, "stash") || !target.Same(web, "demo", short, "demo") {
		t.Error("the same object is not recognised")
	}
	if target.Same(web, "demo", web, "prod") || target.Same(web, "demo", other, "demo") {
		t.Error("different objects are taken for one")
	}
	if got := target.KeyOf(web, "demo"); got != "Deployment/demo/web" {
		t.Errorf("key %q", got)
	}
}

func TestRollout(t *testing.T) {
	rolling := appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(2))}}
	for name, c := range map[string]struct {
		obj  runtime.Object
		want target.Rollout
	}{
		"a paused Deployment":         {&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Paused: true}}, target.Rollout{Paused: true, Pods: 1}},
		"a partitioned StatefulSet":   {&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: rolling}}, target.Rollout{Partition: 2, Pods: 1}},
		"a StatefulSet that waits":    {&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: "OnDelete"}}}, target.Rollout{OnDelete: true, Pods: 1}},
		"a DaemonSet that waits":      {&appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: "OnDelete"}}}, target.Rollout{OnDelete: true}},
		"a DaemonSet like any other":  {&appsv1.DaemonSet{}, target.Rollout{}},
		"a Deployment like any other": {&appsv1.Deployment{}, target.Rollout{Pods: 1}},
		"a Deployment of no pods":     {&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(0))}}, target.Rollout{}},
		"a DaemonSet of three nodes":  {&appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 3}}, target.Rollout{Pods: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			k, _ := target.Of(c.obj)
			if got := k.Rollout(c.obj); got != c.want {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestVolumesHoldTheClaimsOfAStatefulSet(t *testing.T) {
	s := &appsv1.StatefulSet{}
	s.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "config"}}
	s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}, {ObjectMeta: metav1.ObjectMeta{Name: "config"}}}
	if diff := cmp.Diff([]string{"config", "data"}, target.StatefulSet().Volumes(s)); diff != "" {
		t.Error(diff)
	}
	claim := func(name string, readOnly bool) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c", ReadOnly: readOnly}}}
	}
	s.Spec.Template.Spec.Volumes = append(s.Spec.Template.Spec.Volumes, claim("media", true), claim("uploads", false))
	if diff := cmp.Diff([]string{"uploads", "data", "config"}, target.StatefulSet().Claims(s)); diff != "" {
		t.Error(diff)
	}
	if got := target.Deployment().Claims(s); got != nil {
		t.Errorf("of an object of another kind: %q", got)
	}
}

func pod(containers ...[]corev1.VolumeMount) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{}
	for _, mounts := range containers {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{VolumeMounts: mounts})
	}
	t.Spec.Volumes = []corev1.Volume{{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}}
	return t
}

func mount(name, path string) corev1.VolumeMount {
	return corev1.VolumeMount{Name: name, MountPath: path}
}

func TestMountsFor(t *testing.T) {
	type mounts = []corev1.VolumeMount
	cases := map[string]struct {
		template *corev1.PodTemplateSpec
		paths    []string
		want     mounts
		missing  []string
	}{
		"the mount itself":                     {pod(mounts{mount("data", "/data")}), []string{"/data"}, mounts{mount("data", "/data")}, nil},
		"a folder inside a mount":              {pod(mounts{mount("data", "/data")}), []string{"/data/a", "/data/b"}, mounts{mount("data", "/data")}, nil},
		"the longest mount that covers it":     {pod(mounts{mount("a", "/d"), mount("b", "/d/e")}), []string{"/d/e/f"}, mounts{mount("b", "/d/e")}, nil},
		"a name that only begins alike":        {pod(mounts{mount("a", "/data")}), []string{"/database"}, nil, []string{"/database"}},
		"a folder above a mount":               {pod(mounts{mount("a", "/source/data")}), []string{"/source"}, nil, []string{"/source"}},
		"the first container among equals":     {pod(mounts{mount("a", "/d")}, mounts{mount("b", "/d")}), []string{"/d"}, mounts{mount("a", "/d")}, nil},
		"volumes below the path come along":    {pod(mounts{mount("a", "/d"), mount("b", "/d/e")}), []string{"/d"}, mounts{mount("a", "/d"), mount("b", "/d/e")}, nil},
		"secrets below the path stay out":      {pod(mounts{mount("a", "/d"), mount("secret", "/d/e")}), []string{"/d"}, mounts{mount("a", "/d")}, nil},
		"a secret that is asked for":           {pod(mounts{mount("secret", "/s")}), []string{"/s"}, mounts{mount("secret", "/s")}, nil},
		"a trailing slash":                     {pod(mounts{mount("a", "/d/")}), []string{"/d"}, mounts{mount("a", "/d")}, nil},
		"two volumes that want the same place": {pod(mounts{mount("b", "/d/e")}, mounts{mount("a", "/d"), mount("c", "/d/e")}), []string{"/d", "/d/e/f"}, mounts{mount("a", "/d"), mount("c", "/d/e")}, []string{"/d/e/f"}},
		"a mount that depends on a container":  {pod(mounts{{Name: "a", MountPath: "/d", SubPathExpr: "$(POD)"}}), []string{"/d"}, nil, []string{"/d"}},
		"a sub path is kept, the rest is not":  {pod(mounts{{Name: "a", MountPath: "/d", SubPath: "s", ReadOnly: true}}), []string{"/d"}, mounts{{Name: "a", MountPath: "/d", SubPath: "s"}}, nil},
		"no pod template":                      {nil, []string{"/d"}, nil, []string{"/d"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, missing := target.MountsFor(c.template, c.paths)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.missing, missing); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDerivedMountsCoverTheirPaths(t *testing.T) {
	paths := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/d"})
	rapid.Check(t, func(t *rapid.T) {
		template := &corev1.PodTemplateSpec{}
		for range rapid.IntRange(0, 3).Draw(t, "containers") {
			c := corev1.Container{}
			for range rapid.IntRange(0, 3).Draw(t, "mounts") {
				c.VolumeMounts = append(c.VolumeMounts, mount(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "volume"), paths.Draw(t, "mountPath")))
			}
			template.Spec.Containers = append(template.Spec.Containers, c)
		}
		asked := rapid.SliceOfNDistinct(paths, 1, 4, rapid.ID).Draw(t, "paths")
		mounts, missing := target.MountsFor(template, asked)
		places := map[string]bool{}
		for _, m := range mounts {
			if places[m.MountPath] {
				t.Fatalf("%s is mounted twice: %v", m.MountPath, mounts)
			}
			places[m.MountPath] = true
		}
		for _, p := range asked {
			covered := false
			for _, m := range mounts {
				covered = covered || target.Covers(m.MountPath, p)
			}
			lost := false
			for _, m := range missing {
				lost = lost || m == p
			}
			if !covered && !lost {
				t.Fatalf("%s is neither mounted nor missing: %v %v", p, mounts, missing)
			}
		}
	})
}

func TestAdmits(t *testing.T) {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	byName := &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "demo"}}
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Is"}}}
	from := func(f v1alpha1.FromNamespaces, s *metav1.LabelSelector) *v1alpha1.UsagePolicy {
		return &v1alpha1.UsagePolicy{AllowedNamespaces: v1alpha1.AllowedNamespaces{From: f, Selector: s}}
	}
	cases := map[string]struct {
		policy *v1alpha1.UsagePolicy
		own    string
		want   bool
		err    bool
	}{
		"its own namespace, always":      {nil, "demo", true, false},
		"no policy":                      {nil, "stash", false, false},
		"a policy that does not say":     {from("", nil), "stash", false, false},
		"the same only":                  {from(v1alpha1.NamespacesFromSame, nil), "stash", false, false},
		"all":                            {from(v1alpha1.NamespacesFromAll, nil), "stash", true, false},
		"a selector that matches":        {from(v1alpha1.NamespacesFromSelector, selector), "stash", true, false},
		"a selector of the name":         {from(v1alpha1.NamespacesFromSelector, byName), "stash", true, false},
		"a selector that is missing":     {from(v1alpha1.NamespacesFromSelector, nil), "stash", false, false},
		"a selector that cannot be read": {from(v1alpha1.NamespacesFromSelector, bad), "stash", false, true},
		"an own namespace, bad selector": {from(v1alpha1.NamespacesFromSelector, bad), "demo", true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := target.Admits(c.policy, c.own, "demo", map[string]string{"team": "a"})
			if got != c.want || (err != nil) != c.err {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestHostsOverlap(t *testing.T) {
	d, s, n := target.Deployment(), target.StatefulSet(), target.DaemonSet()
	cases := map[string]struct {
		a      target.Kind
		aAlias string
		b      target.Kind
		bAlias string
		want   bool
	}{
		"two Deployments":                            {d, "", d, "", true},
		"two Deployments, one with an alias":         {d, "", d, "web", false},
		"a Deployment and a StatefulSet":             {d, "", s, "", true},
		"a Deployment with an alias beside it":       {d, "web", s, "", false},
		"an alias that looks like an ordinal's host": {d, "db-3", s, "db", true},
		"two StatefulSets":                           {s, "", s, "host", true},
		"two StatefulSets with aliases":              {s, "a", s, "b", false},
		"two DaemonSets, whose nodes are the same":   {n, "", n, "", true},
		"a DaemonSet and a Deployment":               {n, "", d, "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if target.HostsOverlap(c.a, c.aAlias, c.b, c.bAlias) != c.want || target.HostsOverlap(c.b, c.bAlias, c.a, c.aAlias) != c.want {
				t.Errorf("want %v both ways", c.want)
			}
		})
	}
}

func TestCheckMountPath(t *testing.T) {
	for p, ok := range map[string]bool{
		"/source/data": true, "/etc/config": true, "/var/lib/postgresql/data": true, "/usr/share/nginx/html": true, "/run/app": true,
		"": false, "/": false, "data": false, "/data/": false, "/a/../b": false, "/a:b": false, "/stash-tmp": false, "/stash-tmp/x": false,
		"/var": false, "/var/run/secrets": false, "/usr": false, "/proc/1": false, "/etc": false,
	} {
		if got := target.CheckMountPath(p); (got == "") != ok {
			t.Errorf("%q: %q", p, got)
		}
	}
	for p, want := range map[string]string{"/a//b/": "/a/b", "//": "/", "a/": "a/", "/a/../b": "/a/../b"} {
		if got := target.CleanPath(p); got != want {
			t.Errorf("%q became %q", p, got)
		}
	}
}
