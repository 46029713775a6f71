// Package install builds the image of Stash from deploy/Dockerfile and installs deploy/ as a user
// does, with kubectl. The e2e tests and the demo install with it. It decides nothing and knows
// nothing of what is done with an installation.
package install
