//! What Debian roots consist of, and how they are made from packages.

use super::index::Index;

/// Dependencies that only installing and configuring needs; a root that is only unpacked and never
/// changed by dpkg does without them.
pub(crate) const PACKAGING_ONLY: &[&str] = &[
    "adduser",
    "awk",
    "base-passwd",
    "cdebconf",
    "debconf",
    "debconf-2.0",
    "dpkg",
    "gcc-10-base",
    "gcc-12-base",
    "gcc-14-base",
    "gcc-15-base",
    "gcc-16-base",
    "init-system-helpers",
    "install-info",
    "libpam-runtime",
    "login",
    "lsb-base",
    "passwd",
    "sysvinit-utils",
    "tar",
    "ucf",
    "usr-is-merged",
    "usrmerge",
];

/// What a build root has besides the essential packages.
const BASE: [&str; 18] = [
    "apt", "base-files", "bash", "ca-certificates", "coreutils", "dash", "findutils", "grep", "gzip", "libatomic1",
    "libstdc++6", "netbase", "procps", "sed", "tar", "tzdata", "usr-is-merged", "xz-utils",
];

/// What every image has.
const RUN_BASE: [&str; 16] = [
    "base-files", "bash", "ca-certificates", "coreutils", "dash", "debianutils", "findutils", "grep", "libatomic1", "libc6", "libgcc-s1",
    "libstdc++6", "ncurses-base", "netbase", "sed", "tzdata",
];

fn existing(index: &Index, names: &[&str]) -> Vec<String> {
    names.iter().filter(|name| index.package(name).is_some()).map(|name| (*name).to_owned()).collect()
}

/// The packages that a build root is resolved from.
pub(crate) fn base_wanted(index: &Index) -> Vec<String> {
    let mut wanted: Vec<String> = index.essential().into_iter().map(str::to_owned).collect();
    wanted.extend(existing(index, &BASE));
    wanted
}

/// The packages that the root of an image is resolved from.
pub(crate) fn run_base_wanted(index: &Index) -> Vec<String> {
    existing(index, &RUN_BASE)
}
