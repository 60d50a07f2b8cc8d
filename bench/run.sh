#!/bin/sh
# dialgate against Kamailio with its in-memory table, 1,000,000 numbers each, at
# 1,000 calls/s in alternation: CPU a call of both and their ratio, with the
# ledger in memory and durable. Options go to sipbench.py ratio (--rounds 1).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing=
for pair in python3:python3 sipp:sip-tester kamailio:kamailio; do
	command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -z "$missing" ] || { echo "bench/run.sh needs Debian's$missing (and kamailio-sqlite-modules)" >&2; exit 2; }
data=${BENCH_DATA:-$(mktemp -d -t bench-data.XXXXXX)}
bin=$(mktemp -d -t bench-bin.XXXXXX)
trap 'rm -rf "$bin"; [ -n "${BENCH_DATA:-}" ] || rm -rf "$data"' EXIT
[ -f "$data/facts.csv" ] || python3 "$here/gen_consent.py" --dir "$data"
(cd "$here/.." && go build -o "$bin/dialgate" ./cmd/dialgate)
for ledger in memory durable; do
	printf '\n## ledger: %s\n' "$ledger"
	"$here/peer-ratio.sh" --proxy "exec '$here/dialgate.sh' --ledger $ledger --binary '$bin/dialgate'" --port 5260 \
		--gate htable --children 1 --data "$data" --start-timeout 180 "$@"
done
