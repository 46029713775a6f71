package protection

import (
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/target"
)

// Namespace is what policies look at of a namespace.
type Namespace struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
}

// NamespaceOf returns what policies look at of a namespace.
func NamespaceOf(n *corev1.Namespace) Namespace {
	return Namespace{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations}
}

// Object is what policies look at of an object.
type Object struct {
	Kind        target.Kind
	Namespace   Namespace
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	// Persistent tells that it has storage that outlives its pods.
	Persistent bool
	// Volumes are the names of those volumes of its pods that must be backed up; Template is the pod
	// template that has them, or has their mounts.
	Volumes  []string
	Template *corev1.PodTemplateSpec
	// Backups are its BackupConfigurations, stored or to be stored.
	Backups []Backup

	// held are the volumes that each backup holds, once somebody asked; so an Object is one goroutine's.
	held map[*v1beta1.BackupConfiguration][]string
}

// ObjectOf returns the Object of a workload, without backups.
func ObjectOf(t *blueprint.Target, n Namespace) Object {
	return Object{
		Kind: t.Kind, Namespace: n, Name: t.Name, Labels: t.Labels, Annotations: t.Annotations,
		Persistent: len(target.PersistentVolumes(t.Template, t.Volumes)) > 0,
		Volumes:    writable(t), Template: t.Template,
	}
}

// writable returns the volumes that outlive the pods and can be written by them. What a pod only reads is
// for those to back up who write it.
func writable(t *blueprint.Target) []string {
	return slices.DeleteFunc(target.PersistentVolumes(t.Template, t.Volumes), func(name string) bool {
		return slices.ContainsFunc(t.Template.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Name == name && (v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ReadOnly || v.NFS != nil && v.NFS.ReadOnly)
		})
	})
}

// Backup is a BackupConfiguration of an object.
type Backup struct {
	Configuration *v1beta1.BackupConfiguration
	// Location is the place of its Repository, as package backend spells it; empty where it is not known.
	Location string
	// Strayed tells that the Repository lies elsewhere than the blueprint says that the configuration comes from.
	Strayed bool
	// Problem says why it makes no backups though it is there; empty where nothing is known.
	Problem string
}

// maxExemption bounds what is taken over of an exemption's reason.
const maxExemption = 256

// Exemption returns why an object needs no backup, by its annotation or by its namespace's; false where
// neither gives a reason. An annotation without a reason exempts nothing.
func Exemption(object, namespace map[string]string) (string, bool) {
	for _, annotations := range []map[string]string{object, namespace} {
		if reason := clean(annotations[api.AnnotationExemption]); reason != "" {
			return reason, true
		}
	}
	return "", false
}

// EmptyExemption tells that an object is annotated as exempt without saying why.
func EmptyExemption(annotations map[string]string) bool {
	value, has := annotations[api.AnnotationExemption]
	return has && clean(value) == ""
}

// clean makes one line of a text of somebody's, which ends up in a status and on terminals.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxExemption {
		text = strings.ToValidUTF8(text[:maxExemption-len("…")], "") + "…"
	}
	return text
}
