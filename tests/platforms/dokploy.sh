#!/bin/bash
# Dokploy: one build by name, then files copied out of a container.
. "$(dirname "$0")/common.sh"

nixpacks build "$APP" --name "$NAME" --env GREETING=hello --no-error-without-start >/dev/null 2>&1
says "$NAME" hello
container=$("$docker" create --network host "$NAME")
mkdir "$APP/out"
"$docker" cp "$container:/app/." "$APP/out"
"$docker" rm "$container" >/dev/null
cmp "$APP/start.sh" "$APP/out/start.sh"
