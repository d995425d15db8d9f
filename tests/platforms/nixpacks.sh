#!/bin/bash
# What callers of nixpacks rely on beside a platform's own calls: flags before the verb, exit codes, output streams, names.
. "$(dirname "$0")/common.sh"

# code WANTED ARGS...: nixpacks ends so; its two streams are in $out and $err.
out=$bin/out.txt
err=$bin/err.txt
code() {
    local wanted=$1 got=0
    shift
    nixpacks "$@" >"$out" 2>"$err" || got=$?
    [ "$got" = "$wanted" ] || fail "nixpacks $* ended with $got: $(cat "$err")"
}
mkdir "$bin/none"
echo text >"$bin/none/notes.txt"

[[ $(nixpacks --version) == "nixpacks 1.41.0"* ]] || fail "the version"
code 2
code 2 plan -f yaml "$APP"
code 1 plan "$bin/missing"
code 1 plan -c missing.toml "$APP"
code 1 plan --json-plan '{' "$APP"
code 0 detect "$bin/none"
[ "$(cat "$out")" = "" ] || fail "detect of nothing"
code 0 plan "$bin/none"
python3 -c 'import json, sys; assert json.load(sys.stdin)["phases"] == {}' <"$out"
code 1 build "$bin/none"
# Flags about the plan may stand before the verb; a variable that is not set is left out.
code 0 -s 'echo first' --env A=1 --env UNSET_ANYWHERE plan -f json "$APP"
python3 -c 'import json, sys; plan = json.load(sys.stdin); assert plan["start"]["cmd"] == "echo first", plan; assert plan["variables"]["A"] == "1" and "UNSET_ANYWHERE" not in plan["variables"]' <"$out"
[[ $(cat "$err") == *UNSET_ANYWHERE* ]] || fail "nothing is said of the variable"
# A credential is told of, on standard error, and without its value.
code 0 plan --env DB_PASSWORD=hunter2 "$APP"
[[ $(cat "$err") == *DB_PASSWORD*--secret* && $(cat "$err") != *hunter2* ]] || fail "the warning: $(cat "$err")"
# Without a name the image has a random one; a label may have no value.
code 0 build "$APP" --label only --label a=b -t "$NAME:tagged" -v
id=$("$docker" images --no-trunc -q "$NAME:tagged")
name=$("$docker" inspect -f '{{ index .RepoTags 0 }}' "$id")
[[ $("$docker" inspect -f '{{ .RepoTags }}' "$id") =~ [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}:latest ]] || fail "the name $name"
[ "$("$docker" inspect -f '{{ index .Config.Labels "only" }}{{ index .Config.Labels "a" }}' "$id")" = b ] || fail "labels"
# Written into the app's folder and built from there.
code 0 build "$APP" --current-dir --name "$NAME" --docker-host "$DOCKER_HOST" --add-host other.test:127.0.0.7 \
    --build-cmd 'grep other.test /etc/hosts >hosts' --start-cmd 'cat hosts'
[[ $(cat "$err") == *'engine: docker'*'--add-host asks for it'* ]] || fail "the engine: $(cat "$err")"
says "$NAME" 127.0.0.7
[ -s "$APP/.nixpacks/Dockerfile" ] || fail "no Dockerfile in the folder"
[ "$(grep -c '^warning' "$err")" = "$(grep '^warning' "$err" | sort -u | wc -l)" ] || fail "said twice: $(cat "$err")"
[ "$(grep -c 'provider: shell' "$err")" = 1 ] || fail "planned twice: $(cat "$err")"
