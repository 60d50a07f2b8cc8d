#!/bin/sh
# The bars of the store beside a Go map, bbolt and SQLite, in one run.
#   store.sh                    # 200,000 numbers, under a minute
#   store.sh -rows 10000000 -dir DIR
set -eu
cd "$(dirname "$0")/store"
exec go run . "$@"
