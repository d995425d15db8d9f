//! C and C++ programs that `CMake` or Meson builds.
//!
//! - Claims: `CMakeLists.txt` or `meson.build`
//! - Version from: nothing; the compiler is Debian's
//! - Installs with: nothing; libraries that the manifest asks for are packages
//! - Builds with: `cmake` and Ninja, or `meson`, into `/build`
//! - Starts with: the executable named after the project or the folder, the only, or the first one

use std::collections::BTreeSet;

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{Repo, join};
use crate::tokens::{Style, Token, calls, tokens};

use super::{quote, strings};

/// The C and C++ provider.
pub struct Cpp;

const MARKERS: &[&str] = &["CMakeLists.txt", "meson.build"];

/// No call of a real manifest that is looked at has more words than this before those that matter.
const WORD_LIMIT: usize = 64;

/// Manifests deeper than this are not the application's.
const DEPTH_LIMIT: usize = 8;

impl Provider for Cpp {
    fn name(&self) -> &'static str {
        "cpp"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        Ok(Evidence::first_file(repo, MARKERS)
            .map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        MARKERS
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Cmake,
    Meson,
}

/// Everything that decisions rest on, read once.
struct Facts {
    system: System,
    manifest: Manifest,
    needs: Needs,
    leftovers: Vec<String>,
    tests: bool,
}

/// What manifests say, those in subfolders too.
#[derive(Default)]
struct Manifest {
    project: String,
    executables: Vec<Executable>,
    libraries: Vec<String>,
    /// Folders whose manifests were read.
    read: BTreeSet<String>,
    /// Whether the manifest asks pkg-config.
    asks: bool,
    /// Whether sources are fetched while configuring.
    fetches: bool,
}

struct Executable {
    name: String,
    /// Relative to the folder of the build.
    path: String,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut manifest = Manifest::default();
        let system = if repo.in_image("CMakeLists.txt") {
            cmake(repo, "", &mut manifest, 0)?;
            System::Cmake
        } else {
            meson(repo, "", &mut manifest, 0)?;
            System::Meson
        };
        let mut seen = BTreeSet::new();
        manifest
            .executables
            .retain(|one| seen.insert(one.path.clone()));
        Ok(Self {
            system,
            needs: libraries::of(manifest.libraries.iter().map(String::as_str)),
            manifest,
            leftovers: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
}

/// Folders whose programs are not the application.
fn is_aside(folder: &str) -> bool {
    folder.split('/').any(|part| {
        matches!(
            part,
            "test"
                | "tests"
                | "example"
                | "examples"
                | "bench"
                | "benchmark"
                | "benchmarks"
                | "docs"
        )
    })
}

fn cmake(
    repo: &Repo,
    folder: &str,
    manifest: &mut Manifest,
    depth: usize,
) -> Result<(), PlanError> {
    let Some(text) = repo
        .text(&join(folder, "CMakeLists.txt"))?
        .filter(|_| depth < DEPTH_LIMIT && manifest.read.insert(repo_path(folder)))
    else {
        return Ok(());
    };
    for (name, arguments) in calls(&tokens(&text, Style::Cmake)) {
        let words: Vec<String> = arguments
            .iter()
            .take(WORD_LIMIT)
            .filter_map(|token| token.word().or(token.text()))
            .map(|word| resolve(word, &manifest.project))
            .collect();
        let Some(first) = words.first() else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "project" if manifest.project.is_empty() => manifest.project.clone_from(first),
            "add_executable"
                if !is_aside(folder)
                    && !words
                        .iter()
                        .any(|word| matches!(word.as_str(), "IMPORTED" | "ALIAS")) =>
            {
                manifest.executables.push(Executable {
                    name: first.clone(),
                    path: join(folder, first),
                });
            }
            "find_package" => manifest.libraries.push(first.clone()),
            "pkg_check_modules" | "pkg_search_module" => {
                manifest.asks = true;
                let options = [
                    "REQUIRED",
                    "QUIET",
                    "IMPORTED_TARGET",
                    "GLOBAL",
                    "NO_CMAKE_PATH",
                    "NO_CMAKE_ENVIRONMENT_PATH",
                ];
                let modules = words
                    .iter()
                    .skip(1)
                    .filter(|word| !options.contains(&word.as_str()));
                manifest
                    .libraries
                    .extend(modules.map(|module| module_name(module)));
            }
            "fetchcontent_declare" | "externalproject_add" | "cpmaddpackage" => {
                manifest.fetches = true;
            }
            "add_subdirectory" => {
                let below = join(folder, first);
                cmake(repo, &below, manifest, depth + 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folder without `.` parts, so that one that includes itself is read once.
fn repo_path(folder: &str) -> String {
    let parts = folder.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// `libpq>=12` is `libpq`.
fn module_name(module: &str) -> String {
    let end = module.find(['<', '>', '=']).unwrap_or(module.len());
    module[..end].to_owned()
}

/// The name with the project's in place of its variable.
fn resolve(word: &str, project: &str) -> String {
    word.replace("${PROJECT_NAME}", project)
        .replace("${CMAKE_PROJECT_NAME}", project)
}

fn meson(
    repo: &Repo,
    folder: &str,
    manifest: &mut Manifest,
    depth: usize,
) -> Result<(), PlanError> {
    let Some(text) = repo
        .text(&join(folder, "meson.build"))?
        .filter(|_| depth < DEPTH_LIMIT && manifest.read.insert(repo_path(folder)))
    else {
        return Ok(());
    };
    let all = tokens(&text, Style::Meson);
    for (name, arguments) in calls(&all) {
        let project = manifest.project.clone();
        let first = match arguments.first() {
            Some(Token::Text(text)) => text.clone(),
            // meson.project_name()
            Some(Token::Word(word)) if word == "meson" => project,
            _ => continue,
        };
        match name {
            "project" => manifest.project = first,
            "executable" if !is_aside(folder) => manifest.executables.push(Executable {
                path: join(folder, &first),
                name: first,
            }),
            "dependency" => {
                manifest.asks = true;
                manifest.libraries.push(first);
            }
            "find_library" => manifest.libraries.push(first),
            "subdir" => meson(repo, &join(folder, &first), manifest, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["cpp"]),
        ..Proposal::default()
    };
    let (tool, commands, check) = match facts.system {
        System::Cmake => (
            "cmake",
            CMAKE,
            "ctest --test-dir /build --output-on-failure",
        ),
        System::Meson => ("meson", MESON, "meson test -C /build"),
    };
    proposal
        .decisions
        .push(Decision::new("build", tool, "its manifest is at the root"));
    proposal.decisions.extend(facts.needs.decisions.clone());
    proposal.warnings = facts.needs.warnings();
    proposal.plan.phase("setup").nix_pkgs = Some(tools(tool, facts));
    let program = program(&facts.manifest);
    let mut lines = strings(&commands);
    if let Some((chosen, _)) = &program {
        let path = quote(&format!("/build/{}", chosen.path));
        // Objects and caches of the build are not for the image.
        lines.extend([
            "mkdir -p bin".to_owned(),
            format!("install -s {path} bin"),
            "rm -rf /build".to_owned(),
        ]);
    }
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(lines);
    if facts.tests {
        let test = proposal.plan.phase("test");
        test.depends_on = Some(strings(&["setup"]));
        test.cmds = Some(strings(&[commands[0], commands[1], check]));
    }
    let Some((chosen, decision)) = program else {
        proposal.without_start =
            Some("no executable is named in the manifest; set a start command".to_owned());
        return proposal;
    };
    let file = format!("./bin/{}", chosen.name);
    let mut files = vec![file.clone()];
    files.extend(facts.leftovers.clone());
    proposal.decisions.push(decision);
    proposal.plan.start = Some(Start {
        cmd: Some(quote(&file)),
        nix_pkgs: Some(facts.needs.kept()),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

const CMAKE: [&str; 2] = [
    "cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release",
    "cmake --build /build",
];

const MESON: [&str; 2] = [
    "meson setup /build --buildtype=release",
    "meson compile -C /build",
];

fn tools(tool: &str, facts: &Facts) -> Vec<String> {
    let mut tools = strings(&[tool, "ninja", "gcc"]);
    for (wanted, entry) in [
        (facts.manifest.asks, "pkg-config"),
        (facts.manifest.fetches, "git"),
    ] {
        if wanted {
            tools.push(entry.to_owned());
        }
    }
    tools.extend(facts.needs.asked());
    tools
}

/// The program to start: the project's namesake, else the first whose name is no expression.
fn program(manifest: &Manifest) -> Option<(&Executable, Decision)> {
    let known: Vec<&Executable> = manifest
        .executables
        .iter()
        .filter(|one| !one.name.contains(['$', '@']))
        .collect();
    let namesake = known
        .iter()
        .find(|one| one.name.eq_ignore_ascii_case(&manifest.project));
    let (chosen, reason) = match (namesake, known.as_slice()) {
        (Some(namesake), _) => (*namesake, "named after the project"),
        (None, [only]) => (*only, "the only executable"),
        (None, [first, ..]) => (*first, "the first executable"),
        (None, []) => return None,
    };
    let others = known
        .iter()
        .filter(|one| one.path != chosen.path)
        .map(|one| one.path.clone())
        .collect();
    Some((
        chosen,
        Decision::new("start", format!("./bin/{}", chosen.name), reason).over(others),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(files: &[(&str, &str)]) -> Proposal {
        let repo = Repo::in_memory(files);
        let variables = std::collections::BTreeMap::new();
        Cpp.propose(&Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        })
        .unwrap()
    }

    #[test]
    fn cmake_builds_the_namesake_of_the_project_with_its_libraries() {
        let proposal = propose(&[
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.20)\nPROJECT(shop CXX)\n# add_executable(old old.cpp)\nfind_package(OpenSSL REQUIRED)\n\
                find_package(Threads)\nfind_package(Banana)\npkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=12)\nadd_subdirectory(src)\nadd_subdirectory(tests)",
            ),
            (
                "src/CMakeLists.txt",
                "add_executable(admin a.cpp)\nadd_executable(${PROJECT_NAME} main.cpp)\nadd_executable(x ALIAS admin)",
            ),
            ("tests/CMakeLists.txt", "add_executable(check check.cpp)"),
        ]);
        assert_eq!(
            proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            [
                "cmake",
                "ninja",
                "gcc",
                "pkg-config",
                "openssl.dev",
                "postgresql.dev",
                "openssl.out",
                "postgresql.lib"
            ]
        );
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref().unwrap()[3],
            "install -s /build/src/shop bin"
        );
        let start = proposal.plan.start.unwrap();
        assert_eq!(start.cmd.as_deref(), Some("./bin/shop"));
        assert_eq!(start.nix_pkgs.unwrap(), ["openssl.out", "postgresql.lib"]);
        assert_eq!(proposal.warnings.len(), 1);
        assert_eq!(proposal.decisions.last().unwrap().rejected, ["src/admin"]);
    }

    #[test]
    fn meson_builds_the_only_executable() {
        let proposal = propose(&[
            (
                "meson.build",
                "project('shop', 'cpp')\ndeps = [dependency('sqlite3'), dependency('threads')]\nsubdir('src')\n",
            ),
            (
                "src/meson.build",
                "executable('web', 'main.cpp', dependencies: deps) # executable('x')\n",
            ),
        ]);
        assert_eq!(
            proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            [
                "meson",
                "ninja",
                "gcc",
                "pkg-config",
                "sqlite.dev",
                "sqlite.out"
            ]
        );
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref().unwrap()[3],
            "install -s /build/src/web bin"
        );
        assert!(proposal.warnings.is_empty());
    }

    #[test]
    fn a_manifest_that_includes_itself_ends() {
        let proposal = propose(&[(
            "CMakeLists.txt",
            "project(a)\nadd_subdirectory(.)\nadd_executable(b b.c)",
        )]);
        assert_eq!(proposal.plan.start.unwrap().cmd.unwrap(), "./bin/b");
    }

    #[test]
    fn a_library_has_no_start() {
        let proposal = propose(&[("CMakeLists.txt", "project(a)\nadd_library(a a.c)")]);
        assert!(proposal.plan.start.is_none() && proposal.without_start.is_some());
    }
}
