package cluster

import (
	"path/filepath"

	"github.com/seed-731df569/stash/test/cluster/internal/host"
	"github.com/seed-731df569/stash/test/cluster/internal/pki"
)

func (c *Cluster) pki() pki.Folder { return pki.Folder{Dir: c.path("pki")} }

// issue makes all certificates and kubeconfigs of the cluster, unless they are
// there.
func (c *Cluster) issue() error {
	ca, err := c.pki().CA("ca")
	if err != nil {
		return err
	}
	if err := ca.Issue("apiserver", pki.Subject{CommonName: "kube-apiserver", Hosts: []string{
		"127.0.0.1", c.ControlPlaneIP(), c.apiServiceIP(), "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}}); err != nil {
		return err
	}
	if err := c.pki().KeyPair("service-accounts"); err != nil {
		return err
	}
	for name, subject := range map[string]pki.Subject{
		"admin":              {CommonName: "kubernetes-admin", Organization: "system:masters"},
		"kubelet-client":     {CommonName: "kube-apiserver-kubelet-client", Organization: "system:masters"},
		"controller-manager": {CommonName: "system:kube-controller-manager"},
		"scheduler":          {CommonName: "system:kube-scheduler"},
		"kube-proxy":         {CommonName: "system:kube-proxy"},
	} {
		if err := ca.Issue(name, subject); err != nil {
			return err
		}
		if err := c.pki().Kubeconfig(c.path("pki", name+".kubeconfig"), c.Name, c.Server(), "ca", name); err != nil {
			return err
		}
	}
	for i := 1; i <= c.Nodes; i++ {
		if err := c.issueNode(ca, i); err != nil {
			return err
		}
	}
	return c.pki().Kubeconfig(c.Kubeconfig(), c.Name, c.Server(), "ca", "admin")
}

// controlPlaneSpec describes the host of etcd, API server and controllers.
func (c *Cluster) controlPlaneSpec(p parts) host.Spec {
	readyz, ca := c.Server()+"/readyz", c.pki().Crt("ca")
	processes := []host.Process{
		// A power cut of ours loses no page of the file system's cache.
		{Name: "etcd", Args: []string{
			"etcd", "--data-dir=" + c.path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380",
		}},
		{Name: "kube-apiserver", Args: c.apiServerArgs(p)},
		{Name: "kube-controller-manager", After: readyz, CAFile: ca, Args: c.controllerManagerArgs(p)},
	}
	if c.Nodes > 0 || c.Scheduler {
		processes = append(processes, host.Process{Name: "kube-scheduler", Args: []string{
			p.kubernetes, "kube-scheduler", "--kubeconfig=" + c.path("pki", "scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0",
		}})
	}
	return host.Spec{
		Name: ControlPlane, Address: c.ControlPlaneIP() + "/24", MAC: c.mac(2), Gateway: c.MachineIP(),
		Routes: c.podRoutes(), LogDir: c.LogDir(), Control: c.control(ControlPlane), Processes: processes,
	}
}

// podRoutes lead to the pods of every node.
func (c *Cluster) podRoutes() map[string]string {
	routes := map[string]string{}
	for i := 1; i <= c.Nodes; i++ {
		routes[c.podRange(i)] = c.NodeIP(i)
	}
	return routes
}

func (c *Cluster) apiServerArgs(p parts) []string {
	f := c.pki()
	return append([]string{
		p.kubernetes, "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--secure-port=6443",
		"--advertise-address=" + c.ControlPlaneIP(),
		"--tls-cert-file=" + f.Crt("apiserver"),
		"--tls-private-key-file=" + f.Key("apiserver"),
		"--client-ca-file=" + f.Crt("ca"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + f.Pub("service-accounts"),
		"--service-account-signing-key-file=" + f.Key("service-accounts"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range=" + c.serviceRange(),
		"--allow-privileged",
		"--kubelet-certificate-authority=" + f.Crt("ca"),
		"--kubelet-client-certificate=" + f.Crt("kubelet-client"),
		"--kubelet-client-key=" + f.Key("kubelet-client"),
		"--kubelet-preferred-address-types=InternalIP",
		// Webhook calls go to endpoints: no kube-proxy runs on this host.
		"--enable-aggregator-routing=true",
	}, c.APIServerArgs...)
}

func (c *Cluster) controllerManagerArgs(p parts) []string {
	f := c.pki()
	return append([]string{
		p.kubernetes, "kube-controller-manager",
		"--kubeconfig=" + filepath.Join(f.Dir, "controller-manager.kubeconfig"),
		"--secure-port=0",
		"--leader-elect=false",
		"--allocate-node-cidrs=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file=" + f.Key("service-accounts"),
		"--root-ca-file=" + f.Crt("ca"),
		"--cluster-signing-cert-file=" + f.Crt("ca"),
		"--cluster-signing-key-file=" + f.Key("ca"),
		// A node without power is NotReady after 20 s instead of 50.
		"--node-monitor-grace-period=20s",
	}, c.ControllerManagerArgs...)
}
