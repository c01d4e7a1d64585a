// Package v2 holds the messages and payloads of KMIP 2.0 and 2.1 that Coffer
// sends and understands, as structures for the TTLV encoder of
// github.com/ovh/kmip-go, whose own payloads end with KMIP 1.4.
//
// What differs from 1.x: attributes are items of a structure Attributes, named
// by their tags, instead of name-value pairs; Create, Register, Locate and
// GetAttributes carry that structure and no Template-Attribute; AddAttribute
// carries New Attribute; the Asynchronous Indicator is an enumeration. Fields
// stand in the order of KMIP 2.1, sections 6.1 and 8.
//
// Operations without a payload type here decode into a plain list of items, so
// that every message of 2.x can be read and written again unchanged.
//
// Decoding takes lengths on trust: give it only what package wire has checked.
package v2
