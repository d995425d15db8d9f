# Tells what a build changed in its root, and sets aside what the image gets of it. Run by bash in the first stage.
#
# A state is a list of records, one for each path: kind, mode, owner, size, whole seconds of its time; then the path; then
# the target of a link. Builders that unpack layers again keep seconds, and no finer time, so this holds with all of them.
set -euo pipefail
export LC_ALL=C
here=/packwright

state() {
    find / -xdev -mindepth 1 \( -path /packwright -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \) -prune \
        -o -printf '%y %m %U %G %s %T@\001%P\001%l\0' |
        sed -z -E 's/^(d [0-7]+ [0-9]+ [0-9]+) [^\x01]*/\1/; s/^([^\x01]*)\.[0-9]+\x01/\1\x01/' |
        sort -z >"$here/$1"
}

# Records to paths; folders end with a slash.
paths() {
    sed -z -E 's/^d[^\x01]*\x01([^\x01]*)\x01.*$/\1\//; t; s/^[^\x01]*\x01([^\x01]*)\x01.*$/\1/'
}

# select LEFT_OUT ONLY: of the paths, those that match ONLY and not LEFT_OUT. An empty pattern is none.
select_paths() {
    if [ -n "$2" ]; then grep -zP -- "$2" || true; else cat; fi |
        if [ -n "$1" ]; then grep -zvP -- "$1" || true; else cat; fi
}

# put WHERE: copies the paths, with the folders that lead to each, below image/WHERE.
put() {
    mkdir -p "$here/image/$1"
    sort -zu >"$here/all"
    cp "$here/all" "$here/new"
    while [ -s "$here/new" ]; do
        xargs -0 -r dirname -z -- <"$here/new" | sort -zu | { grep -zvx '[.]' || true; } | sed -z 's,$,/,' |
            sort -zu | comm -z -13 "$here/all" - >"$here/above"
        sort -zm "$here/all" "$here/above" >"$here/joined"
        mv "$here/joined" "$here/all"
        mv "$here/above" "$here/new"
    done
    tar -C / --null --no-recursion --verbatim-files-from -T "$here/all" -cf - |
        tar -C "$here/image/$1" --numeric-owner --same-permissions -xf -
}

case $1 in
state) state "$2" ;;
# system LEFT_OUT: what packages changed since the state `begin`.
system)
    state end
    comm -z -13 "$here/begin" "$here/end" | paths | select_paths "$2" "" | put system
    ;;
# keep PATH...: what phases made of files that are about to be copied again.
keep)
    shift
    rm -rf "$here/kept" "$here/gone"
    mkdir -p "$here/kept"
    : >"$here/gone"
    for path; do
        if [ -e "/app/$path" ] || [ -L "/app/$path" ]; then
            (cd /app && tar -cf - -- "$path") | tar -C "$here/kept" -xpf -
        else
            printf '%s\0' "$path" >>"$here/gone"
        fi
    done
    ;;
# restore: puts it back.
restore)
    rm -rf /app/.nixpacks /app/.railpack
    if [ -d "$here/kept" ]; then
        tar -C "$here/kept" -cf - . | tar -C /app -xpf - --no-overwrite-dir
        (cd /app && xargs -0 -r rm -rf --) <"$here/gone"
    fi
    ;;
# collect LEFT_OUT ONLY: what changed since `begin`, in two parts: what `early` had already, and the rest.
collect)
    state end
    [ -e "$here/early" ] || cp "$here/begin" "$here/early"
    comm -z -13 "$here/begin" "$here/early" | comm -z -12 - "$here/end" >"$here/first"
    comm -z -13 "$here/begin" "$here/end" | comm -z -23 - "$here/first" >"$here/second"
    paths <"$here/first" | select_paths "$2" "$3" | put dependencies
    paths <"$here/second" | select_paths "$2" "$3" | put app
    ;;
esac
