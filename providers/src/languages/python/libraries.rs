//! Python packages that need something of the system.
//!
//! Owns the table of which Debian packages they need to be compiled and to run. Packages that come as complete wheels
//! are not in it. What a package needs is read from its own installation notes (2026-11).

use std::collections::BTreeSet;

use crate::languages::strings;
use crate::provider::Decision;

/// A Python package, and what it needs.
struct Need {
    name: &'static str,
    compiles: bool,
    build: &'static [&'static str],
    run: &'static [&'static str],
}

const NEEDS: [Need; 5] = [
    Need {
        name: "psycopg2",
        compiles: true,
        build: &["libpq-dev"],
        run: &["libpq5"],
    },
    Need {
        name: "mysqlclient",
        compiles: true,
        build: &["default-libmysqlclient-dev", "pkg-config"],
        run: &["libmariadb3"],
    },
    Need {
        name: "pycairo",
        compiles: true,
        build: &["libcairo2-dev", "pkg-config"],
        run: &["libcairo2"],
    },
    Need {
        name: "pdf2image",
        compiles: false,
        build: &[],
        run: &["poppler-utils"],
    },
    Need {
        name: "pydub",
        compiles: false,
        build: &[],
        run: &["ffmpeg"],
    },
];

/// What all dependencies need together.
#[derive(Default)]
pub(super) struct Libraries {
    pub(super) compiles: bool,
    pub(super) build: Vec<String>,
    pub(super) run: Vec<String>,
    pub(super) decisions: Vec<Decision>,
}

pub(super) fn of(dependencies: &BTreeSet<String>) -> Libraries {
    let mut all = Libraries::default();
    let needed = NEEDS.iter().filter(|need| dependencies.contains(need.name));
    for need in needed {
        if need.compiles {
            let tools = [&["gcc"], need.build].concat().join(", ");
            let reason = format!("{} has no wheels; at build time alone", need.name);
            all.decisions.push(Decision::new("compiler", tools, reason));
        }
        let reason = format!("{} uses it", need.name);
        all.decisions
            .push(Decision::new("library", need.run.join(", "), reason));
        all.compiles |= need.compiles;
        all.build.extend(strings(need.build));
        all.run.extend(strings(need.run));
    }
    for list in [&mut all.build, &mut all.run] {
        list.sort();
        list.dedup();
    }
    all
}
