#!/bin/sh
# Starts dialgate in the foreground as a proxy to be measured.
#   dialgate.sh --binary FILE [--ledger durable|memory] [--import-only]
# Taken from the environment: PROXY_HOST PROXY_PORT PROXY_TRANSPORT CARRIER_HOST
# CARRIER_PORT BENCH_DATA BENCH_API_PORT BENCH_CAMPAIGNS. The full Dutch book is
# in force but for the hours and holidays, since a bench runs at any time; one
# line a call goes to a log file. --import-only makes BENCH_DATA/dialgate-store
# of BENCH_DATA/facts.csv; a start works on a copy of it, or on itself when
# BENCH_IN_PLACE is set: ten million numbers are six gigabytes.
set -eu
ledger=durable binary= only=
while [ $# -gt 0 ]; do
	case $1 in
	--ledger) ledger=$2; shift 2 ;;
	--binary) binary=$2; shift 2 ;;
	--import-only) only=1; shift ;;
	*) echo "dialgate.sh: unknown $1" >&2; exit 2 ;;
	esac
done
[ -n "$binary" ] || { echo "dialgate.sh: --binary FILE is needed" >&2; exit 2; }
: "${PROXY_HOST:=127.0.0.1}" "${PROXY_PORT:=5260}" "${PROXY_TRANSPORT:=udp}" "${CARRIER_HOST:=127.0.0.1}" "${CARRIER_PORT:=5270}"
: "${BENCH_DATA:=.}" "${BENCH_API_PORT:=8061}" "${BENCH_CAMPAIGNS:=1}"
run=$(mktemp -d -t bench-dialgate.XXXXXX)
kid=
trap 'rm -rf "$run"' EXIT
trap '[ -z "$kid" ] || { kill -TERM $kid 2>/dev/null || :; wait $kid || :; }; exit 0' TERM INT

config() { # STORE
	cat <<-YAML
	node: bench
	listen: {$PROXY_TRANSPORT: [{address: "$PROXY_HOST:$PROXY_PORT"}]}
	peers: [{id: dialer, sources: [$PROXY_HOST], campaigns: ["*"], trust_identity: true}]
	carriers: [{id: carrier, targets: ["$CARRIER_HOST:$CARRIER_PORT"], transport: $PROXY_TRANSPORT}]
	advertisers: [{id: windkracht, name: Windkracht BV}]
	rules: {nl.hours: off, nl.holidays: off}
	store: {path: "$1"}
	ledger: {mode: $ledger}
	api: {address: "$PROXY_HOST:$BENCH_API_PORT"}
	log: {file: "$run/log"}
	campaigns:
	YAML
	i=0
	while [ $i -lt "$BENCH_CAMPAIGNS" ]; do
		echo "  - {id: energy-$i, advertiser: windkracht, purpose: commercial, products: [energy], callers: [\"+$((31205550100 + i))\"], objection_offered: true}"
		i=$((i + 1))
	done
}

if [ ! -d "$BENCH_DATA/dialgate-store" ]; then
	rm -rf "$BENCH_DATA/dialgate-store.new"
	config "$BENCH_DATA/dialgate-store.new" >"$run/import.yaml"
	"$binary" facts -c "$run/import.yaml" import --const kind=consent --const advertiser=windkracht --const at=2026-01-01 \
		--const purposes=commercial --const products=energy --const method=web-form --const preticked=false --const bundled=false \
		--const verified_at=2026-01-01 --const verified_by=sms --const first_call_by=2030-01-01 "$BENCH_DATA/facts.csv" >&2 &
	kid=$!
	wait $kid
	kid=
	mv "$BENCH_DATA/dialgate-store.new" "$BENCH_DATA/dialgate-store"
fi
[ -z "$only" ] || exit 0
store=$BENCH_DATA/dialgate-store
if [ -z "${BENCH_IN_PLACE:-}" ]; then
	cp -r "$store" "$run/store"
	store=$run/store
fi
config "$store" >"$run/config.yaml"
"$binary" serve -c "$run/config.yaml" &
kid=$!
wait $kid
