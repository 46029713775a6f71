package cluster

import (
	"fmt"
	"os"

	"github.com/seed-731df569/stash/test/cluster/internal/host"
	"github.com/seed-731df569/stash/test/cluster/internal/pki"
)

// Paths on a node, where a real one has them.
const (
	containerdSocket = "/run/containerd/containerd.sock"
	kubernetesDir    = "/etc/kubernetes"
	// markersDir remembers imported images; it goes when containerd's storage
	// does.
	markersDir = "/var/lib/containerd/imported"
	// VolumeDir is where dynamic volumes are on a node's disk.
	VolumeDir = "/opt/local-path-provisioner"
)

// nodeSpec describes node number i.
func (c *Cluster) nodeSpec(i int, p parts) (host.Spec, error) {
	name := nodeName(i)
	files, err := c.nodeFiles(i)
	if err != nil {
		return host.Spec{}, err
	}
	routes := map[string]string{}
	for k := 1; k <= c.Nodes; k++ {
		if k != i {
			routes[c.podRange(k)] = c.NodeIP(k)
		}
	}
	readyz, ca := c.Server()+"/readyz", kubernetesDir+"/ca.crt"
	return host.Spec{
		Name: name, Address: c.NodeIP(i) + "/24", MAC: c.mac(10 + i), Gateway: c.MachineIP(),
		Routes: routes, Forward: true,
		Disk: c.DiskPath(name, "/"), Files: files,
		Shared: []string{c.LogDir(), c.runDir(), c.loadedDir(), c.CacheDir},
		LogDir: c.LogDir(), Control: c.control(name),
		Processes: []host.Process{
			{Name: "containerd", Args: []string{"containerd"}},
			{Name: "images", Once: true, Args: []string{p.host, "import", containerdSocket, p.images, markersDir}},
			{Name: "kubelet", After: readyz, CAFile: ca, Args: []string{
				p.kubernetes, "kubelet",
				"--config=" + kubernetesDir + "/kubelet.yaml",
				"--kubeconfig=" + kubernetesDir + "/kubelet.kubeconfig",
				"--hostname-override=" + name,
				"--node-ip=" + c.NodeIP(i),
			}},
			{Name: "kube-proxy", Args: []string{p.kubernetes, "kube-proxy", "--config=" + kubernetesDir + "/kube-proxy.yaml"}},
			{Name: "loaded-images", Once: true, Args: []string{p.host, "import", containerdSocket, c.loadedDir(), markersDir}},
		},
	}, nil
}

// nodeFiles are the configuration files of node number i.
func (c *Cluster) nodeFiles(i int) (map[string]string, error) {
	name := nodeName(i)
	files := map[string]string{
		"/etc/hostname":                    name + "\n",
		"/etc/hosts":                       "127.0.0.1 localhost\n" + c.NodeIP(i) + " " + name + "\n",
		"/etc/machine-id":                  fmt.Sprintf("%032x\n", c.Net<<8|i),
		"/etc/containerd/config.toml":      containerdConfig,
		"/etc/cni/net.d/10-pods.conflist":  fmt.Sprintf(cniConfig, c.podRange(i)),
		kubernetesDir + "/kubelet.yaml":    fmt.Sprintf(kubeletConfig, c.group(name), c.dnsServiceIP(), kubernetesDir),
		kubernetesDir + "/kube-proxy.yaml": fmt.Sprintf(kubeProxyConfig, kubernetesDir, c.clusterRange(), name),
		// Nothing outside of the cluster is reachable, name servers included.
		"/etc/resolv.conf": "# no name server: cluster names only\n",
	}
	for path, source := range map[string]string{
		"ca.crt":                c.pki().Crt("ca"),
		"kubelet.crt":           c.pki().Crt(name),
		"kubelet.key":           c.pki().Key(name),
		"kubelet.kubeconfig":    c.path("pki", name+".kubeconfig"),
		"kube-proxy.kubeconfig": c.path("pki", "kube-proxy.kubeconfig"),
	} {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, fmt.Errorf("read credentials of node %s: %w", name, err)
		}
		files[kubernetesDir+"/"+path] = string(data)
	}
	return files, nil
}

// issueNode makes the credentials of node number i.
func (c *Cluster) issueNode(ca *pki.CA, i int) error {
	name := nodeName(i)
	if err := ca.Issue(name, pki.Subject{CommonName: "system:node:" + name, Organization: "system:nodes", Hosts: []string{name, c.NodeIP(i)}}); err != nil {
		return err
	}
	return c.pki().Kubeconfig(c.path("pki", name+".kubeconfig"), c.Name, c.Server(), "ca", name)
}

// restrict_oom_score_adj: machines that are containers themselves refuse
// negative scores, and no sandbox would start.
const containerdConfig = `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "` + pauseImage + `"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
`

// ipMasq is off, so that pods are seen with their own addresses everywhere on
// the cluster's network.
const cniConfig = `{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// failCgroupV1: both versions of cgroups are welcome. The eviction thresholds
// are low, since all nodes share the machine's memory and disk.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://` + containerdSocket + `
cgroupDriver: cgroupfs
cgroupRoot: /%[1]s
failCgroupV1: false
failSwapOn: false
clusterDNS: [%[2]s]
clusterDomain: cluster.local
resolvConf: /etc/resolv.conf
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[3]s/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: %[3]s/kubelet.crt
tlsPrivateKeyFile: %[3]s/kubelet.key
nodeStatusUpdateFrequency: 4s
evictionHard: {memory.available: 100Mi, nodefs.available: "1%%", imagefs.available: "1%%", nodefs.inodesFree: "1%%"}
imageGCHighThresholdPercent: 100
serializeImagePulls: false
eventRecordQPS: 0
`

const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: %s/kube-proxy.kubeconfig}
clusterCIDR: %s
mode: nftables
hostnameOverride: %s
conntrack: {maxPerCore: 0}
`
