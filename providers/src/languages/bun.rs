//! Bun programs without a package.json; with one, they are the business of `node`.
//!
//! - Claims: `bunfig.toml`, `bun.lock` or `bun.lockb`; a program that uses `Bun.` or imports `bun`
//! - Version from: `NIXPACKS_BUN_VERSION`, `.bun-version`, `.tool-versions`, mise.toml
//! - Installs with: nothing: there is no manifest
//! - Builds with: nothing
//! - Starts with: `bun run` on the first `index`, `server`, `main` or `app`, at the root or in `src/`

use std::collections::BTreeSet;

use crate::javascript::{self, Token};
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

/// The Bun provider.
pub struct Bun;

const MANIFESTS: [&str; 3] = ["bunfig.toml", "bun.lock", "bun.lockb"];
/// Names of programs, the likeliest first.
const PROGRAMS: [&str; 4] = ["index", "server", "main", "app"];

impl Provider for Bun {
    fn name(&self) -> &'static str {
        "bun"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if repo.is_file("package.json") {
            return Ok(None);
        }
        if let Some(evidence) = Evidence::first_file(repo, &MANIFESTS) {
            let strength = if programs(repo).is_empty() {
                Strength::Weak
            } else {
                Strength::Definite
            };
            return Ok(Some(Claim::new(strength, evidence)));
        }
        for program in programs(repo) {
            let uses = repo.text(&program)?.is_some_and(|text| uses_bun(&text));
            if uses {
                let evidence = Evidence::file(&program, "it uses Bun");
                return Ok(Some(Claim::new(Strength::Likely, evidence)));
            }
        }
        Ok(None)
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &MANIFESTS
    }
}

fn programs(repo: &Repo) -> Vec<String> {
    javascript::programs(repo, &PROGRAMS)
}

fn uses_bun(text: &str) -> bool {
    if !text.to_ascii_lowercase().contains("bun") {
        return false;
    }
    let tokens = javascript::tokens(text);
    let imports = javascript::imports(&tokens);
    let imported = imports
        .iter()
        .any(|name| *name == "bun" || name.starts_with("bun:"));
    imported
        || tokens.windows(2).enumerate().any(|(at, pair)| {
            let own = at == 0 || tokens[at - 1] != Token::Sign('.');
            own && *pair == [Token::Word("Bun"), Token::Sign('.')]
        })
}

/// Everything that decisions about Bun rest on, read once.
struct Facts {
    version: Tool,
    programs: Vec<String>,
    /// Packages that the program imports and nothing installs.
    packages: BTreeSet<String>,
    tests: bool,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut candidates: Vec<Candidate> = request
            .setting_with_evidence("BUN_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence))
            .into_iter()
            .collect();
        candidates.extend(version::version_file(repo, ".bun-version")?);
        candidates.extend(version::tool_managers(repo, &["bun"])?);
        let programs = programs(repo);
        let text = programs
            .first()
            .map(|program| repo.text(program))
            .transpose()?
            .flatten();
        Ok(Self {
            version: version::tool("bun", Grammar::Npm, &candidates)?,
            packages: text.map(|text| packages(&text)).unwrap_or_default(),
            programs,
            tests: request.test,
        })
    }
}

/// The packages that a program imports: neither files, nor modules of Bun and Node.js.
fn packages(text: &str) -> BTreeSet<String> {
    let tokens = javascript::tokens(text);
    javascript::imports(&tokens)
        .into_iter()
        .filter(|name| !name.starts_with(['.', '/', '~', '#']) && !name.contains(':'))
        .filter(|name| *name != "bun" && !javascript::is_of_node(name))
        .map(|name| {
            let parts = if name.starts_with('@') { 2 } else { 1 };
            name.split('/').take(parts).collect::<Vec<_>>().join("/")
        })
        .collect()
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["bun"]),
        without_start: Some("add an index.ts, or a package.json with a start script".to_owned()),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.version.decision.clone());
    proposal.warnings.extend(facts.version.warnings.clone());
    if !facts.packages.is_empty() {
        let names: Vec<&str> = facts.packages.iter().map(String::as_str).collect();
        proposal.warnings.push(format!(
            "{} imported and no package.json asks for it: Bun downloads what it finds at each start; run `bun add {}`",
            names.join(", ") + if names.len() == 1 { " is" } else { " are" },
            names.join(" ")
        ));
    }
    let plan = &mut proposal.plan;
    plan.phase("setup").nix_pkgs = Some(vec![facts.version.entry()]);
    let command = facts
        .programs
        .first()
        .map(|program| format!("bun run {}", quote(program)));
    if let (Some(command), Some(program)) = (&command, facts.programs.first()) {
        proposal.decisions.push(
            Decision::new("start", command.clone(), "the first program")
                .from(Evidence::file(program, "a program"))
                .over(facts.programs[1..].to_vec()),
        );
    }
    plan.start = Some(Start {
        cmd: command,
        nix_pkgs: Some(vec![facts.version.entry()]),
        ..Start::default()
    });
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&["setup"]));
        test.cmds = Some(strings(&["bun test"]));
    }
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Proposal {
        let repo = Repo::in_memory(files);
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let request = Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        };
        Bun.propose(&request).unwrap()
    }

    fn claim(files: &[(&str, &str)]) -> Option<Strength> {
        let claim = Bun.detect(&Repo::in_memory(files)).unwrap();
        claim.map(|claim| claim.strength)
    }

    #[test]
    fn its_files_claim_unless_a_package_makes_it_a_program_of_node() {
        let settings = ("bunfig.toml", "");
        assert_eq!(
            claim(&[settings, ("src/index.ts", "")]),
            Some(Strength::Definite)
        );
        assert_eq!(claim(&[settings]), Some(Strength::Weak));
        assert_eq!(claim(&[settings, ("package.json", "{}")]), None);
        assert_eq!(
            claim(&[("server.ts", "Bun.serve({})")]),
            Some(Strength::Likely)
        );
        assert_eq!(
            claim(&[("index.ts", "import { Database } from 'bun:sqlite'")]),
            Some(Strength::Likely)
        );
        assert_eq!(claim(&[("index.ts", "// Bun.serve\nmy.Bun.x")]), None);
    }

    #[test]
    fn the_first_program_is_run_by_the_version_that_is_asked_for() {
        let files = [
            ("bun.lock", ""),
            (".bun-version", "1.2.3\n"),
            ("src/index.ts", ""),
            ("server.ts", ""),
        ];
        let plan = propose(&files, &[]).plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["bun@1.2.3"]
        );
        let start = plan.start.unwrap();
        assert_eq!(start.cmd.unwrap(), "bun run server.ts");
        assert_eq!(start.nix_pkgs.unwrap(), ["bun@1.2.3"]);
        let plan = propose(&files, &[("NIXPACKS_BUN_VERSION", "1")]).plan;
        assert_eq!(plan.phases["setup"].nix_pkgs.as_deref().unwrap(), ["bun@1"]);
    }

    #[test]
    fn packages_that_nothing_installs_are_warned_of() {
        let text = "import { Hono } from 'hono/tiny'; import '@a/b/c'; import './x'; import fs from 'fs'; import 'node:os'; import 'bun'";
        let warnings = propose(&[("index.ts", text)], &[]).warnings;
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("@a/b, hono are imported"),
            "{warnings:?}"
        );
    }
}
