//! What well-known dependencies need beside what a package manager installs: Debian packages and variables.

use super::{Application, install};

/// What some packages need.
struct Library {
    names: &'static [&'static str],
    /// What installing and building need.
    build: &'static [&'static str],
    /// What the program needs too.
    run: &'static [&'static str],
    /// Who needs that when only development has the dependency.
    otherwise: Otherwise,
    variables: &'static [(&'static str, &'static str)],
    /// A script that runs when the program needs it, and its text.
    script: Option<(&'static str, &'static str)>,
}

enum Otherwise {
    Program,
    Build,
    Nobody,
}

const NOTHING: Library = Library {
    names: &[],
    build: &[],
    run: &[],
    otherwise: Otherwise::Nobody,
    variables: &[],
    script: None,
};

/// Source: the packages' own installation pages, and Debian trixie's index.
const LIBRARIES: &[Library] = &[
    Library {
        names: &["@prisma/client", "prisma"],
        // Its engines look for the library while they are installed.
        build: &["openssl"],
        run: &["openssl"],
        otherwise: Otherwise::Program,
        ..NOTHING
    },
    Library {
        // Debian's browser comes with all its libraries; a second one is not downloaded.
        names: &["puppeteer", "puppeteer-core"],
        run: &["chromium"],
        // The build may render pages with it.
        otherwise: Otherwise::Build,
        variables: &[
            ("PUPPETEER_SKIP_DOWNLOAD", "true"),
            ("PUPPETEER_EXECUTABLE_PATH", "/usr/bin/chromium"),
        ],
        ..NOTHING
    },
    Library {
        names: &["playwright", "playwright-core", "playwright-chromium"],
        run: &["chromium-headless-shell"],
        variables: &[
            ("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
            ("PLAYWRIGHT_BROWSERS_PATH", "/opt/playwright"),
        ],
        script: Some((
            "playwright.cjs",
            include_str!("../../../../templates/playwright.cjs"),
        )),
        ..NOTHING
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
        otherwise: Otherwise::Build,
        ..NOTHING
    },
    Library {
        // It listens on this machine alone, unless it finds a sign of Docker.
        names: &["fastify-cli"],
        variables: &[("FASTIFY_ADDRESS", "0.0.0.0")],
        ..NOTHING
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

/// What the packages of an application need.
#[derive(Debug, Default)]
pub(super) struct Libraries {
    pub(super) build: Vec<String>,
    pub(super) run: Vec<String>,
    pub(super) variables: Vec<(&'static str, &'static str)>,
    /// Scripts to run when packages are installed, and their texts.
    pub(super) scripts: Vec<(&'static str, &'static str)>,
    /// The dependencies that ask for them.
    pub(super) names: Vec<&'static str>,
}

impl Libraries {
    pub(super) fn of(app: &Application) -> Self {
        let mut found = Self::default();
        let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for library in LIBRARIES {
            let name = |needed: bool| {
                let mut names = library.names.iter();
                names.find(|name| {
                    app.packages()
                        .any(|(_, package)| package.needs(name) || (!needed && package.uses(name)))
                })
            };
            let Some(used) = name(false) else { continue };
            let needed = name(true).is_some();
            if !(library.build.is_empty() && library.run.is_empty()) {
                found.names.push(used);
            }
            found.build.extend(own(library.build));
            match library.otherwise {
                _ if needed => found.run.extend(own(library.run)),
                Otherwise::Program => found.run.extend(own(library.run)),
                Otherwise::Build => found.build.extend(own(library.run)),
                Otherwise::Nobody => {}
            }
            found.scripts.extend(library.script.filter(|_| needed));
            found.variables.extend(library.variables);
        }
        if install::leaves_out_cypress(app) {
            // Its program is large, and no phase runs it.
            found.variables.push(("CYPRESS_INSTALL_BINARY", "0"));
        }
        found
    }
}
