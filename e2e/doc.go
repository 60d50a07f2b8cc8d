// Package e2e drives the real binary with real peers: SIPp as dialer and as
// carrier, sipsak, tshark. Its tests have the build tag e2e, since they need
// these programs (Debian: sip-tester, sipsak, tshark):
//
//	go test -tags e2e ./e2e/...
//
// e2e/long/run runs their long forms (DIALGATE_LONG=1). All traffic stays on loopback and is
// bounded in count and time.
package e2e
