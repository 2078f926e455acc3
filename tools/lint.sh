#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Linters; each is one test. The include lint holds the arrows of docs/architecture.md.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
verdict() { # name status
    if (($2 == 0)); then passed=$((passed + 1)); echo "ok - $1"; else failed=$((failed + 1)); echo "not ok - $1"; fi
}

# --- arrows: plat <- sched <- nt, image <- ndis <- config <- box <- cli; check, trace above sched
declare -A may=(
    [plat]="plat umndis"
    [sched]="sched plat umndis"
    [check]="check sched plat umndis"
    [trace]="trace sched plat umndis"
    [nt]="nt check trace sched plat umndis"
    [image]="image nt check trace sched plat umndis"
    [ndis]="ndis nt image check trace sched plat umndis"
    [config]="config ndis nt image check trace sched plat umndis"
    [box]="box config ndis nt image check trace sched plat umndis"
    [cli]="cli box config ndis nt image check trace sched plat umndis"
)
arrows() {
    local bad=0 part file inc to
    for part in "${!may[@]}"; do
        while IFS=: read -r file inc; do
            to=${inc%%/*}
            if [[ $inc == */* && " ${may[$part]} " != *" $to "* && -d src/$to ]]; then
                echo "$file includes \"$inc\": src/$part may include only ${may[$part]}"
                bad=1
            fi
        done < <(grep -HoE '^#include "[^"]+"' src/"$part"/*.[chS] 2>/dev/null | sed -E 's/#include "([^"]+)"/\1/')
    done
    while IFS=: read -r file inc; do
        case $inc in
        umhost.h | */*) [[ $inc == umhost.h || ! -d src/${inc%%/*} ]] || { echo "$file includes \"$inc\": a driver may not include the library's headers"; bad=1; } ;;
        esac
    done < <(grep -HoE '^#include ["<][^">]+[">]' drivers/*/*.[ch] | sed -E 's/#include ["<]([^">]+)[">]/\1/')
    return $bad
}
arrows
verdict "includes follow the arrows" $?

# --- only plat and sched speak to the host
host_calls() {
    ! grep -nE '\b(pthread_[a-z]+|futex|clock_gettime|malloc|calloc|realloc|free|epoll_[a-z]+|usleep|nanosleep)\(' \
        src/{nt,image,ndis,config,box,check,trace}/*.c | grep -vE '(plat_|^[^:]*:[0-9]+: *\*|//)'
}
host_calls
verdict "nothing above sched calls the host's threads, time or heap" $?

long=$(git ls-files 'src/*.[ch]' 'drivers/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | xargs wc -l | awk '$2 != "total" && $1 > 800')
[[ -z $long ]]; status=$?; [[ -z $long ]] || echo "$long"
verdict "no file above 800 lines" $status

missing=$(git ls-files '*.c' '*.h' '*.sh' | xargs grep -L 'SPDX-License-Identifier' || true)
[[ -z $missing ]]; status=$?; [[ -z $missing ]] || echo "no licence line: $missing"
verdict "every source file names its licence" $status

mapfile -t scripts < <(git ls-files | while read -r f; do head -c 40 "$f" 2>/dev/null | grep -qaE '^#!.*(bash|sh)\b' && echo "$f"; done)
shellcheck -x "${scripts[@]}"
verdict "shellcheck (${#scripts[@]} scripts)" $?

mapfile -t sources < <(git ls-files 'src/*.[ch]' 'drivers/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]')
clang-format --dry-run -Werror "${sources[@]}" 2>&1 | head -n 20
verdict "clang-format (${#sources[@]} files)" "${PIPESTATUS[0]}"

cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,performance,portability \
    --suppressions-list=tools/cppcheck.txt -j "$(nproc)" -Isrc -Iinclude -Iinclude/umndis -DUMN_HOST=1 -D_GNU_SOURCE \
    src drivers 2>&1 | head -n 40
verdict "cppcheck" "${PIPESTATUS[0]}"

if [[ -f docs/umndis.1.scd ]]; then
    scdoc <docs/umndis.1.scd >/dev/null
    verdict "man page" $?
fi
echo "$passed passed, $failed failed"
((failed == 0))
