#!/usr/bin/env bash
# `packwright plan` against `nixpacks plan` on every example, and on a large repository with `find` too.
#
# Aims: 0.5 of nixpacks' time on each example, 0.1 on the large repository, under 30 MiB. Ends with 1 when one is missed.
# Usage: benches/rivals.sh nixpacks && cargo build --release && benches/plan.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

NIXPACKS=${NIXPACKS:-$RIVALS/bin/nixpacks}
[ -x "$NIXPACKS" ] || { echo "plan.sh: run benches/rivals.sh nixpacks first" >&2; exit 1; }
LARGE=$WORK/monorepo

# 500 packages of 200 modules and a package.json, 100,500 files and a root package.
make_large() {
    [ -f "$LARGE/package.json" ] && return
    echo "making a repository of 100,500 files" >&2
    rm -rf "$LARGE"
    local package module
    for package in $(seq -w 500); do
        mkdir -p "$LARGE/packages/part-$package/src"
        printf '{ "name": "@bench/part-%s", "version": "1.0.0", "main": "src/module-001.js" }\n' "$package" \
            >"$LARGE/packages/part-$package/package.json"
        for module in $(seq -w 200); do
            printf 'export const id = "%s/%s";\nexport default (x) => x + %d;\n' "$package" "$module" "$((10#$module))" \
                >"$LARGE/packages/part-$package/src/module-$module.js"
        done
    done
    # Last: its presence says that the rest is whole.
    printf '%s\n' '{ "name": "bench", "private": true, "workspaces": ["packages/*"],' \
        '  "engines": { "node": "22" }, "scripts": { "start": "node packages/part-001/src/module-001.js" } }' \
        >"$LARGE/package.json"
}

compare() {
    local title=$1 directory=$2 runs=$3 result=$WORK/plan.json
    hyperfine -N --style none --warmup 1 --runs "$runs" --export-json "$result" \
        -n packwright "$PACKWRIGHT plan $directory" \
        -n nixpacks "$NIXPACKS plan $directory" \
        -n find "find $directory -type f" >/dev/null 2>&1
    echo "plan, $title:"
    ratios "$result"
    printf '  peak memory: packwright %.1f MiB, nixpacks %.1f MiB, find %.1f MiB\n' \
        "$(kib_to_mib "$(peak_kib "$PACKWRIGHT" plan "$directory")")" \
        "$(kib_to_mib "$(peak_kib "$NIXPACKS" plan "$directory")")" \
        "$(kib_to_mib "$(peak_kib find "$directory" -type f)")"
}

kib_to_mib() { awk -v kib="$1" 'BEGIN { print kib / 1024 }'; }

# within LIMIT: whether the last comparison's ratio of medians is at most that.
within() { jq -e --argjson limit "$1" '.results | .[0].median / .[1].median <= $limit' "$WORK/plan.json" >/dev/null; }

# every_example: one line each, and whether all of them are fast enough.
every_example() {
    local example name slow=0
    printf 'plan, every example:\n  %-28s %12s %12s %8s\n' '' packwright nixpacks ratio
    for example in "$REPOSITORY"/examples/*/; do
        name=$(basename "$example")
        # nixpacks refuses some examples; what it takes to refuse counts all the same.
        hyperfine -N -i --style none --warmup 3 --runs 20 --export-json "$WORK/plan.json" \
            "$PACKWRIGHT plan $example" "$NIXPACKS plan $example" >/dev/null 2>&1
        jq -r --arg name "$name" '.results | [$name, .[0].median * 1000, .[1].median * 1000, .[0].median / .[1].median] | @tsv' \
            "$WORK/plan.json" | awk -F'\t' '{ printf "  %-28s %9.1f ms %9.1f ms %8.3f", $1, $2, $3, $4 }'
        if within 0.5; then echo; else echo '   TOO SLOW'; slow=1; fi
    done
    return $slow
}

machine
make_large
missed=0
every_example || missed=1
compare "the Express example" "$REPOSITORY/examples/node-express" 50
compare "100,500 files in 500 packages" "$LARGE" 5
within 0.1 || { echo "  TOO SLOW: more than 0.1 of nixpacks"; missed=1; }
exit $missed
