#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The table of conformance ids: one line per id - the id, pass | fail | none, the tests that carry
# it. Usage: tools/ids.sh RESULTS, where RESULTS has "test pass|fail ID ID..." lines as written by
# conformance --results. Exit 1 if a test fails.
set -euo pipefail
results=${1:?usage: tools/ids.sh RESULTS}
here=$(dirname "$0")
awk '
FNR == NR { order[++n] = $1; next }
{
    for (i = 3; i <= NF; i++) {
        tests[$i] = tests[$i] " " $1
        if ($2 != "pass") bad[$i] = 1
    }
}
END {
    for (k = 1; k <= n; k++) {
        id = order[k]
        state = !(id in tests) ? "none" : (id in bad) ? "fail" : "pass"
        count[state]++
        printf "%s %s%s\n", id, state, tests[id]
    }
    for (id in tests) {
        known = 0
        for (k = 1; k <= n; k++) known += order[k] == id
        if (!known) printf "%s unknown%s\n", id, tests[id]
    }
    printf "%d ids: %d pass, %d fail, %d none\n", n, count["pass"], count["fail"], count["none"]
    exit count["fail"] > 0
}' "$here/../tests/conformance/ids.txt" "$results"
