package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files lists the traces that names stand for: a folder means every regular
// file in it and below, in the order of their names.
func Files(names ...string) ([]string, error) {
	var files []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Open reads the trace in a file.
func Open(name string, o Options) Messages {
	return func(yield func(Message, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(Message{}, &Problem{Cause: err.Error(), Ends: true})
			return
		}
		defer f.Close()
		Read(f, o)(yield)
	}
}

// Read reads a trace of any known format.
func Read(r io.Reader, o Options) Messages {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	return func(yield func(Message, error) bool) {
		s := &sink{yield: yield}
		read(r, o, s, 0)
	}
}

// A trace is compressed at most this many times.
const maxNested = 2

func read(r io.Reader, o Options, s *sink, nested int) {
	in := bufio.NewReaderSize(r, 256<<10)
	head, err := in.Peek(4096)
	if len(head) == 0 {
		if err == io.EOF {
			s.ends(0, "is empty")
		} else {
			s.ends(0, "can't be read: %v", err)
		}
		return
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if nested == maxNested {
			s.ends(0, "is compressed more than %d times over", maxNested)
			return
		}
		counted := &counter{r: in}
		z, err := gzip.NewReader(counted)
		if err != nil {
			s.ends(0, "can't be decompressed: %v", err)
			return
		}
		read(&inflated{r: z, from: counted}, o, s, nested+1)
	case isPcap(head):
		readPcap(in, s)
	case bytes.HasPrefix(head, sectionHeader):
		readPcapng(in, s)
	case bytes.HasPrefix(head, hepMagic):
		readHEP(in, s)
	case bytes.IndexByte(head, 0) >= 0:
		s.ends(0, "is in no known format: want pcap, pcapng, HEPv3 or text, or one of these in gzip")
	default:
		readText(in, o, s)
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// inflated refuses what is far more compressed than any trace: a gzip bomb.
type inflated struct {
	r    io.Reader
	from *counter
	n    int64
}

// Deflate can do 1032 to 1; a log of thousands of equal calls stays below 200.
const (
	bombFrom  = 16 << 20
	bombRatio = 500
)

var errBomb = errors.New("is compressed too far to be a trace")

func (i *inflated) Read(b []byte) (int, error) {
	n, err := i.r.Read(b)
	if i.n += int64(n); i.n > bombFrom && i.n > bombRatio*i.from.n {
		return 0, errBomb
	}
	return n, err
}

// cause says why reading ended early.
func cause(err error) string {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return "the file is cut here"
	}
	return err.Error()
}
