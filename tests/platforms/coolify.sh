#!/bin/bash
# Coolify: detect, plan as JSON, edit the JSON, write the Dockerfile from it, edit that, and build it.
. "$(dirname "$0")/common.sh"

[ "$(nixpacks detect "$APP")" = shell ] || fail "detect"
FORCE_COLOR=1 nixpacks plan -f json --env 'GREETING=a "quoted" $value' "$APP" >"$APP/plan.json" 2>/dev/null
python3 - "$APP/plan.json" <<'P'
import json, sys
plan = json.load(open(sys.argv[1]))
# As Coolify does: packages for the health check, and variables.
setup = plan["phases"].setdefault("setup", {})
setup["aptPkgs"] = setup.get("aptPkgs", []) + ["curl", "wget"]
plan["variables"]["ADDED"] = "later"
json.dump(plan, open(sys.argv[1], "w"))
P
nixpacks build -c plan.json --no-cache --no-error-without-start -n "$NAME" "$APP" -o "$APP" >/dev/null 2>&1
rm "$APP/plan.json"
file=$APP/.nixpacks/Dockerfile
[ -x "$APP/.nixpacks/build.sh" ] || fail "no build.sh"
# Coolify puts mounts of secrets behind each RUN.
sed -i 's/^RUN /RUN --mount=type=secret,id=COOLIFY /' "$file"
COOLIFY=hidden build "$file" --secret id=COOLIFY,env=COOLIFY -t "$NAME" "$APP"
says "$NAME" 'a "quoted" $value'
# The health check runs in the container, with the entrypoint replaced.
"$docker" run --rm --network host --entrypoint '' "$NAME" sh -c 'curl --version && wget --version' >/dev/null
[ "$("$docker" run --rm --network host "$NAME" 'echo "$ADDED"')" = later ] || fail "an added variable"
