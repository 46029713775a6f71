package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

// nodesEvery is how often kubelets' versions are looked at.
const nodesEvery = 30 * time.Second

// WatchNodes keeps Native up to date, on every replica: sidecars are native ones only while every
// kubelet knows them.
func (w *World) WatchNodes(ctx context.Context) error {
	if w.ClassicSidecars {
		return nil
	}
	for {
		nodes := &corev1.NodeList{}
		if err := w.List(ctx, nodes); err != nil {
			w.Log.Warn("nodes could not be listed", "err", err)
		} else {
			w.Native.Store(allNative(nodes.Items))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(nodesEvery):
		}
	}
}

// allNative tells whether every kubelet is 1.29 or newer: there restartPolicy Always of an
// init-container is on by default.
func allNative(nodes []corev1.Node) bool {
	for i := range nodes {
		v, err := version.ParseGeneric(nodes[i].Status.NodeInfo.KubeletVersion)
		if err != nil || v.LessThan(version.MajorMinor(1, 29)) {
			return false
		}
	}
	return len(nodes) > 0
}
