//! What well-known dependencies need beside what a package manager installs: Debian packages and variables.

use super::Application;

/// What some packages need.
struct Library {
    names: &'static [&'static str],
    /// What installing and building need.
    build: &'static [&'static str],
    /// What the program needs too.
    run: &'static [&'static str],
    /// Whether it needs that although only development has the dependency.
    for_development: bool,
    variables: &'static [(&'static str, &'static str)],
}

/// Source: the packages' own installation pages, and Debian trixie's index.
const LIBRARIES: &[Library] = &[
    Library {
        names: &["@prisma/client", "prisma"],
        // Its engines look for the library while they are installed.
        build: &["openssl"],
        run: &["openssl"],
        for_development: true,
        variables: &[],
    },
    Library {
        // Debian's browser comes with all its libraries; a second one is not downloaded.
        names: &["puppeteer", "puppeteer-core"],
        build: &[],
        run: &["chromium"],
        for_development: false,
        variables: &[
            ("PUPPETEER_SKIP_DOWNLOAD", "true"),
            ("PUPPETEER_EXECUTABLE_PATH", "/usr/bin/chromium"),
        ],
    },
    Library {
        names: &["playwright", "playwright-core", "playwright-chromium"],
        build: &[],
        run: &["chromium"],
        for_development: false,
        variables: &[("PLAYWRIGHT_CHROMIUM_EXECUTABLE_PATH", "/usr/bin/chromium")],
    },
    Library {
        names: &["canvas"],
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
        for_development: false,
        variables: &[],
    },
    Library {
        // It listens on this machine alone, unless it finds a sign of Docker.
        names: &["fastify-cli"],
        build: &[],
        run: &[],
        for_development: false,
        variables: &[("FASTIFY_ADDRESS", "0.0.0.0")],
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
    pub(super) fn of(app: &Application) -> Self {
        let mut found = Self::default();
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for library in LIBRARIES {
            let name = |needed: bool| {
                library.names.iter().find(|name| {
                    app.packages()
                        .any(|(_, package)| package.needs(name) || (!needed && package.uses(name)))
                })
            };
            let Some(used) = name(false) else { continue };
            if !library.run.is_empty() {
                found.names.push(used);
            }
            found.build.extend(own(library.build));
            if library.for_development || name(true).is_some() {
                found.run.extend(own(library.run));
            } else {
                found.build.extend(own(library.run));
            }
            found.variables.extend(library.variables);
        }
        found
    }
}
