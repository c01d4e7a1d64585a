package v2

import "github.com/ovh/kmip-go/ttlv"

// Tags that are new in KMIP 2.0 (KMIP 2.1, section 11.57).
const (
	TagAttributes         = 0x420125
	TagAttributeReference = 0x42013B
	TagNewAttribute       = 0x42013D
)

// Find returns the first item of s with this tag, or nil.
func Find(s ttlv.Struct, tag int) *ttlv.Value {
	for i := range s {
		if s[i].Tag == tag {
			return &s[i]
		}
	}
	return nil
}

// Text returns the text of an item, or "" for nil and every other type.
func Text(v *ttlv.Value) string {
	if v == nil {
		return ""
	}
	text, _ := v.Value.(string)
	return text
}
