// Package e2e tests keys from key services with local-kms, an AWS KMS that others
// wrote, in this process: a module of its own, because local-kms brings a
// database, a logger and the first version of AWS's library.
package e2e
