// Package controller is where Stash writes to the cluster: one file a kind, each observe → decide →
// act → status. Decisions come from the pure packages (session, blueprint, mutators, scheduler);
// here they meet clients. Controllers run on the leader; what serves webhooks and agents from
// caches (Plans, Agents) runs on every replica.
package controller
