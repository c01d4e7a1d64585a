// Package kmip takes data-encryption keys from servers that speak the Key
// Management Interoperability Protocol, versions 1.0 to 2.1.
//
// A [Server] is one server configuration; a [Config] is the file that holds
// them. [Dial] connects to one and returns a [Client], which creates, registers,
// lists, fetches, activates, revokes and destroys keys. A [Source] fetches keys
// for a keyring.
//
// # Identity of keys
//
// A server names keys as it likes; Coffer names them by their GUID ([dek.ID]),
// which it stores on the server beside the key: in Application Specific
// Information, name space "coffer", and where the server takes it also as the
// custom attribute x-coffer-guid. A key without one is foreign: [Client.Adopt]
// gives it one where the server allows that.
//
// # States
//
// The server's state of a key is honoured: an active key encrypts and decrypts;
// a pre-active, deactivated or compromised one only decrypts; a destroyed one
// does not exist.
//
// # What is trusted
//
// The server has every key, and whoever can act as the server, or as this
// client, has them too: TLS with both certificates is what keeps others out.
// An answer is bounded in size and checked before it is decoded; a fetched key
// must be an AES key of 128, 192 or 256 bits under the identifier that was asked
// for. That it is the right key is proved by the volume's own check value.
//
// # Secrets
//
// Fetched keys lie in locked memory, and the messages they came in are wiped. Go's
// TLS and the encoder of messages make copies on the heap that cannot be reached.
// Logs and errors carry no key, no password and nothing of a private key: package
// tests read them.
//
// # Concurrency
//
// A Client is safe for concurrent use; it does one operation at a time. Every
// operation has a time limit, and ends with its context. An operation that was
// cut off after it was sent, and that changes something, is [ErrOutcomeUnknown].
package kmip
