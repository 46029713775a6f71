package broker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/broker"
	"github.com/seed-731df569/stash/broker/protocol"
)

// container is the sidecar of a scene.
func (s *scene) container() *corev1.Container { return &s.pod.Spec.InitContainers[0] }

// app is the application's container.
func (s *scene) app() *corev1.Container { return &s.pod.Spec.Containers[0] }

func (s *scene) args(more ...string) { s.container().Args = append(s.container().Args, more...) }

func (s *scene) mount(volume, path string) {
	s.container().VolumeMounts = append(s.container().VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: path})
}

func (s *scene) debug(c corev1.EphemeralContainerCommon, target string) {
	s.pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: c, TargetContainerName: target}}
}

func TestAContainerThatOnlyLooksLikeOursIsDenied(t *testing.T) {
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh"}}}}
	for name, c := range map[string]struct {
		change func(*scene)
		want   string
	}{
		"another command":                      {func(s *scene) { s.container().Command = []string{"/bin/sh"} }, "its command is not"},
		"the agent as an argument of another":  {func(s *scene) { s.container().Command = []string{"/bin/sh", command} }, "its command is not"},
		"more than the agent":                  {func(s *scene) { s.container().Command = []string{command, "-restic=/data/sh"} }, "its command is not"},
		"no command":                           {func(s *scene) { s.container().Command = nil }, "its command is not"},
		"another image":                        {func(s *scene) { s.container().Image = "registry.example:5000/evil/stash:v2" }, "its image is not of"},
		"an image of that name elsewhere":      {func(s *scene) { s.container().Image = "stash:v2" }, "its image is not of"},
		"an image that begins like ours":       {func(s *scene) { s.container().Image = "registry.example:5000/stash-evil" }, "its image is not of"},
		"a tag that looks like our image":      {func(s *scene) { s.container().Image = "registry.example:5000/evil:stash" }, "its image is not of"},
		"another restic":                       {func(s *scene) { s.args("-restic", "/data/restic") }, `"-restic" is none of an agent's`},
		"another restic, in one word":          {func(s *scene) { s.args("--restic=/data/restic") }, `"--restic=/data/restic" is none`},
		"another role than it says":            {func(s *scene) { s.container().Args[1] = "worker" }, "-role"},
		"another role, said later":             {func(s *scene) { s.args("-role", "worker") }, "-role is given twice"},
		"a role that is said no word of":       {func(s *scene) { s.container().Args = s.container().Args[2:] }, "-role is missing"},
		"no arguments":                         {func(s *scene) { s.container().Args = nil }, "-role is missing"},
		"a token of elsewhere":                 {func(s *scene) { s.container().Args[6] = "/data/token" }, "-token is"},
		"trust in another CA":                  {func(s *scene) { s.container().Args[8] = "/data/ca.crt" }, "-ca is"},
		"scratch files among the data":         {func(s *scene) { s.container().Args[10] = "/data" }, "-tmp is"},
		"a word that ends the flags":           {func(s *scene) { s.args("--", "x") }, "none of an agent's"},
		"a word that is no flag":               {func(s *scene) { s.args("role=sidecar") }, "none of an agent's"},
		"a broker that a variable names":       {func(s *scene) { s.container().Args[3] = "$(BROKER)" }, "-broker is"},
		"a library that is loaded first":       {func(s *scene) { s.container().Env[0].Name = "LD_PRELOAD" }, "LD_PRELOAD"},
		"another path to programs":             {func(s *scene) { s.container().Env[0].Name = "PATH" }, "PATH"},
		"memory in a crash's log":              {func(s *scene) { s.container().Env[0].Name = "GOTRACEBACK" }, "GOTRACEBACK"},
		"another working directory":            {func(s *scene) { s.container().WorkingDir = "/data" }, "workingDir"},
		"a volume over the agent":              {func(s *scene) { s.mount("data", "/usr/local/bin/stash-agent") }, "over what the agent needs"},
		"a volume over the agent's directory":  {func(s *scene) { s.mount("data", "/usr/local/bin/") }, "over what the agent needs"},
		"a volume over restic":                 {func(s *scene) { s.mount("data", "/usr") }, "over what the agent needs"},
		"a volume over the libraries":          {func(s *scene) { s.mount("data", "/lib/../lib") }, "over what the agent needs"},
		"a list of libraries to load first":    {func(s *scene) { s.mount("data", "/etc/ld.so.preload") }, "over what the agent needs"},
		"a volume over the CA":                 {func(s *scene) { s.container().VolumeMounts[2].Name = "data" }, "over what the agent needs"},
		"a volume inside of the scratch files": {func(s *scene) { s.mount("data", "/stash-tmp/cache") }, "over what the agent needs"},
		"a part of the token's volume":         {func(s *scene) { s.container().VolumeMounts[1].SubPath = "x" }, "over what the agent needs"},
		"an ephemeral container of our name": {func(s *scene) {
			s.debug(corev1.EphemeralContainerCommon(*s.container()), "")
			s.pod.Spec.InitContainers = nil
		}, "no container of Stash"},
		"an ephemeral container beside our process": {func(s *scene) { s.debug(corev1.EphemeralContainerCommon{Name: "debug"}, "stash") }, "sees its processes"},
		"an ephemeral container with our token": {func(s *scene) {
			s.debug(corev1.EphemeralContainerCommon{Name: "debug", VolumeMounts: []corev1.VolumeMount{{Name: api.VolumeToken}}}, "app")
		}, `also mounted by container "debug"`},
		"another container with our token": {func(s *scene) { s.app().VolumeMounts[0].Name = api.VolumeToken }, `also mounted by container "app"`},
		"another container with our files": {func(s *scene) { s.app().VolumeMounts[0].Name = api.VolumeTmp }, `also mounted by container "app"`},
		"another container with a token like ours": {func(s *scene) {
			s.pod.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: api.TokenAudience}},
			}}}
		}, `volume "data" is also mounted by container "app"`},
		"scratch files that others keep": {func(s *scene) {
			s.pod.Spec.Volumes[2].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp"}}
		}, "is not the pod's own"},
		"a sidecar among init-containers that ends": {func(s *scene) { s.container().RestartPolicy = nil }, "no container of Stash"},
		"an init-container that goes on": {func(s *scene) {
			s.role, s.container().Name = protocol.RoleInit, api.ContainerRestore
		}, "no container of Stash"},
		"a restore among the containers": {func(s *scene) {
			s.role = protocol.RoleInit
			s.pod.Spec.Containers = append(s.pod.Spec.Containers, agentContainer(api.ContainerRestore, protocol.RoleInit))
		}, "no container of Stash"},
		"a worker with a probe": {func(s *scene) {
			s.role = protocol.RoleWorker
			*s.app() = agentContainer(api.ContainerWorker, protocol.RoleWorker)
			s.app().LivenessProbe = probe
		}, "probes or a lifecycle"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			c.change(s)
			id, err := s.identify(t)
			if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want a denial that says %q", id, err, c.want)
			}
		})
	}
}

func TestOurContainersOfOtherTimesAndPlacesPass(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"an older version":         func(s *scene) { s.container().Image = "registry.example:5000/stash:v1" },
		"a digest":                 func(s *scene) { s.container().Image = "registry.example:5000/stash@sha256:0123" },
		"a tag and a digest":       func(s *scene) { s.container().Image = "registry.example:5000/stash:v1@sha256:0123" },
		"a mirror that is trusted": func(s *scene) { s.container().Image = "docker.io/mirror/stash:v2" },
		"flags in one word":        func(s *scene) { s.args("-log-format=json", "--idle", "2m") },
		"an ordinary container": func(s *scene) {
			s.container().RestartPolicy = nil
			s.pod.Spec.Containers, s.pod.Spec.InitContainers = append(s.pod.Spec.Containers, *s.container()), nil
		},
		"what its user may set": func(s *scene) {
			s.container().LivenessProbe = &corev1.Probe{}
			s.container().SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		},
		"another container's own token": func(s *scene) {
			s.pod.Spec.Volumes = append(s.pod.Spec.Volumes, corev1.Volume{Name: "vault", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault"}}, {}},
			}}})
			s.app().VolumeMounts[0].Name = "vault"
		},
		"a shell beside the application": func(s *scene) { s.debug(corev1.EphemeralContainerCommon{Name: "debug"}, "app") },
		"a restore": func(s *scene) {
			s.role = protocol.RoleInit
			c := agentContainer(api.ContainerRestore, protocol.RoleInit)
			c.Args = append(c.Args, "-state", "/stash-restore", "-restore-id", "0123")
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "stash-restore-state", MountPath: "/stash-restore"})
			s.pod.Spec.InitContainers = slices.Insert(s.pod.Spec.InitContainers, 0, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			change(s)
			if _, err := s.identify(t); err != nil {
				t.Error(err)
			}
		})
	}
}
