package element

import (
	"encoding/json"
	"reflect"

	"github.com/cofferdb/coffer/internal/secmem"
)

// encode returns the plaintext of a value: strings and bytes as they are, anything
// else as JSON. own says that the bytes are nobody else's, to be wiped.
func encode(v reflect.Value) (plaintext []byte, own bool, err error) {
	switch {
	case v.Kind() == reflect.String:
		return []byte(v.String()), true, nil
	case isBytes(v.Type()):
		return v.Bytes(), false, nil
	}
	plaintext, err = json.Marshal(v.Interface())
	if err != nil {
		return nil, false, usagef("a %s has no JSON form", v.Type()) // the error may hold the value
	}
	return plaintext, true, nil
}

// decode puts a plaintext into a value, which can be set. It takes the plaintext over.
func decode(plaintext []byte, to reflect.Value) error {
	switch {
	case isBytes(to.Type()):
		to.SetBytes(plaintext)
		return nil
	case to.Kind() == reflect.String:
		defer secmem.Wipe(plaintext)
		to.SetString(string(plaintext))
		return nil
	}
	defer secmem.Wipe(plaintext)
	fresh := reflect.New(to.Type())
	if err := json.Unmarshal(plaintext, fresh.Interface()); err != nil {
		return usagef("the plaintext is not the JSON form of a %s", to.Type()) // the error may hold some of it
	}
	to.Set(fresh.Elem())
	return nil
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}
