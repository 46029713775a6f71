package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/seed-731df569/stash/webhook"
)

// hookOptions are the flags that set single hooks; run and webhooks have the same.
type hookOptions struct {
	failurePolicies, timeouts []string
	settings                  webhook.Settings
}

func (o *hookOptions) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.failurePolicies, webhook.FlagFailurePolicy, nil,
		"what the API server does while nobody answers a hook: HOOK=Fail or HOOK=Ignore, for example annotated.workloads=Fail; may be repeated")
	f.StringSliceVar(&o.timeouts, webhook.FlagTimeout, nil,
		"seconds that the API server waits for a hook: HOOK=SECONDS, for example backup.pods=1; may be repeated")
}

// parse reads the flags' values into settings.
func (o *hookOptions) parse() (err error) {
	o.settings, err = webhook.ParseSettings(o.failurePolicies, o.timeouts)
	if err != nil {
		return fmt.Errorf("configure webhooks: %w", err)
	}
	return nil
}
