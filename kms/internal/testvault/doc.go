// Package testvault is an Azure Key Vault for tests: a TLS server with RSA keys
// in versions, RSA-OAEP-256, the bearer challenge, and the authority that gives
// the tokens. It answers as the real one does as far as Coffer asks, and fails on
// request. It is no vault: its keys are gone with the process, and it believes
// whoever knows its one secret.
package testvault
