// Package guard keeps strangers from using up a server that must be reachable by everybody in the
// cluster: it bounds connections whose peer has not proven who it is, and what is done at the same
// time, in all and for one address. Where there is not room for all, an address that has little comes
// before one that has much, so that a flood from few addresses shuts out only itself. It decides by
// counting alone and knows nothing of what is served.
package guard
