package controller

import (
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// parseKey splits <namespace>/<name>.
func parseKey(s string) (client.ObjectKey, error) {
	ns, name, ok := strings.Cut(s, "/")
	if !ok {
		return client.ObjectKey{}, fmt.Errorf("parse key %q: expected namespace/name", s)
	}
	return client.ObjectKey{Namespace: ns, Name: name}, nil
}
