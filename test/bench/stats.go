package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// quantile returns the value that a share q of the values does not exceed, between two of them in
// proportion. It is 0 where there are none.
func quantile[T ~int64 | ~float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[T])
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + T((at-float64(i))*float64(sorted[i+1]-sorted[i]))
}

func median[T ~int64 | ~float64](values []T) T { return quantile(values, 0.5) }

// each returns one figure of every item.
func each[S, T any](items []S, figure func(S) T) []T {
	out := make([]T, len(items))
	for i, item := range items {
		out[i] = figure(item)
	}
	return out
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
