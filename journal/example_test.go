package journal_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// Two records are made durable, the machine loses power, and a recovery finds them and goes on.
func Example() {
	ctx := context.Background()
	key, err := dek.Generate(256)
	if err != nil {
		log.Fatal(err)
	}
	keys := dek.NewKeyring()
	if err := keys.Activate(key, dek.Database, dek.Active); err != nil {
		log.Fatal(err)
	}
	disk := fsx.NewMem(1) // leave FS out for real files
	o := journal.Options{FS: disk, Dir: "/orders.journal", Keys: keys, Volume: [16]byte{1}, Stream: [16]byte{2}}

	j, err := journal.Start(o, journal.Position{}, key.ID(), 1, [16]byte{3})
	if err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"seven apples", "nine pears"} {
		seq, err := j.Append([]byte(order))
		if err == nil {
			err = j.Wait(ctx, seq)
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	if _, err := j.Append([]byte("never waited for")); err != nil {
		log.Fatal(err)
	}

	o.FS = disk.Crash(nil)
	floor := journal.Floor{Generation: 1, Keys: []dek.ID{key.ID()}}
	r, err := journal.Recover(ctx, o, floor, func(f journal.Frame) error {
		fmt.Printf("%d: %s\n", f.Seq, f.Payload)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if err := r.Settle(ctx); err != nil {
		log.Fatal(err)
	}
	j, err = r.Continue(key.ID(), 1, [16]byte{4})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("goes on behind", j.Durable().Seq)
	if err := j.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1: seven apples
	// 2: nine pears
	// goes on behind 2
}
