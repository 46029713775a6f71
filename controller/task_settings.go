package controller

import (
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

// cacheShare is how much of the temporary volume restic's cache may take: an emptyDir that is full
// gets its pod evicted.
const cacheShare = 0.8

func cacheOf(t v1beta1.EmptyDirSettings) protocol.Cache {
	c := protocol.Cache{Disabled: t.DisableCaching}
	if t.SizeLimit != nil {
		c.LimitBytes = int64(float64(t.SizeLimit.Value()) * cacheShare)
	}
	return c
}

func niceOf(s v1beta1.RuntimeSettings) *int {
	if s.Container == nil || s.Container.Nice == nil || s.Container.Nice.Adjustment == nil {
		return nil
	}
	n := int(*s.Container.Nice.Adjustment)
	return &n
}

func ioniceOf(s v1beta1.RuntimeSettings) *protocol.IONice {
	if s.Container == nil || s.Container.IONice == nil || s.Container.IONice.Class == nil {
		return nil
	}
	out := &protocol.IONice{Class: int(*s.Container.IONice.Class)}
	if d := s.Container.IONice.ClassData; d != nil {
		out.Level = int(*d)
	}
	return out
}
