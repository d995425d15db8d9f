#!/bin/bash
# Resolves what a deps.edn asks for and starts Clojure with it. The options are those of Clojure's own command line.
set -euo pipefail
folder={folder}
java=${JAVA_CMD:-${JAVA_HOME:+$JAVA_HOME/bin/}java}
kind=main only='' given='' user=yes
resolving=() options=()
while (($#)); do
    case $1 in
        -J?*) options+=("${1#-J}") ;;
        -A:?*) resolving+=("$1") ;;
        -P) only=nothing ;;
        -Spath) only=path ;;
        -Stree) only=nothing && resolving+=(--tree) ;;
        -Sdeps) resolving+=(--config-data "${2:?EDN has to follow -Sdeps}") && shift ;;
        -Sthreads) resolving+=(--threads "${2:?a number has to follow -Sthreads}") && shift ;;
        -Scp) given=${2:?a class path has to follow -Scp} && shift ;;
        -Srepro) user='' ;;
        -Sforce | -Sverbose) ;;
        -S*) echo "clojure: $1 is not known" >&2 && exit 1 ;;
        -M | -X) [ "$1" = -M ] || kind=exec; shift && break ;;
        -M:?*) resolving+=("$1") && shift && break ;;
        -X:?*) kind=exec && resolving+=("$1") && shift && break ;;
        -T) kind=exec && resolving+=(--tool-mode) && shift && break ;;
        -T:?*) kind=exec && resolving+=(--tool-mode "$1") && shift && break ;;
        -T?*) kind=exec && resolving+=(--tool-mode --tool-name "${1#-T}") && shift && break ;;
        *) break ;;
    esac
    shift
done

work=$(mktemp -d "${TMPDIR:-/tmp}/clojure.XXXXXX")
paths=$given
if [ -z "$given" ]; then
    settings=${CLJ_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.clojure}${XDG_CONFIG_HOME:+/clojure}}/deps.edn
    [ -z "$user" ] || [ ! -f "$settings" ] || resolving+=(--config-user "$settings")
    # The words of this variable are options.
    "$java" ${CLJ_JVM_OPTS:-} -cp "$folder/lib/*" clojure.main -m clojure.tools.deps.script.make-classpath2 \
        --config-project deps.edn --cp-file "$work/paths" --basis-file "$work/basis" --jvm-file "$work/jvm" \
        --main-file "$work/main" --manifest-file "$work/manifest" "${resolving[@]}"
    paths=$(cat "$work/paths")
    [ ! -f "$work/jvm" ] || { mapfile -t more <"$work/jvm" && options=("${more[@]}" "${options[@]}"); }
    options+=("-Dclojure.basis=$work/basis")
fi
case $only in
    path) printf '%s\n' "$paths" && exit ;;
    nothing) exit ;;
esac
main=()
if [ "$kind" = exec ]; then
    main=("$folder/lib/exec.clj")
elif [ -f "$work/main" ]; then
    mapfile -t main <"$work/main"
fi
exec "$java" ${JAVA_OPTS:-} "${options[@]}" -cp "$paths" clojure.main "${main[@]}" "$@"
