package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// newSession makes the BackupSession of a configuration: the labels are those that the existing
// Stash puts on it.
func newSession(c *v1beta1.BackupConfiguration, name string) *v1beta1.BackupSession {
	bs := &v1beta1.BackupSession{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: name, Labels: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{configurationRef(c)},
		},
		Spec: v1beta1.BackupSessionSpec{Invoker: &v1beta1.BackupInvokerRef{
			APIGroup: api.Group, Kind: v1beta1.KindBackupConfiguration, Name: c.Name,
		}},
	}
	maps.Copy(bs.Labels, c.Labels)
	maps.Copy(bs.Labels, map[string]string{
		api.LabelComponent:   api.ComponentBackup,
		api.LabelManagedBy:   api.ManagedBy,
		api.LabelInvokerType: v1beta1.KindBackupConfiguration,
		api.LabelInvokerName: labelValue(c.Name),
	})
	if t := c.Spec.Target; t != nil {
		ns := t.Ref.Namespace
		if ns == "" {
			ns = c.Namespace
		}
		bs.Labels[api.LabelTargetKind] = t.Ref.Kind
		bs.Labels[api.LabelTargetName] = labelValue(t.Ref.Name)
		bs.Labels[api.LabelTargetNamespace] = ns
	}
	bs.Spec.RetryLeft = c.Spec.RetryConfig.Retries()
	return bs
}

// configurationRef makes a configuration the owner of its sessions. It does not wait for them: they
// cannot hold up its deletion.
func configurationRef(c *v1beta1.BackupConfiguration) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1beta1.GroupVersion().String(), Kind: v1beta1.KindBackupConfiguration,
		Name: c.Name, UID: c.UID, Controller: new(true),
	}
}

// retryName is the name of the session that retries another.
func retryName(failed *v1beta1.BackupSession) string {
	sum := sha256.Sum256([]byte(failed.UID))
	name := failed.Name
	if len(name) > 50 {
		name = strings.TrimRight(name[:50], "-.")
	}
	return name + "-r" + hex.EncodeToString(sum[:4])
}

// labelValue shortens a name to what a label can hold; the beginning stays readable.
func labelValue(name string) string {
	if len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:54] + "-" + hex.EncodeToString(sum[:4])
}

func equalStatus(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }
