package protection

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

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

// ObjectOf returns the Object of a workload or a claim, without backups. Of a claim only such backups count
// as hold it.
func ObjectOf(t *blueprint.Target, n Namespace) Object {
	if t.Kind.Model == target.ModelJob {
		return Object{Kind: t.Kind, Namespace: n, Name: t.Name, Labels: t.Labels, Annotations: t.Annotations, Persistent: true}
	}
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
		return slices.ContainsFunc(t.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == name && target.ReadOnly(&v) })
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

// maxShown bounds what is repeated of what is no reason.
const maxShown = 32

// Exemption returns why an object needs no backup, by its annotation or by its namespace's; false where
// neither gives a reason. An annotation without a reason exempts nothing.
func Exemption(object, namespace map[string]string) (string, bool) {
	for _, annotations := range []map[string]string{object, namespace} {
		if reason := clean(annotations[api.AnnotationExemption]); isReason(reason) {
			return reason, true
		}
	}
	return "", false
}

// Unreasoned says, of an annotation that is to exempt and gives no reason, what it holds instead and what
// to write; empty where there is a reason, or no annotation.
func Unreasoned(annotations map[string]string) string {
	value, has := annotations[api.AnnotationExemption]
	switch value = clean(value); {
	case !has || isReason(value):
		return ""
	case value == "":
		value = "is empty"
	default:
		if len(value) > maxShown {
			value = strings.ToValidUTF8(value[:maxShown], "") + "…"
		}
		value = fmt.Sprintf("is %q, which is no reason,", value)
	}
	return fmt.Sprintf("the annotation %s %s and exempts nothing: say in words why no backup is needed, for example %q, or remove it",
		api.AnnotationExemption, value, "a cache that is filled again")
}

// isReason tells whether a text says why. What answers whether, such as true or 1, does not: whoever reads
// the list of what is exempt would learn nothing from it.
func isReason(text string) bool {
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
	return utf8.RuneCountInString(letters) > 1 && !slices.Contains([]string{
		"true", "false", "yes", "no", "on", "off", "ok", "enable", "enabled", "disable", "disabled",
		"exempt", "exempted", "exemption", "ignore", "ignored", "skip", "skipped", "none", "null", "nil", "na", "todo", "tbd",
	}, letters)
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
