#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Three virtual miniports over one veth: each pings the outside host, two ping each other, and a
# broadcast (ARP for a name nobody has) reaches the wire once.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside='' n1='' n2='' n3=''; : "$n3"
lab_need_tun
lab_enter "$@"
lab_ns outside
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
lab_box e2e --lower lower --vms 3
for i in 1 2 3; do
    lab_ns "n$i"
    pid=n$i
    lab_give "vm$i" "${!pid}" "10.78.0.1$i/24"
done
for i in 1 2 3; do
    pid=n$i
    in_ns "${!pid}" ping -c 3 -i 0.1 -W 2 -q 10.78.0.1
    in_ns "$outside" ping -c 3 -i 0.1 -W 2 -q "10.78.0.1$i"
done
in_ns "$n1" ping -c 3 -i 0.1 -W 2 -q 10.78.0.12
in_ns "$n2" ping -c 3 -i 0.1 -W 2 -q 10.78.0.13

# Broadcast: the wire and the siblings see one ARP request each.
in_ns "$outside" timeout 4 tshark -i eth0 -Y 'arp.dst.proto_ipv4 == 10.78.0.99' -a duration:3 \
    >"$LAB_TMP/wire" 2>/dev/null &
wire=$!
in_ns "$n2" timeout 4 tshark -i vm2 -Y 'arp.dst.proto_ipv4 == 10.78.0.99' -a duration:3 \
    >"$LAB_TMP/sibling" 2>/dev/null &
sibling=$!
sleep 1.5
in_ns "$n1" ping -c 1 -W 1 -q 10.78.0.99 || true
wait "$wire" "$sibling" || true
[[ $(wc -l <"$LAB_TMP/wire") -ge 1 ]] || { echo "no ARP on the wire"; exit 1; }
[[ $(wc -l <"$LAB_TMP/sibling") == $(wc -l <"$LAB_TMP/wire") ]] ||
    { echo "siblings and wire differ:"; cat "$LAB_TMP/sibling" "$LAB_TMP/wire"; exit 1; }

"$UMNDIS" --box e2e --json -s show | jq -e '[.adapters[] | select(.virtual)] | length == 3' >/dev/null
"$UMNDIS" --box e2e stop
wait "$LAB_BOX"
grep -q 'report' "$LAB_TMP/e2e.log" && { cat "$LAB_TMP/e2e.log"; exit 1; }
exit 0
