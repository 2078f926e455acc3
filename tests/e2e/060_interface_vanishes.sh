#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The lower interface vanishes under load (surprise removal): the box lives on without it; when the
# interface is back the adapter and its virtual miniport return, and traffic flows again.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside='' n1=''
lab_need_tun
lab_enter "$@"
lab_ns outside
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
lab_box e2e --lower lower --vms 1
u() { "$UMNDIS" --box e2e "$@"; }
lab_ns n1
lab_give vm1 "$n1" 10.78.0.11/24
in_ns "$n1" ping -c 2 -i 0.1 -W 2 -q 10.78.0.1
in_ns "$n1" ping -i 0.002 -c 500 -W 1 -q 10.78.0.1 >/dev/null 2>&1 &
LAB_PIDS+=("$!")
sleep 0.2
ip link del lower
running() { u --json show | jq '[.adapters[] | select(.state == "Running")] | length'; }
until_running() { # N: within 3 seconds
    for _ in {1..60}; do
        [[ $(running) != "$1" ]] || return 0
        sleep 0.05
    done
    u show
    u device list
    echo "expected $1 running adapters" >&2
    return 1
}
until_running 0
for _ in {1..60}; do
    state=$(u --json device list | jq -r '.[] | select(.name == "lower") | .state')
    [[ $state != SurpriseRemoved ]] || break
    sleep 0.05
done
[[ $state == SurpriseRemoved ]] || { echo "the lower device is $state, expected SurpriseRemoved"; exit 1; }
lab_veth lower "$outside" eth0
lab_host "$outside" eth0 10.78.0.1/24
until_running 2
lab_give vm1 "$n1" 10.78.0.11/24
in_ns "$n1" ping -c 2 -i 0.1 -W 2 -q 10.78.0.1
u stop
wait "$LAB_BOX"
