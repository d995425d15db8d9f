//! Swift packages.
//!
//! - Claims: `Package.swift`
//! - Version from: `NIXPACKS_SWIFT_VERSION`, `.swift-version`, `.tool-versions`, mise.toml; the first line of Package.swift is the least
//! - Installs with: `swift package resolve`, from the manifests; nothing when no package is fetched
//! - Builds with: `swift build -c release --static-swift-stdlib`
//! - Starts with: `./NAME`: the executable product or target named after the package, the only or the first one; Vapor's `serve` on `$PORT`

use std::collections::BTreeSet;

use crate::leftovers;
use crate::libraries::{self, Needs};
use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use self::package::Package;
use super::{quote, strings};

mod package;
mod sources;

/// The Swift provider.
pub struct Swift;

const MANIFEST: &str = "Package.swift";
const LOCK: &str = "Package.resolved";

impl Provider for Swift {
    fn name(&self) -> &'static str {
        "swift"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let Some(mut evidence) = Evidence::first_file(repo, &[MANIFEST]) else {
            return Ok(None);
        };
        let package = Package::read(repo)?;
        if programs(repo, &package)?.is_empty() {
            "there is no program in it".clone_into(&mut evidence.note);
            return Ok(Some(Claim::new(Strength::Weak, evidence)));
        }
        Ok(Some(Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST]
    }
}

/// Everything that Swift decisions rest on, read once.
struct Facts {
    version: Tool,
    package: std::sync::Arc<Package>,
    programs: Vec<String>,
    /// The only files that resolving reads, or why there may be others.
    manifests: Result<Vec<String>, String>,
    locked: bool,
    needs: Needs,
    /// Folders at the root, whose names no program there can have.
    folders: BTreeSet<String>,
    beside: Vec<String>,
    tests: bool,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let package = Package::read(repo)?;
        let mut names: Vec<&str> = package.libraries.iter().map(String::as_str).collect();
        names.extend(sources::libraries(repo)?);
        if package.fetches {
            // Their sources are not there yet. Servers compress, and clients use Foundation's.
            names.extend(["zlib", "curl"]);
        }
        let root = repo.list("")?.into_iter();
        Ok(Self {
            version: version_of(request)?,
            programs: programs(repo, &package)?,
            manifests: manifests(repo, &package)?,
            locked: repo.in_image(LOCK),
            needs: libraries::of(names),
            folders: root
                .map(|entry| entry.name)
                .filter(|name| repo.is_dir(name))
                .collect(),
            beside: leftovers::beside_program(repo)?,
            tests: request.test,
            package,
        })
    }
}

/// Names of programs: products, else targets that are declared as programs, else those that have a main.swift.
fn programs(repo: &Repo, package: &Package) -> Result<Vec<String>, PlanError> {
    for declared in [&package.products, &package.executables] {
        if !declared.is_empty() {
            return Ok(declared.clone());
        }
    }
    let mut found: Vec<String> = Vec::new();
    for (name, folder) in &package.targets {
        let own = format!("Sources/{name}");
        let main = format!("{}/main.swift", folder.as_deref().unwrap_or(&own));
        if repo.in_image(&main) && !found.contains(name) {
            found.push(name.clone());
        }
    }
    if found.is_empty() {
        // Names of targets may be computed; their folders have the same ones.
        let mains = repo.glob("Sources/*/main.swift")?;
        let folders = mains.iter().filter_map(|path| path.split('/').nth(1));
        found.extend(folders.map(str::to_owned));
    }
    Ok(found)
}

fn version_of(request: &Request) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates: Vec<Candidate> = request
        .setting_with_evidence("SWIFT_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    candidates.extend(version::version_file(repo, ".swift-version")?);
    candidates.extend(version::tool_managers(repo, &["swift"])?);
    for candidate in &mut candidates {
        // Other managers write swift-6.0.3-RELEASE.
        let bare = candidate.text.trim_start_matches("swift-");
        candidate.text = bare.split('-').next().unwrap_or_default().to_owned();
    }
    if let Some(text) = repo.text(MANIFEST)?
        && let Some(least) = package::tools_version(&text)
    {
        let evidence = Evidence::key(MANIFEST, "swift-tools-version", Some(1), least);
        candidates.push(Candidate::new(&format!(">={least}"), evidence));
    }
    version::tool("swift", Grammar::Npm, &candidates)
}

fn manifests(repo: &Repo, package: &Package) -> Result<Result<Vec<String>, String>, PlanError> {
    if package.local {
        return Ok(Err("a package is a folder".to_owned()));
    }
    let root = repo.list("")?.into_iter().map(|entry| entry.name);
    // Package@swift-5.9.swift takes the place of the manifest for some versions.
    let manifest =
        |name: &String| name == LOCK || name == MANIFEST || name.starts_with("Package@swift-");
    Ok(Ok(root.filter(manifest).collect()))
}

const CACHES: [&str; 3] = [
    ".build",
    "/root/.cache/clang",
    "/root/.cache/org.swift.swiftpm",
];

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["swift"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    proposal.warnings.extend(facts.needs.warnings());
    proposal.decisions.extend(facts.needs.decisions.clone());
    let setup = proposal.plan.phase("setup");
    let mut tools = vec![facts.version.entry()];
    if facts.package.fetches {
        tools.push("git".to_owned());
    }
    if !facts.package.libraries.is_empty() {
        tools.push("pkg-config".to_owned());
    }
    tools.extend(facts.needs.asked());
    setup.nix_pkgs = Some(tools);
    let packages = Some(facts.package.packages.clone()).filter(|all| !all.is_empty());
    setup.apt_pkgs.clone_from(&packages);
    if facts.package.fetches {
        install(facts, &mut proposal);
    }
    let program = build(facts, &mut proposal);
    let Some((program, mut files)) = program else {
        proposal.without_start =
            Some("Package.swift has no executable target; add one, or set start.cmd".to_owned());
        return proposal;
    };
    files.extend(facts.beside.clone());
    let vapor = facts.package.uses.iter().any(|name| name == "Vapor");
    // Vapor listens on this machine alone unless it is told.
    let arguments = if vapor {
        " serve --env production --hostname 0.0.0.0 --port ${PORT:-8080}"
    } else {
        ""
    };
    proposal.plan.start = Some(Start {
        cmd: Some(quote(&program) + arguments),
        nix_pkgs: Some(facts.needs.kept()),
        apt_pkgs: packages,
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

fn install(facts: &Facts, proposal: &mut Proposal) {
    if !facts.locked {
        proposal.warnings.push(
            "there is no Package.resolved: each build may take other versions of packages; commit it"
                .to_owned(),
        );
    }
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    let install = Phase {
        depends_on: Some(strings(&["setup"])),
        cmds: Some(strings(&["swift package resolve"])),
        only_include_files: files,
        cache_directories: Some(strings(&CACHES)),
        ..Phase::default()
    };
    proposal.plan.phases.insert("install".to_owned(), install);
    let decision = Decision::new("install", "swift package resolve", sees);
    proposal.decisions.push(decision);
}

/// Plans the build; the program, and what of it stays.
fn build(facts: &Facts, proposal: &mut Proposal) -> Option<(String, Vec<String>)> {
    let after = if facts.package.fetches {
        "install"
    } else {
        "setup"
    };
    let mut commands = strings(&["swift build -c release --static-swift-stdlib"]);
    let chosen = choose(facts).map(|(name, decision)| {
        proposal.decisions.push(decision);
        let folder = if facts.folders.contains(name) {
            commands.push("mkdir -p bin".to_owned());
            "bin"
        } else {
            "."
        };
        commands.push(format!("cp {} {folder}", quote(&format!(".build/release/{name}"))));
        let program = match folder {
            "." => format!("./{name}"),
            folder => format!("./{folder}/{name}"),
        };
        let mut files = vec![program.clone()];
        if facts.package.resources || facts.package.fetches {
            // A program looks for its resources beside itself.
            commands.push(format!(
                "find -L .build/release -maxdepth 1 -name '*.resources' -exec cp -r {{}} {folder} ';'"
            ));
            files.push(format!("{folder}/*.resources").trim_start_matches("./").to_owned());
        }
        (program, files)
    });
    for (name, commands) in [
        ("build", Some(commands)),
        ("test", facts.tests.then(|| strings(&["swift test"]))),
    ] {
        if let Some(commands) = commands {
            let phase = proposal.plan.phase(name);
            phase.depends_on = Some(strings(&[after]));
            phase.cmds = Some(commands);
            phase.cache_directories = Some(strings(&CACHES));
        }
    }
    chosen
}

fn choose(facts: &Facts) -> Option<(&String, Decision)> {
    let programs = &facts.programs;
    let namesake = programs
        .iter()
        .find(|name| facts.package.name.as_deref() == Some(name.as_str()));
    let (name, reason) = match (namesake, programs.as_slice()) {
        (Some(name), _) => (name, "named after the package"),
        (None, [only]) => (only, "the only program"),
        (None, [first, ..]) => (first, "the first program"),
        (None, []) => return None,
    };
    let others = programs.iter().filter(|other| *other != name).cloned();
    let decision = Decision::new("start", name.clone(), reason).over(others.collect());
    Some((name, decision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    const PACKAGE: &str = "// swift-tools-version: 5.9\nlet package = Package(name: \"shop\", targets: [.executableTarget(name: \"shop\", resources: [.copy(\"a\")])])\n";

    #[test]
    fn a_program_and_its_resources_are_all_that_stays() {
        let plan = proposed(&Swift, &[(MANIFEST, PACKAGE)], &[]).plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["swift@6.0"]
        );
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap()[..2],
            [
                "swift build -c release --static-swift-stdlib",
                "cp .build/release/shop ."
            ]
        );
        let start = plan.start.unwrap();
        assert_eq!(start.cmd.as_deref(), Some("./shop"));
        assert_eq!(start.only_include_files.unwrap(), ["./shop", "*.resources"]);
        assert!(start.nix_pkgs.unwrap().is_empty());
    }

    #[test]
    fn vapor_is_told_to_listen_and_packages_are_resolved_from_the_manifests() {
        let package = "// swift-tools-version:6.0\nlet package = Package(name: \"hello\", dependencies: [.package(url: \"https://example.com/vapor.git\", from: \"4.0.0\")],\n\
            targets: [.executableTarget(name: \"App\", dependencies: [.product(name: \"Vapor\", package: \"vapor\")])])\n";
        let files = [(MANIFEST, package), (LOCK, "{}"), ("App/a.txt", "")];
        let plan = proposed(&Swift, &files, &[]).plan;
        assert_eq!(
            plan.phases["install"]
                .only_include_files
                .as_deref()
                .unwrap(),
            [LOCK, MANIFEST]
        );
        assert_eq!(
            plan.start.unwrap().cmd.as_deref(),
            Some("./bin/App serve --env production --hostname 0.0.0.0 --port ${PORT:-8080}")
        );
    }

    #[test]
    fn before_executable_targets_a_main_file_makes_a_program() {
        let package = "// swift-tools-version:5.3\nlet package = Package(name: \"a\", targets: [.target(name: \"Lib\"), .target(name: \"tool\")])\n";
        let files = [
            (MANIFEST, package),
            ("Sources/tool/main.swift", ""),
            ("Sources/Lib/Lib.swift", ""),
        ];
        let start = proposed(&Swift, &files, &[]).plan.start;
        assert_eq!(start.unwrap().cmd.as_deref(), Some("./tool"));
        let library = Repo::in_memory(&[files[0], files[2]]);
        let claim = Swift.detect(&library).unwrap().unwrap();
        assert_eq!(claim.strength, Strength::Weak);
    }

    #[test]
    fn the_files_of_version_managers_come_before_the_tools_version() {
        let entry = |files: &[(&str, &str)]| {
            let plan = proposed(&Swift, files, &[]).plan;
            plan.phases["setup"].nix_pkgs.clone().unwrap()[0].clone()
        };
        let pinned = [
            (MANIFEST, PACKAGE),
            (".swift-version", "swift-5.10.1-RELEASE\n"),
        ];
        assert_eq!(entry(&pinned), "swift@5.10.1");
        assert_eq!(
            entry(&[(MANIFEST, "//swift-tools-version:6.2;(x)\n")]),
            "swift@>=6.2"
        );
        assert_eq!(entry(&[(MANIFEST, "")]), "swift@6.0");
    }
}
