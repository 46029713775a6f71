package webhook

import (
	"regexp"
	"strings"
	"unicode"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/seed-731df569/stash/validators"
)

const serviceAccountPrefix = "system:serviceaccount:"

// need says in words which right is missing and what for.
func (m *missingAccess) need() string {
	where := " in namespace " + m.Namespace
	if m.Namespace == "" {
		where = " in all namespaces"
	}
	text := m.Verb + " " + resource(m.Access)
	if m.Name != "" {
		text += "/" + m.Name
	}
	text += where + ", since " + m.Why
	if m.reason != "" {
		text += " (the authorizer says: " + strings.TrimSpace(line(m.reason)) + ")"
	}
	return text
}

// explain says where and what, and prints commands that check and grant it.
func (m *missingAccess) explain(user authenticationv1.UserInfo) string {
	var b strings.Builder
	b.WriteString(m.Field.String() + ": needs " + m.need() + "\n")
	b.WriteString("  check: " + canI(m.Access, user) + "\n")
	for i, command := range grant(m.Access, user) {
		b.WriteString([]string{"  grant: ", "         "}[min(i, 1)] + command + "\n")
	}
	return b.String()
}

// resource is the form that kubectl takes: pods, deployments.apps.
func resource(a validators.Access) string {
	if a.Group == "" {
		return a.Resource
	}
	return a.Resource + "." + a.Group
}

// canI is the command that checks a right.
func canI(a validators.Access, user authenticationv1.UserInfo) string {
	what := resource(a)
	if a.Name != "" {
		what += "/" + a.Name
	}
	args := []string{"kubectl", "auth", "can-i", a.Verb, what}
	if a.Subresource != "" {
		args = append(args, "--subresource="+a.Subresource)
	}
	if a.Namespace == "" {
		args = append(args, "--all-namespaces")
	} else {
		args = append(args, "-n", a.Namespace)
	}
	return command(append(args, "--as", user.Username))
}

// grant are the commands that give exactly one right to a user.
func grant(a validators.Access, user authenticationv1.UserInfo) []string {
	role, binding, where := "role", "rolebinding", []string{"-n", a.Namespace}
	if a.Namespace == "" {
		role, binding, where = "clusterrole", "clusterrolebinding", nil
	}
	what, name := resource(a), "stash-"+a.Verb+"-"+a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
		name += "-" + a.Subresource
	}
	if a.Name != "" {
		name += "-" + a.Name
	}
	name = objectName(name)
	rule := append([]string{"kubectl", "create", role, name}, where...)
	rule = append(rule, "--verb="+a.Verb, "--resource="+what)
	if a.Name != "" {
		rule = append(rule, "--resource-name="+a.Name)
	}
	bind := append([]string{"kubectl", "create", binding, objectName(name + "-" + user.Username)}, where...)
	bind = append(bind, "--"+role+"="+name, subject(user))
	return []string{command(rule), command(bind)}
}

// subject is the flag that names a user in a binding.
func subject(user authenticationv1.UserInfo) string {
	if account, ok := strings.CutPrefix(user.Username, serviceAccountPrefix); ok {
		return "--serviceaccount=" + account
	}
	return "--user=" + user.Username
}

// objectName makes a name of a text.
func objectName(text string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9.-]+`).ReplaceAllString(strings.ToLower(text), "-"), "-.")
}

// command joins arguments so that a shell takes them apart again, whatever a name holds.
func command(args []string) string {
	plain := regexp.MustCompile(`^[A-Za-z0-9_.,:/@=+-]+$`)
	out := make([]string, 0, len(args))
	for _, a := range args {
		a = line(a)
		if !plain.MatchString(a) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// line leaves out what would end a line or move the cursor.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) {
			return ' '
		}
		return r
	}, text)
}
