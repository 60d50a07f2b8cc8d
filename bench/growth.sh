#!/bin/sh
# How dialgate's cost grows: tables and plots. bench/growth.sh --help, README.md.
#   bench/growth.sh --short --largest 1000000   a first look
#   bench/growth.sh                             everything, to 10,000,000 numbers
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "bench/growth.sh needs python3, 3.11 or later (Debian: python3)" >&2; exit 2; }
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 exec python3 -m measure growth "$@"
