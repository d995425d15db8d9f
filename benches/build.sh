#!/usr/bin/env bash
# The three build times of the Express example against BuildKit, each into its own image store.
#
# - cold: bases and package caches present, nothing of the app. A new text in package.json makes each
#   run of either side copy, install and write layers again.
# - unchanged: the same folder again.
# - changed: one line of server.js differs.
#
# BuildKit builds an equivalent two-stage Dockerfile with a cache mount for npm.
# Aims, as parts of BuildKit's times in this order: 0.75, 0.5, 0.15. `build` under 150 MiB of its own.
# Usage: benches/rivals.sh buildkit && cargo build --release && benches/build.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -f "$RIVALS/buildkit.env" ] || { echo "build.sh: run benches/rivals.sh buildkit first" >&2; exit 1; }
# shellcheck disable=SC1091
. "$RIVALS/buildkit.env"
RUNS=${RUNS:-7}
export PACKWRIGHT_CACHE_DIR=${PACKWRIGHT_CACHE_DIR:-$WORK/packwright-cache}

copy_apps() {
    local side
    for side in packwright buildkit; do
        rm -rf "$WORK/app-$side"
        cp -r "$REPOSITORY/examples/node-express" "$WORK/app-$side"
        rm -rf "$WORK/app-$side/node_modules" "$WORK/app-$side/expect.toml"
    done
    cat >"$WORK/Dockerfile" <<DOCKERFILE
FROM $BUILDKIT_BASE AS build
WORKDIR /app
ARG npm_config_registry
ENV CI=true NODE_ENV=production NPM_CONFIG_PRODUCTION=false NPM_CONFIG_PREFER_OFFLINE=true
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY . .

FROM $BUILDKIT_BASE
WORKDIR /app
ENV CI=true NODE_ENV=production
COPY --from=build /app /app
CMD ["npm", "run", "start"]
DOCKERFILE
}

# The commands as scripts, so that hyperfine times them without a shell of its own to count.
write_commands() {
    cat >"$WORK/build-packwright" <<SH
#!/bin/sh
exec "$PACKWRIGHT" build "$WORK/app-packwright" --name bench --quiet
SH
    cat >"$WORK/build-buildkit" <<SH
#!/bin/sh
exec $BUILDCTL build --progress plain --frontend dockerfile.v0 \
    --opt build-arg:npm_config_registry="$(npm config get registry 2>/dev/null)" \
    --local context="$WORK/app-buildkit" --local dockerfile="$WORK" \
    --output type=image,name=bench,push=false >"$WORK/buildkit.log" 2>&1
SH
    cat >"$WORK/touch-cold" <<SH
#!/bin/sh
for side in packwright buildkit; do
    sed -i "s/\"description\": .*/\"description\": \"bench \$(date +%s%N)\",/" "$WORK/app-\$side/package.json"
done
SH
    cat >"$WORK/touch-line" <<SH
#!/bin/sh
for side in packwright buildkit; do
    sed -i "s|hello from [^\"]*|hello from bench \$(date +%s%N)|" "$WORK/app-\$side/server.js"
done
SH
    chmod +x "$WORK"/build-packwright "$WORK"/build-buildkit "$WORK"/touch-*
}

# compare TITLE [PREPARE]: one round of a side after the other, RUNS times, medians compared.
compare() {
    local title=$1 prepare=${2:-true} result=$WORK/build.json
    hyperfine -N --style none --warmup 1 --runs "$RUNS" --prepare "$prepare" --export-json "$result" \
        -n packwright "$WORK/build-packwright" -n buildkit "$WORK/build-buildkit" >/dev/null
    echo "build, $title:"
    ratios "$result"
}

machine
copy_apps
write_commands
echo "first build of each side, to have bases and package caches" >&2
"$WORK/build-packwright" >/dev/null
"$WORK/build-buildkit" >/dev/null
compare cold "$WORK/touch-cold"
compare unchanged
compare "one line changed" "$WORK/touch-line"
"$WORK/touch-cold"
printf 'memory of packwright itself during a cold build: %d MiB\n' \
    $(($(own_peak_kib "$PACKWRIGHT" build "$WORK/app-packwright" --name bench --quiet) / 1024))
