package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/target"
)

// reached has the API server ask the webhook: a dry run of a pod that asks for a refusal is refused by
// ours, in words that name what it asks for. The operator's own requests reach that hook as all others
// do.
func (d *Doctor) reached(ctx context.Context, _ *site) []Finding {
	list := &corev1.NamespaceList{}
	if err := d.client.List(ctx, list); err != nil {
		return unread("the namespaces", err)
	}
	namespace, ok := anyNamespace(list.Items, d.Namespace)
	if !ok {
		return []Finding{warn("create a namespace for applications", "not checked: there is no namespace whose pods reach the webhooks")}
	}
	restore := "doctor-" + rand.String(8)
	begin := d.now()
	err := d.client.Create(ctx, probe(namespace, restore), client.DryRunAll)
	return []Finding{judgeReached(err, restore, d.now().Sub(begin))}
}

// probe is the pod that asks for a refusal.
func probe(namespace, restore string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "stash-doctor-", Labels: map[string]string{api.LabelRestore: restore, api.LabelProbe: "reached"}},
		Spec:       corev1.PodSpec{AutomountServiceAccountToken: new(false), Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
	}
}

// anyNamespace prefers one that every cluster has.
func anyNamespace(list []corev1.Namespace, own string) (string, bool) {
	excluded := target.ExcludedNamespaces(own)
	var found string
	for i := range list {
		n := &list[i]
		if n.DeletionTimestamp != nil || slices.Contains(excluded, n.Name) {
			continue
		}
		if n.Name == metav1.NamespaceDefault {
			return n.Name, true
		}
		if found == "" {
			found = n.Name
		}
	}
	return found, found != ""
}

// judgeReached reads what became of the pod that asked for a refusal.
func judgeReached(err error, restore string, took time.Duration) Finding {
	message := messageOf(err)
	const calling = "failed calling webhook"
	switch {
	case err == nil:
		return fail("see check webhooks: the hook is missing, or does not select such pods", "the API server let the probe pass, without asking the webhook")
	case strings.Contains(message, api.Group) && strings.Contains(message, fmt.Sprintf("%q", restore)) && !strings.Contains(message, calling):
		return slow(took)
	case strings.Contains(message, calling):
		return fail("see checks replicas, certificates and webhooks. If those are fine, something keeps the API server from port 9443 of the operator's pods: a NetworkPolicy, or a firewall between control plane and nodes",
			"the API server does not get an answer of the webhook: %s", message)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return warn("have an exception made for dry runs of the operator, or ask a namespace of your own: kubectl run probe --dry-run=server --image=probe --labels="+api.LabelRestore+"=none,"+api.LabelProbe+"=reached",
			"not checked: somebody else refused the probe before the webhook was asked: %s", message)
	}
	return fail("see whether the API server is well, and who may create pods", "the probe got no answer: %v", err)
}

// slow answers eat up the time of a hook.
func slow(took time.Duration) Finding {
	const limit = time.Second
	if took > limit {
		return warn("see whether the operator's pods are short of CPU", "the API server reaches the webhook, and got its refusal after %s", took.Round(10*time.Millisecond))
	}
	return fine("the API server reaches the webhook: it got its refusal within %s", limit)
}

func messageOf(err error) string {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		return s.Status().Message
	}
	return ""
}
