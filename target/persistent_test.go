package target_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/target"
)

func TestPersistentMounts(t *testing.T) {
	for name, c := range map[string]struct {
		spec    string
		volumes string
		want    string // volume:path[:part] of each mount, then the paths; or the problem
	}{
		"a claim and what is no data of the application": {
			`{volumes: [{name: cache, emptyDir: {}}, {name: data, persistentVolumeClaim: {claimName: c}}, {name: conf, configMap: {name: x}}, {name: logs, hostPath: {path: /var/log}}, {name: inline, csi: {driver: secrets}}],
			  containers: [{name: a, volumeMounts: [{name: cache, mountPath: /cache}, {name: data, mountPath: /data/}, {name: conf, mountPath: /conf}, {name: logs, mountPath: /logs}, {name: inline, mountPath: /s}]}]}`,
			"cache data conf logs inline", "data:/data | /data",
		},
		"a claim of a StatefulSet's template": {
			`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /data}]}]}`, "data", "data:/data | /data",
		},
		"a share": {
			`{volumes: [{name: s, nfs: {server: nas, path: /x}}], containers: [{name: a, volumeMounts: [{name: s, mountPath: /s}]}]}`, "s", "s:/s | /s",
		},
		"nothing": {`{volumes: [{name: cache, emptyDir: {}}], containers: [{name: a, volumeMounts: [{name: cache, mountPath: /c}]}]}`, "cache", " | "},
		"a volume that two containers have is taken once": {
			`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /a}]}, {name: b, volumeMounts: [{name: data, mountPath: /b}]}]}`, "data", "data:/a | /a",
		},
		"the whole volume, not a part of it": {
			`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /a, subPath: x}]}, {name: b, volumeMounts: [{name: data, mountPath: /b}]}]}`, "data", "data:/b | /b",
		},
		"the parts, where nobody has the whole": {
			`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /a, subPath: x}, {name: data, mountPath: /b, subPath: v}, {name: data, mountPath: /c, subPath: x/z}]}]}`, "data", "data:/a:x data:/b:v | /a /b",
		},
		"one inside of the other": {
			`{containers: [{name: a, volumeMounts: [{name: d, mountPath: /d/e}, {name: o, mountPath: /d}]}]}`, "d o", "d:/d/e o:/d | /d",
		},
		"two volumes at one path":     {`{containers: [{name: a, volumeMounts: [{name: d, mountPath: /d}]}, {name: b, volumeMounts: [{name: e, mountPath: /d}]}]}`, "d e", "same path /d"},
		"a volume that nobody mounts": {`{containers: [{name: a}]}`, "data", `no container mounts volume "data"`},
		"an expression":               {`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /d, subPathExpr: $(POD)}]}]}`, "data", "subPathExpr"},
		"a path of Stash's own image": {`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /etc}]}]}`, "data", "must not hide /etc"},
		"a path that is the root's":   {`{containers: [{name: a, volumeMounts: [{name: data, mountPath: /}]}]}`, "data", "must not be /"},
	} {
		t.Run(name, func(t *testing.T) {
			var spec corev1.PodSpec
			if err := yaml.Unmarshal([]byte(c.spec), &spec); err != nil {
				t.Fatal(err)
			}
			paths, mounts, problem := target.PersistentMounts(&corev1.PodTemplateSpec{Spec: spec}, strings.Fields(c.volumes))
			if problem != "" {
				if !strings.Contains(problem, c.want) || len(paths)+len(mounts) > 0 {
					t.Errorf("%q with %v, %v", problem, paths, mounts)
				}
				return
			}
			var texts []string
			for _, m := range mounts {
				text := m.Name + ":" + m.MountPath
				if m.SubPath != "" {
					text += ":" + m.SubPath
				}
				texts = append(texts, text)
			}
			if d := cmp.Diff(c.want, strings.Join(texts, " ")+" | "+strings.Join(paths, " ")); d != "" {
				t.Error(d)
			}
		})
	}
}
