package main

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A yardstick is a store of 32 octets for each number, and nothing else: no
// ledger, no evidence, no rules of which fact outweighs which.
type yardstick struct {
	name string
	load func(dir string, numbers []uint64) (get func(uint64) (bool, error), close func() error, err error)
}

var yardsticks = []yardstick{
	{name: "Go map", load: loadMap},
	{name: "bbolt 1.5", load: loadBolt},
	{name: "SQLite (modernc)", load: loadSQLite},
}

var row [32]byte

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func loadMap(_ string, numbers []uint64) (func(uint64) (bool, error), func() error, error) {
	m := map[uint64][32]byte{}
	for _, n := range numbers {
		m[n] = row
	}
	get := func(n uint64) (bool, error) { _, ok := m[n]; return ok, nil }
	return get, func() error { return nil }, nil
}

func loadBolt(dir string, numbers []uint64) (func(uint64) (bool, error), func() error, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		return nil, nil, err
	}
	for len(numbers) > 0 {
		some := numbers[:min(len(numbers), 10_000)]
		err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("f"))
			for i := 0; err == nil && i < len(some); i++ {
				err = b.Put(key(some[i]), row[:])
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		numbers = numbers[len(some):]
	}
	get := func(n uint64) (found bool, err error) {
		err = db.View(func(tx *bbolt.Tx) error { found = tx.Bucket([]byte("f")).Get(key(n)) != nil; return nil })
		return found, err
	}
	return get, db.Close, nil
}

func loadSQLite(dir string, numbers []uint64) (func(uint64) (bool, error), func() error, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "sqlite")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, nil, err
	}
	if _, err := db.Exec("CREATE TABLE f (n INTEGER PRIMARY KEY, v BLOB)"); err != nil {
		return nil, nil, err
	}
	for len(numbers) > 0 {
		some := numbers[:min(len(numbers), 10_000)]
		tx, err := db.Begin()
		if err != nil {
			return nil, nil, err
		}
		insert, err := tx.Prepare("INSERT OR REPLACE INTO f VALUES (?, ?)")
		for i := 0; err == nil && i < len(some); i++ {
			_, err = insert.Exec(int64(some[i]), row[:])
		}
		if err = errors.Join(err, tx.Commit()); err != nil {
			return nil, nil, err
		}
		numbers = numbers[len(some):]
	}
	find, err := db.Prepare("SELECT v FROM f WHERE n = ?")
	get := func(n uint64) (bool, error) {
		var v []byte
		err := find.QueryRow(int64(n)).Scan(&v)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	}
	return get, db.Close, err
}

// bare reads the store's own projection through Badger alone.
func bare(dir string) (func(uint64) (bool, error), func() error, error) {
	db, err := badger.OpenManaged(badger.DefaultOptions(filepath.Join(dir, "state")).WithCompression(options.None).
		WithBlockCacheSize(0).WithIndexCacheSize(0).WithLoggingLevel(badger.ERROR))
	if err != nil {
		return nil, nil, err
	}
	get := func(n uint64) (bool, error) {
		txn := db.NewTransactionAt(math.MaxUint64, false)
		defer txn.Discard()
		item, err := txn.Get(append([]byte{'F'}, key(n)...))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, item.Value(func([]byte) error { return nil })
	}
	return get, db.Close, nil
}
