#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compiles the sources of drivers for the Windows target, syntax only, warnings as errors: the same
# files must build against Microsoft's headers. Usage: tools/abi/msvc-syntax.sh FOLDER...
set -euo pipefail
(($#)) || { echo "usage: $0 FOLDER..." >&2; exit 2; }
n=0
for folder in "$@"; do
    for f in "$folder"/*.c; do
        clang --target=x86_64-pc-windows-msvc -std=gnu11 -fms-extensions -ffreestanding -nostdlibinc \
            -Wall -Wextra -Werror -Wno-unused-parameter -Iinclude/wdk -fsyntax-only "$f"
        n=$((n + 1))
    done
done
((n > 0)) || { echo "$*: no sources" >&2; exit 1; }
echo "$n files compile for x86_64-pc-windows-msvc"
