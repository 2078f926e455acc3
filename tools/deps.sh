#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building and testing need, by Debian package name. Does nothing when all is there.
# Usage: tools/deps.sh [build|demo|test]   (each includes the ones before it)
set -euo pipefail

build=(clang lld llvm make pkg-config libsqlite3-dev libmnl-dev python3)
demo=(iproute2 iputils-ping iperf3 util-linux procps jq)
test=(libclang-rt-14-dev libcmocka-dev libjansson-dev tshark ethtool shellcheck clang-format
      clang-tidy cppcheck scdoc man-db git valgrind)
want=("${build[@]}")
[[ ${1:-test} == build ]] || want+=("${demo[@]}")
[[ ${1:-test} != test ]] || want+=("${test[@]}")

missing=()
for p in "${want[@]}"; do
    dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
((${#missing[@]})) || exit 0

echo "installing ${missing[*]}"
sudo=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || {
        echo "umndis: these packages are missing and neither root nor sudo is here:" \
             "apt-get install ${missing[*]}" >&2
        exit 1
    }
    sudo=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq \
       --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "umndis: apt-get could not install ${missing[*]} (its last words are above)" >&2
    exit 1
fi
