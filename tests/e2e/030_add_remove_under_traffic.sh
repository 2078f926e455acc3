#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# While two virtual miniports carry traffic, one is added, works, and is removed again, and a sibling
# is removed: the others lose nothing.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside='' n1='' n2='' n4=''
lab_need_tun
lab_enter "$@"
lab_ns outside
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
lab_box e2e --lower lower --vms 3
lab_ns n1
lab_ns n2
lab_ns n4
lab_give vm1 "$n1" 10.78.0.11/24
lab_give vm2 "$n2" 10.78.0.12/24
in_ns "$n1" ping -c 1 -W 2 -q 10.78.0.1
in_ns "$n2" ping -c 1 -W 2 -q 10.78.0.11
in_ns "$n1" ping -i 0.005 -c 500 -W 2 -q 10.78.0.1 >"$LAB_TMP/p1" &
p1=$!
in_ns "$n2" ping -i 0.005 -c 500 -W 2 -q 10.78.0.11 >"$LAB_TMP/p2" &
p2=$!
sleep 0.3
for _ in 1 2 3; do
    [[ $("$UMNDIS" --box e2e vm add --lower lower --name vm4) == vm4 ]]
    lab_give vm4 "$n4" 10.78.0.14/24
    in_ns "$n4" ping -c 2 -i 0.1 -W 2 -q 10.78.0.1
    "$UMNDIS" --box e2e vm remove vm4
done
"$UMNDIS" --box e2e vm remove vm3
wait "$p1" "$p2" || true
grep packets "$LAB_TMP/p1" "$LAB_TMP/p2"
grep -q ' 0% packet loss' "$LAB_TMP/p1"
grep -q ' 0% packet loss' "$LAB_TMP/p2"
if in_ns "$n4" ip link show vm4 2>/dev/null; then exit 1; fi
"$UMNDIS" --box e2e --json vm list | jq -e 'map(.ifname) == ["vm1", "vm2"]' >/dev/null
"$UMNDIS" --box e2e stop
wait "$LAB_BOX"
