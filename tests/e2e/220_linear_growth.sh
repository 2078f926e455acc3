#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 800 virtual miniports that come up and go cost about twice what 400 cost, in instructions counted by
# valgrind: loops over all of them show here long before they show on a clock.
set -euo pipefail
case ${CFG:-debug} in
asan | tsan)
    echo "sanitized programs do not run under valgrind"
    exit 77
    ;;
esac
command -v valgrind >/dev/null || { echo "no valgrind"; exit 77; }
built=$(dirname "$UMNDIS")
[[ -x $built/bench/inproc ]] || { echo "$built/bench/inproc is not built"; exit 1; }
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# valgrind of Debian 12 gives up on clang's debug information
mkdir "$copy/bench" "$copy/drivers"
strip -g -o "$copy/bench/inproc" "$built/bench/inproc"
for driver in wire mux pktio; do
    strip -g -o "$copy/drivers/$driver.so" "$built/drivers/$driver.so"
done
instructions() { # N
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null \
        "$copy/bench/inproc" bringup "$1" 2>&1 >/dev/null |
        sed -nE 's/^==[0-9]+== I +refs: +([0-9,]+)$/\1/p' | tr -d ,
}
few=$(instructions 400)
many=$(instructions 800)
echo "400: $few instructions, 800: $many"
# 2.0 is linear; the lists that were searched before they were hashed made it 2.6
((many * 100 < few * 220))
