#!/bin/bash
# Kubero: the Dockerfile in the current folder, built by Buildah without privileges of Docker's.
. "$(dirname "$0")/common.sh"

cd "$APP"
nixpacks build . -o . --env GREETING=kubero >/dev/null 2>&1
storage=(--root "$BUILDAH/root" --runroot "$BUILDAH/run" --storage-driver vfs)
buildah "${storage[@]}" build -q -f .nixpacks/Dockerfile --isolation chroot -t "$NAME" . >/dev/null
container=$(buildah "${storage[@]}" from "$NAME")
said=$(buildah "${storage[@]}" run --isolation chroot "$container" -- /bin/bash -lc 'cd /app && bash start.sh')
[[ $said == *kubero* ]] || fail "it said: $said"
