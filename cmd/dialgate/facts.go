package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/store"
	"dialgate/store/ledger"
)

type factsCmd struct {
	Config string         `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Import factsImportCmd `cmd:"" help:"Import facts from CSV or JSON Lines."`
	Add    factsAddCmd    `cmd:"" help:"Add one fact."`
	List   factsListCmd   `cmd:"" help:"Show what is known of a number."`
	Export factsExportCmd `cmd:"" help:"Write all facts as JSON Lines."`
	Erase  factsEraseCmd  `cmd:"" help:"Erase a number and keep its block."`
}

// storeOptions are those of the configuration.
func storeOptions(cfg *configs.Config) store.Options {
	return store.Options{Dir: cfg.Store.Path, Node: cfg.Node, ErasureKey: cfg.Store.ErasureKey, Keep: time.Duration(cfg.Ledger.KeepDays) * 24 * time.Hour, Ledger: ledger.Options{
		SegmentSize: int64(cfg.Ledger.SegmentSize), Memory: cfg.Ledger.Mode == "memory", Linger: cfg.Ledger.Linger,
	}}
}

// withKeeper opens the store of a configuration for a command.
func withKeeper(config string, use func(keeper) error) error {
	cfg, _, err := loadConfig(config)
	if err != nil {
		return err
	}
	k, err := openKeeper(cfg.Store.Path, storeOptions(cfg))
	if err != nil {
		return err
	}
	return errors.Join(use(k), k.Close())
}

type factsImportCmd struct {
	DryRun  bool              `help:"Read and check, change nothing."`
	Rejects string            `help:"File for the rows that are refused, with line, column and cause; default: FILE.rejects." placeholder:"FILE"`
	Batch   string            `help:"Name of this import; default: the file's name." placeholder:"NAME"`
	Const   map[string]string `help:"A field that every row has, such as --const advertiser=windkracht." placeholder:"FIELD=VALUE"`
	Map     string            `help:"File that says how its columns become fields; FILE:NAME takes one of several." placeholder:"FILE"`
	File    string            `arg:"" help:"XLSX, CSV with a header line, or JSON Lines; - is standard input."`
}

// Help is printed by --help.
func (factsImportCmd) Help() string {
	return "Example: dialgate facts import --const advertiser=windkracht --const preticked=false --const bundled=false optins.csv"
}

// How many facts go at a time into a running node, and into a store of which
// nobody makes a call.
const (
	importBatch = 1000
	loadBatch   = 4096
)

// Run imports a file. Bad rows go to the rejects file, the others go in.
func (c factsImportCmd) Run(s streams, parent *factsCmd) error {
	return withKeeper(parent.Config, func(k keeper) error {
		in, size, err := openInput(c.File, s.in)
		if err != nil {
			return usageError("the file can't be read: %v", err)
		}
		defer in.Close()
		i := importer{keeper: k, dry: c.DryRun, rejects: rejects{path: c.rejectsPath()}, bar: bar(s.err, size, "importing")}
		defer i.bar.Close()
		intake := store.Intake{
			Form:      policy.FactForm{Zone: calledZone(), Number: localNumber, Attested: true},
			Constants: c.Const, Batch: c.batchName(),
		}
		if c.Map != "" {
			if err := readMap(c.Map, &intake); err != nil {
				return err
			}
		}
		if err := i.run(intake, in); err != nil {
			return errors.Join(err, i.rejects.close())
		}
		if err := i.rejects.close(); err != nil {
			return err
		}
		verb := "imported"
		if c.DryRun {
			verb = "would be imported"
		}
		fmt.Fprintf(s.out, "%d rows: %d %s, %d known already, %d rejected\n", i.rows, i.added, verb, i.known, i.rejects.count)
		if i.rejects.count > 0 {
			fmt.Fprintf(s.out, "the rejected rows are in %s\n", i.rejects.path)
			return errFinding
		}
		return nil
	})
}

// openInput opens a file that a command reads; - is standard input, whose size
// is not known.
func openInput(name string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(stdin), -1, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (c factsImportCmd) rejectsPath() string {
	if c.Rejects != "" {
		return c.Rejects
	}
	if c.File == "-" {
		return "stdin.rejects"
	}
	return c.File + ".rejects"
}

func (c factsImportCmd) batchName() string {
	if c.Batch != "" {
		return c.Batch
	}
	return filepath.Base(c.File)
}

// bar shows on a terminal how far a command is with its file.
func bar(w io.Writer, size int64, doing string) *progressbar.ProgressBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return progressbar.DefaultBytesSilent(size)
	}
	return progressbar.DefaultBytes(size, doing)
}

// An importer puts rows into a store in batches.
type importer struct {
	keeper  keeper
	into    adder // the keeper, or a load of its
	dry     bool
	rejects rejects
	bar     *progressbar.ProgressBar

	rows, added, known int
	facts              []policy.Fact
	from               []store.Row
}

// An adder takes facts in.
type adder interface {
	Add(ctx context.Context, facts ...policy.Fact) ([]store.Result, error)
}

// run imports. A store that no node has open judges no calls, and is loaded.
func (i *importer) run(intake store.Intake, in io.Reader) (err error) {
	i.into = i.keeper
	batch := importBatch
	if s, ok := i.keeper.(*store.Store); ok && !i.dry {
		load := s.Load()
		defer func() { err = errors.Join(err, load.Close()) }()
		i.into, batch = load, loadBatch
	}
	for row, err := range intake.Rows(io.TeeReader(in, i.bar)) {
		if err != nil {
			return err
		}
		i.rows++
		if row.Err != nil {
			if err := i.rejects.add(row, row.Err); err != nil {
				return err
			}
			continue
		}
		i.facts, i.from = append(i.facts, row.Fact), append(i.from, row)
		if len(i.facts) == batch {
			if err := i.flush(); err != nil {
				return err
			}
		}
	}
	return i.flush()
}

func (i *importer) flush() error {
	if len(i.facts) == 0 {
		return nil
	}
	var results []store.Result
	var err error
	if i.dry {
		results, err = i.look()
	} else {
		results, err = i.into.Add(context.Background(), i.facts...)
	}
	if err != nil {
		return fmt.Errorf("the import stopped after %d facts; run it again when this is mended, nothing is taken twice: %w", i.added, err)
	}
	for j, r := range results {
		switch {
		case r.Err != nil:
			if err := i.rejects.add(i.from[j], r.Err); err != nil {
				return err
			}
		case r.Known:
			i.known++
		default:
			i.added++
		}
	}
	i.facts, i.from = i.facts[:0], i.from[:0]
	return nil
}

// look tells what adding would do.
func (i *importer) look() ([]store.Result, error) {
	results := make([]store.Result, len(i.facts))
	for j := range i.facts {
		have, err := i.keeper.History(i.facts[j].Number)
		if err != nil {
			return nil, err
		}
		results[j].ID = i.facts[j].ID
		for _, f := range have.All {
			results[j].Known = results[j].Known || f.ID == i.facts[j].ID
		}
	}
	return results, nil
}

// rejects is the file of rows that were refused, made with the first one.
type rejects struct {
	path  string
	file  *os.File
	csv   *csv.Writer
	count int
}

func (r *rejects) add(row store.Row, cause error) error {
	if r.file == nil {
		f, err := os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("the rejects file can't be written: %w", err)
		}
		r.file, r.csv = f, csv.NewWriter(f)
		if err := r.csv.Write([]string{"line", "column", "cause", "row"}); err != nil {
			return err
		}
	}
	r.count++
	return r.csv.Write([]string{fmt.Sprint(row.Line), row.Column, oneLine(cause), row.Text})
}

func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.file.Close())
}

type factsAddCmd struct {
	Field []string `arg:"" help:"The fact as one JSON object, or as field=value pairs; - reads JSON from standard input."`
}

// Help is printed by --help.
func (factsAddCmd) Help() string {
	return "Example: dialgate facts add kind=objection number=0612345678 advertiser='*' via=letter\nWithout at=, it happens now."
}

// Run adds one fact; it binds the next call when the command ends.
func (c factsAddCmd) Run(s streams, parent *factsCmd) error {
	form := policy.FactForm{Zone: calledZone(), Number: localNumber, DefaultAt: time.Now().Truncate(time.Second), Attested: true}
	f, err := c.fact(s.in, form)
	if err != nil {
		return usageError("no fact: %s", oneLine(err))
	}
	return withKeeper(parent.Config, func(k keeper) error {
		results, err := k.Add(context.Background(), f)
		if err != nil {
			return err
		}
		r := results[0]
		switch {
		case r.Err != nil:
			return &statusError{exitFinding, "refused: " + r.Err.Error()}
		case r.Known:
			fmt.Fprintln(s.out, r.ID, "was known already")
		default:
			fmt.Fprintln(s.out, r.ID, "is recorded and in force")
		}
		return nil
	})
}

func (c factsAddCmd) fact(stdin io.Reader, form policy.FactForm) (policy.Fact, error) {
	if len(c.Field) == 1 && c.Field[0] == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		if err != nil {
			return policy.Fact{}, err
		}
		return form.ParseJSON(data)
	}
	if strings.HasPrefix(strings.TrimSpace(c.Field[0]), "{") {
		return form.ParseJSON([]byte(strings.Join(c.Field, " ")))
	}
	var names, texts []string
	for _, pair := range c.Field {
		name, text, ok := strings.Cut(pair, "=")
		if !ok {
			return policy.Fact{}, fmt.Errorf("%q is no field=value", pair)
		}
		names, texts = append(names, name), append(texts, text)
	}
	return form.ParseRow(names, texts)
}

type factsListCmd struct {
	JSON   bool   `help:"One JSON object a line."`
	Number string `arg:"" help:"The number, international or national."`
}

// Help is printed by --help.
func (factsListCmd) Help() string { return "Example: dialgate facts list +31612345678" }

func (c factsListCmd) Run(s streams, parent *factsCmd) error {
	n, err := localNumber(c.Number)
	if err != nil {
		return usageError("%v", err)
	}
	return withKeeper(parent.Config, func(k keeper) error {
		f, err := k.History(n)
		if err != nil {
			return err
		}
		if len(f.All) == 0 && !c.JSON {
			fmt.Fprintln(s.out, "nothing is known of", n.E164())
		}
		for i := range f.All {
			fact := &f.All[i]
			if c.JSON {
				fmt.Fprintf(s.out, "%s\n", fact.AppendJSON(nil))
				continue
			}
			fmt.Fprintf(s.out, "%s  %-12s %-14s %s\n", fact.At.In(calledZone()).Format("2006-01-02 15:04:05"), fact.Kind, orNone(fact.Advertiser), fact.AppendJSON(nil))
		}
		return nil
	})
}

type factsExportCmd struct{}

// Help is printed by --help.
func (factsExportCmd) Help() string { return "Example: dialgate facts export > facts.jsonl" }

func (factsExportCmd) Run(s streams, parent *factsCmd) error {
	return withKeeper(parent.Config, func(k keeper) error {
		w := bufio.NewWriterSize(s.out, 1<<20)
		return errors.Join(k.Export(w), w.Flush())
	})
}
