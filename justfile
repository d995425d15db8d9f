# `just` lists the verbs; each is one command that also works without just.

_list:
    @just --list

# Install what building needs and is missing, then build the release binary
setup:
    bash -euc '. .ci/install.sh; want_packwright; install_wanted; check_rust; cargo build --release --locked'

# Build an example, run it, ask it
demo:
    ./demo

# Everything CI checks
ci:
    .ci/run

# Compile and lint, without running anything
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets

# Tests whose names contain the filter; TEST_ALL=1 adds the slow ones
test *filter:
    cargo test --workspace {{ filter }}

# Format, and apply what clippy can
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# What nixpacks decides otherwise, field by field
compare *folders:
    cargo build
    tests/nixpacks/compare {{ folders }}

# Times next to nixpacks and BuildKit, run side by side
bench:
    cargo build --release
    benches/rivals.sh
    benches/plan.sh
    benches/build.sh
