#!/bin/sh
# Starts dialgate in the foreground as a proxy to be measured.
#   dialgate.sh [--ledger durable|memory] [--binary FILE] [--tcp]
# Taken from the environment the driver sets: PROXY_HOST PROXY_PORT CARRIER_HOST
# CARRIER_PORT BENCH_DATA. The full Dutch book is in force but for the hours and
# holidays, since a bench runs at any time; one line a call goes to a log file.
# The first start imports BENCH_DATA/facts.csv; later ones copy that store.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
ledger=durable binary=
while [ $# -gt 0 ]; do
	case $1 in
	--ledger) ledger=$2; shift 2 ;;
	--binary) binary=$2; shift 2 ;;
	*) echo "dialgate.sh: unknown $1" >&2; exit 2 ;;
	esac
done
: "${PROXY_HOST:=127.0.0.1}" "${PROXY_PORT:=5260}" "${CARRIER_HOST:=127.0.0.1}" "${CARRIER_PORT:=5270}" "${BENCH_DATA:=.}"
run=$(mktemp -d -t bench-dialgate.XXXXXX)
kid=
trap 'rm -rf "$run"' EXIT
trap 'kill -TERM $kid 2>/dev/null || :; wait $kid || :; exit 0' TERM INT
if [ -z "$binary" ]; then
	binary=$run/dialgate
	(cd "$here/.." && go build -o "$binary" ./cmd/dialgate)
fi
config() { # STORE
	cat <<-YAML
	node: bench
	listen: {udp: [{address: "$PROXY_HOST:$PROXY_PORT"}]}
	peers: [{id: dialer, sources: [$PROXY_HOST], campaigns: ["*"], trust_identity: true}]
	carriers: [{id: carrier, targets: ["$CARRIER_HOST:$CARRIER_PORT"]}]
	advertisers: [{id: windkracht, name: Windkracht BV}]
	campaigns:
	  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
	rules: {nl.hours: off, nl.holidays: off}
	store: {path: "$1"}
	ledger: {mode: $ledger}
	api: {address: "$PROXY_HOST:${BENCH_API_PORT:-8061}"}
	log: {file: "$run/log"}
	YAML
}
if [ ! -d "$BENCH_DATA/dialgate-store" ]; then
	config "$BENCH_DATA/dialgate-store.new" >"$run/import.yaml"
	"$binary" facts -c "$run/import.yaml" import --const kind=consent --const advertiser=windkracht --const at=2026-01-01 \
		--const purposes=commercial --const products=energy --const method=web-form --const preticked=false --const bundled=false \
		--const verified_at=2026-01-01 --const verified_by=sms --const first_call_by=2030-01-01 "$BENCH_DATA/facts.csv" >&2
	mv "$BENCH_DATA/dialgate-store.new" "$BENCH_DATA/dialgate-store"
fi
cp -r "$BENCH_DATA/dialgate-store" "$run/store"
config "$run/store" >"$run/config.yaml"
"$binary" serve -c "$run/config.yaml" &
kid=$!
wait $kid
