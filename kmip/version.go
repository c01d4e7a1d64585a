package kmip

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ovh/kmip-go"
)

// Version is a version of the protocol. The zero value means: the highest that
// client and server have in common.
type Version struct{ major, minor int8 }

// The versions that are spoken.
var (
	V10 = Version{1, 0}
	V11 = Version{1, 1}
	V12 = Version{1, 2}
	V13 = Version{1, 3}
	V14 = Version{1, 4}
	V20 = Version{2, 0}
	V21 = Version{2, 1}
)

// versions are those that are spoken, the highest first.
var versions = []Version{V21, V20, V14, V13, V12, V11, V10}

// Versions returns the versions that are spoken, the highest first.
func Versions() []Version { return slices.Clone(versions) }

// ParseVersion reads "1.4", or "auto" and "" for the zero value.
func ParseVersion(s string) (Version, error) {
	if s == "" || s == "auto" {
		return Version{}, nil
	}
	for _, v := range versions {
		if v.String() == s {
			return v, nil
		}
	}
	names := make([]string, len(versions))
	for i, v := range versions {
		names[len(versions)-1-i] = v.String()
	}
	return Version{}, usage("protocol version %q; there are auto, %s", s, strings.Join(names, ", "))
}

// String returns "1.4", or "auto" for the zero value.
func (v Version) String() string {
	if v == (Version{}) {
		return "auto"
	}
	return fmt.Sprintf("%d.%d", v.major, v.minor)
}

// MarshalText returns what String does.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what [ParseVersion] does.
func (v *Version) UnmarshalText(text []byte) error {
	p, err := ParseVersion(string(text))
	if err == nil {
		*v = p
	}
	return err
}

func (v Version) wire() kmip.ProtocolVersion {
	return kmip.ProtocolVersion{ProtocolVersionMajor: int32(v.major), ProtocolVersionMinor: int32(v.minor)}
}

// fromWire returns the zero value for a version that is not spoken.
func fromWire(p kmip.ProtocolVersion) Version {
	for _, v := range versions {
		if v.wire() == p {
			return v
		}
	}
	return Version{}
}
