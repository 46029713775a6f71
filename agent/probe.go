package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed-731df569/stash/broker/protocol"
	"github.com/seed-731df569/stash/restic"
	"github.com/seed-731df569/stash/restic/exec"
)

// secondOpinion limits the question whether a bucket exists.
const secondOpinion = 10 * time.Second

const envRegion = "AWS_DEFAULT_REGION"

// probe tells whether the repository exists and can be opened. Only the backend's clear word that
// it does not is "absent": everything else is an error, since what is taken for absent is
// initialised next.
func (j *job) probe(ctx context.Context, found *protocol.Maintained) error {
	config, err := j.config(ctx)
	exists := err == nil
	if errors.Is(err, restic.ErrNoRepository) {
		if err := j.checkBucket(ctx); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	found.Exists = &exists
	found.RepositoryID, found.FormatVersion = config.ID, config.Version
	return nil
}

// checkBucket fails if the bucket is known not to exist. Where a region is given, restic does not
// ask for the bucket's own, takes an absent bucket for an absent file, and init would create it.
func (j *job) checkBucket(ctx context.Context) error {
	r := j.task.Repository
	if r.Env[envRegion] == "" {
		return nil
	}
	r.Env = maps.Clone(r.Env)
	delete(r.Env, envRegion)
	_, err := j.configOf(ctx, r, secondOpinion)
	if restic.ReasonOf(err) == restic.ReasonNoBucket {
		return err
	}
	return nil // it exists, or cannot be asked for; the clear word came before
}

// init creates the repository unless it exists. Two at once destroy it, which the broker prevents;
// here it is only not made twice.
func (j *job) init(ctx context.Context, found *protocol.Maintained) error {
	if err := j.probe(ctx, found); err != nil {
		return err
	}
	if *found.Exists {
		return nil
	}
	found.Exists = nil
	var output restic.InitOutput
	_, initErr := j.runner.Run(ctx, exec.Command{Repository: j.task.Repository, Args: restic.Init{}.Args(), Line: output.Line})
	if err := j.probe(ctx, found); err != nil {
		return errors.Join(initErr, err)
	}
	if !*found.Exists {
		found.Exists = nil
		if initErr == nil {
			return failed(protocol.ReasonOther, "restic init succeeded, and the repository is not there")
		}
		return fmt.Errorf("create repository: %w", initErr)
	}
	return nil
}
