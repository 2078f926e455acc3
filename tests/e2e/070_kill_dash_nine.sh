#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# kill -9 of a running box at any moment, also while virtual miniports are added: the next start
# finds a sound registry with whole operations only.
set -euo pipefail
UMNDIS_RUN=$(mktemp -d)
export UMNDIS_RUN
reg=$UMNDIS_RUN/reg
box=
trap 'kill -9 "$box" 2>/dev/null || true; rm -rf "$UMNDIS_RUN"' EXIT
start() {
    "$UMNDIS" run --registry "$reg" --quiet >"$UMNDIS_RUN/log" 2>&1 &
    box=$!
    for _ in {1..200}; do
        "$UMNDIS" show >/dev/null 2>&1 && return
        kill -0 "$box" 2>/dev/null || break
        sleep 0.02
    done
    echo "did not start:"
    cat "$UMNDIS_RUN/log"
    exit 1
}
start
for round in {1..8}; do
    (for i in {1..50}; do "$UMNDIS" vm add --lower wire0 --count 3 --name "r${round}x$i" --upper pktio || exit 0; done) >/dev/null 2>&1 &
    adder=$!
    sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
    kill -9 "$box"
    wait "$box" 2>/dev/null || true
    wait "$adder" || true
    start
    # three at a time, each with its keys: never one or two
    n=$("$UMNDIS" --json device list | jq '[.[] | select(.name | test("^r[0-9]+x"))] | length')
    ((n % 3 == 0)) || { echo "round $round: $n virtual miniports, not a multiple of 3"; exit 1; }
    broken=$("$UMNDIS" --json device list | jq '[.[] | select(.state != "Started")] | length')
    ((broken == 0)) || { "$UMNDIS" device list; exit 1; }
done
"$UMNDIS" send vm1 vm2 --count 5
"$UMNDIS" count vm2 --wait 5
"$UMNDIS" stop
wait "$box"
