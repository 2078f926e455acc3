#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clang-tidy (.clang-tidy) over the sources given, or over src/ and drivers/; drivers/mux is built as
# the others are, without host headers. Exit status 1 when anything is found.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
files=("$@")
((${#files[@]})) || mapfile -t files < <(git ls-files 'src/*.c' 'drivers/*.c')
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 6 sh -c '
    clang-tidy --quiet "$@" -- -std=gnu11 -fms-extensions -fshort-wchar -mcx16 -D_GNU_SOURCE \
        -DUMN_HOST=1 -DUMN_DEBUG=1 -Iinclude -Iinclude/wdk -Iinclude/umndis -Isrc 2>/dev/null' tidy
