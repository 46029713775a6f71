package e2e_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// claimDir returns where the machine sees the volume of a claim: on the disk of its node.
func (s *site) claimDir(claim string) string {
	s.Helper()
	var dir string
	s.eventually(soon, "volume of claim "+claim, func(ctx context.Context) error {
		pvc, pv := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
		if err := suite.client.Get(ctx, client.ObjectKey{Namespace: s.ns, Name: claim}, pvc); err != nil {
			return err
		}
		if err := suite.client.Get(ctx, client.ObjectKey{Name: pvc.Spec.VolumeName}, pv); err != nil {
			return err
		}
		node, err := nodeOf(pv)
		if err != nil {
			return err
		}
		switch {
		case pv.Spec.HostPath != nil:
			dir = suite.cluster.DiskPath(node, pv.Spec.HostPath.Path)
		case pv.Spec.Local != nil:
			dir = suite.cluster.DiskPath(node, pv.Spec.Local.Path)
		default:
			return final{fmt.Errorf("volume %s is neither local nor hostPath", pv.Name)}
		}
		return nil
	})
	return dir
}

func nodeOf(pv *corev1.PersistentVolume) (string, error) {
	if a := pv.Spec.NodeAffinity; a != nil && a.Required != nil {
		for _, term := range a.Required.NodeSelectorTerms {
			for _, e := range term.MatchExpressions {
				if e.Key == corev1.LabelHostname && len(e.Values) == 1 {
					return e.Values[0], nil
				}
			}
		}
	}
	return "", fmt.Errorf("volume %s names no node", pv.Name)
}

// planted fills a volume and returns what is in it now.
func (s *site) planted(dir string, seed uint64) tree {
	s.Helper()
	if err := plant(dir, seed); err != nil {
		s.Fatal(err)
	}
	return s.tree(dir)
}

func (s *site) tree(dir string) tree {
	s.Helper()
	t, err := readTree(dir)
	if err != nil {
		s.Fatal(err)
	}
	return t
}

// wiped destroys what lies in a volume.
func (s *site) wiped(dir string) {
	s.Helper()
	if err := empty(dir); err != nil {
		s.Fatal(err)
	}
}

// same fails the test unless a volume holds exactly what it held.
func (s *site) same(what string, want tree, dir string) {
	s.Helper()
	if d := want.diff(s.tree(dir)); d != "" {
		s.Errorf("%s differs (-wanted +found):\n%s", what, d)
	}
}
