package keyfile

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/stretchr/testify/require"
)

// refit gives altered bytes a right checksum, as an attacker would.
func refit(data []byte) []byte { return appendCRC(slices.Clone(data[:len(data)-crcSize])) }

// victim is a file with two administrators and three keys, and its bytes.
func victim(t testing.TB) (*fsx.Mem, *File, []byte) {
	t.Helper()
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.AddAdmin(bob))
	for _, bits := range []int{192, 256} {
		_, err := f.AddKey(bits, "more")
		require.NoError(t, err)
	}
	return m, f, readBytes(t, m, testPath)
}

// Every byte flipped, the checksum left alone: somebody's disk.
func TestFlipEveryByte(t *testing.T) {
	_, _, good := victim(t)
	require.NoError(t, openBytes(good, alice))
	for i := range good {
		for _, flip := range []byte{1, 0x20, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			want := ErrDamaged
			switch {
			case i < 8:
				want = ErrNotKeyFile
			case i < 10:
				want = ErrVersion
			}
			err := openBytes(bad, alice)
			require.ErrorIs(t, err, want, "byte %d", i)
			_, err = inspect(bad)
			require.ErrorIs(t, err, want, "byte %d", i)
		}
	}
}

// region says which errors an altered byte with a right checksum may give.
type region struct {
	name string
	end  int
	may  []error
}

func regions(c *content) []region {
	r := []region{
		{"magic", 8, []error{ErrNotKeyFile}},
		{"version and flags", 12, []error{ErrVersion}},
		{"length", 16, []error{ErrDamaged}},
		{"generation", 24, []error{ErrTampered}},
		{"GUID", 40, []error{ErrTampered}},
		{"counts", 46, []error{ErrDamaged}},
		{"reserved", 64, []error{ErrDamaged}},
		{"description", 64 + len(c.description), []error{ErrTampered, ErrDamaged}},
	}
	add := func(name string, n int, may ...error) {
		r = append(r, region{name, r[len(r)-1].end + n, may})
	}
	for i, a := range c.admins {
		secret := ErrTampered // another administrator's record is under the MAC alone
		if i == 0 {
			secret = ErrWrongKey // the opener's own: nothing unwraps
		}
		add("iterations", 4, secret, ErrDamaged)
		add("name length and reserved", 4, ErrDamaged)
		add("salt and wrapped KEK", saltSize+wrappedKEK, secret)
		add("name", len(a.name), secret, ErrDamaged)
	}
	for _, k := range c.keys {
		add("ID", 16, ErrTampered)
		add("created", 8, ErrTampered, ErrDamaged)
		add("bits, flags, length, reserved", 8, ErrDamaged)
		add("wrapped key", len(k.wrapped), ErrTampered)
		add("key's description", len(k.description), ErrTampered, ErrDamaged)
	}
	add("MAC", macSize, ErrTampered)
	add("checksum", crcSize, nil) // refitted: it is the good file again
	return r
}

// Every byte flipped and the checksum made right again: an attacker. There is
// never a wrong success, and the class of the error is the promised one.
func TestFlipEveryByteWithChecksum(t *testing.T) {
	_, f, good := victim(t)
	rs := regions(f.snapshot())
	require.Equal(t, len(good), rs[len(rs)-1].end)
	for i, at := 0, 0; i < len(good); i++ {
		for i >= rs[at].end {
			at++
		}
		for _, flip := range []byte{1, 0x20, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			err := openBytes(refit(bad), alice)
			if rs[at].may[0] == nil {
				require.NoError(t, err)
				continue
			}
			require.True(t, slices.ContainsFunc(rs[at].may, func(e error) bool { return errors.Is(err, e) }),
				"byte %d (%s) ^ %02x: %v", i, rs[at].name, flip, err)
		}
	}
}

func TestCutAndExtended(t *testing.T) {
	_, _, good := victim(t)
	for n := range good {
		want := ErrDamaged
		if n < len(magic) {
			want = ErrNotKeyFile
		}
		require.ErrorIs(t, openBytes(good[:n], alice), want, n)
		if n > crcSize {
			require.Error(t, openBytes(refit(good[:n]), alice), n)
		}
	}
	for _, n := range []int{1, 4, 100, MaxFileSize} {
		long := append(bytes.Clone(good), make([]byte, n)...)
		require.ErrorIs(t, openBytes(long, alice), ErrDamaged)
		require.ErrorIs(t, openBytes(refit(long), alice), ErrDamaged)
	}
}

// forge changes the fields of a file and writes it again with the old MAC and a
// right checksum.
func forge(good []byte, edit func(c *content)) []byte {
	c, err := decode(good)
	if err != nil {
		panic(err)
	}
	c = c.clone()
	edit(c)
	mac := good[len(good)-trailerSize : len(good)-crcSize]
	return appendCRC(append(c.marshal(), mac...))
}

func TestForgeries(t *testing.T) {
	m, f, good := victim(t)
	other := newFile(t, m, "/other.cof") // same administrator, same password
	theirs := other.snapshot()
	_ = f
	for name, c := range map[string]struct {
		edit func(c *content)
		want error
	}{
		"nothing":                       {func(c *content) {}, nil},
		"generation rolled back":        {func(c *content) { c.generation-- }, ErrTampered},
		"GUID of another file":          {func(c *content) { c.guid = theirs.guid }, ErrTampered},
		"admin record of another file":  {func(c *content) { c.admins[0] = theirs.admins[0] }, ErrTampered},
		"own KEK copy under their salt": {func(c *content) { c.admins[0].salt = theirs.admins[0].salt }, ErrWrongKey},
		"admin records swapped":         {func(c *content) { c.admins[0].wrapped, c.admins[1].wrapped = c.admins[1].wrapped, c.admins[0].wrapped }, ErrWrongKey},
		"admin names swapped":           {func(c *content) { c.admins[0].name, c.admins[1].name = c.admins[1].name, c.admins[0].name }, ErrWrongKey},
		"admins in another order":       {func(c *content) { slices.Reverse(c.admins) }, ErrTampered},
		"second admin removed":          {func(c *content) { c.admins = c.admins[:1] }, ErrTampered},
		"own record removed":            {func(c *content) { c.admins = c.admins[1:] }, ErrUnknownAdmin},
		"fewer iterations":              {func(c *content) { c.admins[0].iterations = MinIterations }, ErrWrongKey},
		"fewer for the other":           {func(c *content) { c.admins[1].iterations = MinIterations }, ErrTampered},
		"below the floor":               {func(c *content) { c.admins[1].iterations = MinIterations - 1 }, ErrDamaged},
		"key of another file":           {func(c *content) { c.keys[0].id, c.keys[0].wrapped = theirs.keys[0].id, theirs.keys[0].wrapped }, ErrTampered},
		"key appended from another":     {func(c *content) { k := theirs.keys[0]; k.flags = 0; c.keys = append(c.keys, k) }, ErrTampered},
		"keys swapped under their IDs":  {func(c *content) { c.keys[1].id, c.keys[2].id = c.keys[2].id, c.keys[1].id }, ErrTampered},
		"keys in another order":         {func(c *content) { slices.Reverse(c.keys) }, ErrTampered},
		"key removed":                   {func(c *content) { c.keys = c.keys[:2] }, ErrTampered},
		"key twice":                     {func(c *content) { k := c.keys[2]; c.keys = append(c.keys, k) }, ErrDamaged},
		"default mark moved":            {func(c *content) { c.keys[0].flags ^= flagDefault; c.keys[1].flags ^= flagDefault }, ErrTampered},
		"date changed":                  {func(c *content) { c.keys[0].created++ }, ErrTampered},
		"description changed":           {func(c *content) { c.description = "evil" }, ErrTampered},
	} {
		t.Run(name, func(t *testing.T) {
			err := openBytes(forge(good, c.edit), alice)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			for _, class := range []error{ErrTampered, ErrDamaged, ErrWrongKey} {
				if !errors.Is(c.want, class) {
					require.NotErrorIs(t, err, class)
				}
			}
		})
	}
}

// What no MAC can see: an older file put back whole opens as what it is. A File
// that was open before notices.
func TestOlderFilePutBack(t *testing.T) {
	m, f, good := victim(t)
	require.NoError(t, f.SetDescription("newer"))
	newer := readBytes(t, m, testPath)
	require.NoError(t, m.WriteFile(testPath, good))
	require.NoError(t, openBytes(good, alice), "not promised to be seen, and not seen")
	err := f.SetDescription("again")
	require.ErrorIs(t, err, ErrTampered)
	require.NotEmpty(t, fault.HintOf(err))
	require.ErrorIs(t, f.Backup("/copy"), ErrTampered)
	require.Equal(t, good, readBytes(t, m, testPath), "left as it is")
	require.NoError(t, m.WriteFile(testPath, newer))
	require.NoError(t, f.SetDescription("again"))
}

func TestOtherFileInItsPlace(t *testing.T) {
	m, f, good := victim(t)
	newFile(t, m, "/other.cof")
	other := readBytes(t, m, "/other.cof")
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"another key file": {other, fault.State},
		"damaged":          {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), ErrDamaged},
		"forged":           {forge(good, func(c *content) { c.generation++ }), ErrTampered},
		"no key file":      {[]byte("hello"), ErrNotKeyFile},
		"empty":            {nil, ErrNotKeyFile},
	} {
		require.NoError(t, m.WriteFile(testPath, c.data), name)
		_, err := f.AddKey(128, "")
		require.ErrorIs(t, err, c.want, name)
		require.Equal(t, len(c.data), len(readBytes(t, m, testPath)), "left as it is")
	}
}
