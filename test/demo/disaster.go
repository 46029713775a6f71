package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/session"
)

// stepLimit bounds what a step waits for.
const stepLimit = 3 * time.Minute

// digest is what a volume holds, in a form that a person can compare.
type digest struct{ files, contents, owners string }

const digestScript = `cd /data
echo $(find . -type f | wc -l)
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-40
find . -print0 | LC_ALL=C sort -z | xargs -0 stat -c '%n %f %u:%g %h %Y' | sha256sum | cut -c1-40`

// measure computes the digest in the application's own container.
func (d *demo) measure(ctx context.Context) (digest, error) {
	out, err := d.kubectl().Run(ctx, "", "exec", "-n", namespace, "deploy/shop", "-c", "shop", "--", "sh", "-c", digestScript)
	if err != nil {
		return digest{}, err
	}
	f := strings.Fields(out)
	if len(f) != 3 {
		return digest{}, fmt.Errorf("measure the volume: unexpected answer %q", out)
	}
	d.say("Measured in the application's container: the number of files, one sum over all contents, and one over")
	d.say("all modes, owners, links and times.")
	d.result(fmt.Sprintf("files     %s\ncontents  %s\nmetadata  %s", f[0], f[1], f[2]))
	return digest{f[0], f[1], f[2]}, nil
}

func (d *demo) backup(ctx context.Context) error {
	if err := d.pace(watched); err != nil {
		return err
	}
	defer func() { _ = d.pace(0) }()
	d.say("The blueprint says @every 20s. The storage is slowed down a little, so that there is something to see.\n")
	d.command("kubectl get backupsessions -n " + namespace + " --watch")
	var name string
	err := d.watch(ctx, func(ctx context.Context) (bool, error) {
		var all v1beta1.BackupSessionList
		if err := d.get(ctx, &all, "backupsessions"); err != nil {
			return false, err
		}
		if len(all.Items) == 0 {
			d.progress("waiting for the schedule")
			return false, nil
		}
		bs := &all.Items[0]
		name = bs.Name
		d.progress(backupLine(bs))
		if bs.Status.Phase == v1beta1.BackupSessionFailed {
			return false, errors.New(bs.Status.Reason)
		}
		return session.Finished(bs.Status.Phase), nil
	})
	if err != nil {
		return err
	}
	d.say("")
	if err := d.run(ctx, "get", "backupsession", name, "-n", namespace, "-o",
		`jsonpath={range .status.targets[0].stats[*]}{.hostname}: {.phase}, {.snapshots[0].totalSize} in {.snapshots[0].fileStats.totalFiles} files, {.snapshots[0].uploaded} uploaded, snapshot {.snapshots[0].name}{"\n"}{end}`); err != nil {
		return err
	}
	d.say("The schedule is paused now: no backup of the ruins shall become the newest one.\n")
	return d.run(ctx, "patch", "backupconfiguration", "deploy-shop", "-n", namespace, "--type=merge", "--patch", `{"spec":{"paused":true}}`)
}

func backupLine(bs *v1beta1.BackupSession) string {
	line := fmt.Sprintf("%s  %s", bs.Name, orPending(string(bs.Status.Phase)))
	if len(bs.Status.Targets) > 0 {
		line += progressLine(bs.Status.Targets[0].Assignments)
	}
	if bs.Status.Phase == v1beta1.BackupSessionSucceeded {
		line += "  in " + shortTime(bs.Status.SessionDuration)
	}
	return line
}

// progressLine shows the one host of the shop.
func progressLine(assignments []v1beta1.Assignment) string {
	if len(assignments) == 0 || assignments[0].Progress == nil {
		return ""
	}
	p := assignments[0].Progress
	if p.TotalBytes == 0 || p.TotalFiles == 0 {
		return "" // restic still counts
	}
	return fmt.Sprintf("  %3d %%  %d of %d MB  %d of %d files", p.Percent, p.BytesDone>>20, p.TotalBytes>>20, p.FilesDone, p.TotalFiles)
}

func orPending(phase string) string {
	if phase == "" {
		return "Pending"
	}
	return phase
}

// shortTime rounds the text of a duration for people.
func shortTime(text string) string {
	t, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return t.Round(100 * time.Millisecond).String()
}

func (d *demo) disaster(ctx context.Context) (err error) {
	d.say("What the volume holds now:\n")
	if d.before, err = d.measure(ctx); err != nil {
		return err
	}
	if err := d.run(ctx, "exec", "-n", namespace, "deploy/shop", "-c", "shop", "--", "sh", "-c", "rm -rf /data/* /data/.[!.]*"); err != nil {
		return err
	}
	return d.run(ctx, "exec", "-n", namespace, "deploy/shop", "-c", "shop", "--", "find", "/data")
}

func (d *demo) restores(ctx context.Context) error {
	d.say("The pod is replaced; the new one starts when its data is there, and not before.\n")
	if err := d.apply(ctx, "restore.yaml", true); err != nil {
		return err
	}
	d.command("kubectl get restoresessions -n " + namespace + " --watch")
	err := d.watch(ctx, func(ctx context.Context) (bool, error) {
		var rs v1beta1.RestoreSession
		if err := d.get(ctx, &rs, "restoresession", "shop-restore"); err != nil {
			return false, err
		}
		line := "shop-restore  " + orPending(string(rs.Status.Phase))
		done := progressLine(rs.Status.Assignments)
		switch {
		case rs.Status.Phase == v1beta1.RestoreSucceeded:
			line += "  in " + shortTime(rs.Status.SessionDuration)
		case done != "":
			line += done
		default:
			line += "  " + rs.Status.Reason
		}
		d.progress(line)
		if session.RestoreFinished(rs.Status.Phase) && rs.Status.Phase != v1beta1.RestoreSucceeded {
			return false, errors.New(rs.Status.Reason)
		}
		return rs.Status.Phase == v1beta1.RestoreSucceeded, nil
	})
	if err != nil {
		return err
	}
	d.say("")
	return d.run(ctx, "rollout", "status", "-n", namespace, "deployment/shop", "--timeout=120s")
}

func (d *demo) compare(ctx context.Context) error {
	after, err := d.measure(ctx)
	if err != nil {
		return err
	}
	if after != d.before {
		return fmt.Errorf("the volume differs: before %+v, after %+v", d.before, after)
	}
	d.say("%s", d.paint("1;32", "Every file is back, byte for byte, with its mode, owner, links and time."))
	return nil
}
