package webhook

import (
	"context"
	"encoding/json"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/mutators"
)

// pod completes a pod with what its labels ask for. Without the restore it does not start; without
// the sidecar it does, since a controller mends that.
func (o *Options) pod(ctx context.Context, v *review, policy admissionregistrationv1.FailurePolicyType) answer {
	if v.group != "" || v.kind != "Pod" {
		return deny(WrongKind, "the hook is for pods, the request is for a %s", v.kind)
	}
	shape, ok := mutators.Read(v.object)
	ref := podRef(v, &shape)
	if !ok {
		return incomplete(policy == admissionregistrationv1.Fail, mutators.Malformed)
	}
	plans := make([]mutators.Plan, 0, 2)
	reason := Reason("")
	if ref.Stamp.Restore != "" {
		if isProbe(v.object) {
			return deny(UnknownRestore, "the pod asks for restore %q to find out whether it is looked at, and it is", ref.Stamp.Restore)
		}
		plan, state, err := o.Pods.RestorePlan(ctx, ref)
		if a, refused := refuseRestore(&ref, state, err); refused {
			return a
		}
		switch {
		case state == RestoreFinished:
			reason = FinishedRestore
		case plan.Empty():
			return incomplete(true, mutators.NoPlan)
		default:
			plans = append(plans, plan)
		}
	}
	if ref.Stamp.Inject != "" {
		plan, err := o.Pods.BackupPlan(ctx, ref)
		switch {
		case err != nil && len(plans) == 0:
			return allow(LookupFailed, "stash: the pod starts without its backup sidecar, and gets it later: "+err.Error())
		case err == nil:
			plans = append(plans, plan)
		}
	}
	patch, why := shape.Complete(plans...)
	if !why.Complete() && len(plans) == 2 {
		// The sidecar must not keep the restore from the pod.
		patch, why = shape.Complete(plans[0])
	}
	switch {
	case why.Complete():
		return answer{reason: Reason(why), patch: patch}
	case len(plans) > 0 && plans[0].Restores():
		return incomplete(true, why)
	case reason != "":
		return allow(reason)
	}
	return incomplete(false, why)
}

// incomplete answers for a pod that cannot be completed.
func incomplete(restore bool, why mutators.Reason) answer {
	if restore {
		return deny(Reason(why), "the pod would start before its data is restored: %s", explain(why))
	}
	return allow(Reason(why), "stash: the pod starts without its backup sidecar: "+explain(why))
}

// refuseRestore refuses a pod whose restore cannot be added.
func refuseRestore(ref *PodRef, state RestoreState, err error) (answer, bool) {
	switch {
	case err != nil:
		return unavailable(LookupFailed, "the pod waits for its restore, which could not be looked up: %v", err), true
	case state == RestoreUnknown:
		return deny(UnknownRestore, "the pod asks for restore %q, whose RestoreSession is not known here yet: its owner tries again", ref.Stamp.Restore), true
	case state == RestoreForeign:
		return deny(ForeignRestore, "the pod asks for restore %q, whose target is another workload: "+
			"remove the label stash.appscode.com/restore from the pod template", ref.Stamp.Restore), true
	}
	return answer{}, false
}

// restoringPod holds back pods of a workload under restore that would start without it.
func (o *Options) restoringPod(ctx context.Context, v *review) answer {
	if v.group != "" || v.kind != "Pod" {
		return deny(WrongKind, "the hook is for pods, the request is for a %s", v.kind)
	}
	shape, ok := mutators.Read(v.object)
	if !ok {
		return deny(Reason(mutators.Malformed), "the pod could not be read while its namespace is under restore")
	}
	if isProbe(v.object) {
		return deny(UnderRestore, ClosedMessage)
	}
	ref := podRef(v, &shape)
	name, hash, err := o.Pods.ActiveRestore(ctx, ref)
	switch {
	case err != nil:
		return unavailable(LookupFailed, "the namespace is under restore, and whether this pod is part of it could not be looked up: %v", err)
	case hash == "":
		return allow(NotUnderRestore)
	case hash == ref.Stamp.Restore && shape.Restores():
		return allow(Valid)
	case hash == ref.Stamp.Restore:
		// Nobody asked the webhook that adds it: its configuration is missing, or was a moment ago.
		return deny(UnderRestore, "the pod is to be restored by RestoreSession %q and would start without the init-container that does it; "+
			"its owner tries again", name)
	}
	return deny(UnderRestore, "RestoreSession %q restores the volumes of this pod's workload: the pod would write to them meanwhile; "+
		OldRevision, name)
}

// OldRevision ends the refusal of a pod of a revision that does not restore: that is no obstacle to those
// of the one that does.
const OldRevision = "pods of the stamped revision start once the data is back"

// ClosedMessage is the refusal of a probe: the controller learns from it that the hook is in force.
const ClosedMessage = "this namespace is closed to pods that are not restored"

// isProbe tells whether a pod was created to find out whether this hook is in force.
func isProbe(object []byte) bool {
	var pod struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	return json.Unmarshal(object, &pod) == nil && pod.Metadata.Labels[api.LabelProbe] != ""
}

func podRef(v *review, s *mutators.Shape) PodRef {
	return PodRef{Namespace: v.namespace, Name: v.name, Owner: s.Owner, Stamp: mutators.Stamp{Inject: s.Inject, Restore: s.Restore}}
}

func explain(why mutators.Reason) string {
	for _, r := range mutators.Reasons() {
		if r.Reason == why {
			return r.Text
		}
	}
	return string(why)
}
