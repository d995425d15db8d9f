#!/bin/bash
# Easypanel: the Dockerfile in the folder, values as build arguments.
. "$(dirname "$0")/common.sh"

nixpacks build "$APP" --out "$APP" --name "$NAME" --env GREETING=planned >/dev/null 2>&1
build "$APP/.nixpacks/Dockerfile" --label a=b --build-arg GREETING=given -t "$NAME" "$APP"
says "$NAME" given
