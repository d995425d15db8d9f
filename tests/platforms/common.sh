# What the platforms' scripts share. Called with PACKWRIGHT (the binary), APP (a copy of an app to work on), NAME (an image's
# name) and DOCKER_HOST set; sourced, not run.
# shellcheck shell=bash
set -euo pipefail

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
ln -s "$PACKWRIGHT" "$bin/nixpacks"
PATH=$bin:$PATH
docker=${DOCKER:-/usr/bin/docker}
export DOCKER_BUILDKIT=1

fail() { echo "$0: $*" >&2; exit 1; }

# build FILE ARGS...: as platforms build the folder; the daemons of these tests have the host's network alone.
build() {
    local file=$1
    shift
    "$docker" build -q --network host -f "$file" "$@" >/dev/null
}

# says IMAGE TEXT: the image's own command prints the text.
says() {
    local said
    said=$("$docker" run --rm --network host "$1")
    [[ $said == *"$2"* ]] || fail "$1 said: $said"
}
