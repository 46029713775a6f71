package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/seed-731df569/stash/api"
	"github.com/seed-731df569/stash/api/v1alpha1"
	"github.com/seed-731df569/stash/session"
)

func TestMaintenanceOfANeighbourIsMadeRoomForWithoutItsName(t *testing.T) {
	repo, neighbour := repository(), repository()
	neighbour.Namespace, neighbour.Name, neighbour.UID = "vault", "private", "r2"
	session.SayWaiting(neighbour, session.WorkAction{Waits: v1alpha1.OperationForget}, ago(90*time.Minute).Time)
	w := newWorld(t, interceptor.Funcs{}, repo, neighbour, namespace("demo", "r"), namespace("vault", "r"))
	got, err := w.room(t.Context(), repo, time.Time{})
	if err != nil || !strings.HasPrefix(got, "maintenance of a Repository of another namespace, which has found no moment without backups since ") || strings.Contains(got, "private") {
		t.Errorf("%q, %v", got, err)
	}
	r := &Repositories{World: w}
	if _, err := r.act(t.Context(), &session.Repository{Repository: repo}, session.WorkAction{Waits: v1alpha1.OperationCheck}); err != nil {
		t.Fatal(err)
	}
	if !api.IsFalse(read(t, w, "demo", "repo", &v1alpha1.Repository{}).Status.Conditions, api.MaintenanceCurrent) {
		t.Error("nobody is told that a check waits")
	}
}

func TestABackupMakesRoomForMaintenance(t *testing.T) {
	for name, c := range map[string]struct {
		waited time.Duration
		want   string
	}{
		"that has found no moment for long": {90 * time.Minute, `maintenance of Repository "repo"`},
		"not yet":                           {time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo, config := repository(), configuration()
			config.Spec.Target.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
			session.SayWaiting(repo, session.WorkAction{Waits: v1alpha1.OperationForget}, ago(c.waited).Time)
			r := &BackupSessions{World: newWorld(t, interceptor.Funcs{}, repo, config, keys(), namespace("demo", "r"))}
			o := &session.Backup{Session: newSession(config, "shop-2"), Invoker: config}
			if err := r.observeRepository(t.Context(), o, config); err != nil {
				t.Fatal(err)
			}
			if o.NotReady != "" || !strings.HasPrefix(o.Exclusive, c.want) || (o.Exclusive == "") != (c.want == "") {
				t.Errorf("it waits for %q; not ready: %q", o.Exclusive, o.NotReady)
			}
		})
	}
}
