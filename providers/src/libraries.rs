//! System libraries that compiled programs link, and what they are called in each ecosystem.
//!
//! Owns one table: the names by which crates, pkg-config, `CMake` and linkers know a library, the entry of a plan that has
//! its headers, and the entry that has what a finished program needs. Reading manifests is for the languages.

use std::collections::BTreeSet;

use crate::provider::Decision;

/// A library.
struct Library {
    /// The entry for phases; empty when only running needs something.
    build: &'static str,
    /// The entry for the image; empty when it is headers alone or linked statically.
    run: &'static str,
    /// All its names: of crates, pkg-config modules, `CMake` packages, `-l` and shards; in lower case.
    names: &'static [&'static str],
}

const fn library(
    build: &'static str,
    run: &'static str,
    names: &'static [&'static str],
) -> Library {
    Library { build, run, names }
}

/// Source: the packages' own files in Debian trixie, and the build scripts of the crates, 2026-11.
#[rustfmt::skip]
const LIBRARIES: &[Library] = &[
    library("alsa-lib.dev", "alsa-lib.out", &["alsa-sys", "alsa", "asound"]),
    library("asio", "", &["asio"]),
    library("boehmgc.dev", "boehmgc.out", &["bdw-gc", "gc"]),
    library("boost.dev", "boost.out", &["boost"]),
    library("catch2", "", &["catch2"]),
    library("cli11", "", &["cli11"]),
    library("curl.dev", "curl.out", &["curl", "libcurl"]),
    library("cxxopts", "", &["cxxopts"]),
    library("dbus.dev", "dbus.out", &["libdbus-sys", "dbus-1"]),
    library("eigen", "", &["eigen3"]),
    library("fmt.dev", "fmt.out", &["fmt"]),
    library("fontconfig.dev", "fontconfig.out", &["yeslogic-fontconfig-sys", "fontconfig"]),
    library("freetype.dev", "freetype.out", &["freetype", "freetype2"]),
    library("gmp.dev", "gmp.out", &["gmp"]),
    library("gtest", "", &["gtest", "gmock"]),
    library("hiredis.dev", "hiredis.out", &["hiredis"]),
    library("httplib.dev", "httplib.out", &["httplib", "cpp-httplib"]),
    library("jsoncpp.dev", "jsoncpp.out", &["jsoncpp"]),
    library("libclang", "", &["clang-sys"]),
    library("libevent.dev", "libevent.out", &["libevent", "event"]),
    library("libmicrohttpd.dev", "libmicrohttpd.out", &["libmicrohttpd", "microhttpd"]),
    library("libpcap.dev", "libpcap.out", &["pcap", "libpcap"]),
    library("libpqxx.dev", "libpqxx.out", &["libpqxx", "pqxx"]),
    library("libsodium.dev", "libsodium.out", &["libsodium", "sodium"]),
    library("libudev.dev", "libudev.out", &["libudev-sys", "libudev", "udev"]),
    library("libuuid.dev", "libuuid.out", &["uuid"]),
    library("libuv.dev", "libuv.out", &["libuv", "uv"]),
    library("libxml2.dev", "libxml2.out", &["libxml2", "libxml-2.0", "xml2", "libxml"]),
    library("libyaml.dev", "libyaml.out", &["yaml-0.1", "yaml"]),
    library("mariadb-connector-c.dev", "mariadb-connector-c.out", &["mysqlclient-sys", "mysqlclient", "mariadb", "libmariadb", "mysql"]),
    library("ncurses.dev", "ncurses.out", &["ncurses", "ncursesw", "curses"]),
    library("nlohmann_json", "", &["nlohmann_json"]),
    library("openssl.dev", "openssl.out", &["openssl-sys", "openssl", "libssl", "libcrypto", "ssl", "crypto"]),
    library("pcre2.dev", "pcre2.out", &["libpcre2-8", "pcre2-8"]),
    library("postgresql.dev", "postgresql.lib", &["pq-sys", "libpq", "pq", "postgresql"]),
    library("protobuf.dev", "protobuf.out", &["protobuf"]),
    library("protobuf", "", &["prost-build"]),
    library("rdkafka.dev", "rdkafka.out", &["rdkafka"]),
    library("readline.dev", "readline.out", &["readline"]),
    library("spdlog.dev", "spdlog.out", &["spdlog"]),
    library("sqlite.dev", "sqlite.out", &["libsqlite3-sys", "sqlite3", "sqlite", "crystal-sqlite3"]),
    library("tbb.dev", "tbb.out", &["tbb"]),
    library("vips.dev", "libvips", &["vips"]),
    library("yaml-cpp.dev", "yaml-cpp.out", &["yaml-cpp"]),
    library("zeromq.dev", "zeromq.out", &["zeromq", "libzmq", "zmq"]),
    library("zlib.dev", "zlib.out", &["zlib", "z"]),
    library("zstd.dev", "zstd.out", &["zstd", "libzstd"]),
];

/// Libraries and packages that come with the compiler or a build tool, and need nothing.
const BROUGHT: &[&str] = &[
    "threads",
    "pkgconfig",
    "python3",
    "python",
    "git",
    "doxygen",
    "openmp",
    "c",
    "m",
    "dl",
    "pthread",
    "rt",
    "stdc++fs",
];

/// What some libraries need together; each list is sorted and has nothing twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Entries for phases.
    pub(crate) build: BTreeSet<&'static str>,
    /// Entries for the image.
    pub(crate) run: BTreeSet<&'static str>,
    /// One for each library.
    pub(crate) decisions: Vec<Decision>,
    /// Names that the table does not have.
    pub(crate) unknown: Vec<String>,
}

impl Needs {
    /// The entries of a setup phase: what stays is asked for there as well.
    pub(crate) fn asked(&self) -> impl Iterator<Item = String> {
        self.build
            .iter()
            .chain(&self.run)
            .map(|entry| (*entry).to_owned())
    }

    /// One for each library that nothing is known of.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let brought = |name: &str| BROUGHT.contains(&name.to_ascii_lowercase().as_str());
        let unknown = self.unknown.iter().filter(|name| !brought(name));
        unknown
            .map(|name| {
                format!("the library {name} is not known; name its packages with NIXPACKS_APT_PKGS if the build needs it")
            })
            .collect()
    }

    /// The entries of `start.nixPkgs`.
    pub(crate) fn kept(&self) -> Vec<String> {
        self.run.iter().map(|entry| (*entry).to_owned()).collect()
    }
}

/// What libraries of these names need.
pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Needs {
    let mut needs = Needs::default();
    for name in names {
        let lower = name.to_ascii_lowercase();
        let known = |name: &str| LIBRARIES.iter().find(|one| one.names.contains(&name));
        let stem = lower.strip_prefix("lib").unwrap_or(&lower);
        let Some(library) = known(&lower).or_else(|| known(stem)) else {
            needs.unknown.push(name.to_owned());
            continue;
        };
        let new = needs.build.insert(library.build);
        if !library.run.is_empty() {
            needs.run.insert(library.run);
        }
        if new {
            let place = if library.run.is_empty() {
                "at build time alone"
            } else {
                "the image has it too"
            };
            let reason = format!("{name} uses it; {place}");
            needs
                .decisions
                .push(Decision::new("library", library.build, reason));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_belongs_to_two_libraries() {
        let mut names: Vec<&str> = LIBRARIES
            .iter()
            .flat_map(|library| library.names.iter().copied())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn one_library_by_two_names_is_one() {
        let needs = of(["libssl", "libcrypto", "GTest", "banana"]);
        assert_eq!(Vec::from_iter(needs.build), ["gtest", "openssl.dev"]);
        assert_eq!(Vec::from_iter(needs.run), ["openssl.out"]);
        assert_eq!(needs.decisions.len(), 2);
        assert_eq!(needs.unknown, ["banana"]);
    }
}
