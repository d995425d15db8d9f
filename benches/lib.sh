# Shared by the benchmarks: where things are, and tables of ratios. Sourced, not run.
# shellcheck shell=bash

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RIVALS=${PACKWRIGHT_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/packwright-rivals}
TARGET=${CARGO_TARGET_DIR:-$REPOSITORY/target}
# The program of one file, if that is the one that was built last.
STATIC=$TARGET/$(uname -m)-unknown-linux-musl/release/packwright
if [ -z "${PACKWRIGHT:-}" ]; then
    PACKWRIGHT=$TARGET/release/packwright
    if [ "$STATIC" -nt "$PACKWRIGHT" ]; then PACKWRIGHT=$STATIC; fi
fi
WORK=$RIVALS/work
mkdir -p "$WORK"

[ -x "$PACKWRIGHT" ] || {
    echo "benches: no $PACKWRIGHT; run cargo build --release, or set PACKWRIGHT" >&2
    exit 1
}
for tool in hyperfine jq time; do
    type -P $tool >/dev/null || {
        echo "benches: $tool is missing (Debian's package has the same name)" >&2
        exit 1
    }
done

# machine: what the numbers were taken on and with, since they mean nothing without it.
machine() {
    printf 'program: %s\n' "${PACKWRIGHT#"$REPOSITORY/"}"
    printf 'machine: %s cores, %s, SHA-NI %s, %s\n' "$(nproc)" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" \
        "$(grep -qw sha_ni /proc/cpuinfo && echo yes || echo no)" "$(uname -r)"
}

# ratios FILE: hyperfine's JSON as a table; the ratios are to the second command, medians to medians.
ratios() {
    jq -r '.results as $r | $r[] |
        [.command, (.median * 1000), (.min * 1000), (.max * 1000), ($r[0].median / .median)] | @tsv' "$1" |
        awk -F'\t' '{
            printf "  %-12s %9.1f ms  (%.1f to %.1f)", $1, $2, $3, $4
            if (NR > 1) printf "   packwright takes %.3f of it", $5
            printf "\n"
        }'
}

# peak_kib COMMAND...: the most resident memory of the largest process among it and its children.
peak_kib() {
    local out
    out=$(mktemp)
    /usr/bin/time -f %M -o "$out" "$@" >/dev/null 2>&1 || true
    tail -1 "$out"
    rm -f "$out"
}

# own_peak_kib COMMAND...: of that process alone, children aside, as the kernel counts it.
own_peak_kib() {
    local peak=0 now
    "$@" >/dev/null 2>&1 &
    local pid=$!
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status 2>/dev/null) && [ -n "$now" ]; do
        peak=$now
        sleep 0.01
    done
    wait $pid || true
    echo "$peak"
}
