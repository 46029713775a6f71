package broker

import (
	"fmt"
	"strings"
)

// namespaceOf returns the namespace in a ServiceAccount's user name,
// system:serviceaccount:<namespace>:<name>.
func namespaceOf(username string) (string, error) {
	parts := strings.Split(username, ":")
	if len(parts) != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || parts[2] == "" {
		return "", fmt.Errorf("%w: the token is not a ServiceAccount's", ErrDenied)
	}
	return parts[2], nil
}
