// Package addons reads what an AppBinding says about its backup: which Tasks, with which params, and
// under which keys its Secret holds the credentials.
//
// It looks at nothing but the values it is given. Of Secrets it says names of keys, never what is under
// them.
package addons
