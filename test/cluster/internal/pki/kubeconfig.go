package pki

import (
	"encoding/base64"
	"fmt"
	"os"
)

// Kubeconfig writes a kubeconfig for a certificate of the folder. It contains
// all that it needs, so that it can be copied.
func (f Folder) Kubeconfig(path, cluster, server, ca, user string) error {
	var encoded [3]string
	for i, file := range []string{f.Crt(ca), f.Crt(user), f.Key(user)} {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read credentials of %s: %w", user, err)
		}
		encoded[i] = base64.StdEncoding.EncodeToString(data)
	}
	content := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[4]s}
current-context: %[1]s
`, cluster, server, encoded[0], user, encoded[1], encoded[2])
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return os.Rename(path+".new", path)
}
