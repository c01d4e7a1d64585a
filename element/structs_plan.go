package element

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// plan is what the tags of a struct's fields say. It holds the fields that have a
// tag, and those that may have structs inside.
type plan struct {
	fields []planField
}

type planField struct {
	index int
	name  string
	tag   *taggedField // nil: look inside
	err   error        // the tag says nothing
}

// taggedField is what a tag says.
type taggedField struct {
	context   *Template
	names     []int // fields of the struct that the context takes
	suite     Suite
	omitEmpty bool
	text      bool
}

// plans are worked out once for each type, as encoding/json does.
var plans sync.Map // reflect.Type → *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(t))
	return p.(*plan)
}

func newPlan(t reflect.Type) *plan {
	p := &plan{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("coffer")
		field := planField{index: i, name: f.Name}
		switch {
		case tagged && tag != "-":
			field.tag, field.err = parseTag(t, f, tag)
		case tagged || isSecret(f.Type) || !f.IsExported() && !(f.Anonymous && f.Type.Kind() == reflect.Struct):
			continue // fields without a tag are the program's; what is not exported cannot be set
		case base(f.Type).Kind() == reflect.Map:
			if !tagsInside(f.Type, map[reflect.Type]bool{}) {
				continue
			}
			field.err = usagef("a %s is not looked into, and there are tags inside", f.Type)
		case base(f.Type).Kind() != reflect.Struct:
			continue
		}
		p.fields = append(p.fields, field)
	}
	return p
}

// tagsInside reports whether a struct in there has a field with a tag.
func tagsInside(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t = base(t); seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map:
		return tagsInside(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if strings.HasPrefix(f.Tag.Get("coffer"), "encrypt") || tagsInside(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// parseTag reads a tag of a field.
func parseTag(t reflect.Type, f reflect.StructField, tag string) (*taggedField, error) {
	options := strings.Split(tag, ",")
	switch {
	case options[0] != "encrypt":
		return nil, usagef("the tag %q does not begin with encrypt", tag)
	case !f.IsExported():
		return nil, usagef("it is not exported, so that nothing can set it")
	case !holdsSecrets(f.Type):
		return nil, usagef("a %s cannot be encrypted: strings, bytes and element.Field can, and pointers to, slices and arrays of them", f.Type)
	}
	tf := &taggedField{suite: GCM}
	for _, o := range options[1:] {
		name, value, _ := strings.Cut(o, "=")
		switch {
		case name == "context" && tf.context == nil && o != name:
			var err error
			if tf.context, err = ParseTemplate(value); err != nil {
				return nil, err
			}
		case o == "deterministic":
			tf.suite = SIV
		case o == "omitempty":
			tf.omitEmpty = true
		case o == "text":
			tf.text = true
		default:
			return nil, usagef("the tag %q: what is %q?", tag, o)
		}
	}
	if tf.context == nil {
		return nil, usagef("the tag %q names no context", tag)
	}
	return tf, tf.bind(t)
}

// bind finds the fields that the context takes.
func (tf *taggedField) bind(t reflect.Type) error {
	for _, name := range tf.context.Names() {
		f, ok := t.FieldByName(name)
		switch {
		case !ok || len(f.Index) != 1 || !f.IsExported():
			return usagef("the context names %s, which is no exported field of %s", name, t)
		case strings.HasPrefix(f.Tag.Get("coffer"), "encrypt"):
			return usagef("the context names %s, which is encrypted itself", name)
		case !hasText(f.Type):
			return usagef("the context names %s, and a %s has no text", name, f.Type)
		}
		tf.names = append(tf.names, f.Index[0])
	}
	return nil
}

// holdsSecrets reports whether a tag can stand at a field of a type.
func holdsSecrets(t reflect.Type) bool {
	for !isSecret(t) {
		if t.Kind() != reflect.Pointer && t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return false
		}
		t = t.Elem()
	}
	return true
}

var bindableType = reflect.TypeFor[bindable]()

// isSecret reports whether a value of the type is encrypted as one.
func isSecret(t reflect.Type) bool {
	return t.Kind() == reflect.String || isBytes(t) || reflect.PointerTo(t).Implements(bindableType)
}

var textType = reflect.TypeFor[encoding.TextMarshaler]()

// hasText reports whether values of the type have a text for contexts.
func hasText(t reflect.Type) bool {
	switch k := t.Kind(); {
	case t.Implements(textType), k == reflect.String, k >= reflect.Int && k <= reflect.Uint64, isBytes(t):
		return true
	case k == reflect.Array:
		return t.Elem().Kind() == reflect.Uint8
	}
	return false
}

// textOf is a field's value in a context: its own text form, a string or bytes as
// they are, an integer in decimal.
func textOf(v reflect.Value) (string, error) {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return "", errNoText
		}
		text, err := m.MarshalText()
		return string(text), err
	}
	switch k := v.Kind(); {
	case k == reflect.String:
		return v.String(), nil
	case k >= reflect.Int && k <= reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case k >= reflect.Uint && k <= reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), nil
	case isBytes(v.Type()):
		return string(v.Bytes()), nil
	case k == reflect.Array:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return string(b), nil
	}
	return "", errNoText
}
