// Package broker serves agents: it proves who they are, tells them their work with the credentials
// for it, and takes their progress and results. It runs on every replica and decides nothing: what
// an agent is to do stands in the status of sessions and Repositories, where package controller
// puts it, and results go back there before they are acknowledged.
package broker
