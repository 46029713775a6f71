package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// stats is where a session keeps the result of its host.
const stats = ".status.targets[0].stats[0]."

// backup waits for the first scheduled session and shows its progress.
func (d *demo) backup(ctx context.Context) error {
	step("A scheduled backup, with live progress", "The schedule is every 30 seconds from the creation on.")
	out := &live{}
	start := time.Now()
	var phase string
	err := wait(ctx, 3*time.Minute, "a scheduled backup", func() (bool, error) {
		line, err := d.kubectl.Run(ctx, "", "get", "backupsessions", "-n", namespace, "--sort-by=.metadata.creationTimestamp", "-o",
			`jsonpath={.items[0].metadata.name}|{.items[0].status.phase}|{.items[0].status.progress}|{.items[0].status.sessionDuration}|{.items[0].status.targets[0].stats[0].snapshots[0].id}|{.items[0].status.reason}`)
		f := strings.Split(line, "|")
		if err != nil || len(f) != 6 {
			out.print(fmt.Sprintf("waiting for the schedule: %2.0f s", time.Since(start).Truncate(tick()).Seconds()))
			return false, nil //nolint:nilerr // there is no session yet
		}
		d.session, phase, d.snapshot = f[0], f[1], f[4]
		out.print(fmt.Sprintf("%s  %-9s  %s%s %s", f[0], f[1], f[2], f[3], f[5]))
		return phase == "Succeeded" || phase == "Failed" || phase == "Skipped", nil
	})
	out.end()
	d.timer.add("first scheduled backup (30 s of it waiting for the slot)", time.Since(start))
	if err != nil {
		return err
	}
	if phase != "Succeeded" {
		return fmt.Errorf("the backup ended as %s", phase)
	}
	return errors.Join(d.kube(ctx, "get", "backupsession", d.session, "-n", namespace, "-o",
		"custom-columns=HOST:"+stats+"hostname,SNAPSHOT:"+stats+"snapshots[0].name,FILES:"+stats+"snapshots[0].fileStats.totalFiles,SIZE:"+stats+"snapshots[0].totalSize,UPLOADED:"+stats+"snapshots[0].uploaded"),
		d.kube(ctx, "get", "repo,bc,backupsessions", "-n", namespace))
}

// sums is a checksum over content, owner, mode, time and links of every file.
const sums = `cd ` + data + ` && find . -print0 | LC_ALL=C sort -z | xargs -0 stat -c '%n %u:%g %a %Y %N' | sha256sum | cut -c1-16 && ` +
	`find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16 && find . -type f | wc -l`

// checksum returns "metadata content files" of the application's data.
func (d *demo) checksum(ctx context.Context) (string, error) {
	out, err := d.kubectl.Run(ctx, "", "exec", "-n", namespace, app, "-c", "shop", "--", "sh", "-c", sums)
	return strings.Join(strings.Fields(out), " "), err //nolint:wrapcheck // it names the call
}

func (d *demo) disaster(ctx context.Context) error {
	step("The data is destroyed", "Checksums (owners, modes, times and links; content; number of files) before:")
	var err error
	if d.before, err = d.checksum(ctx); err != nil {
		return err
	}
	fmt.Println("\n   " + d.before)
	return errors.Join(
		d.kube(ctx, "exec", "-n", namespace, app, "-c", "shop", "--", "sh", "-c", "rm -rf "+data+"/* && echo ransom > "+data+"/README && ls "+data),
		// An emptied volume would be backed up next; the good snapshot would still be kept.
		d.kube(ctx, "patch", "backupconfiguration", "deploy-shop", "-n", namespace, "--type=merge", "-p", `{"spec":{"paused":true}}`),
	)
}

func (d *demo) restore(ctx context.Context) error {
	step("A RestoreSession brings it back",
		"Snapshots are pinned, the namespace is closed to pods that would start without their data, the old pod goes,",
		"and the new one's init-container restores before anything else of it runs.")
	if err := d.apply(ctx, "3-restore.yaml"); err != nil {
		return err
	}
	out := &live{}
	var phase, reason string
	err := d.timer.time("restore, with the restart of the application", func() error {
		defer out.end()
		err := wait(ctx, 3*time.Minute, "the restore", func() (bool, error) {
			line, err := d.kubectl.Run(ctx, "", "get", "restoresession", "shop-back", "-n", namespace, "-o", `jsonpath={.status.phase}|{.status.progress}|{.status.reason}`)
			f := strings.Split(line, "|")
			if err != nil || len(f) != 3 {
				return false, err //nolint:wrapcheck // it names the call
			}
			phase, reason = f[0], f[2]
			out.print(fmt.Sprintf("%-9s %s %s", f[0], f[1], f[2]))
			return phase == "Succeeded" || phase == "Failed" || phase == "Invalid", nil
		})
		if err != nil {
			return err
		}
		_, err = d.kubectl.Run(ctx, "", "rollout", "status", "-n", namespace, "--timeout=120s", app)
		return err //nolint:wrapcheck // it names the call
	})
	if err != nil {
		return err
	}
	if phase != "Succeeded" {
		return fmt.Errorf("the restore ended as %s: %s", phase, reason)
	}
	return d.kube(ctx, "get", "restoresessions,pods", "-n", namespace)
}

func (d *demo) compare(ctx context.Context) error {
	step("Every byte is back")
	after, err := d.checksum(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\n   before  %s\n   after   %s\n", d.before, after)
	if after != d.before {
		return errors.New("the data differs from what was backed up")
	}
	return nil
}
