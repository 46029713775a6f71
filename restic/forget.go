package restic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ForgetPolicy says which snapshots of a group are kept; what no rule keeps is removed. A number
// of 0 is no rule, -1 keeps all of its period.
type ForgetPolicy struct {
	Last    int64 `json:"last,omitempty"`
	Hourly  int64 `json:"hourly,omitempty"`
	Daily   int64 `json:"daily,omitempty"`
	Weekly  int64 `json:"weekly,omitempty"`
	Monthly int64 `json:"monthly,omitempty"`
	Yearly  int64 `json:"yearly,omitempty"`
	// Tags keep every snapshot that carries one of them.
	Tags []string `json:"tags,omitempty"`
}

// IsEmpty tells whether the policy has no rule. restic refuses such a policy; we forget nothing.
func (p ForgetPolicy) IsEmpty() bool {
	return p.Last == 0 && p.Hourly == 0 && p.Daily == 0 && p.Weekly == 0 && p.Monthly == 0 &&
		p.Yearly == 0 && len(p.Tags) == 0
}

func (p ForgetPolicy) args() []string {
	var args []string
	for _, rule := range []struct {
		flag  string
		count int64
	}{
		{"--keep-last=", p.Last},
		{"--keep-hourly=", p.Hourly},
		{"--keep-daily=", p.Daily},
		{"--keep-weekly=", p.Weekly},
		{"--keep-monthly=", p.Monthly},
		{"--keep-yearly=", p.Yearly},
	} {
		if rule.count != 0 {
			args = append(args, rule.flag+strconv.FormatInt(rule.count, 10))
		}
	}
	return appendFlag(args, "--keep-tag", p.Tags...)
}

// ForgetPlan asks what a policy would remove; nothing is removed.
type ForgetPlan struct {
	// Host and Path narrow to one group; an empty Path stands for all paths of the host.
	Host   string
	Path   string
	Policy ForgetPolicy
}

// Args returns the arguments.
func (o ForgetPlan) Args() []string {
	args := []string{"forget", "--json", "--dry-run", "--no-lock", "--group-by=host,paths", "--host=" + o.Host}
	args = appendFlag(args, "--path", o.Path)
	return append(args, o.Policy.args()...)
}

// ForgetGroup is the answer for the snapshots of one host and one set of paths.
type ForgetGroup struct {
	Host   string     `json:"host"`
	Paths  []string   `json:"paths"`
	Tags   []string   `json:"tags"`
	Keep   []Snapshot `json:"keep"`
	Remove []Snapshot `json:"remove"`
}

// ReadForgetPlan decodes the output of ForgetPlan. No output, which is what restic writes where no
// snapshot matches, is no group.
func ReadForgetPlan(r io.Reader) ([]ForgetGroup, error) {
	var groups []ForgetGroup
	if err := json.NewDecoder(r).Decode(&groups); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("decode forget: %w", err)
	}
	return groups, nil
}

// Forget removes the snapshots of the IDs and nothing else. Data stays until a prune.
type Forget struct {
	IDs []string
}

// Args returns the arguments.
func (o Forget) Args() []string {
	return append([]string{"forget", "--json", "--"}, o.IDs...)
}
