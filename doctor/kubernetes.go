package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apimachinery/pkg/version"
)

const (
	// oldest is the first Kubernetes with match conditions and policies in CEL.
	oldest = "1.30.0"
	// skewed clocks are told of; a certificate of ours is valid for clocks that are behind by 5
	// minutes, and tokens for those that differ less.
	skewed, broken = 10 * time.Second, 4 * time.Minute
)

// ask returns the API server's version, and by how much its clock is ahead of ours.
func (d *Doctor) ask(ctx context.Context) (v version.Info, ahead time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.host+"/version", http.NoBody)
	if err != nil {
		return v, 0, fmt.Errorf("ask for the version: %w", err)
	}
	before := d.now()
	response, err := d.http.Do(request)
	if err != nil {
		return v, 0, fmt.Errorf("ask for the version: %w", err)
	}
	defer response.Body.Close()
	after := d.now()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return v, 0, fmt.Errorf("read the version: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return v, 0, fmt.Errorf("ask for the version: %s", response.Status)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return v, 0, fmt.Errorf("read the version: %w", err)
	}
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return v, 0, fmt.Errorf("read the API server's time: %w", err)
	}
	// The header has whole seconds, rounded down.
	return v, date.Add(500 * time.Millisecond).Sub(before.Add(after.Sub(before) / 2)), nil
}

func (d *Doctor) kubernetes(ctx context.Context, _ *site) []Finding {
	v, _, err := d.ask(ctx)
	if err != nil {
		return unread("the API server's version", err)
	}
	return []Finding{judgeVersion(v)}
}

func judgeVersion(v version.Info) Finding {
	have, err := utilversion.ParseGeneric(v.GitVersion)
	switch {
	case err != nil:
		return warn("see whether it is 1.30 or newer", "the API server says version %q, which cannot be read", v.GitVersion)
	case have.LessThan(utilversion.MustParseGeneric(oldest)):
		return fail("upgrade Kubernetes to 1.30 or newer: older ones know no match conditions and no policies, by which requests are chosen and closed",
			"the API server is %s", v.GitVersion)
	}
	return fine("the API server is %s", v.GitVersion)
}

func (d *Doctor) clock(ctx context.Context, _ *site) []Finding {
	_, ahead, err := d.ask(ctx)
	if err != nil {
		return unread("the API server's time", err)
	}
	return []Finding{judgeClock(ahead)}
}

func judgeClock(ahead time.Duration) Finding {
	const do = "have NTP set the clocks of this machine and of the control plane"
	by, how := ahead.Abs().Round(time.Second), "ahead of"
	if ahead < 0 {
		how = "behind"
	}
	switch {
	case ahead.Abs() >= broken:
		return fail(do+": certificates and tokens count as expired, or as not valid yet; schedules fire at other times",
			"the API server's clock is %s %s ours", by, how)
	case ahead.Abs() >= skewed:
		return warn(do, "the API server's clock is %s %s ours", by, how)
	}
	return fine("the API server's clock and ours agree within %s", skewed)
}
