//! Dart programs.
//!
//! - Claims: `pubspec.yaml`
//! - Version from: `NIXPACKS_DART_VERSION`, `.tool-versions`, mise.toml, pubspec.yaml `environment.sdk`
//! - Installs with: `dart pub get`, from the manifests
//! - Builds with: `dart compile exe` on `executables` of pubspec.yaml, `bin/server.dart`, the file in bin/ that has the package's name, or the only one there
//! - Starts with: the compiled program

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::read::{self, InOrder};
use crate::repo::{FileKind, Repo};
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

/// The Dart provider.
pub struct Dart;

const MANIFEST: &str = "pubspec.yaml";
const LOCK: &str = "pubspec.lock";
const CACHE: &str = "/root/.pub-cache";

impl Provider for Dart {
    fn name(&self) -> &'static str {
        "dart"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, &[MANIFEST]);
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST]
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pubspec {
    name: String,
    environment: Environment,
    executables: InOrder<Option<String>>,
    dependencies: BTreeMap<String, serde_json::Value>,
    workspace: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Environment {
    sdk: Option<String>,
}

/// Everything that Dart decisions rest on, read once.
struct Facts {
    version: Tool,
    /// The manifests that installing needs, or why it may need more.
    manifests: Result<Vec<String>, String>,
    program: Option<Program>,
    flutter: bool,
}

/// A program in bin/.
struct Program {
    /// Without its ending.
    name: String,
    reason: &'static str,
    others: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let pubspec = repo.parsed(MANIFEST, |text| read::yaml::<Pubspec>(MANIFEST, text))?;
        let nothing = Pubspec::default();
        let pubspec = pubspec.as_deref().unwrap_or(&nothing);
        Ok(Self {
            version: version_of(request, pubspec)?,
            manifests: manifests(repo, pubspec),
            program: program(repo, pubspec)?,
            flutter: pubspec.dependencies.contains_key("flutter"),
        })
    }
}

fn version_of(request: &Request, pubspec: &Pubspec) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("DART_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::tool_managers(repo, &["dart"])?);
    if let Some(wish) = &pubspec.environment.sdk {
        let line = repo
            .text(MANIFEST)?
            .and_then(|text| read::line_of(&text, "sdk:"));
        let evidence = Evidence::key(MANIFEST, "environment.sdk", line, wish);
        candidates.push(Candidate::new(wish, evidence));
    }
    // Dart's carets and comparisons are those of npm.
    version::tool("dart", Grammar::Npm, &candidates)
}

fn manifests(repo: &Repo, pubspec: &Pubspec) -> Result<Vec<String>, String> {
    if pubspec.workspace.is_some() {
        return Err("a workspace is resolved from all of its packages".to_owned());
    }
    if repo.is_dir("packages") {
        return Err("packages/ may hold dependencies".to_owned());
    }
    let files = [MANIFEST, LOCK, "pubspec_overrides.yaml"];
    Ok(files
        .into_iter()
        .filter(|file| repo.in_image(file))
        .map(str::to_owned)
        .collect())
}

fn program(repo: &Repo, pubspec: &Pubspec) -> Result<Option<Program>, PlanError> {
    let mut there: Vec<String> = repo
        .list("bin")?
        .into_iter()
        .filter(|entry| entry.kind == FileKind::File && repo.in_image(&entry.path))
        .filter_map(|entry| Some(entry.name.strip_suffix(".dart")?.to_owned()))
        .collect();
    let declared = pubspec
        .executables
        .0
        .iter()
        .map(|(name, file)| file.clone().unwrap_or_else(|| name.clone()));
    let named = declared.map(|name| (name, "executables of pubspec.yaml"));
    let usual = [
        ("server".to_owned(), "the usual name of a server"),
        (pubspec.name.clone(), "the package's name"),
        ("main".to_owned(), "the usual name of a program"),
    ];
    let found = named
        .chain(usual)
        .find(|(name, _)| there.contains(name))
        .or_else(|| Some((there.first()?.clone(), "the first program in bin/")));
    Ok(found.map(|(name, reason)| {
        there.retain(|other| *other != name);
        Program {
            name,
            reason,
            others: there,
        }
    }))
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["dart"]),
        warnings: facts.version.warnings.clone(),
        ..Proposal::default()
    };
    if facts.flutter {
        proposal.warnings.push(
            "pubspec.yaml depends on flutter: the app for devices is not built, only programs in bin/"
                .to_owned(),
        );
    }
    proposal.decisions.push(facts.version.decision.clone());
    let plan = &mut proposal.plan;
    plan.phase("setup").nix_pkgs = Some(vec![facts.version.entry()]);
    let (files, sees) = match &facts.manifests {
        Ok(files) => (Some(files.clone()), "sees the manifests alone".to_owned()),
        Err(why) => (None, format!("sees all files: {why}")),
    };
    plan.phases.insert(
        "install".to_owned(),
        Phase {
            depends_on: Some(strings(&["setup"])),
            cmds: Some(strings(&["dart pub get"])),
            only_include_files: files,
            cache_directories: Some(strings(&[CACHE])),
            ..Phase::default()
        },
    );
    proposal
        .decisions
        .push(Decision::new("install", "dart pub get", sees));
    let Some(program) = &facts.program else {
        proposal.without_start = Some("add a program to bin/".to_owned());
        return proposal;
    };
    let source = format!("bin/{}.dart", program.name);
    plan.phases.insert(
        "build".to_owned(),
        Phase {
            depends_on: Some(strings(&["install"])),
            cmds: Some(vec![format!("dart compile exe {}", quote(&source))]),
            cache_directories: Some(strings(&[CACHE])),
            ..Phase::default()
        },
    );
    let compiled = format!("bin/{}.exe", program.name);
    plan.start = Some(Start {
        cmd: Some(format!("./{}", quote(&compiled))),
        nix_pkgs: Some(Vec::new()),
        ..Start::default()
    });
    proposal
        .decisions
        .push(Decision::new("program", source, program.reason).over(program.others.clone()));
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBSPEC: &str =
        "name: shop\nenvironment:\n  sdk: ^3.5.0\ndependencies:\n  shelf: ^1.4.0\n";

    fn propose(files: &[(&str, &str)]) -> Result<Proposal, PlanError> {
        Dart.propose(&Request {
            repo: &Repo::in_memory(files),
            variables: &BTreeMap::new(),
            test: false,
            assisting: false,
        })
    }

    fn started(files: &[(&str, &str)]) -> Option<String> {
        propose(files).unwrap().plan.start?.cmd
    }

    #[test]
    fn the_program_of_the_package_is_compiled() {
        let files = [
            (MANIFEST, PUBSPEC),
            (LOCK, ""),
            ("bin/shop.dart", ""),
            ("bin/other.dart", ""),
        ];
        let plan = propose(&files).unwrap().plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["dart@^3.5.0"]
        );
        assert_eq!(
            plan.phases["install"]
                .only_include_files
                .as_deref()
                .unwrap(),
            [MANIFEST, LOCK]
        );
        assert_eq!(
            plan.phases["build"].cmds.as_deref().unwrap(),
            ["dart compile exe bin/shop.dart"]
        );
        let start = plan.start.unwrap();
        assert_eq!(start.cmd.unwrap(), "./bin/shop.exe");
        assert!(start.nix_pkgs.unwrap().is_empty());
    }

    #[test]
    fn executables_come_before_a_server_before_the_package() {
        let declared = "name: shop\nexecutables:\n  run-it: tool\n  shop:\n";
        let all = [
            ("bin/shop.dart", ""),
            ("bin/server.dart", ""),
            ("bin/tool.dart", ""),
        ];
        let with = |manifest| [(MANIFEST, manifest), all[0], all[1], all[2]];
        assert_eq!(started(&with(declared)).unwrap(), "./bin/tool.exe");
        assert_eq!(started(&with(PUBSPEC)).unwrap(), "./bin/server.exe");
        assert_eq!(
            started(&[(MANIFEST, PUBSPEC), ("bin/a b.dart", "")]).unwrap(),
            "./'bin/a b.exe'"
        );
        assert!(
            propose(&[(MANIFEST, PUBSPEC)])
                .unwrap()
                .without_start
                .is_some()
        );
    }

    #[test]
    fn a_broken_manifest_names_its_line() {
        let error = propose(&[(MANIFEST, "name: [a\nb: c")])
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("pubspec.yaml:"), "{error}");
        let error = propose(&[(MANIFEST, "name: a\nexecutables: 3\n")])
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("pubspec.yaml:2:"), "{error}");
    }
}
