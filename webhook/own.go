package webhook

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/blueprint"
	"github.com/seed-731df569/stash/validators"
)

// Own answers for the hooks of our own kinds.
type Own interface {
	// Facts gathers what validators look at beside the object, by its type. What is not known is left
	// out; an error refuses the request for now.
	Facts(ctx context.Context, object runtime.Object) (validators.Facts, error)
	// PairFacts gathers them for what an annotation expands into, of which nothing may be stored yet;
	// others are the pairs that the same annotation gives beside it.
	PairFacts(ctx context.Context, p blueprint.Pair, others []blueprint.Pair) (validators.Facts, error)
	// Users returns the names (<kind> <namespace>/<name>) of what uses a Repository that is being
	// deleted.
	Users(ctx context.Context, repository *v1alpha1.Repository) ([]string, error)
}

// ownKind is one of our own kinds: its object, and its validator.
type ownKind struct {
	kind     string
	object   func() runtime.Object
	check    func(object, old runtime.Object, f validators.Facts) validators.Result
	sameSpec func(object, old runtime.Object) bool
}

// ownKinds lists them. Both versions of a Repository have one schema and one type.
func ownKinds() []ownKind {
	return []ownKind{
		kindOf("Repository", validators.Repository, func(r *v1alpha1.Repository) any { return r.Spec }),
		kindOf(v1beta1.KindBackupConfiguration, validators.BackupConfiguration, func(c *v1beta1.BackupConfiguration) any { return c.Spec }),
		kindOf(v1beta1.KindBackupSession, validators.BackupSession, func(bs *v1beta1.BackupSession) any { return bs.Spec }),
		kindOf(v1beta1.KindRestoreSession, validators.RestoreSession, func(rs *v1beta1.RestoreSession) any { return rs.Spec }),
		kindOf(v1beta1.KindBackupBlueprint, validators.BackupBlueprint, func(b *v1beta1.BackupBlueprint) any { return b.Spec }),
		kindOf(v1beta1.KindBackupTemplate, validators.BackupTemplate, func(t *v1beta1.BackupTemplate) any { return t.Spec }),
		kindOf(v1beta1.KindProtectionPolicy, validators.ProtectionPolicy, func(p *v1beta1.ProtectionPolicy) any { return p.Spec }),
		kindOf(v1beta1.KindFunction, validators.Function, func(f *v1beta1.Function) any { return f.Spec }),
		kindOf(v1beta1.KindTask, validators.Task, func(t *v1beta1.Task) any { return t.Spec }),
	}
}

// object is what pointers to our kinds have in common.
type object[T any] interface {
	*T
	runtime.Object
}

func kindOf[T any, P object[T]](kind string, check func(object, old P, f validators.Facts) validators.Result, spec func(P) any) ownKind {
	return ownKind{
		kind:   kind,
		object: func() runtime.Object { return P(new(T)) },
		check: func(object, old runtime.Object, f validators.Facts) validators.Result {
			now, isNow := object.(P)
			before, isBefore := old.(P)
			if !isNow || old != nil && !isBefore {
				return validators.Result{Errors: field.ErrorList{field.TypeInvalid(nil, kind, "the object is of another kind")}}
			}
			return check(now, before, f)
		},
		sameSpec: func(object, old runtime.Object) bool {
			now, isNow := object.(P)
			before, isBefore := old.(P)
			return isNow && isBefore && equality.Semantic.DeepEqual(spec(now), spec(before))
		},
	}
}

// own validates an object of ours.
func (o *Options) own(ctx context.Context, v *review, kind string) answer {
	k, ok := findOwn(v)
	if !ok || k.kind != kind {
		return deny(WrongKind, "the hook is for a %s of %s, the request is for a %s of group %q", kind, api.Group, v.kind, v.group)
	}
	if v.operation == "DELETE" {
		return o.deletion(ctx, v, k)
	}
	obj := k.object()
	var old runtime.Object
	if v.oldObject != nil {
		old = k.object()
	}
	if err := v.decode(obj, old); err != nil {
		return deny(WrongKind, "%v", err)
	}
	m, ok := obj.(metav1.Object)
	if v.object == nil || !ok {
		return deny(WrongKind, "the request has no object")
	}
	if errs := validators.ByOperator(obj, old); len(errs) > 0 {
		return invalid(v, errs, nil) // its own requests do not come here
	}
	if old != nil && k.sameSpec(obj, old) && !validators.SaysMore(obj, old) {
		return allow(Valid) // metadata asks for nothing, and finalizers must come off whatever else is wrong
	}
	if m.GetNamespace() == "" {
		m.SetNamespace(v.namespace)
	}
	if refusal, ok := o.authorize(ctx, v, obj, old); !ok {
		return refusal
	}
	facts, err := o.Own.Facts(ctx, obj)
	if err != nil {
		return unavailable(LookupFailed, "what the %s depends on could not be looked up: %v", v.kind, err)
	}
	switch r := k.check(obj, old, facts); {
	case len(r.Errors) > 0:
		return invalid(v, r.Errors, r.Warnings)
	default:
		return allow(Valid, r.Warnings...)
	}
}

// deletion warns who uses a Repository that goes, and refuses where its data would go with it. What goes
// with its namespace is not asked about.
func (o *Options) deletion(ctx context.Context, v *review, k ownKind) answer {
	old := k.object()
	if err := v.decode(nil, old); err != nil {
		return deny(WrongKind, "%v", err)
	}
	repository, ok := old.(*v1alpha1.Repository)
	if !ok || v.oldObject == nil {
		return allow(Valid)
	}
	users, err := o.Own.Users(ctx, repository)
	switch {
	case err != nil && repository.Spec.WipeOut:
		return unavailable(LookupFailed, "whether the Repository is in use could not be looked up: %v", err)
	case len(users) == 0:
		return allow(Valid)
	case !repository.Spec.WipeOut:
		return allow(Warned, "the Repository is in use by "+list(users)+": they fail until there is a Repository of this name again; the data in the backend stays")
	}
	a := deny(Invalid, "the Repository is in use by %s, and wipeOut would delete its data: delete them first, or set spec.wipeOut to false", list(users))
	a.status.Code, a.status.Reason = http.StatusConflict, metav1.StatusReasonConflict
	return a
}

func findOwn(v *review) (ownKind, bool) {
	for _, k := range ownKinds() {
		if v.group == api.Group && k.kind == v.kind {
			return k, true
		}
	}
	return ownKind{}, false
}
