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

func (d *Doctor) replicas(_ context.Context, s *site) []Finding {
	switch {
	case s.unread != nil && len(s.pods) == 0 && !errors.Is(s.unread, errNoOperator):
		return unread("the operator's pods", s.unread)
	case len(s.pods) == 0, len(s.deployments) > 0 && wanted(s.deployments) == 0:
		return []Finding{judgeNone(d.Namespace, s.deployments)}
	}
	return judgeReplicas(d.Namespace, wanted(s.deployments), s.pods)
}

func wanted(deployments []appsv1.Deployment) int32 {
	var n int32
	for i := range deployments {
		n++
		if r := deployments[i].Spec.Replicas; r != nil {
			n += *r - 1
		}
	}
	return n
}

// judgeNone says why the operator has no pod.
func judgeNone(namespace string, deployments []appsv1.Deployment) Finding {
	const stands = "backups stand still, restores and changes of our kinds are refused"
	if len(deployments) == 0 {
		return fail("name the operator's namespace with --namespace, or install it: kubectl apply -k site", "there is no Deployment of the operator in namespace %s", namespace)
	}
	if wanted(deployments) == 0 {
		return fail("kubectl scale -n "+namespace+" deployment/"+deployments[0].Name+" --replicas=2", "the operator is scaled to 0 replicas: %s", stands)
	}
	why := "nobody says why"
	for i := range deployments {
		for _, c := range deployments[i].Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
				why = c.Message
			}
		}
	}
	return fail("let its pods be created; kubectl get events -n "+namespace+" --field-selector reason=FailedCreate says more",
		"the operator wants %d pods and has none (%s): %s", wanted(deployments), why, stands)
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
	if c := operatorOf(p.Spec); c != nil {
		return c.Args
	}
	return nil
}

func operatorOf(spec corev1.PodSpec) *corev1.Container {
	for i := range spec.Containers {
		if spec.Containers[i].Name == container {
			return &spec.Containers[i]
		}
	}
	return nil
}

var errNoOperator = errors.New("there is neither a pod nor a Deployment of the operator, so its arguments are not known")

// started are image and arguments of the newest pod, which are what the installation is on its way to,
// or without any pod those of the Deployment.
func (d *Doctor) started(pods []corev1.Pod, deployments []appsv1.Deployment) (string, Options, error) {
	var newest *corev1.Pod
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp == nil && (newest == nil || p.CreationTimestamp.After(newest.CreationTimestamp.Time)) {
			newest = p
		}
	}
	var c *corev1.Container
	var of string
	switch {
	case newest != nil:
		c, of = operatorOf(newest.Spec), "pod "+newest.Name
	case len(deployments) > 0:
		c, of = operatorOf(deployments[0].Spec.Template.Spec), "Deployment "+deployments[0].Name
	default:
		return "", Options{}, errNoOperator
	}
	if c == nil {
		return "", Options{}, fmt.Errorf("%s has no container %q", of, container)
	}
	o, err := d.Parse(c.Args)
	if err != nil {
		return "", Options{}, fmt.Errorf("read the arguments of %s: %w", of, err)
	}
	return c.Image, o, nil
}
