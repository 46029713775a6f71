package cluster

import (
	"context"
	"fmt"
)

// WaitAPI returns when the API server is ready.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	return c.until(ctx, apiLimit, "the API server", c.logFile(ControlPlane, "kube-apiserver"), func(ctx context.Context) (bool, error) {
		err := c.get(ctx, "/readyz", nil)
		return err == nil, err
	})
}

// WaitNode returns when a node is as asked, ready or not, in the eyes of the
// API server. A node without power stays ready for about 20 seconds.
func (c *Cluster) WaitNode(ctx context.Context, name string, ready bool) error {
	what := fmt.Sprintf("node %s to be ready=%t", name, ready)
	return c.until(ctx, nodeLimit, what, c.logFile(name, "kubelet"), func(ctx context.Context) (bool, error) {
		now, err := c.NodeReady(ctx, name)
		return err == nil && now == ready, err
	})
}

// WaitReady returns when all of the cluster works: API server, nodes, DNS,
// dynamic volumes, S3 server.
func (c *Cluster) WaitReady(ctx context.Context) error {
	if err := c.WaitAPI(ctx); err != nil {
		return err
	}
	if c.Storage().exists() {
		if err := c.Storage().WaitReady(ctx); err != nil {
			return err
		}
	}
	for i := 1; i <= c.Nodes; i++ {
		if err := c.WaitNode(ctx, nodeName(i), true); err != nil {
			return err
		}
	}
	if c.Nodes == 0 {
		return c.waitNamespace(ctx)
	}
	for _, addon := range addons() {
		what := "Deployment " + addon.namespace + "/" + addon.name
		err := c.until(ctx, addonLimit, what, c.logFile(nodeName(1), "kubelet"), func(ctx context.Context) (bool, error) {
			return c.deploymentReady(ctx, addon.namespace, addon.name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waitNamespace returns when the controllers have made the default service
// account: before that, no pod can be created.
func (c *Cluster) waitNamespace(ctx context.Context) error {
	return c.until(ctx, apiLimit, "the default service account", c.logFile(ControlPlane, "kube-controller-manager"), func(ctx context.Context) (bool, error) {
		err := c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		return err == nil, err
	})
}

func (s *Storage) exists() bool { return s.c.Config.Storage }
