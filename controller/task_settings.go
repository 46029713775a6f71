package controller

import (
	"github.com/seed-731df569/stash/api/v1beta1"
	"github.com/seed-731df569/stash/broker/protocol"
)

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
