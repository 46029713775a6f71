package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
)

// target is an annotated Deployment of one pod, in which plain restic stands beside the sidecar.
type target struct {
	*site

	name string
	set  dataSet
	pod  *corev1.Pod
	// data is where the machine sees the volume.
	data string
	// ours and plain are the two containers.
	ours, plain group
	// agentLog is the sidecar's log, as kubelet keeps it.
	agentLog string
}

// config is the name of the BackupConfiguration that the annotation became.
func (t *target) config() string { return "deploy-" + t.name }

// prefix is where a repository is in the bucket.
func (t *target) prefix(whose string) string { return whose + "/" + t.name + "/" }

// targets makes the Deployments and returns when they are protected: a small one for session start
// first, then one for each set of files that is wanted.
func (s *site) targets(ctx context.Context) ([]*target, error) {
	all := []*target{{site: s, name: "start", set: smallFiles(20)}}
	if s.wants("large") {
		all = append(all, &target{site: s, name: "large", set: largeFiles(s.large)})
	}
	if s.wants("small") {
		all = append(all, &target{site: s, name: "small", set: smallFiles(s.small)})
	}
	for _, t := range all {
		if err := t.apply(ctx, "target.yaml", map[string]any{"Name": t.name}); err != nil {
			return nil, err
		}
	}
	for _, t := range all {
		if err := t.prepare(ctx); err != nil {
			return nil, fmt.Errorf("prepare %s: %w", t.name, err)
		}
	}
	return all, nil
}

func (t *target) prepare(ctx context.Context) error {
	_, err := t.kubectl.Run(ctx, "", "rollout", "status", "--namespace="+namespace, "--timeout="+patience.String(), "deployment/"+t.name)
	if err != nil {
		return err
	}
	if err := eventually(ctx, "the pod", t.findPod); err != nil {
		return err
	}
	if err := eventually(ctx, "the configuration", t.ready); err != nil {
		return err
	}
	if err := t.findVolume(ctx); err != nil {
		return err
	}
	if t.ours, err = findGroup(t.pod, api.ContainerSidecar); err != nil {
		return err
	}
	if t.plain, err = findGroup(t.pod, "plain"); err != nil {
		return err
	}
	t.agentLog = t.onNode("/var/log/pods", namespace+"_"+t.pod.Name+"_"+string(t.pod.UID), api.ContainerSidecar, "0.log")
	if err := t.set.plant(t.data); err != nil {
		return err
	}
	t.logf("%s: pod %s on %s, %s", t.name, t.pod.Name, t.pod.Spec.NodeName, t.set.title)
	return t.copyKeys()
}

func (t *target) findPod(ctx context.Context) error {
	var pods corev1.PodList
	if err := t.client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app": t.name}); err != nil {
		return err
	}
	if len(pods.Items) != 1 {
		return fmt.Errorf("%d pods", len(pods.Items))
	}
	t.pod = &pods.Items[0]
	if t.pod.DeletionTimestamp != nil || !slices.ContainsFunc(t.pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}) {
		return fmt.Errorf("pod %s is not ready", t.pod.Name)
	}
	return nil
}

// ready tells whether a session would start at once.
func (t *target) ready(ctx context.Context) error {
	var config v1beta1.BackupConfiguration
	var repo v1alpha1.Repository
	key := client.ObjectKey{Namespace: namespace, Name: t.config()}
	if err := errors.Join(t.client.Get(ctx, key, &config), t.client.Get(ctx, key, &repo)); err != nil {
		return err
	}
	if config.Status.Phase != v1beta1.BackupInvokerReady || !api.IsTrue(config.Status.Conditions, api.StashSidecarInjected) {
		return fmt.Errorf("the BackupConfiguration is %q: %v", config.Status.Phase, config.Status.Conditions)
	}
	if !api.IsTrue(repo.Status.Conditions, api.BackendRepositoryInitialized) {
		return fmt.Errorf("the Repository is %q: %v", repo.Status.Phase, repo.Status.Conditions)
	}
	return nil
}

func (t *target) onNode(path ...string) string {
	return t.cluster.DiskPath(t.pod.Spec.NodeName, filepath.Join(path...))
}

func (t *target) findVolume(ctx context.Context) error {
	var pvc corev1.PersistentVolumeClaim
	var pv corev1.PersistentVolume
	if err := t.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: t.name}, &pvc); err != nil {
		return fmt.Errorf("find volume: %w", err)
	}
	if err := t.client.Get(ctx, client.ObjectKey{Name: pvc.Spec.VolumeName}, &pv); err != nil {
		return fmt.Errorf("find volume: %w", err)
	}
	switch {
	case pv.Spec.HostPath != nil:
		t.data = t.onNode(pv.Spec.HostPath.Path)
	case pv.Spec.Local != nil:
		t.data = t.onNode(pv.Spec.Local.Path)
	default:
		return fmt.Errorf("find volume: %s is neither local nor hostPath", pv.Name)
	}
	return nil
}

// copyKeys gives plain restic a repository with the same config and key as ours: the cost of opening
// one depends on parameters that restic chooses when it makes the key, by the machine's load then.
func (t *target) copyKeys() error {
	dir := t.cluster.Storage().BucketDir(bucket)
	from, to := filepath.Join(dir, t.prefix("stash")), filepath.Join(dir, t.prefix("plain"))
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("copy repository: %w", err)
	}
	config, err := os.ReadFile(filepath.Join(from, "config")) //nolint:gosec // in a bucket of our own
	if err != nil {
		return fmt.Errorf("copy repository: %w", err)
	}
	if err := os.CopyFS(filepath.Join(to, "keys"), os.DirFS(filepath.Join(from, "keys"))); err != nil {
		return fmt.Errorf("copy repository: %w", err)
	}
	if err := os.WriteFile(filepath.Join(to, "config"), config, 0o600); err != nil { //nolint:gosec // in a bucket of our own
		return fmt.Errorf("copy repository: %w", err)
	}
	return nil
}

// emptied makes both repositories and caches as they were before the first backup.
func (t *target) emptied() error {
	var errs []error
	for _, whose := range []string{"stash", "plain"} {
		for _, kind := range []string{"data", "index", "snapshots", "locks"} {
			errs = append(errs, t.cluster.Storage().DeleteObjects(bucket, t.prefix(whose)+kind+"/"))
		}
	}
	volumes := t.onNode("/var/lib/kubelet/pods", string(t.pod.UID), "volumes/kubernetes.io~empty-dir")
	for _, dir := range []string{filepath.Join(volumes, api.VolumeTmp, "sidecar/cache"), filepath.Join(volumes, "cache")} {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue // no backup was made yet
		}
		errs = append(errs, err)
		for _, e := range entries {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("empty repositories of %s: %w", t.name, err)
	}
	return nil
}
