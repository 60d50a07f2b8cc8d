package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// errTable says what is wrong with one of Badger's tables.
var errTable = errors.New("it is damaged")

// tablesWhole reads all tables and compares every checksum. Badger would do so
// too, but it ends the process where lengths in a table make no sense, and it
// does that in goroutines which may go on after it has told of another table's
// damage, when the projection is being made anew in the same place.
func tablesWhole(paths []string) error {
	todo := make(chan string)
	damaged := make([]error, runtime.GOMAXPROCS(0))
	var readers sync.WaitGroup
	for i := range damaged {
		readers.Go(func() {
			r := tableReader{ahead: bufio.NewReaderSize(nil, 256<<10)}
			for path := range todo {
				if err := r.check(path); err != nil && damaged[i] == nil {
					damaged[i] = &errRebuild{fmt.Sprintf("of its table %s: %v", filepath.Base(path), err)}
				}
			}
		})
	}
	for _, path := range paths {
		todo <- path
	}
	close(todo)
	readers.Wait()
	for _, err := range damaged {
		if err != nil {
			return err
		}
	}
	return nil
}

// A tableReader reads tables a piece at a time: those of ten million numbers
// are 1.5 GB, 32 MB each.
type tableReader struct {
	ahead *bufio.Reader
	index []byte
	block []byte
}

func (r *tableReader) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return r.whole(f, info.Size())
}

// whole looks at a table, which is: blocks, their index, the index's length,
// its checksum, and the checksum's length. A block ends with its checksum and
// that one's length.
func (r *tableReader) whole(f io.ReaderAt, size int64) error {
	r.index = r.index[:0]
	sum, size, err := r.cutSized(f, size)
	if err != nil {
		return fmt.Errorf("the checksum of its index: %w", err)
	}
	index, size, err := r.cutSized(f, size)
	if err == nil && len(index) == 0 {
		err = errTable // zeros would be a right checksum of nothing
	}
	if err == nil {
		err = sumRight(index, sum)
	}
	if err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	r.ahead.Reset(io.NewSectionReader(f, 0, size))
	list := fb.GetRootAsTableIndex(index, 0) // as Badger wrote it, says the checksum
	end := int64(0)
	for i := range list.OffsetsLength() {
		var at fb.BlockOffset
		if !list.Offsets(&at, i) || int64(at.Offset()) != end || end+int64(at.Len()) > size {
			return fmt.Errorf("its block %d is not there: %w", i, errTable)
		}
		r.block = slices.Grow(r.block[:0], int(at.Len()))[:at.Len()]
		if _, err := io.ReadFull(r.ahead, r.block); err != nil {
			return err
		}
		if err := blockWhole(r.block); err != nil {
			return fmt.Errorf("its block %d: %w", i, err)
		}
		end += int64(at.Len())
	}
	return nil
}

// cutSized reads what stands before its own length, a big-endian uint32, at the
// end of so many octets, and says where it begins.
func (r *tableReader) cutSized(f io.ReaderAt, size int64) ([]byte, int64, error) {
	var n [4]byte
	size -= int64(len(n))
	if size < 0 {
		return nil, 0, errTable
	}
	if _, err := f.ReadAt(n[:], size); err != nil {
		return nil, 0, err
	}
	long := int64(binary.BigEndian.Uint32(n[:]))
	if long > size {
		return nil, 0, errTable
	}
	from := len(r.index)
	r.index = slices.Grow(r.index, int(long))[:from+int(long)]
	part := r.index[from:]
	_, err := f.ReadAt(part, size-long)
	return part, size - long, err
}

func blockWhole(b []byte) error {
	const size = 4
	end := len(b) - size
	if end < 0 || uint64(binary.BigEndian.Uint32(b[end:])) > uint64(end) {
		return errTable
	}
	at := end - int(binary.BigEndian.Uint32(b[end:]))
	return sumRight(b[:at], b[at:end])
}

// sumRight compares data with its checksum, a pb.Checksum.
func sumRight(data, sum []byte) error {
	var expected pb.Checksum
	if err := proto.Unmarshal(sum, &expected); err != nil {
		return errTable
	}
	if _, known := pb.Checksum_Algorithm_name[int32(expected.Algo)]; !known {
		return errTable
	}
	if err := y.VerifyChecksum(data, &expected); err != nil {
		return errTable
	}
	return nil
}
