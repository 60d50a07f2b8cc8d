#!/bin/sh
# The whole table: dialgate beside its peers. bench/run.sh --help, README.md.
#   bench/run.sh --quick                 a first look
#   bench/run.sh                         everything
#   bench/run.sh --report results.json   the table of a run again
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "bench/run.sh needs python3, 3.11 or later (Debian: python3)" >&2; exit 2; }
what=table
[ "${1:-}" != --report ] || { what=report; shift; }
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 exec python3 -m measure $what "$@"
