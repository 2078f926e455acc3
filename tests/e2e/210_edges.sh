#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The edges in a box: IPv6, VLAN tags, UDP in large segments, jumbo frames' refusal, a link that goes
# down and comes back, a TAP that somebody deletes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside='' n1=''
lab_need_tun
lab_enter "$@"
lab_ns outside
lab_ns n1
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
lab_box e2e --lower lower --vms 2
lab_give vm1 "$n1" 10.78.0.11/24
fail() { echo "$*"; cat "$LAB_TMP/e2e.log"; exit 1; }

# The TAP has the adapter's address.
mac=$(in_ns "$n1" ip -j link show vm1 | jq -r '.[0].address')
"$UMNDIS" --box e2e show | grep -qi "$mac" || fail "no adapter has the TAP's address $mac"

# UDP of 60 KB in segments of 1,400 octets, both ways, every octet compared.
in_ns "$outside" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
in_ns "$n1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/vm1/disable_ipv6'
in_ns "$outside" ip addr add fd78::1/64 dev eth0 nodad
in_ns "$n1" ip addr add fd78::11/64 dev vm1 nodad
udp() { # FROM TO ADDRESS
    in_ns "$2" timeout 10 python3 -c '
import socket, sys, hashlib
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind(("", 7001)); s.settimeout(8); n = 0; h = hashlib.sha256()
while n < 10 * 42000:
    b = s.recv(65535); assert len(b) == 1400, len(b); n += len(b); h.update(b)
print(h.hexdigest())' "$3" >"$LAB_TMP/got" &
    local server=$! want
    sleep 0.5
    want=$(in_ns "$1" timeout 10 python3 -c '
import socket, sys, hashlib, random, time
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 1400)  # UDP_SEGMENT
h = hashlib.sha256(); r = random.Random(3)
for i in range(10):
    b = r.randbytes(42000); s.sendto(b, (sys.argv[1], 7001)); h.update(b); time.sleep(0.01)
print(h.hexdigest())' "$3")
    wait "$server" || fail "UDP to $3 did not arrive"
    [[ $want == "$(cat "$LAB_TMP/got")" ]] || fail "UDP to $3: octets differ"
}
udp "$outside" "$n1" 10.78.0.11
udp "$n1" "$outside" 10.78.0.1
udp "$outside" "$n1" fd78::11
udp "$n1" "$outside" fd78::1
in_ns "$n1" ping -6 -c 2 -i 0.1 -W 2 -q fd78::1
in_ns "$n1" ping -c 2 -i 0.1 -W 2 -q -s 4000 10.78.0.1 # in fragments

# The link goes down and comes back: so does the TAP's carrier.
carrier() { in_ns "$n1" ip -j link show vm1 | jq '[.[0].flags[] | select(. == "LOWER_UP")] | length'; }
[[ $(carrier) == 1 ]] || fail "no carrier at the start"
in_ns "$outside" ip link set eth0 down
for _ in {1..100}; do [[ $(carrier) == 1 ]] || break; sleep 0.02; done
[[ $(carrier) == 0 ]] || fail "the carrier stayed when the link went down"
in_ns "$outside" ip link set eth0 up
for _ in {1..100}; do [[ $(carrier) == 0 ]] || break; sleep 0.02; done
[[ $(carrier) == 1 ]] || fail "the carrier did not come back"
in_ns "$n1" ping -c 2 -i 0.1 -W 2 -q 10.78.0.1

# A deleted TAP: the box goes on, at rest; the sibling works.
in_ns "$n1" ip link del vm1
sleep 0.2
before=$(awk '{print $14 + $15}' "/proc/$LAB_BOX/stat")
sleep 1
after=$(awk '{print $14 + $15}' "/proc/$LAB_BOX/stat")
((after - before < 20)) || fail "the box spins after a TAP was deleted: $((after - before)) ticks in a second"
lab_give vm2 "$n1" 10.78.0.12/24
in_ns "$n1" ping -c 2 -i 0.1 -W 2 -q 10.78.0.1
in_ns "$outside" ping -c 2 -i 0.1 -W 2 -q 10.78.0.12

"$UMNDIS" --box e2e stop
wait "$LAB_BOX"
grep -q 'report' "$LAB_TMP/e2e.log" && fail "reports"
exit 0
