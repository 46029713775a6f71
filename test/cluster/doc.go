// Package cluster runs real Kubernetes clusters on one Debian machine, for the
// tests and the demo: etcd, API server, controller manager and scheduler, and
// nodes with containerd, runc, kubelet and kube-proxy each; beside them an S3
// server. It needs root and Go, and neither a container engine nor a registry.
//
// The control plane ("cp"), every node ("n1", "n2", …) and the S3 server
// ("s3") are hosts: process trees in name spaces of their own on a bridge that
// belongs to the cluster (see internal/host). PowerOff and PowerOn cut and
// return a host's power; its disk is a folder and stays.
//
// Cache builds and keeps what all clusters share: programs, by version and
// content, and images. Cluster brings one cluster up and down. Neither imports
// anything of the product, and nothing outside the cache folder, the state
// folder and the cluster's own bridge and cgroups is touched.
package cluster
