// Package access knows who may ask the node what: bearer tokens for programs,
// names and passwords for people, and the roles of both.
//
// Tokens and people are kept in one file in the node's directory, which only
// its owner may read. It holds no secret: a token is kept as its SHA-256, a
// password as its argon2id. A running node sees at the next request what a
// command has changed in the file.
package access
