package controller

import (
	"testing"

	"github.com/seed-731df569/stash/api/v1beta1"
)

func TestASessionHasTheRetriesOfItsConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		config *v1beta1.RetryConfig
		want   int32
	}{
		"none where nothing is said": {nil, 0},
		"one where only a delay is":  {&v1beta1.RetryConfig{}, 1},
		"none where the number is 0": {&v1beta1.RetryConfig{MaxRetry: new(int32(0))}, 0},
		"as many as the number says": {&v1beta1.RetryConfig{MaxRetry: new(int32(3))}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			config := configuration()
			config.Spec.RetryConfig = c.config
			if got := newSession(config, "shop-1").Spec.RetryLeft; got != c.want {
				t.Errorf("%d retries, want %d", got, c.want)
			}
		})
	}
}
