package store

import (
	"errors"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"
)

// A rowStream gives rows to a new database as finished tables. To write them
// takes as long as to make them, so that a goroutine of its own does it.
type rowStream struct {
	writer  *badger.StreamWriter
	buf     *z.Buffer
	full    chan *z.Buffer
	written chan writtenBuffer
	kv      pb.KV
}

type writtenBuffer struct {
	buf *z.Buffer
	err error
}

const (
	streamBuffer  = 1 << 20 // octets from which one is written
	streamBuffers = 3
)

func newRowStream(db *badger.DB) (*rowStream, error) {
	s := &rowStream{writer: db.NewStreamWriter(), full: make(chan *z.Buffer, streamBuffers), written: make(chan writtenBuffer, streamBuffers)}
	if err := s.writer.Prepare(); err != nil {
		s.writer.Cancel()
		return nil, err
	}
	for range streamBuffers {
		s.written <- writtenBuffer{buf: z.NewBuffer(2*streamBuffer, "projection")}
	}
	s.buf = (<-s.written).buf
	go func() {
		defer close(s.written)
		var err error
		for buf := range s.full {
			if err == nil {
				err = s.writer.Write(buf)
			}
			buf.Reset()
			s.written <- writtenBuffer{buf, err}
		}
	}()
	return s, nil
}

func (s *rowStream) put(stream uint32, key, value []byte, version uint64) error {
	s.kv.Key, s.kv.Value, s.kv.Version, s.kv.StreamId = key, value, version, stream
	badger.KVToBuffer(&s.kv, s.buf)
	if s.buf.LenNoPadding() < streamBuffer {
		return nil
	}
	s.full <- s.buf
	next := <-s.written
	s.buf = next.buf
	return next.err
}

// end writes what is left, unless the rows are not whole because of an error.
func (s *rowStream) end(err error) error {
	defer s.writer.Cancel()
	s.full <- s.buf
	close(s.full)
	for w := range s.written {
		if err == nil {
			err = w.err
		}
		err = errors.Join(err, w.buf.Release())
	}
	if err != nil {
		return err
	}
	return s.writer.Flush()
}
