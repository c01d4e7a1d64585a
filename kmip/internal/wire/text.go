package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
)

// secret are the tags below which nothing is shown.
var secret = map[int]bool{
	kmip.TagKeyValue: true, kmip.TagKeyMaterial: true, kmip.TagCredentialValue: true, kmip.TagPassword: true,
	kmip.TagSecretDataType: false, kmip.TagData: true, kmip.TagSignatureData: true, kmip.TagMACData: true,
	kmip.TagDerivationData: true, kmip.TagSalt: true, kmip.TagOpaqueDataValue: true, kmip.TagMessageExtension: true,
}

// shownText bounds how much of a text is printed, in bytes.
const shownText = 200

// Text prints a message on one line, for a log. Nothing below key values,
// credentials and other secrets is shown, and of every byte string and big
// integer only how long it is. Bytes that are no message print as their number.
func Text(b []byte) string {
	if Check(b) != nil {
		return fmt.Sprintf("(%d bytes that are no message)", len(b))
	}
	var s strings.Builder
	writeItems(&s, b)
	return s.String()
}

// writeItems prints items one after the other. They were checked.
func writeItems(s *strings.Builder, b []byte) {
	for i := 0; len(b) > 0; i++ {
		if i > 0 {
			s.WriteByte(' ')
		}
		tag := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		n := int(binary.BigEndian.Uint32(b[4:]))
		s.WriteString(tagName(tag))
		writeValue(s, tag, ttlv.Type(b[3]), b[HeaderSize:HeaderSize+n])
		b = b[HeaderSize+(n+7)&^7:]
	}
}

func writeValue(s *strings.Builder, tag int, typ ttlv.Type, v []byte) {
	if secret[tag] {
		fmt.Fprintf(s, "=(%d bytes not shown)", len(v))
		return
	}
	switch typ {
	case ttlv.TypeStructure:
		s.WriteByte('{')
		writeItems(s, v)
		s.WriteByte('}')
	case ttlv.TypeInteger, ttlv.TypeInterval:
		fmt.Fprintf(s, "=%d", int32(binary.BigEndian.Uint32(v)))
	case ttlv.TypeEnumeration:
		s.WriteString("=" + enumName(tag, binary.BigEndian.Uint32(v)))
	case ttlv.TypeLongInteger:
		fmt.Fprintf(s, "=%d", int64(binary.BigEndian.Uint64(v)))
	case ttlv.TypeBoolean:
		fmt.Fprintf(s, "=%t", v[7] != 0)
	case ttlv.TypeDateTime:
		s.WriteString("=" + time.Unix(int64(binary.BigEndian.Uint64(v)), 0).UTC().Format(time.RFC3339))
	case ttlv.TypeTextString:
		text := string(v)
		if len(text) > shownText {
			text = text[:shownText] + "…"
		}
		s.WriteString("=" + strconv.QuoteToASCII(text))
	default:
		fmt.Fprintf(s, "=(%d bytes)", len(v))
	}
}

func enumName(tag int, v uint32) string {
	if tag == tagAttributeReference {
		return tagName(int(v))
	}
	if name := ttlv.EnumName(tag, v); name != "" {
		return name
	}
	return fmt.Sprintf("%#x", v)
}

// tagAttributes and tagAttributeReference are new in KMIP 2.0.
const (
	tagAttributes         = 0x420125
	tagAttributeReference = 0x42013B
)

func tagName(tag int) string {
	switch tag {
	case tagAttributes:
		return "Attributes"
	case tagAttributeReference:
		return "AttributeReference"
	}
	return ttlv.TagString(tag)
}
