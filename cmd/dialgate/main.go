// Command dialgate is a SIP proxy between a call centre's dialer and its
// carrier. It judges every INVITE by dated rules of law on the facts in its
// store, refuses the call or passes it on, and records each decision.
//
// One file per command; docs/ and README.md say what they are for.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit statuses of every command.
const (
	exitOK      = 0 // done and as wished
	exitFinding = 1 // denied, mismatch, rows rejected, verification failed
	exitUsage   = 2 // usage or configuration
	exitFailed  = 3 // the operation failed
)

// commands is the whole command line.
type commands struct {
	Serve   serveCmd   `cmd:"" help:"Run the SIP proxy and its HTTP endpoints."`
	Demo    demoCmd    `cmd:"" help:"Play the whole product on loopback, with nothing to install."`
	Check   checkCmd   `cmd:"" help:"Validate the configuration and run acceptance cases against it."`
	Explain explainCmd `cmd:"" help:"Judge one hypothetical call and say which rules decided."`
	Report  reportCmd  `cmd:"" help:"Add up what became of the calls, or judge them again under other rules."`
	Replay  replayCmd  `cmd:"" help:"Judge the calls of captures and message logs, in tests and before a change."`
	Trace   traceCmd   `cmd:"" help:"Make captures that may leave the house."`
	Facts   factsCmd   `cmd:"" help:"Import, add, list and export facts."`
	Scrub   scrubCmd   `cmd:"" help:"Judge a list of numbers before it is called."`
	Audit   auditCmd   `cmd:"" help:"Read, export, prove and verify the record of facts and decisions."`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the store, of a running node too."`
	Restore restoreCmd `cmd:"" help:"Make the store anew from a backup and its increments."`
	Token   tokenCmd   `cmd:"" help:"Make, list and revoke the tokens of programs that use the HTTP API."`
	Person  personCmd  `cmd:"" help:"Say who may log in to the console."`
	Config  configCmd  `cmd:"" help:"Check, print or reload the configuration."`
	Version versionCmd `cmd:"" help:"Print version, Go version and commit."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// A statusError ends the program with a status other than exitFailed. An empty
// text prints nothing: the command has said it already.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// usageError is a statusError for what the caller has to put right.
func usageError(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Sprintf(format, args...)}
}

// errFinding ends the program with exitFinding and prints nothing.
var errFinding = &statusError{status: exitFinding}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run executes one command line and returns its exit status.
func run(args []string, s streams) (status int) {
	var cli commands
	exited := -1
	parser, err := kong.New(&cli,
		kong.Name("dialgate"),
		kong.Description("A SIP proxy that lets a call pass only when the law and the facts allow it.\n\nTry it first: dialgate demo"),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"roles": roleHelp},
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.err, "dialgate:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help was printed
	}
	if err != nil {
		fmt.Fprintf(s.err, "dialgate: %v; see dialgate --help\n", err)
		return exitUsage
	}
	return report(ctx.Run(s), s.err)
}

// report prints an error as one line and turns it into an exit status.
func report(err error, to io.Writer) int {
	if err == nil {
		return exitOK
	}
	var status *statusError
	if !errors.As(err, &status) {
		fmt.Fprintln(to, "dialgate:", oneLine(err))
		return exitFailed
	}
	if status.text != "" {
		fmt.Fprintln(to, "dialgate:", status.text)
	}
	return status.status
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
