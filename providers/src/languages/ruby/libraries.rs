//! Gems that need something of the system.
//!
//! Owns the table of what they need to be compiled and to run. What a gem needs is read from its own installation notes
//! (2026-11). Every gem may need a compiler; that is not said here.

use crate::languages::strings;
use crate::provider::Decision;

/// A gem, and what it needs.
struct Need {
    gem: &'static str,
    /// Whether it counts only where the Gemfile itself asks for it.
    direct: bool,
    /// Debian packages for building.
    build: &'static [&'static str],
    /// Debian packages for running.
    run: &'static [&'static str],
    /// Tools for running.
    tools: &'static [&'static str],
}

const fn need(
    gem: &'static str,
    build: &'static [&'static str],
    run: &'static [&'static str],
    tools: &'static [&'static str],
) -> Need {
    Need {
        gem,
        direct: false,
        build,
        run,
        tools,
    }
}

const NEEDS: [Need; 14] = [
    need("curb", &["libcurl4-openssl-dev"], &[], &["curl"]),
    need("ffi", &["libffi-dev"], &[], &[]),
    need("idn-ruby", &["libidn-dev"], &["libidn12"], &[]),
    need("jemalloc", &[], &["libjemalloc2"], &[]),
    Need {
        direct: true,
        ..need("mini_magick", &[], &[], &["imagemagick"])
    },
    need(
        "mysql2",
        &["default-libmysqlclient-dev"],
        &["libmariadb3"],
        &[],
    ),
    need("nokogiri", &["zlib1g-dev"], &[], &[]),
    need("openssl", &["libssl-dev"], &[], &[]),
    need("pg", &["libpq-dev"], &["libpq5"], &[]),
    need("psych", &["libyaml-dev"], &[], &[]),
    need(
        "rmagick",
        &["libmagickwand-dev", "pkg-config"],
        &[],
        &["imagemagick"],
    ),
    need("ruby-vips", &[], &[], &["libvips"]),
    need("sqlite3", &["libsqlite3-dev"], &["libsqlite3-0"], &[]),
    need("tiny_tds", &["freetds-dev"], &["libsybdb5"], &[]),
];

/// What all gems need together.
#[derive(Default)]
pub(super) struct Libraries {
    pub(super) build: Vec<String>,
    pub(super) run: Vec<String>,
    pub(super) tools: Vec<String>,
    pub(super) decisions: Vec<Decision>,
}

/// What the gems need that `has` (gem, directly) is true for.
pub(super) fn of(has: impl Fn(&str, bool) -> bool) -> Libraries {
    let mut all = Libraries::default();
    for need in NEEDS.iter().filter(|need| has(need.gem, need.direct)) {
        let names = [need.build, need.run, need.tools].concat().join(", ");
        let reason = format!("{} uses it", need.gem);
        all.decisions.push(Decision::new("library", names, reason));
        all.build.extend(strings(need.build));
        all.run.extend(strings(need.run));
        all.tools.extend(strings(need.tools));
    }
    for list in [&mut all.build, &mut all.run, &mut all.tools] {
        list.sort();
        list.dedup();
    }
    all
}
