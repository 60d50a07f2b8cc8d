// Package dialgatetest lets those who run dialgate test their own
// configuration in their own `go test`: with calls, with captures of real
// traffic, and with whole call flows over a network in memory, without ports.
//
//	gate := dialgatetest.Open(t, "dialgate.yaml")
//	gate.Facts(t, "facts.jsonl")
//	for call, err := range gate.Trace("monday.pcap") { … }  // judged as a live call is
//	dialgatetest.Golden(t, "testdata/monday.golden", dialgatetest.Lines(gate.Trace("monday.pcap")))
//
//	line := gate.Connect(t)                                 // a dialer, the proxy, a carrier
//	answer := line.Call("+31205550100", "+31612345678")
//
// From another module:
//
//	require dialgate v0.0.0
//	replace dialgate => ../dialgate   // where its sources lie
package dialgatetest
