//! C and C++ programs that `CMake` or Meson builds.
//!
//! - Claims: `CMakeLists.txt` or `meson.build`
//! - Version from: nothing; the compiler is Debian's
//! - Installs with: nothing; libraries that the manifest asks for are packages
//! - Builds with: `cmake` and Ninja, or `meson`, into `/build`
//! - Starts with: `./bin/NAME`: the executable named after the project, the only, or the first one

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;

use self::manifest::{Executable, Manifest};
use super::{quote, strings};

mod manifest;

/// The C and C++ provider.
pub struct Cpp;

const MARKERS: &[&str] = &["CMakeLists.txt", "meson.build"];

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

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let (system, manifest) = if repo.in_image("CMakeLists.txt") {
            (System::Cmake, Manifest::of_cmake(repo)?)
        } else {
            (System::Meson, Manifest::of_meson(repo)?)
        };
        Ok(Self {
            system,
            needs: libraries::of(manifest.libraries.iter().map(String::as_str)),
            manifest,
            leftovers: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
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
    if facts.manifest.shares {
        // Programs find the libraries of the build where the image has them.
        lines[0] = format!("LDFLAGS=-Wl,-rpath,/app/bin {}", lines[0]);
    }
    if let Some((chosen, _)) = &program {
        lines.extend(installing(&chosen.file, facts.manifest.shares));
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
    let file = format!("./bin/{}", chosen.file);
    let mut files = vec![file.clone()];
    if facts.manifest.shares {
        files.push("bin/*.so*".to_owned());
    }
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

/// What takes the program out of the build, whose objects and caches are not for the image.
///
/// Manifests may put programs into any folder of the build.
fn installing(file: &str, shares: bool) -> Vec<String> {
    let mut lines = vec![
        "mkdir -p bin".to_owned(),
        format!(
            "find /build -type f -perm /111 -name {} -exec install -s {{}} bin ';'",
            quote(file)
        ),
    ];
    if shares {
        lines.push(
            "find /build '(' -name '*.so' -o -name '*.so.[0-9]*' ')' -exec cp -P {} bin ';'"
                .to_owned(),
        );
    }
    // It fails here rather than when the image starts.
    lines.push(format!("test -x {}", quote(&format!("bin/{file}"))));
    lines.push("rm -rf /build".to_owned());
    lines
}

const CMAKE: [&str; 2] = [
    "cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release",
    "cmake --build /build",
];

const MESON: [&str; 2] = [
    "meson setup /build --buildtype=release -Ddefault_library=static",
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
        .filter(|one| !one.file.contains(['$', '@']))
        .collect();
    let namesake = known.iter().find(|one| {
        let own = |name: &str| name.eq_ignore_ascii_case(&manifest.project);
        own(&one.name) || own(&one.file)
    });
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
        Decision::new("start", format!("./bin/{}", chosen.file), reason).over(others),
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
            proposal.plan.phases["build"].cmds.as_deref().unwrap()[2..],
            [
                "mkdir -p bin",
                "find /build -type f -perm /111 -name shop -exec install -s {} bin ';'",
                "test -x bin/shop",
                "rm -rf /build"
            ]
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
            "find /build -type f -perm /111 -name web -exec install -s {} bin ';'"
        );
        assert!(proposal.warnings.is_empty());
    }

    #[test]
    fn a_manifest_that_includes_itself_or_folders_outside_ends() {
        let proposal = propose(&[(
            "CMakeLists.txt",
            "project(a)\nadd_subdirectory(.)\nadd_subdirectory(x/..)\nadd_subdirectory(../b b)\nadd_subdirectory(/)\nadd_executable(b b.c)",
        )]);
        assert_eq!(proposal.plan.start.unwrap().cmd.unwrap(), "./bin/b");
    }

    #[test]
    fn names_in_variables_and_properties_are_those_of_files() {
        let proposal = propose(&[(
            "CMakeLists.txt",
            "project(shop)\nset(TARGET ${PROJECT_NAME}-server CACHE STRING \"\")\nset(EMPTY)\nset(LIST a b)\n\
            add_executable(${TARGET} a.c)\nset_target_properties(${TARGET} PROPERTIES OUTPUT_NAME serve)\n\
            add_library(own SHARED b.c)\n",
        )]);
        assert_eq!(
            proposal.plan.start.as_ref().unwrap().cmd.as_deref(),
            Some("./bin/serve")
        );
        let commands = proposal.plan.phases["build"].cmds.clone().unwrap();
        assert!(
            commands[0].starts_with("LDFLAGS=-Wl,-rpath,/app/bin cmake "),
            "{}",
            commands[0]
        );
        assert_eq!(
            proposal.plan.start.unwrap().only_include_files.unwrap(),
            ["./bin/serve", "bin/*.so*"]
        );
    }

    #[test]
    fn a_library_has_no_start() {
        let proposal = propose(&[("CMakeLists.txt", "project(a)\nadd_library(a a.c)")]);
        assert!(proposal.plan.start.is_none() && proposal.without_start.is_some());
    }
}
