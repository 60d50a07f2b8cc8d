package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"dialgate/configs"
	"dialgate/policy"
	"dialgate/store"
	"dialgate/store/ledger"
)

type factsCmd struct {
	Config    string            `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Import    factsImportCmd    `cmd:"" help:"Import facts, or a register, from CSV, XLSX or JSON Lines."`
	Add       factsAddCmd       `cmd:"" help:"Add one fact."`
	List      factsListCmd      `cmd:"" help:"Show what is known of a number."`
	Export    factsExportCmd    `cmd:"" help:"Write all facts as JSON Lines."`
	Undo      factsUndoCmd      `cmd:"" help:"Undo an import: its facts count no more."`
	Erase     factsEraseCmd     `cmd:"" help:"Erase a number and keep its block."`
	Registers factsRegistersCmd `cmd:"" help:"Show which copies of do-not-call registers count."`
}

// storeOptions are those of the configuration.
func storeOptions(cfg *configs.Config) store.Options {
	return store.Options{Dir: cfg.Store.Path, Node: cfg.Node, ErasureKey: cfg.Store.ErasureKey, Keep: time.Duration(cfg.Ledger.KeepDays) * 24 * time.Hour, Floor: uint64(cfg.Store.DiskFloor), Ledger: ledger.Options{
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
	DryRun   bool              `help:"Read and check, change nothing."`
	Rejects  string            `help:"File for the rows that are refused, with line, column and cause; default: FILE.rejects." placeholder:"FILE"`
	Batch    string            `help:"Name of this import; default: the file's name." placeholder:"NAME"`
	Const    map[string]string `help:"A field that every row has, such as --const advertiser=windkracht." placeholder:"FIELD=VALUE"`
	Map      string            `help:"File that says how its columns become fields; FILE:NAME takes one of several." placeholder:"FILE"`
	Register string            `help:"The file is a copy of this do-not-call register of the configuration: each number in it is listed." placeholder:"ID"`
	AsOf     string            `help:"The date of that copy." placeholder:"DATE"`
	JSON     bool              `help:"Print the report as JSON."`
	File     string            `arg:"" help:"XLSX, CSV with a header line, or JSON Lines; - is standard input."`
}

// Help is printed by --help.
func (factsImportCmd) Help() string {
	return "Example: dialgate facts import --const advertiser=windkracht --const preticked=false --const bundled=false optins.csv\n" +
		"An import that was interrupted is run again: what is in already is known, and nothing is taken twice.\n" +
		"A register: dialgate facts import --register nobellen --as-of 2026-11-20 nobellen.csv"
}

// importBatch is how many facts go at a time into a running node.
const importBatch = 1000

// Run imports a file. Bad rows go to the rejects file, the others go in.
func (c factsImportCmd) Run(s streams, parent *factsCmd) error {
	if err := checkWords("--batch", c.batchName()); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return c.withKeeper(parent.Config, func(cfg *configs.Config, k keeper) error {
		in, size, err := openInput(c.File, s.in)
		if err != nil {
			return usageError("the file can't be read: %v", err)
		}
		defer in.Close()
		i := importer{ctx: ctx, keeper: k, alone: true, report: newImportReport(c.batchName(), c.DryRun), rejects: rejects{path: c.rejectsPath()}, bar: bar(s.err, size, "importing")}
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
		if i.register, err = c.register(cfg, &intake); err != nil {
			return err
		}
		if err := i.run(intake, in); err != nil {
			return errors.Join(err, i.rejects.close())
		}
		if err := i.rejects.close(); err != nil {
			return err
		}
		return i.finish(s.out, c.JSON)
	})
}

// withKeeper opens the store. Where there is none yet, a dry run makes none.
func (c *factsImportCmd) withKeeper(config string, use func(*configs.Config, keeper) error) error {
	cfg, _, err := loadConfig(config)
	if err != nil {
		return err
	}
	o := storeOptions(cfg)
	if c.DryRun && !store.Exists(o.Dir) {
		if o.Dir, err = os.MkdirTemp("", "dialgate-*"); err != nil {
			return err
		}
		defer os.RemoveAll(o.Dir)
	}
	k, err := openKeeper(o.Dir, o)
	if err != nil {
		return err
	}
	return errors.Join(use(cfg, k), k.Close())
}

// finish prints the report; of a register, it makes the copy's date count.
func (i *importer) finish(out io.Writer, asJSON bool) (err error) {
	if i.report.sums.rejected > 0 {
		i.report.Rejects = i.rejects.path
	}
	fault := ""
	if i.register != nil {
		if fault, err = i.register.finish(i.keeper, &i.report); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(out, i.report)
	} else {
		i.report.text(out)
	}
	switch {
	case err != nil:
		return err
	case fault != "":
		return &statusError{exitFinding, fault}
	case i.report.sums.rejected > 0:
		return errFinding
	}
	return nil
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
	ctx      context.Context
	keeper   keeper
	add      adder         // of the keeper, or of a load of its store
	alone    bool          // a store that is open here is no running node's
	register *registerLoad // nil: the file is none
	report   importReport
	rejects  rejects
	bar      *progressbar.ProgressBar

	facts []policy.Fact
	from  []store.Row
	seen  seenRows // by a dry run
}

// run imports. A store that no node has open judges no calls, and is loaded.
func (i *importer) run(intake store.Intake, in io.Reader) (err error) {
	i.add = i.keeper.Import
	batch := importBatch
	if s, ok := i.keeper.(*store.Store); ok && i.alone && !i.report.DryRun {
		load := s.Load()
		defer func() { err = errors.Join(err, load.Close()) }()
		i.add, batch = load.Add, store.LoadBatch
	}
	for row, err := range intake.Rows(io.TeeReader(in, i.bar)) {
		if err != nil {
			return err
		}
		i.report.Rows++
		if row.Err != nil {
			if err := i.reject(row, row.Err); err != nil {
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
	err := i.leaveKnown()
	var results []store.Result
	if err == nil {
		err = i.ctx.Err() // ctrl-C: what was handed over is whole
	}
	if err == nil && i.report.DryRun {
		results, err = i.look()
	} else if err == nil {
		results, err = i.add(i.ctx, i.facts...)
	}
	if err != nil {
		return fmt.Errorf("the import stopped after %d facts; run it again, and it goes on: nothing is taken twice: %w", i.report.sums.imported, err)
	}
	for j, r := range results {
		switch {
		case r.Err != nil:
			if err := i.reject(i.from[j], r.Err); err != nil {
				return err
			}
		case r.Known:
			i.report.know(&i.facts[j])
		default:
			i.report.add(&i.facts[j])
		}
	}
	i.facts, i.from = i.facts[:0], i.from[:0]
	return nil
}

func (i *importer) reject(row store.Row, cause error) error {
	i.report.reject(cause)
	return i.rejects.add(row, cause)
}

// leaveKnown leaves out the entries of a register that an earlier copy brought.
func (i *importer) leaveKnown() error {
	if i.register == nil {
		return nil
	}
	known, err := i.register.known(i.keeper, i.facts)
	if err != nil {
		return err
	}
	facts, from := i.facts[:0], i.from[:0]
	for j := range known {
		if known[j] {
			i.report.know(&i.facts[j])
			continue
		}
		facts, from = append(facts, i.facts[j]), append(from, i.from[j])
	}
	i.facts, i.from = facts, from
	return nil
}

// look tells what importing would do. A row that the same file held before is
// known by then.
func (i *importer) look() ([]store.Result, error) {
	results, err := i.keeper.Check(i.ctx, i.facts...)
	if err != nil {
		return nil, err
	}
	for j := range results {
		if results[j].Err == nil && !results[j].Known {
			results[j].Known = i.seen.before(&i.facts[j])
		}
	}
	return results, nil
}

// seenRows are the rows that a dry run has seen; of a file with more of them
// than maxSeen it notices no doubles beyond.
type seenRows map[[16]byte]struct{}

const maxSeen = 1 << 22

func (s *seenRows) before(f *policy.Fact) bool {
	sum := sha256.Sum256([]byte(f.Number.E164() + " " + f.ID))
	key := [16]byte(sum[:])
	if _, seen := (*s)[key]; seen {
		return true
	}
	if *s == nil {
		*s = seenRows{}
	}
	if len(*s) < maxSeen {
		(*s)[key] = struct{}{}
	}
	return false
}

// rejects is the file of rows that were refused, made with the first one.
type rejects struct {
	path string
	file *os.File
	csv  *csv.Writer
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
	return r.csv.Write([]string{fmt.Sprint(row.Line), noFormula(row.Column), noFormula(oneLine(cause)), noFormula(row.Text)})
}

// noFormula keeps a spreadsheet from taking what somebody else wrote for a
// formula and carrying it out.
func noFormula(cell string) string {
	if cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0 {
		return "'" + cell
	}
	return cell
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
			undone := ""
			if u := f.UndoneBy(fact); u != nil {
				undone = "undone on " + u.At.In(calledZone()).Format(time.DateOnly) + " "
			}
			fmt.Fprintf(s.out, "%s  %-12s %-14s %s%s\n", fact.At.In(calledZone()).Format("2006-01-02 15:04:05"), fact.Kind, orNone(fact.Advertiser), undone, fact.AppendJSON(nil))
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
