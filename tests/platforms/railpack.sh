#!/bin/bash
# Platforms that call Railpack: files of a plan first (Dokploy, ZaneOps, Coolify), or an image at once (Dokku). What they give
# as variables are secrets of the build, and in no file of it.
. "$(dirname "$0")/common.sh"

ln -s "$PACKWRIGHT" "$bin/railpack"
cat >"$APP/railpack.json" <<'J'
{
  // A step that asks for a variable of the platform.
  "steps": { "build": { "commands": ["echo \"${#GREETING} letters\" > built"] } },
  "deploy": { "startCommand": "cat built; echo \"at run time: ${GREETING-nothing}\"" }
}
J
railpack prepare "$APP" --env GREETING=planted-value --env RAILPACK_PACKAGES=jq --config-file railpack.json \
    --plan-out "$bin/out/plan.json" --info-out "$bin/out/info.json" --hide-pretty-plan >"$bin/said" 2>&1
grep -q planted-value "$bin/said" "$bin/out/plan.json" "$bin/out/info.json" && fail "a value is in a file"
python3 - "$bin/out" <<'P'
import json, sys
info = json.load(open(sys.argv[1] + "/info.json"))
assert info["success"] and info["detectedProviders"] == ["shell"], info
assert "jq" in info["resolvedPackages"], info
plan = json.load(open(sys.argv[1] + "/plan.json"))
assert plan["phases"]["build"]["secrets"] == ["GREETING"] and "GREETING" not in plan["variables"], plan
P
GREETING=planted-value "$PACKWRIGHT" build "$APP" --config "$bin/out/plan.json" --secret GREETING --name "$NAME" >/dev/null 2>&1
says "$NAME" "13 letters
at run time: nothing"
# Nothing to build: the files say so, and the code is Railpack's.
mkdir "$bin/empty"
railpack prepare "$bin/empty" --info-out "$bin/out/none.json" >/dev/null 2>&1 && fail "an empty folder has a plan"
[ $? = 1 ] || fail "the exit code"
python3 -c 'import json, sys; assert not json.load(open(sys.argv[1]))["success"]' "$bin/out/none.json"

railpack build --platform "linux/$(dpkg --print-architecture)" --progress plain --cache-key "$NAME" --env GREETING=four \
    --previous node@22 --start-cmd 'cat built' --error-missing-start --name "$NAME-build" "$APP" >/dev/null 2>&1
says "$NAME-build" "4 letters"
"$docker" inspect "$NAME-build" | grep -q GREETING && fail "a secret is in the configuration"
exit 0
