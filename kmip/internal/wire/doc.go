// Package wire reads and checks KMIP messages before anything else looks at
// them: frames of bounded size, TTLV items whose lengths fit their types and
// whose nesting is bounded, and a printed form that shows no secret.
//
// TTLV is KMIP's encoding (KMIP 1.4 and 2.1, section 9 and 10 respectively):
// a tag of 3 bytes, a type of 1, a length of 4, big endian, then the value
// padded to 8 bytes. The decoders above this package take lengths on trust;
// [Check] is what makes that safe.
package wire
