//! Debian packages that well-known dependencies need beside what npm installs.

use super::package::Package;

/// What some packages need.
struct Library {
    names: &'static [&'static str],
    /// Whether it counts when only development has it.
    for_development: bool,
    build: &'static [&'static str],
    run: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

/// Source: the packages' own installation pages, and Debian trixie's index.
const LIBRARIES: &[Library] = &[
    Library {
        names: &["prisma", "@prisma/client"],
        // Its engines look for the library while they are installed.
        for_development: true,
        build: &["openssl"],
        run: &["openssl"],
        variables: &[],
    },
    Library {
        // Debian's browser comes with all its libraries; a second one is not downloaded.
        names: &["puppeteer", "puppeteer-core"],
        for_development: false,
        build: &[],
        run: &["chromium"],
        variables: &[
            ("PUPPETEER_SKIP_DOWNLOAD", "true"),
            ("PUPPETEER_EXECUTABLE_PATH", "/usr/bin/chromium"),
        ],
    },
    Library {
        names: &["playwright", "playwright-core", "playwright-chromium"],
        for_development: false,
        build: &[],
        run: &["chromium"],
        variables: &[("PLAYWRIGHT_CHROMIUM_EXECUTABLE_PATH", "/usr/bin/chromium")],
    },
    Library {
        names: &["canvas"],
        for_development: false,
        build: &[
            "libcairo2-dev",
            "libgif-dev",
            "libjpeg-dev",
            "libpango1.0-dev",
            "librsvg2-dev",
        ],
        run: &[
            "libcairo2",
            "libgif7",
            "libjpeg62-turbo",
            "libpangocairo-1.0-0",
            "librsvg2-2",
        ],
        variables: &[],
    },
];

/// Packages that compile when no binary fits, for lock files that do not tell.
pub(super) const COMPILED: [&str; 20] = [
    "argon2",
    "bcrypt",
    "better-sqlite3",
    "bufferutil",
    "canvas",
    "cpu-features",
    "isolated-vm",
    "kerberos",
    "leveldown",
    "libxmljs2",
    "node-gyp",
    "node-pty",
    "node-sass",
    "re2",
    "ref-napi",
    "serialport",
    "snappy",
    "sqlite3",
    "usb",
    "zeromq",
];

/// What a package needs.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    pub(super) build: Vec<String>,
    pub(super) run: Vec<String>,
    pub(super) variables: Vec<(&'static str, &'static str)>,
    /// The dependencies that ask for them.
    pub(super) names: Vec<&'static str>,
}

impl Libraries {
    pub(super) fn of(packages: &[&Package]) -> Self {
        let mut found = Self::default();
        for library in LIBRARIES {
            let name = library.names.iter().find(|name| {
                packages.iter().any(|package| {
                    package.needs(name) || (library.for_development && package.uses(name))
                })
            });
            let Some(name) = name else { continue };
            found.names.push(name);
            let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            found.build.extend(own(library.build));
            found.run.extend(own(library.run));
            found.variables.extend(library.variables);
        }
        found
    }
}
