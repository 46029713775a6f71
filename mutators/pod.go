package mutators

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/mattbaird/jsonpatch"
	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
)

// Pod returns the operations that complete a pod with its plans: none, one of a backup, one of a
// restore, or both. All of the patch is returned or nothing: the reason says which. It is
// idempotent: of a pod that was completed before only what is missing is added.
func Pod(raw []byte, plans ...Plan) ([]jsonpatch.JsonPatchOperation, Reason) {
	shape, ok := Read(raw)
	if !ok {
		return nil, Malformed
	}
	return shape.Complete(plans...)
}

// Complete is Pod for a pod that was read before.
func (s *Shape) Complete(plans ...Plan) ([]jsonpatch.JsonPatchOperation, Reason) {
	a, reason := s.additions(plans)
	if reason != Injected {
		return nil, reason
	}
	ops := make([]jsonpatch.JsonPatchOperation, 0, a.size())
	ops = list(ops, "/spec/volumes", s.volumes, a.volumes)
	if a.restore != nil && s.inits.filled {
		ops = append(ops, add("/spec/initContainers/"+strconv.Itoa(a.at), a.restore))
		ops = list(ops, "/spec/initContainers", s.inits, a.inits)
	} else {
		if a.restore != nil {
			a.inits = append([]json.RawMessage{a.restore}, a.inits...)
		}
		ops = list(ops, "/spec/initContainers", s.inits, a.inits)
	}
	ops = list(ops, "/spec/containers", s.containers, a.containers)
	return list(ops, "/spec/imagePullSecrets", s.secrets, a.secrets), Injected
}

// Apply returns a completed copy of a pod, for dry runs and comparisons; it does what the patch does.
func Apply(pod *corev1.Pod, plans ...Plan) (*corev1.Pod, Reason, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, Malformed, fmt.Errorf("encode pod %q: %w", pod.Name, err)
	}
	shape, ok := Read(raw)
	if !ok {
		return nil, Malformed, nil
	}
	a, reason := shape.additions(plans)
	out := pod.DeepCopy()
	if reason != Injected {
		return out, reason, nil
	}
	spec := &out.Spec
	if a.restore != nil {
		if spec.InitContainers, err = insert(spec.InitContainers, a.at, a.restore); err != nil {
			return nil, reason, err
		}
	}
	if spec.InitContainers, err = insert(spec.InitContainers, len(spec.InitContainers), a.inits...); err != nil {
		return nil, reason, err
	}
	if spec.Containers, err = insert(spec.Containers, len(spec.Containers), a.containers...); err != nil {
		return nil, reason, err
	}
	if spec.Volumes, err = insert(spec.Volumes, len(spec.Volumes), a.volumes...); err != nil {
		return nil, reason, err
	}
	spec.ImagePullSecrets, err = insert(spec.ImagePullSecrets, len(spec.ImagePullSecrets), a.secrets...)
	return out, reason, err
}

// additions are what a pod lacks of its plans.
type additions struct {
	volumes, inits, containers, secrets []json.RawMessage
	// restore goes into the init-containers at a place of its own.
	restore json.RawMessage
	at      int
}

func (a *additions) size() int {
	return len(a.volumes) + len(a.inits) + len(a.containers) + len(a.secrets) + 1
}

func (s *Shape) additions(plans []Plan) (additions, Reason) {
	var a additions
	wanted := 0
	for i := range plans {
		if plans[i].Empty() {
			continue
		}
		wanted++
		if reason := s.one(&a, &plans[i], plans[:i]); reason != Injected {
			return additions{}, reason
		}
	}
	switch {
	case wanted == 0:
		return a, NoPlan
	case a.restore == nil && a.size() == 1:
		return a, AlreadyInjected
	}
	return a, Injected
}

// one adds what is missing of plan p; before are the plans that come with it.
func (s *Shape) one(a *additions, p *Plan, before []Plan) Reason {
	state := s.sidecar
	if p.restores {
		state = s.restore
	}
	if state == foreign {
		return ContainerNameTaken
	}
	for _, name := range p.needs {
		if !s.hasVolume(name) {
			return VolumeMissing
		}
	}
	for i := range p.volumes {
		name := p.volumes[i].Name
		v, exists := s.volume(name)
		switch {
		case exists && state == free && s.sidecar != ours && s.restore != ours && (name != api.VolumeTmp || !v.emptyDir):
			return VolumeNameTaken
		case exists || planned(before, name):
		default:
			a.volumes = append(a.volumes, p.volumesJSON[i])
		}
	}
	for i := range p.secrets {
		if !s.hasSecret(p.secrets[i].Name) && !plannedSecret(before, p.secrets[i].Name) {
			a.secrets = append(a.secrets, p.secretsJSON[i])
		}
	}
	switch {
	case state == ours:
	case p.restores:
		a.restore, a.at = p.containerJSON, s.place(p.data)
	case p.inits:
		a.inits = append(a.inits, p.containerJSON)
	default:
		a.containers = append(a.containers, p.containerJSON)
	}
	return Injected
}

// place is where the restore goes: before the first init-container that mounts the data, and behind
// the last proxy before that one, since a native mesh proxy carries its traffic. Without a proxy it
// is first: what a mesh sets up in a plain init-container would cut it off from the network.
func (s *Shape) place(data map[string]bool) int {
	at := 0
	for i, c := range s.initList {
		if c.mountsAny(data) {
			break
		}
		if c.always {
			at = i + 1
		}
	}
	return at
}

func (s *Shape) volume(name string) (volumeShape, bool) {
	for _, v := range s.volumeList {
		if string(v.name) == name {
			return v, true
		}
	}
	return volumeShape{}, false
}

func (s *Shape) hasVolume(name string) bool {
	_, ok := s.volume(name)
	return ok
}

func (s *Shape) hasSecret(name string) bool {
	for _, n := range s.secretNames {
		if string(n) == name {
			return true
		}
	}
	return false
}

func planned(plans []Plan, volume string) bool {
	for i := range plans {
		for j := range plans[i].volumes {
			if plans[i].volumes[j].Name == volume {
				return true
			}
		}
	}
	return false
}

func plannedSecret(plans []Plan, secret string) bool {
	for i := range plans {
		for j := range plans[i].secrets {
			if plans[i].secrets[j].Name == secret {
				return true
			}
		}
	}
	return false
}

// list adds elements to a list that may be missing, null or there.
func list(ops []jsonpatch.JsonPatchOperation, path string, f field, elements []json.RawMessage) []jsonpatch.JsonPatchOperation {
	if len(elements) == 0 {
		return ops
	}
	if !f.filled {
		return append(ops, add(path, array(elements)))
	}
	for _, e := range elements {
		ops = append(ops, add(path+"/-", e))
	}
	return ops
}

func add(path string, value json.RawMessage) jsonpatch.JsonPatchOperation {
	return jsonpatch.JsonPatchOperation{Operation: "add", Path: path, Value: value}
}

// array joins rendered elements.
func array(elements []json.RawMessage) json.RawMessage {
	size := 2
	for _, e := range elements {
		size += len(e) + 1
	}
	out := append(make(json.RawMessage, 0, size), '[')
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, e...)
	}
	return append(out, ']')
}

// insert decodes elements into a list at a place.
func insert[T any](list []T, at int, elements ...json.RawMessage) ([]T, error) {
	for i, raw := range elements {
		var e T
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("decode an addition: %w", err)
		}
		list = append(list[:at+i], append([]T{e}, list[at+i:]...)...)
	}
	return list, nil
}
