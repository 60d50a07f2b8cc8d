package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"dialgate/console/access"
)

// openKeys opens the tokens and people of a configuration's node. A running
// node sees a change at its next request.
func openKeys(config string) (*access.Keys, error) {
	cfg, _, err := loadConfig(config)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Store.Path, 0o700); err != nil {
		return nil, fmt.Errorf("the node's directory can't be made: %w", err)
	}
	return access.Open(cfg.Store.Path)
}

type tokenCmd struct {
	Config string         `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Create tokenCreateCmd `cmd:"" help:"Make a token and print it, this once."`
	List   tokenListCmd   `cmd:"" help:"List the tokens."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token at once."`
}

const roleHelp = "viewer (numbers masked), analyst (numbers in full, each look recorded), editor (enters facts), auditor (reads all, with proofs), admin, or advertiser (its own calls)."

type tokenCreateCmd struct {
	Name       string        `arg:"" help:"What it is for."`
	Role       string        `required:"" help:"What it may do: ${roles}" placeholder:"ROLE"`
	Advertiser string        `help:"It sees and changes only what is this advertiser's." placeholder:"ID"`
	For        time.Duration `help:"How long it is good, such as 720h; default: until it is revoked." placeholder:"TIME"`
}

// Help is printed by --help.
func (tokenCreateCmd) Help() string {
	return "Example: dialgate token create crm --role editor\nThen: curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8060/v1/decisions"
}

func (c tokenCreateCmd) Run(s streams, parent *tokenCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	now := time.Now()
	t := access.Token{Name: c.Name, Role: access.Role(c.Role), Advertiser: c.Advertiser}
	if c.For > 0 {
		t.Expires = now.Add(c.For).UTC().Truncate(time.Second)
	}
	secret, t, err := k.Create(t, now)
	if err != nil {
		return usageError("no token was made: %s", oneLine(err))
	}
	fmt.Fprintln(s.out, secret)
	fmt.Fprintf(s.err, "this is all there is of it: it is kept nowhere; to revoke it: dialgate token revoke %s\n", t.ID)
	return nil
}

type tokenListCmd struct {
	JSON bool `help:"As JSON."`
}

// Help is printed by --help.
func (tokenListCmd) Help() string { return "Example: dialgate token list" }

// listedToken is a token as it is printed: without its hash.
type listedToken struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Role       access.Role `json:"role"`
	Advertiser string      `json:"advertiser,omitempty"`
	Created    time.Time   `json:"created"`
	Expires    time.Time   `json:"expires,omitzero"`
}

func (c tokenListCmd) Run(s streams, parent *tokenCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	all, err := k.Tokens()
	if err != nil {
		return err
	}
	list := []listedToken{}
	for _, t := range all {
		list = append(list, listedToken{t.ID, t.Name, t.Role, t.Advertiser, t.Created, t.Expires})
	}
	if c.JSON {
		return printJSON(s.out, list)
	}
	w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tROLE\tADVERTISER\tCREATED\tEXPIRES")
	for _, t := range list {
		expires := "never"
		if !t.Expires.IsZero() {
			expires = t.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, orNone(t.Advertiser), t.Created.Format(time.RFC3339), expires)
	}
	return w.Flush()
}

type tokenRevokeCmd struct {
	ID string `arg:"" help:"The token's id, as token list prints it."`
}

// Help is printed by --help.
func (tokenRevokeCmd) Help() string { return "Example: dialgate token revoke 3f9a01c2d4e5" }

func (c tokenRevokeCmd) Run(s streams, parent *tokenCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	if err := k.Revoke(c.ID); err != nil {
		return usageError("%s", oneLine(err))
	}
	fmt.Fprintln(s.out, c.ID, "is revoked")
	return nil
}

type personCmd struct {
	Config string          `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	Add    personAddCmd    `cmd:"" help:"Let somebody log in, or give them another role or password."`
	List   personListCmd   `cmd:"" help:"List who may log in."`
	Remove personRemoveCmd `cmd:"" help:"Take somebody's access away at once."`
}

type personAddCmd struct {
	Name       string `arg:"" help:"The name to log in with."`
	Role       string `required:"" help:"What they may do: ${roles}" placeholder:"ROLE"`
	Advertiser string `help:"They see and change only what is this advertiser's." placeholder:"ID"`
}

// Help is printed by --help.
func (personAddCmd) Help() string {
	return "Example: dialgate person add an --role admin\nThe password is asked for, or read as the first line of standard input."
}

func (c personAddCmd) Run(s streams, parent *personCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	password, err := readPassword(s)
	if err != nil {
		return err
	}
	if err := k.SetPerson(access.Person{Name: c.Name, Role: access.Role(c.Role), Advertiser: c.Advertiser}, password, time.Now()); err != nil {
		return usageError("%s", oneLine(err))
	}
	fmt.Fprintln(s.out, c.Name, "may log in as", c.Role)
	return nil
}

// readPassword asks for a password on a terminal, and reads a line elsewhere.
func readPassword(s streams) (string, error) {
	if f, ok := s.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(s.err, "password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(s.err)
		return string(text), err
	}
	line, err := bufio.NewReader(io.LimitReader(s.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the password can't be read: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

type personListCmd struct{}

// Help is printed by --help.
func (personListCmd) Help() string { return "Example: dialgate person list" }

func (personListCmd) Run(s streams, parent *personCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	all, err := k.People()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tADVERTISER\tCREATED")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.Role, orNone(p.Advertiser), p.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

type personRemoveCmd struct {
	Name string `arg:"" help:"The name they log in with."`
}

// Help is printed by --help.
func (personRemoveCmd) Help() string { return "Example: dialgate person remove an" }

func (c personRemoveCmd) Run(s streams, parent *personCmd) error {
	k, err := openKeys(parent.Config)
	if err != nil {
		return err
	}
	if err := k.RemovePerson(c.Name); err != nil {
		return usageError("%s", oneLine(err))
	}
	fmt.Fprintln(s.out, c.Name, "may not log in any more")
	return nil
}
