package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/seed-731df569/stash/deploy"
)

const applyKinds = "apply deploy/crds of this version (kubectl apply -k does it with the rest)"

func (d *Doctor) kinds(ctx context.Context, _ *site) []Finding {
	wanted, err := definitions()
	if err != nil {
		return unread("the definitions of this build", err)
	}
	var out []Finding
	for _, want := range wanted {
		have := &apiextensionsv1.CustomResourceDefinition{}
		err := d.client.Get(ctx, client.ObjectKeyFromObject(want), have)
		switch {
		case apierrors.IsNotFound(err):
			have = nil
		case err != nil:
			return unread("definition "+want.Name, err)
		}
		out = append(out, judgeKind(want, have)...)
	}
	if len(out) == 0 {
		out = append(out, fine("%d definitions are those of this build", len(wanted)))
	}
	return out
}

// definitions are those of this build.
func definitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	names, err := fs.Glob(deploy.Files, "crds/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("find definitions: %w", err)
	}
	out := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(names))
	for _, name := range names {
		text, err := deploy.Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read definition: %w", err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(text, crd); err != nil {
			return nil, fmt.Errorf("decode definition %s: %w", name, err)
		}
		out = append(out, crd)
	}
	return out, nil
}

// judgeKind compares a definition with that of this build; have is nil where there is none.
func judgeKind(want, have *apiextensionsv1.CustomResourceDefinition) []Finding {
	if have == nil {
		return []Finding{fail(applyKinds, "definition %s is missing", want.Name)}
	}
	var out []Finding
	for _, c := range have.Status.Conditions {
		if (c.Type == apiextensionsv1.Established || c.Type == apiextensionsv1.NamesAccepted) && c.Status != apiextensionsv1.ConditionTrue {
			out = append(out, fail("remove the definition that has the same names; "+applyKinds, "definition %s is not served: %s is %s: %s", want.Name, c.Type, c.Status, c.Message))
		}
	}
	wanted, served := versions(want), versions(have)
	if !slices.Equal(wanted, served) {
		out = append(out, fail(applyKinds, "definition %s has the versions %s, this build needs %s", want.Name, strings.Join(served, ", "), strings.Join(wanted, ", ")))
	} else if !sameSchemas(want, have) {
		out = append(out, fail(applyKinds+"; if it is newer than this build, upgrade the operator", "definition %s has another schema than this build's: fields may be lost, or not checked", want.Name))
	}
	for _, v := range have.Status.StoredVersions {
		if !slices.ContainsFunc(want.Spec.Versions, func(w apiextensionsv1.CustomResourceDefinitionVersion) bool { return w.Name == v }) {
			out = append(out, fail("have a version of Stash that knows it write all objects again, before its version goes",
				"definition %s has objects stored as %s, which this build does not know", want.Name, v))
		}
	}
	return out
}

// versions are the names of the versions, with what is said of them.
func versions(crd *apiextensionsv1.CustomResourceDefinition) []string {
	out := make([]string, 0, len(crd.Spec.Versions))
	for _, v := range crd.Spec.Versions {
		text := v.Name
		if !v.Served {
			text += " (not served)"
		}
		if v.Storage {
			text += " (stored)"
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// sameSchemas compares schemas and sub-resources of all versions, which are those of want.
func sameSchemas(want, have *apiextensionsv1.CustomResourceDefinition) bool {
	plain := func(crd *apiextensionsv1.CustomResourceDefinition) map[string]any {
		out := map[string]any{}
		for _, v := range crd.Spec.Versions {
			// What stands in a schema as raw JSON has no fixed order of its keys.
			text, err := json.Marshal([]any{v.Schema, v.Subresources})
			var decoded any
			if err == nil {
				err = json.Unmarshal(text, &decoded)
			}
			if err != nil {
				decoded = err
			}
			out[v.Name] = decoded
		}
		return out
	}
	return equality.Semantic.DeepEqual(plain(want), plain(have))
}
