package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/deploy"
)

type (
	policy  = admissionregistrationv1.ValidatingAdmissionPolicy
	binding = admissionregistrationv1.ValidatingAdmissionPolicyBinding
)

const applyPolicies = "apply deploy/policies.yaml of this version (kubectl apply -k does it with the rest)"

func (d *Doctor) policies(ctx context.Context, _ *site) []Finding {
	policies, bindings, err := wantedPolicies()
	if err != nil {
		return unread("the policies of this build", err)
	}
	var out []Finding
	for _, want := range policies {
		have := &policy{}
		found, err := d.find(ctx, want.Name, have)
		if err != nil {
			return unread("policy "+want.Name, err)
		}
		out = append(out, judgePolicy(want, have, found)...)
	}
	for _, want := range bindings {
		have := &binding{}
		found, err := d.find(ctx, want.Name, have)
		if err != nil {
			return unread("the binding of policy "+want.Name, err)
		}
		out = append(out, judgeBinding(want, have, found)...)
	}
	if len(out) == 0 {
		out = append(out, fine("%d policies of the API server are in force as this build has them", len(policies)))
	}
	return out
}

// find reads an object of the cluster and tells whether there is one.
func (d *Doctor) find(ctx context.Context, name string, into client.Object) (bool, error) {
	err := d.client.Get(ctx, client.ObjectKey{Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err //nolint:wrapcheck // the caller says what it looked for
}

// wantedPolicies are those of this build, as the API server stores them.
func wantedPolicies() (policies []*policy, bindings []*binding, err error) {
	err = documents("policies.yaml", func(kind string, text []byte) error {
		switch kind {
		case "ValidatingAdmissionPolicy":
			p := &policy{}
			policies = append(policies, p)
			if err := yaml.Unmarshal(text, p); err != nil {
				return err //nolint:wrapcheck // documents says which
			}
			defaults(&p.Spec)
		case "ValidatingAdmissionPolicyBinding":
			b := &binding{}
			bindings = append(bindings, b)
			return yaml.Unmarshal(text, b) //nolint:wrapcheck // as above
		}
		return nil
	})
	return policies, bindings, err
}

// documents calls each for every object of a file of deploy.
func documents(name string, each func(kind string, text []byte) error) error {
	data, err := deploy.Files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read deploy/%s: %w", name, err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var of metav1.TypeMeta
		if err == nil {
			err = yaml.Unmarshal(text, &of)
		}
		if err == nil {
			err = each(of.Kind, text)
		}
		if err != nil {
			return fmt.Errorf("decode deploy/%s: %w", name, err)
		}
	}
}

// defaults fills in what the API server does.
func defaults(s *admissionregistrationv1.ValidatingAdmissionPolicySpec) {
	if s.FailurePolicy == nil {
		s.FailurePolicy = new(admissionregistrationv1.Fail)
	}
	m := s.MatchConstraints
	if m == nil {
		return
	}
	if m.MatchPolicy == nil {
		m.MatchPolicy = new(admissionregistrationv1.Equivalent)
	}
	if m.NamespaceSelector == nil {
		m.NamespaceSelector = &metav1.LabelSelector{}
	}
	if m.ObjectSelector == nil {
		m.ObjectSelector = &metav1.LabelSelector{}
	}
	for i := range m.ResourceRules {
		if m.ResourceRules[i].Scope == nil {
			m.ResourceRules[i].Scope = new(admissionregistrationv1.AllScopes)
		}
	}
}

func judgePolicy(want, have *policy, found bool) []Finding {
	switch {
	case !found:
		return []Finding{fail(applyPolicies, "policy %s is missing: what it refuses is allowed", want.Name)}
	case !equality.Semantic.DeepEqual(want.Spec, have.Spec):
		return []Finding{fail(applyPolicies, "policy %s is not as this build has it", want.Name)}
	}
	return nil
}

func judgeBinding(want, have *binding, found bool) []Finding {
	switch {
	case !found:
		return []Finding{fail(applyPolicies, "policy %s is not bound: what it refuses is allowed", want.Name)}
	case !equality.Semantic.DeepEqual(want.Spec, have.Spec):
		return []Finding{fail(applyPolicies, "the binding of policy %s is not as this build has it", want.Name)}
	}
	return nil
}
