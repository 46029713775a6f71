package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// container is that of the operator in its pods.
const container = "operator"

func operatorLabels() client.MatchingLabels {
	return client.MatchingLabels{"app.kubernetes.io/name": "stash", "app.kubernetes.io/component": "operator"}
}

func (d *Doctor) replicas(ctx context.Context, s *site) []Finding {
	if s.unread != nil && len(s.pods) == 0 {
		return unread("the operator's pods", s.unread)
	}
	deployments := &appsv1.DeploymentList{}
	if err := d.client.List(ctx, deployments, client.InNamespace(d.Namespace), operatorLabels()); err != nil {
		return unread("the operator's Deployment", err)
	}
	var wanted int32
	for i := range deployments.Items {
		wanted++
		if r := deployments.Items[i].Spec.Replicas; r != nil {
			wanted += *r - 1
		}
	}
	return judgeReplicas(d.Namespace, wanted, s.pods)
}

func judgeReplicas(namespace string, wanted int32, pods []corev1.Pod) []Finding {
	logs := "see kubectl describe pods -n " + namespace + " -l app.kubernetes.io/component=operator, and their logs"
	var ready int32
	var builds, arguments, out []Finding
	seen, args := map[string][]string{}, map[string][]string{}
	for i := range pods {
		p := &pods[i]
		if !isReady(p) {
			continue
		}
		ready++
		build := buildOf(p)
		seen[build] = append(seen[build], p.Name)
		text := strings.Join(argsOf(p), " ")
		args[text] = append(args[text], p.Name)
		if why := ended(p); why != "" {
			out = append(out, warn(logs+"; where it ran out of memory, raise its limit", "pod %s ended before: %s", p.Name, why))
		}
	}
	if len(seen) > 1 {
		builds = append(builds, warn("wait for the rollout: kubectl rollout status -n "+namespace+" deployment/stash-operator", "the replicas run different builds: %s", groups(seen)))
	}
	if len(args) > 1 {
		arguments = append(arguments, warn("wait for the rollout: kubectl rollout status -n "+namespace+" deployment/stash-operator", "the replicas run with different arguments: %s", groups(args)))
	}
	switch {
	case ready == 0:
		out = append(out, fail(logs, "no replica of the operator is ready in namespace %s (%d wanted, %d pods): backups stand still, restores and changes of our kinds are refused", namespace, wanted, len(pods)))
	case ready < wanted:
		out = append(out, warn(logs, "%d of %d replicas are ready", ready, wanted))
	case wanted == 1:
		out = append(out, warn("run two: kubectl scale -n "+namespace+" deployment/stash-operator --replicas=2, or a patch of its replicas", "there is one replica: while it restarts, restores and changes of our kinds are refused"))
	}
	out = slices.Concat(out, builds, arguments)
	if len(out) == 0 {
		out = append(out, fine("%d of %d replicas are ready, all of one build", ready, wanted))
	}
	return out
}

func groups(by map[string][]string) string {
	out := make([]string, 0, len(by))
	for what, pods := range by {
		slices.Sort(pods)
		out = append(out, fmt.Sprintf("%s: %s", strings.Join(pods, ", "), what))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func isReady(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// buildOf is the image that runs, by its digest: a tag may have been moved.
func buildOf(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if s.Name == container && s.ImageID != "" {
			return s.ImageID
		}
	}
	return "unknown"
}

// ended says how the operator's container ended last, where that was not asked for.
func ended(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if t := s.LastTerminationState.Terminated; s.Name == container && t != nil && t.ExitCode != 0 {
			return fmt.Sprintf("%s, exit code %d, %d restarts", t.Reason, t.ExitCode, s.RestartCount)
		}
	}
	return ""
}

func argsOf(p *corev1.Pod) []string {
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return c.Args
		}
	}
	return nil
}

var errNoPods = errors.New("there are no pods of the operator, so its arguments are not known")

// options are those of the newest pod: what the installation is on its way to.
func (d *Doctor) options(pods []corev1.Pod) (Options, error) {
	var newest *corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp == nil && (newest == nil || p.CreationTimestamp.After(newest.CreationTimestamp.Time)) {
			newest = p
		}
	}
	if newest == nil {
		return Options{}, errNoPods
	}
	o, err := d.Parse(argsOf(newest))
	if err != nil {
		return Options{}, fmt.Errorf("read the arguments of pod %s: %w", newest.Name, err)
	}
	return o, nil
}
