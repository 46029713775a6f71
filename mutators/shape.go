package mutators

import (
	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators/scan"
)

// Shape is what the pod hook needs to know of a pod, found in one pass over its bytes. Its slices
// point into those bytes.
type Shape struct {
	// Inject and Restore are the values of our labels, empty where missing.
	Inject  string
	Restore string
	// Owner is the pod's controller; the zero value where it has none.
	Owner Owner

	volumes, inits, containers, secrets field
	volumeList                          []volumeShape
	initList                            []containerShape
	// sidecar and restore tell whether a container has the name of one of ours.
	sidecar, restore taken
	secretNames      [][]byte
}

// Owner is an object's controller as its ownerReferences name it. Nothing proves that it is true.
type Owner struct {
	APIVersion string
	Kind       string
	Name       string
	UID        string
}

// Restores tells whether the pod has the init-container that restores, as we add it.
func (s *Shape) Restores() bool { return s.restore == ours }

// field is a list of the pod's spec as it was found.
type field struct {
	filled bool // an array, also an empty one
	n      int
}

type volumeShape struct {
	name     []byte
	emptyDir bool
}

type containerShape struct {
	always bool   // restartPolicy Always
	mounts []byte // volumeMounts and volumeDevices as written
	device []byte
}

// taken says whose a container of our name is.
type taken int

const (
	free taken = iota
	ours
	foreign
)

// Read finds the shape of a pod. It reports false where the bytes are no pod.
func Read(raw []byte) (Shape, bool) {
	r := scan.New(raw)
	s := Shape{}
	found := false
	if !r.Object() {
		return Shape{}, false
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "metadata":
			s.readMetadata(&r)
		case "spec":
			found = r.Peek() == '{'
			s.readSpec(&r)
		default:
			r.Skip()
		}
	}
	return s, found && !r.Bad()
}

func (s *Shape) readMetadata(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "labels":
			s.readLabels(r)
		case "ownerReferences":
			for in := r.Array(); in && r.Element(); {
				if o, controller := readOwner(r); controller {
					s.Owner = o
				}
			}
		default:
			r.Skip()
		}
	}
}

func (s *Shape) readLabels(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case api.LabelInject:
			s.Inject = string(r.Text())
		case api.LabelRestore:
			s.Restore = string(r.Text())
		default:
			r.Skip()
		}
	}
}

func readOwner(r *scan.Reader) (o Owner, controller bool) {
	if !r.Object() {
		return o, false
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "apiVersion":
			o.APIVersion = string(r.Text())
		case "kind":
			o.Kind = string(r.Text())
		case "name":
			o.Name = string(r.Text())
		case "uid":
			o.UID = string(r.Text())
		case "controller":
			controller = r.Bool()
		default:
			r.Skip()
		}
	}
	return o, controller
}

func (s *Shape) readSpec(r *scan.Reader) {
	if !r.Object() {
		return
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "volumes":
			s.volumes = each(r, func() { s.volumeList = append(s.volumeList, readVolume(r)) })
		case "initContainers":
			s.inits = each(r, func() { s.initList = append(s.initList, s.readContainer(r)) })
		case "containers":
			s.containers = each(r, func() { s.readContainer(r) })
		case "imagePullSecrets":
			s.secrets = each(r, func() { s.secretNames = append(s.secretNames, readName(r)) })
		default:
			r.Skip()
		}
	}
}

// each reads a list. Whatever else than an array is taken for null: the API server writes nothing
// else there, and an `add` replaces it.
func each(r *scan.Reader, read func()) field {
	f := field{filled: r.Array()}
	for f.filled && r.Element() {
		read()
		f.n++
	}
	return f
}

func readVolume(r *scan.Reader) (v volumeShape) {
	if !r.Object() {
		return v
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "name":
			v.name = r.Text()
		case "emptyDir":
			v.emptyDir = r.Peek() == '{'
			r.Skip()
		default:
			r.Skip()
		}
	}
	return v
}

func readName(r *scan.Reader) (name []byte) {
	if !r.Object() {
		return nil
	}
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		if string(key) == "name" {
			name = r.Text()
		} else {
			r.Skip()
		}
	}
	return name
}

func (s *Shape) readContainer(r *scan.Reader) (c containerShape) {
	if !r.Object() {
		return c
	}
	var name, command []byte
	for key, ok := r.Key(); ok; key, ok = r.Key() {
		switch string(key) {
		case "name":
			name = r.Text()
		case "command":
			command = r.Raw()
		case "restartPolicy":
			c.always = string(r.Text()) == "Always"
		case "volumeMounts":
			c.mounts = r.Raw()
		case "volumeDevices":
			c.device = r.Raw()
		default:
			r.Skip()
		}
	}
	switch string(name) {
	case api.ContainerSidecar:
		s.sidecar = whose(command)
	case api.ContainerRestore:
		s.restore = whose(command)
	}
	return c
}

// whose tells our containers by the program that they run.
func whose(command []byte) taken {
	r := scan.New(command)
	if r.Array() && r.Element() && string(r.Text()) == AgentCommand {
		return ours
	}
	return foreign
}

// mountsAny tells whether the container mounts one of the volumes.
func (c containerShape) mountsAny(volumes map[string]bool) bool {
	for _, list := range [][]byte{c.mounts, c.device} {
		r := scan.New(list)
		for in := len(list) > 0 && r.Array(); in && r.Element(); {
			if volumes[string(readName(&r))] {
				return true
			}
		}
	}
	return false
}
