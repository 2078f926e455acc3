#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Everything at once, in an order drawn from a printed seed (CHAOS_SEED=N repeats it): virtual
# miniports come and go, devices are disabled and enabled, the lower interface vanishes, moves its
# link, changes its MTU, namespaces that hold a TAP die, somebody looks all the time - under ping and
# TCP. No command may take longer than 8 seconds, and the box ends within 5 with status 0 and without
# a report, whichever way it is told to. CHAOS_STEPS (24): how much of it.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=../../tools/netlab.sh
. "$(dirname "$0")/../../tools/netlab.sh"
outside=''
lab_need_tun
lab_enter "$@"
seed=${CHAOS_SEED:-$((BASHPID * 7 + $(date +%N | sed 's/^0*//')))}
seed=$((seed & 32767))
RANDOM=$seed
steps=${CHAOS_STEPS:-24}
echo "seed $seed"
draw() { REPLY=$((RANDOM % $1)); } # not $(...): a subshell draws from a sequence of its own
u() { timeout 8 "$UMNDIS" --box chaos "$@"; }

declare -A ns # TAP -> pid of the namespace that has it
fail() {
    echo "FAILED (CHAOS_SEED=$seed): $*"
    echo "--- steps"; cat "$LAB_TMP/steps"
    echo "--- box"; tail -n 60 "$LAB_TMP/chaos.log"
    if kill -0 "$LAB_BOX" 2>/dev/null; then
        command -v gdb >/dev/null && gdb -p "$LAB_BOX" -batch -ex 'thread apply all bt 16' 2>/dev/null |
            grep -E '^(#|Thread)' | cut -c1-170
        kill -KILL "$LAB_BOX"
    fi
    touch "$LAB_TMP/over"
    exit 1
}
step() { echo "$(date +%S.%N | cut -c1-6) $*" >>"$LAB_TMP/steps"; }
# A refusal (1) is an answer; no answer within the time (124, 137) is a hang.
cmd() {
    local status=0
    step "$*"
    u "$@" >>"$LAB_TMP/commands" 2>&1 || status=$?
    ((status < 2)) || fail "umndis $* ended with $status"
}
at_once() { # A command per argument, each from a client of its own
    local pids=() pid c
    for c in "$@"; do
        # shellcheck disable=SC2086
        cmd $c &
        pids+=("$!")
    done
    for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
}
lower_up() {
    lab_veth lower "$outside" eth0 2>/dev/null
    lab_host "$outside" eth0 10.80.0.1/24 2>/dev/null
}
# TAPs that are (again) with the box go to their namespaces; addresses by number.
give_all() {
    local i
    for i in 1 2 3 4 5 6; do
        ip link show "vm$i" >/dev/null 2>&1 || continue
        [[ -n ${ns[vm$i]:-} ]] || lab_ns "ns[vm$i]"
        lab_give "vm$i" "${ns[vm$i]}" "10.80.0.1$i/24" 2>/dev/null
    done
}
load() { # Runs until the file `over` is there; everything in it ends by itself soon
    while [[ ! -e $LAB_TMP/over ]]; do
        in_ns "$1" timeout 1 "${@:2}" >/dev/null 2>&1 || sleep 0.05
    done
}
# What it says must be whole, always.
look() {
    local status n=0
    while [[ ! -e $LAB_TMP/over ]]; do
        u -s --json show >"$LAB_TMP/look" 2>"$LAB_TMP/look.error"
        status=$?
        [[ ! -e $LAB_TMP/over ]] || break
        if ((status)) || ! jq -e .adapters "$LAB_TMP/look" >/dev/null; then
            { echo "show: status $status"; cat "$LAB_TMP/look.error"; } >"$LAB_TMP/bad-look"
            break
        fi
        n=$((n + 1))
    done
    echo "$n" >"$LAB_TMP/looks"
}

lab_ns outside
lower_up
lab_box chaos --lower lower --vms 3 || exit 1
give_all
[[ -n ${ns[vm1]:-} && -n ${ns[vm2]:-} ]] || fail "no TAP at the start"
in_ns "${ns[vm1]}" ping -c 2 -i 0.1 -W 2 -q 10.80.0.1 >/dev/null || fail "no ping at the start"
jobs_before=()
in_ns "$outside" timeout 40 iperf3 -s >/dev/null 2>&1 & jobs_before+=("$!")
load "${ns[vm1]}" ping -f -q 10.80.0.1 & jobs_before+=("$!")
load "${ns[vm2]}" iperf3 -c 10.80.0.1 -t 1 --connect-timeout 300 & jobs_before+=("$!")
load "$outside" ping -i 0.005 -q 10.80.0.12 & jobs_before+=("$!")
look & jobs_before+=("$!")

one_step() {
    local a b
    draw 6; a=$((REPLY + 1))
    draw 6; b=$((REPLY + 1))
    draw 12
    case $REPLY in
    0 | 1) at_once "vm add --lower lower --name vm$a" "vm add --lower lower --name vm$b" ;;
    2) at_once "vm remove vm$a" "vm remove vm$b" ;;
    3) at_once "vm remove vm$a vm$b" "vm add --lower lower --name vm$a" "device list" ;;
    4) at_once "device disable vm$a" "device disable vm$b" "device enable vm$a" ;;
    5) at_once "device enable vm$a" "device enable vm$b" ;;
    6) cmd device disable lower; draw 3; sleep "0.$REPLY"; cmd device enable lower ;;
    7) step "lower vanishes"; ip link del lower 2>/dev/null; draw 6; sleep "0.$REPLY"; lower_up ;;
    8) # the same while somebody else takes virtual miniports away
        step "lower vanishes meanwhile"
        (sleep 0.02; ip link del lower 2>/dev/null) &
        at_once "device disable vm$a" "vm remove vm$b"
        wait $!; lower_up; cmd device enable "vm$a" ;;
    9)
        step "link"; ip link set lower down 2>/dev/null
        draw 2; sleep "0.$REPLY"
        ip link set lower up 2>/dev/null ;;
    10) # TAPs vanish with the namespace that has them
        step "namespace of vm$a dies"
        [[ -z ${ns[vm$a]:-} ]] || kill "${ns[vm$a]}" 2>/dev/null
        ns[vm$a]='' ;;
    11) draw 3; step "mtu $REPLY"; ip link set lower mtu "$((1400 + 50 * REPLY))" 2>/dev/null ;;
    esac
    give_all
}
for ((i = 0; i < steps && SECONDS < 16; i++)); do
    one_step
    draw 4
    sleep "0.0$REPLY"
    [[ ! -e $LAB_TMP/bad-look ]] || fail "$(cat "$LAB_TMP/bad-look")"
    kill -0 "$LAB_BOX" 2>/dev/null || fail "the box is gone"
done

# Half of the time all that was hurt has to work again first.
recover() {
    step "recover"
    ip link show lower >/dev/null 2>&1 || lower_up
    ip link set lower up
    cmd device enable lower
    for _ in {1..60}; do
        [[ $(u --json device list | jq -r '.[] | select(.name == "lower") | .state') != Started ]] || break
        sleep 0.05
    done
    cmd vm remove vm1
    u vm add --lower lower --name vm1 >>"$LAB_TMP/commands" 2>&1 ||
        fail "vm1 cannot be added: $(tail -n 1 "$LAB_TMP/commands")"
    [[ -z ${ns[vm1]:-} ]] || kill "${ns[vm1]}" 2>/dev/null
    ns[vm1]=''
    give_all
    in_ns "${ns[vm1]}" ping -c 10 -i 0.2 -w 4 -q 10.80.0.1 >"$LAB_TMP/ping" 2>&1 ||
        fail "no ping after it: $(cat "$LAB_TMP/ping"; u device list; u show)"
}
draw 2
((REPLY)) || recover

# The end, at times in the moment in which the interface vanishes or somebody asks for something.
# 0 stop, 1 SIGINT, 2 SIGTERM.
draw 4
case $REPLY in
0) (ip link del lower 2>/dev/null) & ;;
1) (u vm remove vm1 >/dev/null 2>&1) & ;;
2) # a client that falls silent in the middle of its request; `stop` would have to wait for it
    timeout 10 python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b"ab"); time.sleep(9)' "$LAB_TMP/chaos.sock" &
    LAB_PIDS+=("$!")
    silent=1
    sleep 0.2 ;;
esac
draw "$((3 - ${silent:-0}))"
REPLY=$((REPLY + ${silent:-0}))
touch "$LAB_TMP/over"
start=$(date +%s%N)
step "end $REPLY"
case $REPLY in
0) cmd stop ;;
1) kill -INT "$LAB_BOX" ;;
2) kill -TERM "$LAB_BOX" ;;
esac
for _ in {1..250}; do
    kill -0 "$LAB_BOX" 2>/dev/null || break
    sleep 0.02
done
ms=$((($(date +%s%N) - start) / 1000000))
kill -0 "$LAB_BOX" 2>/dev/null && fail "the box does not end"
status=0
wait "$LAB_BOX" || status=$?
for pid in "${jobs_before[@]:1}"; do wait "$pid"; done
((status == 0)) || fail "the box ended with status $status"
grep -qE 'report|Sanitizer|runtime error' "$LAB_TMP/chaos.log" && fail "reports"
[[ ! -e $LAB_TMP/bad-look ]] || fail "$(cat "$LAB_TMP/bad-look")"
[[ ! -e $LAB_TMP/chaos.sock ]] || fail "its socket is left"
for pid in $BASHPID "${ns[@]}"; do
    [[ -z $pid ]] && continue
    left=$(in_ns "$pid" ip -o link show type tun 2>/dev/null)
    [[ -z $left ]] || fail "a TAP is left: $left"
done
echo "$i steps, looked $(cat "$LAB_TMP/looks") times, ended in $ms ms"
