#!/bin/sh
# Starts sbt as its own script does: options for Java come from -J, -D, .jvmopts, .sbtopts, JAVA_OPTS and SBT_OPTS.
set -f
launcher={folder}/lib/sbt-launch.jar
given=$#
for argument; do
    case $argument in
        -J?*) set -- "$@" "${argument#-J}" ;;
        -D?*) set -- "$@" "$argument" ;;
        -no-colors | --no-colors) set -- "$@" -Dsbt.color=false ;;
        --color=* | --supershell=*) set -- "$@" "-Dsbt.${argument#--}" ;;
    esac
done
set -- "$@" -jar "$launcher"
seen=0
for argument; do
    [ "$seen" -lt "$given" ] || break
    seen=$((seen + 1))
    case $argument in
        -J?* | -D?* | -no-colors | --no-colors | --color=* | --supershell=*) ;;
        -batch | --batch) ;;
        -V | -version | --version) set -- "$@" sbtVersion ;;
        *) set -- "$@" "$argument" ;;
    esac
done
shift "$given"
from_files=
[ ! -f .jvmopts ] || from_files=$(sed '/^[[:space:]]*#/d' .jvmopts)
[ ! -f .sbtopts ] || from_files="$from_files $(sed -n -e 's/^[[:space:]]*-J//p' -e '/^[[:space:]]*-D/p' .sbtopts)"
# The words of these lists are options.
exec java -Xss4M -Dfile.encoding=UTF-8 $from_files $JAVA_OPTS $SBT_OPTS "$@"
