#!/bin/sh
# The bars of the store beside a Go map, bbolt and SQLite, in one run.
#   store.sh                        # 200,000 numbers and a million decisions: about a minute
#   store.sh -rows 1000000          # with 5,000,000 decisions: 10 GB of disk, some minutes
#   store.sh -rows 10000000 -dir DIR
#   store.sh -others=false          # the bars only
set -eu
cd "$(dirname "$0")/store"
exec go run . "$@"
