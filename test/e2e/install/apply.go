package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// Options shape an installation.
type Options struct {
	// Image replaces the image that deploy/ names, where it is not empty.
	Image string
	// Args are further flags of the operator.
	Args []string
	// Build is an annotation of the operator's pods: they are replaced when it changes, although
	// the image's reference stays the same.
	Build string
}

// Apply installs deploy/ of the module in root with `kubectl apply -k`, through an overlay as a
// user writes one. It returns before the operator is ready; see Wait.
func Apply(ctx context.Context, k Kubectl, root string, o Options) (err error) {
	dir, err := os.MkdirTemp("", "stash-deploy-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	text, err := overlay(dir, root, o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		return fmt.Errorf("write overlay: %w", err)
	}
	_, err = k.Run(ctx, "", "apply", "--kustomize", dir)
	return err
}

// Remove removes what Apply installs, as a user does, and waits until it is gone.
func Remove(ctx context.Context, k Kubectl, root, limit string) error {
	_, err := k.Run(ctx, "", "delete", "deployment", "stash-operator", "--namespace=stash", "--cascade=foreground", "--timeout="+limit)
	if err != nil {
		return err
	}
	_, err = k.Run(ctx, "", "delete", "--ignore-not-found", "--kustomize", filepath.Join(root, "deploy"), "--timeout="+limit)
	return err
}

// Wait returns when all replicas of the operator are ready, none of an older revision is left, and
// the operator has made its webhook configurations.
func Wait(ctx context.Context, k Kubectl, limit string) error {
	_, err := k.Run(ctx, "", "rollout", "status", "--namespace=stash", "--timeout="+limit, "deployment/stash-operator")
	if err != nil {
		return err
	}
	_, err = k.Run(ctx, "", "wait", "--for=create", "--timeout="+limit, "mutatingwebhookconfiguration/stash", "validatingwebhookconfiguration/stash")
	return err
}

type object = map[string]any

// overlay renders a kustomization on top of deploy/.
func overlay(dir, root string, o Options) ([]byte, error) {
	// kustomize takes relative paths only, and dir may be reached by a link.
	here, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("find folder: %w", err)
	}
	base, err := filepath.Abs(filepath.Join(root, "deploy"))
	if err != nil {
		return nil, fmt.Errorf("find deploy: %w", err)
	}
	relative, err := filepath.Rel(here, base)
	if err != nil {
		return nil, fmt.Errorf("find deploy: %w", err)
	}
	kustomization := object{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
		"resources": []string{relative},
	}
	if o.Image != "" {
		name, tag := cutTag(o.Image)
		image := object{"name": "stash", "newName": name}
		if tag != "" {
			image["newTag"] = tag
		}
		kustomization["images"] = []object{image}
	}
	if ops := operations(o); len(ops) > 0 {
		patch, err := yaml.Marshal(ops)
		if err != nil {
			return nil, fmt.Errorf("encode patch: %w", err)
		}
		kustomization["patches"] = []object{{
			"target": object{"kind": "Deployment", "name": "stash-operator"}, "patch": string(patch),
		}}
	}
	text, err := yaml.Marshal(kustomization)
	if err != nil {
		return nil, fmt.Errorf("encode overlay: %w", err)
	}
	return text, nil
}

func operations(o Options) []object {
	var ops []object
	for _, arg := range o.Args {
		ops = append(ops, object{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": arg})
	}
	if o.Build != "" {
		ops = append(ops, object{"op": "add", "path": "/spec/template/metadata/annotations", "value": object{"build": o.Build}})
	}
	return ops
}

// cutTag splits an image's reference; a port of the registry is no tag.
func cutTag(image string) (name, tag string) {
	for i := len(image) - 1; i >= 0 && image[i] != '/'; i-- {
		if image[i] == ':' {
			return image[:i], image[i+1:]
		}
	}
	return image, ""
}
