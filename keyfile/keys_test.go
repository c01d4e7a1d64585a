package keyfile

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/stretchr/testify/require"
)

// F3: one key, default and journal, mode 0600, never overwrites.
func TestF3Create(t *testing.T) {
	for _, bits := range []int{0, 128, 192, 256} {
		m := newMem()
		f, err := Create(testPath, CreateOptions{Admin: alice, Bits: bits, Description: "Büro – größtes", KeyDescription: "first", FS: m, derive: quick, now: stopped})
		require.NoError(t, err)
		keys := f.Keys()
		require.Len(t, keys, 1)
		want := KeyInfo{ID: f.Default(), Bits: defaultBits(bits), Created: stopped().UTC(), Description: "first", Default: true, Journal: true}
		require.Equal(t, want, keys[0])
		require.Equal(t, f.Default(), f.Journal())
		require.Equal(t, "ALICE", f.Admin())
		k, err := f.Key(keys[0].ID)
		require.NoError(t, err)
		require.Equal(t, want.Bits, k.Bits())
		k.Destroy()
		st, err := m.Stat(testPath)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), st.Mode().Perm())
		before := readBytes(t, m, testPath)
		_, err = Create(testPath, CreateOptions{Admin: alice, FS: m, derive: quick})
		require.ErrorIs(t, err, ErrFileExists)
		require.ErrorIs(t, err, fault.State)
		require.ErrorIs(t, err, fs.ErrExist)
		require.Equal(t, before, readBytes(t, m, testPath))
		require.NoError(t, f.Close())
	}
}

func TestCreateFromExistingKey(t *testing.T) {
	m := newMem()
	k, err := dek.Generate(192)
	require.NoError(t, err)
	defer k.Destroy()
	f, err := Create(testPath, CreateOptions{Admin: alice, Key: k, FS: m, derive: quick})
	require.NoError(t, err)
	defer f.Close()
	back, err := f.Key(k.ID())
	require.NoError(t, err)
	defer back.Destroy()
	require.True(t, back.Equal(k))
	_, err = Create("/other", CreateOptions{Admin: alice, Key: k, Bits: 256, FS: m, derive: quick})
	require.ErrorIs(t, err, ErrUsage)
}

func TestCreateRefuses(t *testing.T) {
	for name, c := range map[string]CreateOptions{
		"bits":               {Admin: alice, Bits: 160},
		"no name":            {Admin: Credentials{"", alice.Password}},
		"spaces":             {Admin: Credentials{"   ", alice.Password}},
		"unicode name":       {Admin: Credentials{"Jürgen", alice.Password}},
		"long name":          {Admin: Credentials{strings.Repeat("a", 65), alice.Password}},
		"no password":        {Admin: Credentials{"a", nil}},
		"unicode password":   {Admin: Credentials{"a", []byte("pässword")}},
		"control in it":      {Admin: Credentials{"a", []byte("pass\tword")}},
		"long password":      {Admin: Credentials{"a", make([]byte, MaxPassword+1)}},
		"few iterations":     {Admin: alice, Iterations: MinIterations - 1},
		"many iterations":    {Admin: alice, Iterations: MaxIterations + 1},
		"negative":           {Admin: alice, Iterations: -1},
		"long description":   {Admin: alice, Description: strings.Repeat("x", 1025)},
		"not UTF-8":          {Admin: alice, KeyDescription: "\xff"},
		"escape sequence":    {Admin: alice, Description: "\x1b[2J"},
		"turned direction":   {Admin: alice, Description: "abc\u202edef"},
		"weak and insisting": {Admin: Credentials{"a", []byte("password")}, Policy: Policy{Insist: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMem()
			c.FS, c.derive = m, quick
			_, err := Create(testPath, c)
			require.ErrorIs(t, err, ErrUsage)
			names, err := m.ReadDir("/")
			require.NoError(t, err)
			require.Empty(t, names, "nothing is left behind")
		})
	}
}

// F1, F4: up to 256 keys; a 257th is a usage error.
func TestF1F4AddKeys(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	want := []dek.ID{f.Default()}
	for i := 1; i < MaxKeys; i++ {
		id, err := f.AddKey([]int{128, 192, 256}[i%3], "key")
		require.NoError(t, err)
		want = append(want, id)
	}
	before := readBytes(t, m, testPath)
	_, err := f.AddKey(256, "")
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, err, fault.Usage)
	require.NotErrorIs(t, err, fault.State)
	require.Equal(t, before, readBytes(t, m, testPath))

	g := mustOpen(t, m, testPath, alice)
	var got []dek.ID
	for _, k := range g.Keys() {
		got = append(got, k.ID)
	}
	require.Equal(t, want, got, "in the order they were added")
	require.Equal(t, uint64(MaxKeys), g.Info().Generation)
	keys, err := g.AllKeys()
	require.NoError(t, err)
	defer destroyAll(keys)
	require.Len(t, keys, MaxKeys)

	_, err = f.AddKey(100, "")
	require.ErrorIs(t, err, ErrUsage)
	_, err = f.AddKey(128, strings.Repeat("x", 1025))
	require.ErrorIs(t, err, ErrUsage)
}

func TestLargestFileFits(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	long := strings.Repeat("x", MaxDescription)
	require.NoError(t, f.SetDescription(long))
	for range MaxKeys - 1 {
		_, err := f.AddKey(256, long)
		require.NoError(t, err)
	}
	f.mu.Lock()
	c := f.cur.clone()
	for i := len(c.admins); i < MaxAdmins; i++ {
		a := c.admins[0]
		a.name = strings.Repeat("N", MaxName-3) + string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)})
		c.admins = append(c.admins, a)
	}
	data, err := c.seal(f.kek)
	f.mu.Unlock()
	require.NoError(t, err)
	require.LessOrEqual(t, len(data), largestFile)
	require.NoError(t, openBytes(data, alice))
}

// K6, F4: the default and the journal key are never deleted.
func TestK6DeleteKey(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	first := f.Default()
	second, err := f.AddKey(256, "second")
	require.NoError(t, err)
	refused := func(id dek.ID, reasons ...string) {
		t.Helper()
		for _, err := range []error{f.CanDeleteKey(id), f.DeleteKey(id)} {
			require.ErrorIs(t, err, fault.State)
			var held *dek.HeldError
			require.ErrorAs(t, err, &held)
			require.Equal(t, reasons, held.Reasons)
		}
	}
	refused(first, "default key of the key file", "journal key of the key file")
	require.NoError(t, f.SetDefault(second))
	refused(first, "journal key of the key file")
	refused(second, "default key of the key file")
	require.Equal(t, first, f.Journal())
	require.NoError(t, f.SetJournal(second))
	f.opts.NeededBy = func(id dek.ID) []string { return []string{"volume " + id.String()} }
	refused(first, "needed by volume "+first.String())
	f.opts.NeededBy = dek.NewKeyring().Holders
	require.NoError(t, f.CanDeleteKey(first))
	require.NoError(t, f.DeleteKey(first))
	for _, err := range []error{f.DeleteKey(first), f.CanDeleteKey(first), f.SetDefault(first), f.SetJournal(dek.NewID())} {
		require.ErrorIs(t, err, ErrUnknownKey)
		require.ErrorIs(t, err, fault.NotActivated)
	}
	_, err = f.Key(first)
	require.ErrorIs(t, err, ErrUnknownKey)
	require.Len(t, mustOpen(t, m, testPath, alice).Keys(), 1)
}

func TestCopyAndAddExisting(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	f.opts.now = func() time.Time { return time.Unix(86400, 0) }
	id, err := f.AddKey(192, "travels")
	require.NoError(t, err)
	to := newFile(t, m, "/other.cof")
	require.NoError(t, f.CopyKey(id, to))
	got := mustOpen(t, m, "/other.cof", alice).Keys()[1]
	require.Equal(t, KeyInfo{ID: id, Bits: 192, Created: time.Unix(86400, 0).UTC(), Description: "travels"}, got)
	require.ErrorIs(t, f.CopyKey(id, to), ErrKeyExists)
	require.ErrorIs(t, f.CopyKey(id, to), fault.State)
	require.ErrorIs(t, f.CopyKey(id, f), ErrKeyExists)
	require.ErrorIs(t, f.CopyKey(dek.NewID(), to), ErrUnknownKey)
	a, err := f.Key(id)
	require.NoError(t, err)
	defer a.Destroy()
	b, err := to.Key(id)
	require.NoError(t, err)
	defer b.Destroy()
	require.True(t, a.Equal(b))
	wrong, err := dek.Import(id, make([]byte, 24))
	require.NoError(t, err)
	defer wrong.Destroy()
	require.ErrorIs(t, to.AddExisting(wrong, ""), ErrWrongKey)
	wrong.Destroy()
	fresh, err := dek.Generate(128)
	require.NoError(t, err)
	require.NoError(t, to.AddExisting(fresh, "kept"))
	fresh.Destroy()
	require.ErrorIs(t, to.AddExisting(fresh, ""), dek.ErrDestroyed)
	_, err = Create("/third.cof", CreateOptions{Admin: alice, Key: fresh, FS: m, derive: quick})
	require.ErrorIs(t, err, dek.ErrDestroyed)
}

func TestDescription(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.SetDescription("Schlüssel für Köln"))
	require.Equal(t, "Schlüssel für Köln", mustOpen(t, m, testPath, alice).Info().Description)
	require.NoError(t, f.SetDescription(""))
	require.ErrorIs(t, f.SetDescription("a\nb"), ErrUsage)
}

// K3, K4: all keys are activated, marks travel into an empty keyring.
func TestActivate(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	for range 5 {
		_, err := f.AddKey(128, "")
		require.NoError(t, err)
	}
	keys := f.Keys()
	require.NoError(t, f.SetDefault(keys[4].ID))
	require.NoError(t, f.SetJournal(keys[5].ID))
	ring := dek.NewKeyring()
	a, err := f.Activate(ring, dek.Database, dek.Active)
	require.NoError(t, err)
	require.True(t, a.First)
	require.Len(t, a.IDs, 6)
	d, _ := ring.Default()
	j, _ := ring.Journal()
	require.Equal(t, keys[4].ID, d)
	require.Equal(t, keys[5].ID, j)

	other := newFile(t, m, "/other.cof")
	a, err = other.Activate(ring, dek.Database, dek.Active)
	require.NoError(t, err)
	require.False(t, a.First)
	d, _ = ring.Default()
	require.Equal(t, keys[4].ID, d, "a second file changes no marks")

	a, err = f.Activate(ring, dek.Element, dek.Active)
	require.NoError(t, err)
	require.Equal(t, []dek.ID{keys[4].ID, keys[5].ID, keys[0].ID, keys[1].ID}, a.IDs, "marked keys first")
	require.Equal(t, []dek.ID{keys[2].ID, keys[3].ID}, a.DidNotFit)
	require.NoError(t, ring.Close())

	ring = dek.NewKeyring()
	a, err = f.Activate(ring, dek.Database, dek.DecryptOnly)
	require.NoError(t, err)
	require.False(t, a.First)
	_, ok := ring.Default()
	require.False(t, ok)
	require.NoError(t, ring.Close())
	require.NoError(t, f.Close())
	_, err = f.Activate(ring, dek.Database, dek.Active)
	require.ErrorIs(t, err, ErrClosed)
}

func TestClosed(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	id := f.Default()
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	_, err := f.Key(id)
	require.ErrorIs(t, err, ErrClosed)
	_, err = f.AllKeys()
	require.ErrorIs(t, err, ErrClosed)
	_, err = f.AddKey(128, "")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, f.AddAdmin(bob), ErrClosed)
	require.ErrorIs(t, f.Backup("/copy"), ErrClosed)
	require.ErrorIs(t, err, fault.State)
	require.Len(t, f.Keys(), 1)
}
