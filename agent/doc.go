// Package agent is what runs in the pods: the sidecar that backs up, the init-container that
// restores, and the repository's worker. It keeps one stream to the broker, does the work that is
// sent down with restic, and repeats each result until the broker has stored it, across reconnects
// and restarts of its container. It decides nothing about who is backed up when, has no rights in
// Kubernetes and links nothing of it, since thousands of idle agents are memory that users pay for.
// A broker that is away disturbs no running restic. Agents never remove locks, initialise or forget;
// only a worker does, when told to.
package agent
