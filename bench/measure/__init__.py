"""Measures dialgate beside its peers as whole processes; bench/README.md says how."""
