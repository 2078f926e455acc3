#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `umndis run` with no interface named: the in-process wire, no namespace, no device, no privilege.
set -euo pipefail
UMNDIS_RUN=$(mktemp -d)
export UMNDIS_RUN
trap 'kill "$box" 2>/dev/null || true; rm -rf "$UMNDIS_RUN"' EXIT
"$UMNDIS" run >"$UMNDIS_RUN/log" 2>&1 &
box=$!
for _ in {1..200}; do "$UMNDIS" show >/dev/null 2>&1 && break; sleep 0.05; done
cat "$UMNDIS_RUN/log"
"$UMNDIS" show
[[ $("$UMNDIS" --json vm list | jq -r '[.[] | select(.state == "Running")] | length') == 3 ]]
"$UMNDIS" send vm1 vm2 --count 100
"$UMNDIS" count vm2 --wait 100
"$UMNDIS" send vm1 outside --count 50
"$UMNDIS" count outside --wait 50
"$UMNDIS" send outside broadcast --count 10
for n in 1 2 3; do "$UMNDIS" count "vm$n" --wait 10; done
"$UMNDIS" vm add --lower wire0 --name extra --upper pktio
"$UMNDIS" send outside extra --count 7
"$UMNDIS" count extra --wait 7
"$UMNDIS" vm remove extra
if "$UMNDIS" vm list extra 2>/dev/null; then exit 1; fi
"$UMNDIS" stop
wait "$box"
