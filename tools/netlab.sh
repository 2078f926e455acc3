# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A network laboratory in namespaces of its own, for ./demo, tests/e2e and bench. Source it, call
# `lab_enter "$@"` first: it runs the script again inside a new network namespace (as an ordinary
# user inside a new user namespace too). A namespace here is a process that sleeps in it, so when
# the processes end nothing is left: no interface, no namespace, no file.

LAB_PIDS=()
LAB_TMP=

# One clear sentence when something cannot be had; exit status 1, or 77 (skip) for tests.
lab_lacks() {
    echo "${LAB_NAME:-umndis}: $*" >&2
    exit "${LAB_LACKS:-1}"
}

lab_enter() {
    if [[ -z ${LAB_INSIDE:-} ]]; then
        local how=(unshare --net)
        if ((EUID != 0)); then
            how=(unshare --user --map-root-user --net)
        fi
        if ! "${how[@]}" true 2>/dev/null; then
            lab_lacks "the kernel refuses a new network namespace (${how[*]} failed): run as root, or" \
                "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)"
        fi
        export LAB_INSIDE=1
        exec "${how[@]}" "$0" "$@"
    fi
    LAB_TMP=$(mktemp -d)
    export UMNDIS_RUN=$LAB_TMP
    trap lab_leave EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    ip link set lo up
}

lab_need_tun() {
    [[ -e /dev/net/tun ]] || lab_lacks "there is no TUN device: /dev/net/tun is missing (modprobe tun)"
    # Opening is what needs the right, so try just that.
    { : <>/dev/net/tun; } 2>/dev/null ||
        lab_lacks "no permission to open the TUN device /dev/net/tun: run as root, or let this user" \
            "read and write it"
}

lab_leave() {
    local status=$? pid
    trap - EXIT INT TERM HUP
    set +e
    for pid in "${LAB_PIDS[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${LAB_PIDS[@]}"; do wait "$pid" 2>/dev/null; done
    [[ -z $LAB_TMP ]] || rm -rf "$LAB_TMP"
    exit "$status"
}

# lab_ns VAR: a new network namespace; VAR becomes the pid that stands for it.
lab_ns() {
    local own=/proc/self/ns/net pid
    unshare --net sleep 3600 &
    pid=$!
    LAB_PIDS+=("$pid")
    for _ in {1..200}; do
        [[ $(readlink "/proc/$pid/ns/net" 2>/dev/null) == "$(readlink $own)" ]] || break
        sleep 0.01
    done
    in_ns "$pid" ip link set lo up
    in_ns "$pid" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6' 2>/dev/null || true
    printf -v "$1" '%s' "$pid"
}
in_ns() {
    local pid=$1
    shift
    nsenter --net="/proc/$pid/ns/net" "$@"
}

# lab_host PID INTERFACE ADDRESS/LEN: the interface gets the address and comes up there.
lab_host() {
    in_ns "$1" ip addr add "$3" dev "$2"
    in_ns "$1" ip link set "$2" up
}

# lab_veth NAME PID PEER: NAME here, PEER in the namespace; both up, no IPv6 chatter.
lab_veth() {
    ip link add "$1" type veth peer name "$3" netns "$2"
    echo 1 >"/proc/sys/net/ipv6/conf/$1/disable_ipv6" 2>/dev/null || true
    ip link set "$1" up
    in_ns "$2" ip link set "$3" up
}

# lab_box NAME ARGS...: starts `umndis run` and waits until it answers. LAB_BOX becomes its pid.
lab_box() {
    local name=$1
    shift
    "$UMNDIS" run --name "$name" --quiet "$@" >"$LAB_TMP/$name.log" 2>&1 &
    LAB_BOX=$!
    LAB_PIDS+=("$LAB_BOX")
    for _ in {1..300}; do
        "$UMNDIS" --box "$name" show >/dev/null 2>&1 && return 0
        kill -0 "$LAB_BOX" 2>/dev/null || break
        sleep 0.05
    done
    cat "$LAB_TMP/$name.log" >&2
    echo "${LAB_NAME:-umndis}: the box '$name' did not start (its words are above)" >&2
    return 1
}

# lab_give TAP PID ADDRESS/LEN: moves a TAP interface into a namespace with an address.
lab_give() {
    echo 1 >"/proc/sys/net/ipv6/conf/$1/disable_ipv6" 2>/dev/null || true
    ip link set "$1" netns "$2"
    lab_host "$2" "$1" "$3"
}
