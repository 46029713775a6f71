package protection

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/seed-731df569/stash/api/v1beta1"
)

// MaxActing bounds the policies that act at admission: each has an entry of its own in the webhook
// configurations, which are one object of the API server's.
const MaxActing = 64

// Acting returns the policies that act when objects are written, the oldest first, and why each of the
// others that would act does not.
func Acting(policies []v1beta1.ProtectionPolicy) (acting []*Policy, left map[string]string) {
	sorted := slices.Clone(policies)
	slices.SortFunc(sorted, func(a, b v1beta1.ProtectionPolicy) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	left = map[string]string{}
	for i := range sorted {
		p := &sorted[i]
		if !Acts(&p.Spec) || p.DeletionTimestamp != nil {
			continue
		}
		read, err := New(p)
		switch {
		case err != nil:
			left[p.Name] = err.Error()
		case len(acting) == MaxActing:
			left[p.Name] = fmt.Sprintf("%d older policies act at admission, which is the most: delete one, or write action: Audit", MaxActing)
		default:
			acting = append(acting, read)
		}
	}
	return acting, left
}

// Acts tells whether a policy acts when objects are written.
func Acts(spec *v1beta1.ProtectionPolicySpec) bool {
	switch spec.Action {
	case v1beta1.ActionWarn, v1beta1.ActionDeny, v1beta1.ActionDefault:
		return true
	default:
		return false
	}
}

// ID is a policy's name where only letters and digits are possible.
func ID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:16]
}
