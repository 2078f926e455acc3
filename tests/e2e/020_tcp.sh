#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Real TCP through one virtual miniport in both directions, and between two; the large segments stay
# whole (a frame above the MTU is seen at the TAP), and every byte arrives as it was sent.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside='' n1='' n2=''
lab_need_tun
lab_enter "$@"
lab_ns outside
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
lab_box e2e --lower lower --vms 2
lab_ns n1
lab_ns n2
lab_give vm1 "$n1" 10.78.0.11/24
lab_give vm2 "$n2" 10.78.0.12/24

copy() { # FROM_NS TO_NS TO_ADDRESS: 32 MB of known bytes, compared by digest
    local want got
    in_ns "$2" timeout 20 python3 -c '
import socket, hashlib
s = socket.create_server(("", 7000)); c, _ = s.accept(); h = hashlib.sha256()
while (b := c.recv(1 << 20)): h.update(b)
print(h.hexdigest())' >"$LAB_TMP/got" &
    local server=$!
    want=$(in_ns "$1" timeout 20 python3 -c '
import socket, hashlib, random, time
data = random.Random(7).randbytes(1 << 20); h = hashlib.sha256()
for _ in range(100):
    try: c = socket.create_connection(("'"$3"'", 7000)); break
    except OSError: time.sleep(0.05)
for _ in range(32): c.sendall(data); h.update(data)
c.close(); print(h.hexdigest())')
    wait "$server"
    got=$(cat "$LAB_TMP/got")
    [[ $want == "$got" ]] || { echo "bytes differ: sent $want, got $got"; exit 1; }
}
in_ns "$n1" timeout 15 tshark -i vm1 -a duration:6 -Y 'frame.len > 1600' -c 20000 >"$LAB_TMP/large" 2>/dev/null &
shark=$!
sleep 1
copy "$outside" "$n1" 10.78.0.11
copy "$n1" "$outside" 10.78.0.1
copy "$n1" "$n2" 10.78.0.12
wait "$shark" || true
[[ $(wc -l <"$LAB_TMP/large") -gt 10 ]] || { echo "no large segment crossed as one frame"; exit 1; }

in_ns "$n1" iperf3 -s --one-off >/dev/null 2>&1 &
LAB_PIDS+=("$!")
sleep 0.3
in_ns "$outside" iperf3 -c 10.78.0.11 -t 2 -C cubic --json |
    jq -e '.end.sum_received.bits_per_second > 1e8' >/dev/null
"$UMNDIS" --box e2e stop
wait "$LAB_BOX"
