//! OCaml programs that Dune builds.
//!
//! - Claims: `dune-project`, `dune-workspace`, or `dune` at the root
//! - Version from: `NIXPACKS_OCAML_VERSION`, `.tool-versions`, mise.toml
//! - Installs with: Debian's packages of the libraries that `dune` files name
//! - Builds with: `dune build --profile release` of the first program
//! - Starts with: that program, as native code

use std::collections::BTreeSet;

use crate::leftovers;
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

/// The OCaml provider.
pub struct Ocaml;

const MARKERS: [&str; 3] = ["dune-project", "dune-workspace", "dune"];

impl Provider for Ocaml {
    fn name(&self) -> &'static str {
        "ocaml"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        Ok(Evidence::first_file(repo, &MARKERS)
            .map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &MARKERS
    }
}

/// Everything that OCaml decisions rest on, read once.
struct Facts {
    ocaml: Tool,
    /// Paths of programs without ending, the one to start first.
    programs: Vec<String>,
    /// Debian's packages for libraries.
    packages: BTreeSet<&'static str>,
    /// Tools that the program loads.
    loads: BTreeSet<&'static str>,
    /// Libraries that are neither here nor known.
    unknown: Vec<String>,
    beside: Vec<String>,
    tests: bool,
}

/// What one `dune` file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Dune {
    programs: Vec<String>,
    /// Libraries that it defines.
    defines: Vec<String>,
    /// Libraries and preprocessors that it uses.
    uses: Vec<String>,
}

impl Dune {
    fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Lisp);
        let mut dune = Self::default();
        // The heads of the lists that are open.
        let mut open: Vec<&str> = Vec::new();
        let mut begins = false;
        for token in &tokens {
            match token {
                Token::Sign('(') => {
                    open.push("");
                    begins = true;
                }
                Token::Sign(')') => {
                    open.pop();
                    begins = false;
                }
                Token::Word(word) | Token::Text(word) => {
                    if begins && let Some(head) = open.last_mut() {
                        *head = word;
                    } else {
                        dune.take(&open, word);
                    }
                    begins = false;
                }
                Token::Sign(_) => {}
            }
        }
        dune
    }

    fn take(&mut self, open: &[&str], word: &str) {
        match open {
            ["executable", "name"] | ["executables", "names"] => {
                self.programs.push(word.to_owned());
            }
            ["library", "name" | "public_name"] => self.defines.push(word.to_owned()),
            ["executable" | "executables" | "library", "libraries"] | [_, "preprocess", "pps"]
                if !word.starts_with(['-', ':']) =>
            {
                self.uses.push(word.to_owned());
            }
            _ => {}
        }
    }
}

/// Libraries of findlib, the Debian package that has them, and tools that programs load because of them. Source: trixie's index, 2026-11-23.
#[rustfmt::skip]
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("alcotest", "libalcotest-ocaml-dev", ""), ("angstrom", "libangstrom-ocaml-dev", ""), ("astring", "libastring-ocaml-dev", ""),
    ("base", "libbase-ocaml-dev", ""), ("base64", "libbase64-ocaml-dev", ""), ("batteries", "libbatteries-ocaml-dev", ""),
    ("bos", "libbos-ocaml-dev", ""), ("cmdliner", "libcmdliner-ocaml-dev", ""), ("cohttp", "libcohttp-ocaml-dev", ""),
    ("cohttp-lwt", "libcohttp-lwt-ocaml-dev", "libev.out"), ("cohttp-lwt-unix", "libcohttp-lwt-unix-ocaml-dev", "libev.out gmp.out"),
    ("conduit", "libconduit-ocaml-dev", ""), ("conduit-lwt", "libconduit-lwt-ocaml-dev", "libev.out"),
    ("containers", "libcontainers-ocaml-dev", ""), ("csv", "libcsv-ocaml-dev", ""), ("curl", "libcurl-ocaml-dev", "curl.out"),
    ("digestif", "libdigestif-ocaml-dev", ""), ("fmt", "libfmt-ocaml-dev", ""), ("fpath", "libfpath-ocaml-dev", ""),
    ("ipaddr", "libipaddr-ocaml-dev", ""), ("jsonm", "libjsonm-ocaml-dev", ""), ("logs", "liblogs-ocaml-dev", ""),
    ("lwt", "liblwt-ocaml-dev", "libev.out"), ("lwt_ssl", "liblwt-ssl-ocaml-dev", "libev.out openssl.out"),
    ("menhirLib", "libmenhir-ocaml-dev", ""), ("mtime", "libmtime-ocaml-dev", ""),
    ("postgresql", "libpostgresql-ocaml-dev", "postgresql.lib"), ("ppx_deriving", "libppx-deriving-ocaml-dev", ""),
    ("ppx_deriving_yojson", "libppx-deriving-yojson-ocaml-dev", ""), ("ppx_yojson_conv", "libppx-yojson-conv-ocaml-dev", ""),
    ("ptime", "libptime-ocaml-dev", ""), ("re", "libre-ocaml-dev", ""), ("react", "libreact-ocaml-dev", ""),
    ("sedlex", "libsedlex-ocaml-dev", ""), ("sqlite3", "libsqlite3-ocaml-dev", "sqlite.out"), ("ssl", "libssl-ocaml-dev", "openssl.out"),
    ("stdio", "libstdio-ocaml-dev", ""), ("uri", "liburi-ocaml-dev", ""), ("yojson", "libyojson-ocaml-dev", ""),
    ("zarith", "libzarith-ocaml-dev", "gmp.out"),
];

/// Libraries that come with the compiler.
const BROUGHT: [&str; 7] = [
    "bigarray",
    "compiler-libs",
    "dynlink",
    "runtime_events",
    "str",
    "threads",
    "unix",
];

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut programs = Vec::new();
        let mut defines = BTreeSet::new();
        let mut uses = BTreeSet::new();
        for path in repo.glob("**/dune")? {
            // As Dune itself: copies of an earlier build, and packages of an opam switch.
            if path.split('/').any(|part| part.starts_with(['_', '.'])) {
                continue;
            }
            let Some(text) = repo.text(&path)? else {
                continue;
            };
            let folder = path.strip_suffix("dune").unwrap_or_default();
            let dune = Dune::parse(&text);
            programs.extend(dune.programs.iter().map(|name| format!("{folder}{name}")));
            defines.extend(dune.defines);
            uses.extend(dune.uses);
        }
        programs.sort_by_key(|path| rank(path));
        let mut packages = BTreeSet::new();
        // OCaml 5 compresses what it marshals.
        let mut loads = BTreeSet::from(["zstd.out"]);
        let mut unknown = Vec::new();
        for library in uses.difference(&defines) {
            let family = library.split('.').next().unwrap_or(library);
            match LIBRARIES.iter().find(|(name, _, _)| *name == family) {
                Some((_, package, tools)) => {
                    packages.insert(*package);
                    loads.extend(tools.split_whitespace());
                }
                None if BROUGHT.contains(&family) => {}
                None => unknown.push(library.clone()),
            }
        }
        Ok(Self {
            ocaml: ocaml(request)?,
            programs,
            packages,
            loads,
            unknown,
            beside: leftovers::beside_program(repo)?,
            tests: request.test,
        })
    }
}

impl Facts {
    fn loads(&self) -> impl Iterator<Item = String> {
        self.loads.iter().map(|one| (*one).to_owned())
    }
}

/// Programs of `bin/` come first, then those at the root, then others; tests and examples last.
fn rank(path: &str) -> u8 {
    match path.split_once('/') {
        Some(("bin", _)) => 0,
        None => 1,
        Some(("test" | "tests" | "examples" | "bench", _)) => 3,
        Some(_) => 2,
    }
}

fn ocaml(request: &Request) -> Result<Tool, PlanError> {
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("OCAML_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::tool_managers(request.repo, &["ocaml"])?);
    version::tool("ocaml", Grammar::Plain, &candidates)
}

/// What Dune keeps of each command.
const CACHE: &str = "/root/.cache/dune";

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["ocaml"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.ocaml.decision.clone());
    proposal.warnings.extend(facts.ocaml.warnings.clone());
    if !facts.unknown.is_empty() {
        proposal.warnings.push(format!(
            "no package is known for {}; name Debian's in aptPkgs, or keep the sources in the repository",
            facts.unknown.join(", ")
        ));
    }
    let plan = &mut proposal.plan;
    let setup = plan.phase("setup");
    let mut tools = vec![facts.ocaml.entry(), "dune".to_owned()];
    tools.extend(facts.loads());
    setup.nix_pkgs = Some(tools);
    if !facts.packages.is_empty() {
        setup.apt_pkgs = Some(facts.packages.iter().map(|one| (*one).to_owned()).collect());
    }
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&["setup"]));
        test.cmds = Some(strings(&["dune test"]));
    }
    let Some((program, others)) = facts.programs.split_first() else {
        proposal.without_start =
            Some("no dune file has an executable; add one, or set start.cmd".to_owned());
        return proposal;
    };
    let build = plan.phase("build");
    build.cache_directories = Some(strings(&[CACHE]));
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(vec![format!(
        "dune build --profile release {}",
        quote(&format!("./{program}.exe"))
    )]);
    let file = format!("_build/default/{program}.exe");
    let mut files = vec![file.clone()];
    files.extend(facts.beside.clone());
    plan.start = Some(Start {
        cmd: Some(quote(&format!("./{file}"))),
        nix_pkgs: Some(facts.loads().collect()),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal.decisions.push(
        Decision::new(
            "program",
            program.clone(),
            "of bin/, of the root, or the first",
        )
        .over(others.to_vec()),
    );
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    #[test]
    fn the_program_of_bin_is_built_with_debian_s_libraries() {
        let files = [
            ("dune-project", "(lang dune 3.0)"),
            ("tools/dune", "(executable (name gen))"),
            (
                "bin/dune",
                "; (executable (name gone))\n(executable\n (public_name hello)\n (name main)\n (libraries greet yojson unix lwt.unix odd))",
            ),
            ("lib/dune", "(library (name greet))"),
            ("_build/default/bin/dune", "(executable (name old))"),
        ];
        let proposal = proposed(&Ocaml, &files, &[]);
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref().unwrap(),
            ["dune build --profile release ./bin/main.exe"]
        );
        assert_eq!(
            proposal.plan.phases["setup"].apt_pkgs.as_deref().unwrap(),
            ["liblwt-ocaml-dev", "libyojson-ocaml-dev"]
        );
        assert_eq!(
            proposal.plan.start.as_ref().unwrap().nix_pkgs.as_deref(),
            Some(strings(&["libev.out", "zstd.out"]).as_slice())
        );
        assert!(
            proposal.warnings[0].contains("odd"),
            "{:?}",
            proposal.warnings
        );
        assert_eq!(
            proposal.plan.start.unwrap().cmd.as_deref(),
            Some("./_build/default/bin/main.exe")
        );
    }
}
