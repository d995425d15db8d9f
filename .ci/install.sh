# Installs what is missing from Debian's packages. Sourced by ./demo and ./check, not run.
# shellcheck shell=bash

# The oldest compiler that builds packwright; rust-version in Cargo.toml says the same.
RUST_NEEDED=1.90

say() { printf '\n== %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root, and there is no sudo: $*" >&2
        exit 1
    fi
}

# have COMMAND: also where the administrator's commands are, which need not be on an ordinary user's PATH.
have() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

rust_is_new_enough() {
    have cargo && have rustc || return 1
    local version
    version=$(cargo --version | awk '{ print $2 }')
    [ "$(printf '%s\n' "$RUST_NEEDED" "$version" | sort -V | head -1)" = "$RUST_NEEDED" ]
}

PACKAGES=()
PACKAGE_LISTS_ARE_NEW=

# want COMMAND PACKAGE: the package is installed by install_wanted unless the command is there.
want() { have "$1" || PACKAGES+=("$2"); }

# want_file FILE PACKAGE
want_file() { [ -e "$1" ] || PACKAGES+=("$2"); }

update_package_lists() {
    [ -n "$PACKAGE_LISTS_ARE_NEW" ] && return
    # A third-party source of the machine that does not answer need not stop us.
    as_root apt-get update -q >&2 || true
    PACKAGE_LISTS_ARE_NEW=yes
}

# Debian's own name for the compiler that its browsers need: it follows new releases in stable suites too.
want_rust() {
    rust_is_new_enough && return
    update_package_lists
    if apt-cache show rustc-web >/dev/null 2>&1; then
        PACKAGES+=(rustc-web cargo-web)
    else
        PACKAGES+=(rustc cargo)
    fi
}

install_wanted() {
    [ ${#PACKAGES[@]} -eq 0 ] && return
    say "installing ${PACKAGES[*]}"
    update_package_lists
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${PACKAGES[@]}" >&2
    PACKAGES=()
}

# What building packwright and running it need.
# Where packages come from is what the clients are configured to. Without a client and without a variable
# nobody knows.
want_npm() {
    [ -n "${npm_config_registry:-}${NPM_CONFIG_REGISTRY:-}${PACKWRIGHT_NPM_REGISTRY:-}" ] || want npm npm
}
want_pip() {
    [ -n "${PIP_INDEX_URL:-}${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${PACKWRIGHT_PYPI_INDEX:-}" ] ||
        python3 -c 'import pip' 2>/dev/null || PACKAGES+=(python3-pip)
}
want_go() {
    [ -n "${GOPROXY:-}${PACKWRIGHT_GOPROXY:-}" ] || want go golang-go
}

want_packwright() {
    want_rust
    want gcc gcc
    want_file /usr/include/string.h libc6-dev
    want_file /etc/ssl/certs/ca-certificates.crt ca-certificates
    want_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
    # Root needs none; an ordinary user's builds map a range of user ids.
    want newuidmap uidmap
}

# Real Nix, and what tests/nixpkgs/fetch makes a package set with.
want_nix() {
    want nix-instantiate nix-bin
    want dpkg-deb dpkg
}

check_rust() {
    rust_is_new_enough && return
    echo "cargo $RUST_NEEDED or newer is needed; this is $(cargo --version 2>&1)" >&2
    exit 1
}
