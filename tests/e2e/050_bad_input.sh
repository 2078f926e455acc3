#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What people get wrong: each has a clear message, the right exit status, and nothing half done.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
lab_enter "$@"
bad=0
refuses() { # STATUS 'text' COMMAND...
    local want=$1 text=$2 got=0 said
    shift 2
    said=$("$@" 2>&1 >/dev/null) || got=$?
    if ((got != want)) || [[ $said != *"$text"* ]]; then
        echo "not as expected: $*"
        echo "  status $got (expected $want), said: $said"
        echo "  expected it to say: $text"
        bad=1
    fi
}
refuses 2 "'frobnicate' is no command" "$UMNDIS" frobnicate
refuses 2 "no command" "$UMNDIS" vm frobnicate
refuses 1 "no box named 'box' is running" "$UMNDIS" show
refuses 2 "not a number from 0 to 4096" "$UMNDIS" run --vms many
refuses 2 "none of tap, pktio, none" "$UMNDIS" run --upper sky
refuses 2 "unknown option '--sideways'" "$UMNDIS" run --sideways
refuses 1 "eth77" "$UMNDIS" run --lower eth77
echo "this is not a database, and long enough to look at: $(seq 200)" >"$LAB_TMP/reg"
refuses 1 "$LAB_TMP/reg" "$UMNDIS" run --registry "$LAB_TMP/reg"
refuses 1 "$LAB_TMP" "$UMNDIS" run --registry "$LAB_TMP"
refuses 1 "/nonexistent/reg" "$UMNDIS" run --registry /nonexistent/reg
mkdir "$LAB_TMP/drv"
refuses 1 "mux" "$UMNDIS" run --drivers "$LAB_TMP/drv"
echo "not an ELF" >"$LAB_TMP/drv/mux.so"
refuses 1 "mux.so" "$UMNDIS" run --drivers "$LAB_TMP/drv"

lab_box e2e --registry "$LAB_TMP/good"
u() { "$UMNDIS" --box e2e "$@"; }
refuses 1 "a box named 'e2e' is running" "$UMNDIS" run --name e2e
refuses 1 "$LAB_TMP/good" "$UMNDIS" run --name other --registry "$LAB_TMP/good"
before=$(u --json device list | jq length)
refuses 1 "no adapter 'nic9'" u vm add --lower nic9
refuses 2 "--lower NAME is missing" u vm add
refuses 2 "--vlan" u vm add --lower wire0 --vlan 5000
refuses 1 "MAC" u vm add --lower wire0 --mac 01:00:5e:00:00:01 --upper pktio
refuses 1 "MAC" u vm add --lower wire0 --mac 02:00:zz --upper pktio
refuses 1 "mode" u vm add --lower wire0 --mode sideways --upper pktio
u vm add --lower wire0 --mac 02:00:00:00:00:77 --name one --upper pktio
refuses 1 "02:00:00:00:00:77" u vm add --lower wire0 --mac 02:00:00:00:00:77 --upper pktio
refuses 1 "no adapter 'two'" u vm remove two
[[ $(u --json device list | jq length) == $((before + 1)) ]] || { echo "something half done is left"; bad=1; }
u vm remove one
u stop
wait "$LAB_BOX"
((bad == 0))
