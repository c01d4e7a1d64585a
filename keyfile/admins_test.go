package keyfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/stretchr/testify/require"
)

// F1, F5: every administrator has access to every key; names are upper case.
func TestF5AddAdmin(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	old := readBytes(t, m, testPath)
	require.NoError(t, f.AddAdmin(bob))
	id, err := f.AddKey(256, "")
	require.NoError(t, err)
	for _, cred := range []Credentials{alice, bob, {"BOB", bob.Password}, {"bOb", bob.Password}} {
		g := mustOpen(t, m, testPath, cred)
		require.Equal(t, strings.ToUpper(cred.Admin), g.Admin())
		require.Equal(t, []AdminInfo{{"ALICE", DefaultIterations}, {"BOB", DefaultIterations}}, g.Info().Admins)
		k, err := g.Key(id)
		require.NoError(t, err)
		k.Destroy()
	}
	require.ErrorIs(t, openBytes(old, bob), ErrUnknownAdmin, "a copy made earlier does not have the new one")
	for _, name := range []string{"bob", "BOB", "Alice"} {
		err := f.AddAdmin(Credentials{name, carol.Password})
		require.ErrorIs(t, err, ErrAdminExists)
		require.ErrorIs(t, err, fault.State)
	}
	for _, c := range []Credentials{{"", bob.Password}, {"ümlaut", bob.Password}, {"dave", nil}, {"dave", []byte("pass\x00word")}} {
		require.ErrorIs(t, f.AddAdmin(c), ErrUsage)
	}
}

func TestAdminLimit(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	for i := 1; i < MaxAdmins; i++ {
		require.NoError(t, f.AddAdmin(Credentials{fmt.Sprint("admin ", i), bob.Password}))
	}
	require.ErrorIs(t, f.AddAdmin(bob), ErrFull)
	require.ErrorIs(t, f.AddAdmin(bob), fault.Usage)
	mustOpen(t, m, testPath, Credentials{"Admin 255", bob.Password})
}

func TestOpenRefuses(t *testing.T) {
	m := newMem()
	newFile(t, m, testPath)
	for name, c := range map[string]struct {
		cred Credentials
		want error
	}{
		"wrong password":   {Credentials{"alice", []byte("Alice's-passw0rD")}, ErrWrongKey},
		"empty password":   {Credentials{"alice", nil}, ErrWrongKey},
		"unicode password": {Credentials{"alice", []byte("ä")}, ErrWrongKey},
		"unknown":          {Credentials{"mallory", alice.Password}, ErrUnknownAdmin},
		"no name":          {Credentials{"", alice.Password}, ErrUnknownAdmin},
		"impossible name":  {Credentials{"älice", alice.Password}, ErrUnknownAdmin},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(testPath, c.cred, quickOptions(m))
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, err, fault.WrongKey)
			require.NotErrorIs(t, err, fault.Tampered)
			require.NotEmpty(t, fault.HintOf(err))
			if len(c.cred.Password) > 1 {
				require.NotContains(t, err.Error(), string(c.cred.Password))
			}
			if c.want == ErrWrongKey {
				require.ErrorContains(t, err, "wrong password or altered administrator record")
			}
		})
	}
	_, err := Open(testPath, alice, &Options{FS: m, Iterations: 1})
	require.ErrorIs(t, err, ErrUsage)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", alice, alice, alice), "passw0rd")
}

// F6: never the last one; and what deleting cannot do.
func TestF6DeleteAdmin(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	for _, err := range []error{f.CanDeleteAdmin("alice"), second(f.DeleteAdmin("alice"))} {
		require.ErrorIs(t, err, ErrLastAdmin)
		require.ErrorIs(t, err, fault.State)
	}
	require.NoError(t, f.AddAdmin(bob))
	require.NoError(t, f.Backup("/old.cof"))
	for _, err := range []error{f.CanDeleteAdmin("carol"), second(f.DeleteAdmin("carol")), second(f.DeleteAdmin(""))} {
		require.ErrorIs(t, err, ErrUnknownAdmin)
	}
	require.NoError(t, f.CanDeleteAdmin("bob"))
	d, err := f.DeleteAdmin("bob")
	require.NoError(t, err)
	require.Equal(t, Deleted{Admin: "BOB", Remaining: 1, Warning: OldCopies}, d)
	require.Contains(t, d.Warning, "re-key")
	_, err = Open(testPath, bob, quickOptions(m))
	require.ErrorIs(t, err, ErrUnknownAdmin)

	// What the warning says, shown: Bob's old copy yields the same key.
	oldCopy := mustOpen(t, m, "/old.cof", bob)
	a, err := oldCopy.Key(f.Default())
	require.NoError(t, err)
	defer a.Destroy()
	b, err := f.Key(f.Default())
	require.NoError(t, err)
	defer b.Destroy()
	require.True(t, a.Equal(b))
}

func second[T any](_ T, err error) error { return err }

// An administrator deleted while a File of theirs is open changes nothing more.
func TestDeletedAdminMakesNoChanges(t *testing.T) {
	m := newMem()
	a := newFile(t, m, testPath)
	require.NoError(t, a.AddAdmin(bob))
	b := mustOpen(t, m, testPath, bob)
	_, err := a.DeleteAdmin("bob")
	require.NoError(t, err)
	_, err = b.AddKey(128, "")
	require.ErrorIs(t, err, ErrUnknownAdmin)
	require.ErrorIs(t, b.Backup("/copy"), ErrUnknownAdmin)
	require.NoError(t, a.AddAdmin(carol))
	_, err = a.DeleteAdmin("alice")
	require.NoError(t, err, "one's own record may go")
	require.ErrorIs(t, a.SetDescription("x"), ErrUnknownAdmin)
}

// F6: a real password change; no key changes.
func TestF6ChangePassword(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.AddAdmin(bob))
	key := f.Default()
	fresh := []byte("An0ther-password")
	require.NoError(t, f.ChangePassword("bob", fresh))
	_, err := Open(testPath, bob, quickOptions(m))
	require.ErrorIs(t, err, ErrWrongKey)
	k, err := mustOpen(t, m, testPath, Credentials{"bob", fresh}).Key(key)
	require.NoError(t, err)
	defer k.Destroy()
	require.ErrorIs(t, f.ChangePassword("carol", fresh), ErrUnknownAdmin)
	require.ErrorIs(t, f.ChangePassword("bob", nil), ErrUsage)
	require.ErrorIs(t, f.ChangePassword("bob", []byte("ö")), ErrUsage)
	require.NoError(t, f.ChangePassword("alice", fresh), "one's own: this File goes on")
	require.NoError(t, f.SetDescription("still open"))
	mustOpen(t, m, testPath, Credentials{"alice", fresh})
}

// F2: the work factor is stored, kept where it is higher, and settable.
func TestF2Iterations(t *testing.T) {
	m := newMem()
	f, err := Create(testPath, CreateOptions{Admin: alice, Iterations: 400_000, FS: m, derive: quick})
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.AddAdmin(bob))
	require.Equal(t, []AdminInfo{{"ALICE", 400_000}, {"BOB", 400_000}}, mustOpen(t, m, testPath, bob).Info().Admins)
	g := mustOpen(t, m, testPath, alice)
	require.NoError(t, g.AddAdmin(carol))
	require.Equal(t, DefaultIterations, g.Info().Admins[2].Iterations)
	require.NoError(t, g.ChangePassword("alice", bob.Password))
	require.Equal(t, 400_000, g.Info().Admins[0].Iterations, "not lowered in passing")
	g.opts.Iterations = MinIterations
	require.NoError(t, g.ChangePassword("alice", bob.Password))
	require.Equal(t, MinIterations, g.Info().Admins[0].Iterations, "but where that is asked for")
}

// F9: advice, and a way to insist.
func TestF9PasswordStrength(t *testing.T) {
	for pw, want := range map[string]int{
		"":                 5,
		"password":         4, // short, no upper, digit, punctuation
		"Password1!":       1, // short
		"correcthorsebatt": 3,
		"Corr3ct-Horse-Ba": 0,
		"aA1!aA1!aA1!":     1, // few different characters
		"with Space 12345": 0,
	} {
		require.Len(t, CheckPassword([]byte(pw)), want, "%q: %v", pw, CheckPassword([]byte(pw)))
	}
	m := newMem()
	newFile(t, m, testPath)
	o := quickOptions(m)
	o.Policy.Insist = true
	f, err := Open(testPath, alice, o)
	require.NoError(t, err)
	defer f.Close()
	for _, err := range []error{f.AddAdmin(Credentials{"dave", []byte("weak")}), f.ChangePassword("alice", []byte("weak"))} {
		require.ErrorIs(t, err, ErrWeakPassword)
		require.ErrorIs(t, err, fault.Usage)
		require.ErrorContains(t, err, "no digit")
	}
	require.NoError(t, f.AddAdmin(bob))
}

// F7: a copy on each instance; the key is the same.
func TestF7Copies(t *testing.T) {
	m := newMem()
	f := newFile(t, m, testPath)
	require.NoError(t, f.Backup("/instance2.cof"))
	rings := []*dek.Keyring{dek.NewKeyring(), dek.NewKeyring()}
	for i, path := range []string{testPath, "/instance2.cof"} {
		_, err := mustOpen(t, m, path, alice).Activate(rings[i], dek.Database, dek.Active)
		require.NoError(t, err)
	}
	a, err := rings[0].Lease(f.Default(), dek.Database, "test")
	require.NoError(t, err)
	b, err := rings[1].Lease(f.Default(), dek.Database, "test")
	require.NoError(t, err)
	require.True(t, a.Key().Equal(b.Key()))
	a.Release()
	b.Release()
}
