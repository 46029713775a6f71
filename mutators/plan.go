package mutators

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Plan is what the pods of one workload get, rendered once. It is a value that is never changed and
// may be shared. The zero Plan adds nothing.
type Plan struct {
	hash      string
	container corev1.Container
	volumes   []corev1.Volume
	secrets   []corev1.LocalObjectReference

	// inits tells that the container is an init-container; restores that it comes before whatever
	// mounts one of the volumes in data.
	inits    bool
	restores bool
	data     map[string]bool
	// needs are volumes of the pod's own that the container mounts.
	needs []string

	containerJSON json.RawMessage
	volumesJSON   []json.RawMessage
	secretsJSON   []json.RawMessage
}

// Empty tells that the plan adds nothing.
func (p Plan) Empty() bool { return p.container.Name == "" }

// Hash is the value of the label of the pod template: api.LabelInject for a backup, api.LabelRestore
// for a restore. That of a backup covers what the user chose and the injection version, and nothing
// that an upgrade of Stash, a schedule or a retention policy changes.
func (p Plan) Hash() string { return p.hash }

// Container is what is added, so that the broker can compare it with what a pod has.
func (p Plan) Container() corev1.Container { return *p.container.DeepCopy() }

// Restores tells a restore plan from a backup plan.
func (p Plan) Restores() bool { return p.restores }

// Image of the container.
func (p Plan) Image() string { return p.container.Image }

// HashRestore is the label value for the RestoreSession with this UID.
func HashRestore(uid string) string { return digest([]byte("restore/" + uid)) }

// hash of what the user chose.
func (u union) hash(version int) (string, error) {
	chosen, err := json.Marshal(u)
	if err != nil {
		return "", fmt.Errorf("encode the settings: %w", err)
	}
	return digest(fmt.Appendf(chosen, "/%d", version)), nil
}

// digestSize is short enough for a label and long enough never to meet by chance.
const digestSize = 8

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:digestSize])
}

// IsHash tells whether a label's value has the form of one that Stash writes.
func IsHash(value string) bool {
	b, err := hex.DecodeString(value)
	return err == nil && len(b) == digestSize && hex.EncodeToString(b) == value
}

// render encodes what Pod puts into patches.
func (p Plan) render() (Plan, error) {
	var err error
	if p.containerJSON, err = json.Marshal(p.container); err != nil {
		return Plan{}, fmt.Errorf("encode container %q: %w", p.container.Name, err)
	}
	for _, v := range p.volumes {
		b, err := json.Marshal(v)
		if err != nil {
			return Plan{}, fmt.Errorf("encode volume %q: %w", v.Name, err)
		}
		p.volumesJSON = append(p.volumesJSON, b)
	}
	for _, s := range p.secrets {
		b, err := json.Marshal(s)
		if err != nil {
			return Plan{}, fmt.Errorf("encode pull secret %q: %w", s.Name, err)
		}
		p.secretsJSON = append(p.secretsJSON, b)
	}
	return p, nil
}
