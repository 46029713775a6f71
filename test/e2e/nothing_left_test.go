package e2e_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestNothingIsLeft waits until the namespaces of all tests are gone: nothing of ours holds one up.
func TestNothingIsLeft(t *testing.T) {
	s := &site{T: t}
	s.eventually(long, "the namespaces of all tests are gone", func(ctx context.Context) error {
		all := &corev1.NamespaceList{}
		if err := suite.client.List(ctx, all); err != nil {
			return err
		}
		for i := range all.Items {
			if ns := &all.Items[i]; strings.HasPrefix(ns.Name, "e2e-") || ns.Name == "shop" {
				return notYet("%s is %s: %+v", ns.Name, ns.Status.Phase, ns.Status.Conditions)
			}
		}
		return nil
	})
}
