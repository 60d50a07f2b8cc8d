// Package console is what people and their programs see of a node: the HTTP
// API under /v1, and the web console at /.
//
//	route.go    every endpoint of the API, with the right it needs, in one table
//	api*.go     what the endpoints do
//	openapi.go  the table as OpenAPI 3.1, served at /openapi.json
//	page*.go    the pages of the console
//
// It knows a node by the small interfaces of node.go and imports none of the
// rooms that are behind them. The API takes bearer tokens and no cookies, the
// pages take a cookie and no tokens, so that no page of somebody else can have
// a browser do anything here.
//
// Numbers are masked. Whoever may see one in full sees it on one call or one
// number at a time, and each such look is in the ledger before it is answered.
// A number never stands in an address.
package console
