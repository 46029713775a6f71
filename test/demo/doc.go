// Command demo shows the main job of Stash, step by step, on a real cluster: an application owner
// annotates a Deployment, it is backed up on schedule, its data is destroyed, and a RestoreSession
// brings it back, byte for byte. It says at each step what to look at and leaves everything up.
//
//	demo up     its own cluster; or that of KUBECONFIG, with IMAGE, S3_ENDPOINT, S3_BUCKET,
//	            AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY given, after asking
//	demo down   removes what up made
package main
