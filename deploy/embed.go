// Package deploy is what this build of Stash is installed with, as kubectl applies it: whoever looks
// at an installation compares it with this. It decides nothing.
package deploy

import "embed"

// Files are the definitions of our kinds, the operator's rights and the policies.
//
//go:embed crds/*.yaml rbac.yaml policies.yaml
var Files embed.FS
