package main

import (
	"fmt"

	"dialgate/configs"
)

type configCmd struct {
	Check   configCheckCmd   `cmd:"" help:"Check a configuration; every error at once."`
	Diff    configDiffCmd    `cmd:"" help:"Show which of the last calls another configuration would judge otherwise."`
	Schema  configSchemaCmd  `cmd:"" help:"Print the JSON Schema of the configuration."`
	Reload  configReloadCmd  `cmd:"" help:"Let the running node read its configuration again."`
	Default configDefaultCmd `cmd:"" help:"Print the default configuration with its comments."`
}

type configCheckCmd struct {
	Config string `short:"c" help:"Configuration file; default: the embedded one." placeholder:"FILE"`
	File   string `arg:"" optional:"" help:"Configuration file, instead of -c."`
}

// Help is printed by --help.
func (configCheckCmd) Help() string { return "Example: dialgate config check dialgate.yaml" }

func (c configCheckCmd) Run(s streams) error {
	if c.File != "" {
		c.Config = c.File
	}
	w, err := loadWorld(c.Config)
	if err != nil {
		return err
	}
	for _, warning := range w.warnings() {
		fmt.Fprintln(s.err, "warning:", warning)
	}
	fmt.Fprintf(s.out, "the configuration is right (%s)\n", w.cfg.ID())
	return nil
}

type configSchemaCmd struct{}

func (configSchemaCmd) Run(s streams) error {
	_, err := s.out.Write(configs.Schema())
	return err
}

type configDefaultCmd struct{}

func (configDefaultCmd) Run(s streams) error {
	_, err := s.out.Write(configs.Default)
	return err
}
