package element

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

const small = 4096 // bytes of the smallest segment

// stream encrypts in one go.
func stream(t testing.TB, c *Cipher, id dek.ID, plain, context []byte, o StreamOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriterWith(&out, c, id, context, o)
	require.NoError(t, err)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	return out.Bytes()
}

// read decrypts with a Reader, from memory and from elsewhere, which must come to the same; what came out before an error is returned too.
func read(c *Cipher, sealed, context []byte) ([]byte, error) {
	was := bytes.Clone(sealed)
	one, err := readFrom(bytes.NewReader(sealed), c, context)
	if !bytes.Equal(was, sealed) {
		panic("a reader has changed what it read")
	}
	two, err2 := readFrom(iotest.DataErrReader(bytes.NewBuffer(was)), c, context)
	if !bytes.Equal(one, two) || fmt.Sprint(err) != fmt.Sprint(err2) {
		panic(fmt.Sprintf("from memory %d bytes, %v; else %d, %v", len(one), err, len(two), err2))
	}
	return one, err
}

func readFrom(r io.Reader, c *Cipher, context []byte) ([]byte, error) {
	rd, err := NewReader(r, c, context)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	return io.ReadAll(rd)
}

var streamSizes = []int{0, 1, small - 1, small, small + 1, 2*small - 1, 2 * small, 2*small + 1, 16 * small, 33*small + 17, 70 * small}

func TestStreamRoundTrip(t *testing.T) {
	c, ids := newCipher(t, 128, 192, 256)
	for i, n := range streamSizes {
		plain := pattern(n)
		for _, workers := range []int{1, 2, 3} {
			o := StreamOptions{Segment: small, Workers: workers}
			sealed := stream(t, c, ids[i%3], plain, []byte("ctx"), o)
			count := max(1, (n+small-1)/small)
			require.Len(t, sealed, streamHeaderSize+n+count*segmentHeader)
			h, err := Parse(sealed)
			require.NoError(t, err)
			require.Equal(t, Header{Version: 1, Kind: KindStream, Suite: GCM, Key: ids[i%3], Segment: small}, h)

			got, err := read(c, sealed, []byte("ctx"))
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got), "%d bytes", n)
			r, err := NewReaderWith(iotest.OneByteReader(bytes.NewReader(sealed)), c, []byte("ctx"), o)
			require.NoError(t, err)
			var out bytes.Buffer
			done, err := r.WriteTo(&out)
			require.NoError(t, err)
			require.EqualValues(t, n, done)
			require.True(t, bytes.Equal(plain, out.Bytes()))
			require.NoError(t, r.Close())
			require.NoError(t, r.Close())
			_, err = r.Read(make([]byte, 1))
			require.ErrorIs(t, err, ErrClosed)
		}
	}
}

// However it is written and read, the same plaintext comes out.
func TestStreamPieces(t *testing.T) {
	c, ids := newCipher(t, 256)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		plain := pattern(r.IntN(60 * small))
		var sealed bytes.Buffer
		w, err := NewWriterWith(&sealed, c, ids[0], nil, StreamOptions{Segment: small << r.IntN(2), Workers: 1 + r.IntN(3)})
		require.NoError(t, err)
		for rest := plain; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN([]int{10, small, 5 * small, 40 * small}[r.IntN(4)]))
			var done int
			if r.IntN(3) == 0 {
				n64, err := w.ReadFrom(iotest.HalfReader(bytes.NewReader(rest[:n])))
				require.NoError(t, err)
				done = int(n64)
			} else {
				done, err = w.Write(rest[:n])
				require.NoError(t, err)
			}
			require.Equal(t, n, done)
			rest = rest[n:]
		}
		require.NoError(t, w.Close())
		rd, err := NewReaderWith(&sealed, c, nil, StreamOptions{Workers: 1 + r.IntN(3)})
		require.NoError(t, err)
		var got []byte
		for {
			p := make([]byte, 1+r.IntN([]int{10, small, 5 * small, 40 * small}[r.IntN(4)]))
			n, err := rd.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			require.NotZero(t, n)
		}
		require.True(t, bytes.Equal(plain, got))
	}
}

// A stream that is cut at any byte is refused, by both readers; what came out before is
// the beginning of what was written.
func TestStreamCutAtEveryByte(t *testing.T) {
	c, ids := newCipher(t, 256)
	plain := pattern(2*small + 100)
	for _, whole := range [][]byte{stream(t, c, ids[0], plain, nil, StreamOptions{Segment: small}), stream(t, c, ids[0], nil, nil, StreamOptions{}),
		stream(t, c, ids[0], plain[:2*small], nil, StreamOptions{Segment: small})} {
		for n := range whole {
			if testing.Short() && n > 300 && n%(small+segmentHeader) > 70 && n%97 != 0 {
				continue
			}
			got, err := read(c, whole[:n], nil)
			checkCut(t, n, err)
			require.True(t, bytes.HasPrefix(plain, got))
			if boundary := n - streamHeaderSize; n > streamHeaderSize && boundary%(small+segmentHeader) == 0 {
				require.ErrorIs(t, err, ErrCut, "at a boundary, %d", n)
			}
			_, err = OpenReaderAt(bytes.NewReader(whole), int64(n), c, nil)
			checkCut(t, n, err)
			_, err = OpenReaderAt(bytes.NewReader(whole[:n]), int64(len(whole)), c, nil)
			require.Error(t, err, "shorter than it was said to be")
		}
		_, err := read(c, append(bytes.Clone(whole), 0), nil)
		require.True(t, errorIsAny(err, ErrTampered, ErrCut), "%v", err)
	}
}

func checkCut(t *testing.T, n int, err error) {
	t.Helper()
	switch {
	case n < len(magic):
		require.ErrorIs(t, err, ErrNotElement)
	case n <= streamHeaderSize:
		require.ErrorIs(t, err, ErrCut, "%d", n)
	default:
		require.True(t, errorIsAny(err, ErrCut, ErrTampered), "%d: %v", n, err)
	}
}

func TestStreamAltered(t *testing.T) {
	c, ids := newCipher(t, 256)
	plain := pattern(3*small + 5)
	whole := stream(t, c, ids[0], plain, []byte("ctx"), StreamOptions{Segment: small})
	for i := range whole {
		if i > streamHeaderSize+40 && i%61 != 0 && i < len(whole)-40 {
			continue
		}
		bad := bytes.Clone(whole)
		bad[i] ^= 4
		got, err := read(c, bad, []byte("ctx"))
		require.Error(t, err, "byte %d", i)
		require.True(t, bytes.HasPrefix(plain, got), "byte %d", i)
		if i >= streamHeaderSize {
			require.ErrorIs(t, err, ErrTampered)
			segment := (i - streamHeaderSize) / (small + segmentHeader)
			require.Len(t, got, segment*small, "all before segment %d, and nothing of it", segment)
			checkRandomAccess(t, c, bad, plain, segment)
		} else if i >= saltAt && i < streamCommitAt+streamCommitSize {
			require.ErrorIs(t, err, ErrWrongKey)
			require.ErrorIs(t, err, fault.Tampered)
		}
	}
	_, err := read(c, whole, []byte("ctX"))
	require.ErrorIs(t, err, ErrTampered)
	_, err = OpenReaderAt(bytes.NewReader(whole), int64(len(whole)), c, nil)
	require.ErrorIs(t, err, ErrTampered)
}

// checkRandomAccess reads a stream with one bad segment at random.
func checkRandomAccess(t *testing.T, c *Cipher, bad, plain []byte, segment int) {
	t.Helper()
	r, err := OpenReaderAt(bytes.NewReader(bad), int64(len(bad)), c, []byte("ctx"))
	if segment == 3 {
		require.ErrorIs(t, err, ErrTampered)
		return
	}
	require.NoError(t, err)
	defer r.Close()
	for i := range 4 {
		p := bytes.Repeat([]byte{0xee}, 5)
		_, err := r.ReadAt(p, int64(i*small))
		if i == segment {
			require.ErrorIs(t, err, ErrTampered)
			require.Equal(t, bytes.Repeat([]byte{0xee}, 5), p)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, plain[i*small:][:5], p)
	}
	p := make([]byte, len(plain))
	n, err := r.ReadAt(p, 0)
	require.ErrorIs(t, err, ErrTampered)
	require.Equal(t, segment*small, n)
	require.Equal(t, plain[:n], p[:n])
	require.Equal(t, make([]byte, len(plain)-n), p[n:], "nothing behind the bad segment is left")
}

// Segments in another order, left out, doubled, or of another stream under the same key and context.
func TestStreamSplices(t *testing.T) {
	c, ids := newCipher(t, 256)
	plain := pattern(4 * small)
	whole := stream(t, c, ids[0], plain, nil, StreamOptions{Segment: small})
	other := stream(t, c, ids[0], plain, nil, StreamOptions{Segment: small})
	segment := func(s []byte, i int) []byte {
		return s[streamHeaderSize+i*(small+segmentHeader):][:small+segmentHeader]
	}
	join := func(header []byte, segments ...[]byte) []byte {
		return append(bytes.Clone(header[:streamHeaderSize]), bytes.Join(segments, nil)...)
	}
	s := func(i int) []byte { return segment(whole, i) }
	require.Equal(t, whole, join(whole, s(0), s(1), s(2), s(3)))
	for name, bad := range map[string][]byte{
		"exchanged":           join(whole, s(1), s(0), s(2), s(3)),
		"one left out":        join(whole, s(0), s(2), s(3)),
		"doubled":             join(whole, s(0), s(1), s(1), s(2), s(3)),
		"the last twice":      join(whole, s(0), s(1), s(2), s(3), s(3)),
		"last in the middle":  join(whole, s(0), s(3), s(2), s(1)),
		"of another stream":   join(whole, s(0), segment(other, 1), s(2), s(3)),
		"header of another":   join(other, s(0), s(1), s(2), s(3)),
		"other tail":          join(whole, s(0), s(1), s(2), segment(other, 3)),
		"two streams":         append(bytes.Clone(whole), other...),
		"first segment alone": join(whole, s(0)),
		"only the last":       join(whole, s(3)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c, bad, nil)
			require.True(t, errorIsAny(err, ErrTampered, ErrCut), "%v", err)
			require.True(t, bytes.HasPrefix(plain, got))
			r, err := OpenReaderAt(bytes.NewReader(bad), int64(len(bad)), c, nil)
			if err == nil { // its end is right: then something before is not
				defer r.Close()
				_, err = io.ReadAll(r)
			}
			require.True(t, errorIsAny(err, ErrTampered, ErrCut), "%v", err)
		})
	}
}

func TestReaderAtModel(t *testing.T) {
	c, ids := newCipher(t, 256)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for _, n := range streamSizes {
		plain := pattern(n)
		sealed := stream(t, c, ids[0], plain, nil, StreamOptions{Segment: small})
		r, err := OpenReaderAtWith(bytes.NewReader(sealed), int64(len(sealed)), c, nil, StreamOptions{Workers: 2})
		require.NoError(t, err)
		require.EqualValues(t, n, r.Size())
		model := bytes.NewReader(plain)
		for range 100 {
			p, q := make([]byte, rnd.IntN(3*small)), make([]byte, 3*small)
			q = q[:len(p)]
			at := rnd.Int64N(int64(n) + 10)
			got, err := r.ReadAt(p, at)
			want, wantErr := model.ReadAt(q, at)
			if len(p) == 0 { // bytes.Reader says EOF there even for nothing
				continue
			}
			require.Equal(t, want, got)
			require.Equal(t, wantErr, err)
			require.True(t, bytes.Equal(q, p))
			whence, to := rnd.IntN(3), rnd.Int64N(int64(n)+2)-1
			a, err := r.Seek(to, whence)
			b, wantErr := model.Seek(to, whence)
			require.Equal(t, wantErr == nil, err == nil)
			require.Equal(t, b, a)
			a2, _ := r.Read(p)
			b2, _ := model.Read(q)
			require.Equal(t, b2, a2)
		}
		_, err = r.Seek(0, 7)
		require.ErrorIs(t, err, ErrUsage)
		_, err = r.ReadAt(nil, -1)
		require.ErrorIs(t, err, ErrUsage)
		_, err = r.Seek(0, io.SeekStart)
		require.NoError(t, err)
		require.NoError(t, iotest.TestReader(r, plain))
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		_, err = r.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, ErrClosed)
	}
}

func TestReaderAtConcurrent(t *testing.T) {
	c, ids := newCipher(t, 256)
	plain := pattern(20 * small)
	sealed := stream(t, c, ids[0], plain, nil, StreamOptions{Segment: small})
	r, err := OpenReaderAt(bytes.NewReader(sealed), int64(len(sealed)), c, nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			for range 100 {
				p := make([]byte, 1+rnd.IntN(2*small))
				at := rnd.IntN(len(plain) - len(p))
				if _, err := r.ReadAt(p, int64(at)); err != nil || !bytes.Equal(p, plain[at:at+len(p)]) {
					t.Errorf("at %d: %v", at, err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, r.Close())
}

func TestStreamKeys(t *testing.T) {
	r, ids := ring(t, 128, 256)
	c, err := New(r)
	require.NoError(t, err)
	var out bytes.Buffer
	w, err := NewWriter(&out, c, ids[0], nil)
	require.NoError(t, err)
	c.Close() // streams go on
	_, err = w.Write([]byte("text"))
	require.NoError(t, err)
	require.ErrorIs(t, r.Deactivate(ids[0], dek.Element), fault.State)
	require.Equal(t, []string{streamHolder}, r.Holders(ids[0]))
	require.NoError(t, w.Close())
	require.Empty(t, r.Holders(ids[0]))
	_, err = w.Write([]byte("more"))
	require.ErrorIs(t, err, ErrClosed)
	_, err = NewWriter(&out, c, ids[0], nil)
	require.ErrorIs(t, err, ErrClosed)

	c, err = New(r)
	require.NoError(t, err)
	defer c.Close()
	sealed := bytes.Clone(out.Bytes())
	got, err := read(c, sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "text", string(got))
	require.Empty(t, r.Holders(ids[0]), "given back at the end")
	_, err = c.Decrypt(sealed, nil)
	require.ErrorIs(t, err, ErrUsage)
	value, err := c.Encrypt(pattern(100), ids[0], nil)
	require.NoError(t, err)
	_, err = read(c, value, nil)
	require.ErrorIs(t, err, ErrUsage)

	require.NoError(t, r.SetMode(ids[1], dek.Element, dek.DecryptOnly))
	_, err = NewWriter(&out, c, ids[1], nil)
	require.ErrorIs(t, err, ErrDecryptOnly)
	require.Empty(t, r.Holders(ids[1]))
	_, err = NewWriter(&out, c, dek.NewID(), nil)
	require.ErrorIs(t, err, ErrNotActivated)
	for _, o := range []StreamOptions{{Segment: 1000}, {Segment: 2048}, {Segment: 1 << 21}, {Segment: -4096}, {Workers: -1}, {Workers: 2000}} {
		_, err = NewWriterWith(&out, c, ids[0], nil, o)
		require.ErrorIs(t, err, ErrUsage, "%+v", o)
	}
	_, err = NewWriter(&out, c, ids[0], make([]byte, MaxContext+1))
	require.ErrorIs(t, err, ErrUsage)
	c.Forget(ids[0])
	require.Empty(t, r.Holders(ids[0]))
}

func TestRekeyStream(t *testing.T) {
	c, ids := newCipher(t, 128, 256)
	for _, n := range streamSizes {
		plain := pattern(n)
		old := stream(t, c, ids[0], plain, []byte("ctx"), StreamOptions{Segment: small})
		var out bytes.Buffer
		done, err := RekeyStream(&out, bytes.NewReader(old), c, ids[1], []byte("ctx"))
		require.NoError(t, err)
		require.EqualValues(t, n, done)
		h, err := Parse(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, ids[1], h.Key)
		require.Equal(t, small, h.Segment)
		got, err := read(c, out.Bytes(), []byte("ctx"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))

		out.Reset()
		_, err = RekeyStream(&out, bytes.NewReader(old[:len(old)-1]), c, ids[1], []byte("ctx"))
		require.True(t, errorIsAny(err, ErrTampered, ErrCut))
		_, err = read(c, out.Bytes(), []byte("ctx"))
		require.Error(t, err, "what a failed re-key leaves is no stream")
	}
	for _, id := range ids {
		require.NotContains(t, c.ring.Holders(id), streamHolder)
	}
}

// limited fails after so many bytes.
type limited struct{ left int }

var errFull = errors.New("full")

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestStreamFailures(t *testing.T) {
	c, ids := newCipher(t, 256)
	_, err := NewWriter(&limited{}, c, ids[0], nil)
	require.ErrorIs(t, err, errFull)
	w, err := NewWriterWith(&limited{left: 200}, c, ids[0], nil, StreamOptions{Segment: small, Workers: 1})
	require.NoError(t, err)
	_, err = w.Write(pattern(100 * small))
	require.ErrorIs(t, err, errFull)
	require.ErrorIs(t, w.Close(), errFull)
	_, err = w.ReadFrom(bytes.NewReader(nil))
	require.ErrorIs(t, err, errFull)
	w, err = NewWriter(io.Discard, c, ids[0], nil)
	require.NoError(t, err)
	_, err = w.ReadFrom(iotest.ErrReader(errFull))
	require.ErrorIs(t, err, errFull)
	w.Abort()
	w.Abort()
	require.NoError(t, w.Close())

	sealed := stream(t, c, ids[0], pattern(3*small), nil, StreamOptions{Segment: small})
	for n := range []int{0, 50, streamHeaderSize, 5000, 9000, len(sealed)} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(sealed[:n]), iotest.ErrReader(errFull)), c, nil)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		require.ErrorIs(t, err, errFull, "%d", n)
	}
	r, err := OpenReaderAt(bytes.NewReader(sealed), int64(len(sealed)), c, nil)
	require.NoError(t, err)
	defer r.Close()
	_, err = OpenReaderAt(bytes.NewReader(nil), -5, c, nil)
	require.ErrorIs(t, err, ErrNotElement)
	require.NotContains(t, c.ring.Holders(ids[0]), "value")
}

// A long stream takes no more memory than its buffers.
func TestStreamMemoryIsConstant(t *testing.T) {
	const length = 24 << 20
	c, ids := newCipher(t, 256)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	o := StreamOptions{Workers: 2}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		w, err := NewWriterWith(pw, c, ids[0], nil, o)
		if err == nil {
			_, err = io.CopyN(w, zeros{}, length)
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
		done <- err
	}()
	r, err := NewReaderWith(pr, c, nil, o)
	require.NoError(t, err)
	got, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	require.EqualValues(t, length, got)
	require.NoError(t, <-done)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(length/4), "bytes allocated") // two buffers of 1 MiB, and small things
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
