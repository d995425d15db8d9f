//! COBOL programs.
//!
//! - Claims: `*.cbl` or `*.cob` at the root
//! - Version from: nothing; the compiler is Debian's `gnucobol4`
//! - Installs with: nothing
//! - Builds with: `cobc -x -o NAME` on the program and the files at the root that it calls; `NIXPACKS_COBOL_COMPILE_ARGS` instead of `-x -o`
//! - Starts with: `./NAME`: `NIXPACKS_COBOL_APP_NAME`, `index`, `main`, the only file, or the first one that no other calls

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{FileKind, Repo};

use self::source::{Format, Source};
use super::{quote, strings};

mod source;

/// The COBOL provider.
pub struct Cobol;

impl Provider for Cobol {
    fn name(&self) -> &'static str {
        "cobol"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let first = files(repo)?.into_iter().next();
        Ok(first
            .map(|file| Claim::new(Strength::Likely, Evidence::file(&file, "found at the root"))))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["*.cbl", "*.cob"]
    }
}

/// The sources at the root.
fn sources(repo: &Repo) -> Result<Vec<(String, Arc<Source>)>, PlanError> {
    let parse = |text: &str| Ok::<_, PlanError>(Source::parse(text));
    let read = |file: String| Ok(repo.parsed(&file, parse)?.map(|source| (file, source)));
    files(repo)?
        .into_iter()
        .filter_map(|file| read(file).transpose())
        .collect()
}

/// The files of sources; copybooks have another ending.
fn files(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let entries = repo.list("")?.into_iter();
    let source = |name: &str| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        ending.is_some_and(|one| one.eq_ignore_ascii_case("cbl") || one.eq_ignore_ascii_case("cob"))
    };
    Ok(entries
        .filter(|entry| entry.kind == FileKind::File && source(&entry.name))
        .map(|entry| entry.name)
        .collect())
}

/// A file's name without its ending.
fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// Everything that COBOL decisions rest on, read once.
struct Facts {
    program: Option<Choice>,
    format: Format,
    /// Further files that are compiled into it.
    called: Vec<String>,
    arguments: Option<String>,
}

/// The program, why it is the one, and the other sources.
struct Choice {
    file: String,
    reason: &'static str,
    others: Vec<String>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let sources = sources(repo)?;
        let program = choose(request.setting("COBOL_APP_NAME").as_deref(), &sources)?;
        let main = program.as_ref().map(|program| program.file.as_str());
        let source = sources
            .iter()
            .find(|(file, _)| Some(file.as_str()) == main)
            .map(|(_, source)| source);
        Ok(Self {
            format: source.map_or_else(Format::default, |source| source.format),
            called: main.map_or_else(Vec::new, |main| called(main, &sources)),
            arguments: request.setting("COBOL_COMPILE_ARGS"),
            program,
        })
    }
}

/// The program to start, why, and the other files.
fn choose(
    wish: Option<&str>,
    sources: &[(String, Arc<Source>)],
) -> Result<Option<Choice>, PlanError> {
    let chosen = match wish {
        Some(wish) => {
            // nixpacks takes the end of a name, too.
            let same = find(sources, |file, _| stem(file) == wish || file == wish);
            let found = same.or_else(|| find(sources, |file, _| stem(file).ends_with(wish)));
            let found = found.ok_or_else(|| missing(wish, sources))?;
            Some((found, "NIXPACKS_COBOL_APP_NAME"))
        }
        None => unnamed(sources),
    };
    Ok(chosen.map(|(file, reason)| Choice {
        file: file.to_owned(),
        reason,
        others: sources
            .iter()
            .map(|(other, _)| other.clone())
            .filter(|other| other != file)
            .collect(),
    }))
}

/// The first file that is as described.
fn find(
    sources: &[(String, Arc<Source>)],
    matches: impl Fn(&str, &Source) -> bool,
) -> Option<&str> {
    let found = sources.iter().find(|(file, source)| matches(file, source));
    found.map(|(file, _)| file.as_str())
}

/// The program that nobody named, and why.
fn unnamed(sources: &[(String, Arc<Source>)]) -> Option<(&str, &'static str)> {
    let usual = ["index", "main"]
        .into_iter()
        .find_map(|name| find(sources, |file, _| stem(file).eq_ignore_ascii_case(name)));
    if let Some(usual) = usual {
        return Some((usual, "the usual name of a program"));
    }
    if let [(only, _)] = sources {
        return Some((only, "the only source"));
    }
    let whole = find(sources, |file, source| {
        !source.called && !is_called(file, source, sources)
    });
    if let Some(whole) = whole {
        return Some((
            whole,
            "the first source that no other calls; NIXPACKS_COBOL_APP_NAME names another",
        ));
    }
    let (first, _) = sources.first()?;
    Some((
        first,
        "the first source; NIXPACKS_COBOL_APP_NAME names another",
    ))
}

fn missing(wish: &str, sources: &[(String, Arc<Source>)]) -> PlanError {
    let names: Vec<&str> = sources.iter().map(|(file, _)| stem(file)).collect();
    PlanError::Invalid {
        file: "environment".to_owned(),
        line: 1,
        column: 1,
        key: "NIXPACKS_COBOL_APP_NAME".to_owned(),
        message: format!(
            "no source {wish:?} at the root; there are {}",
            names.join(", ")
        ),
    }
}

/// Whether a source has a program of this name.
fn has(file: &str, source: &Source, name: &str) -> bool {
    stem(file).eq_ignore_ascii_case(name) || source.names.iter().any(|own| own == name)
}

fn is_called(file: &str, source: &Source, sources: &[(String, Arc<Source>)]) -> bool {
    let others = sources.iter().filter(|(other, _)| other != file);
    others
        .flat_map(|(_, other)| &other.calls)
        .any(|name| has(file, source, name))
}

/// The files that a program calls, directly or not, in the order of their names.
fn called(main: &str, sources: &[(String, Arc<Source>)]) -> Vec<String> {
    let mut found: BTreeSet<&str> = BTreeSet::from([main]);
    let mut waiting = vec![main];
    while let Some(file) = waiting.pop() {
        let own = sources.iter().find(|(other, _)| other == file);
        for name in own.iter().flat_map(|(_, source)| &source.calls) {
            for (other, source) in sources {
                if has(other, source, name) && found.insert(other) {
                    waiting.push(other);
                }
            }
        }
    }
    found.remove(main);
    found.into_iter().map(str::to_owned).collect()
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["cobol"]),
        ..Proposal::default()
    };
    let plan = &mut proposal.plan;
    plan.phase("setup").nix_pkgs = Some(strings(&["gnu-cobol", "gnu-cobol.out"]));
    let Some(Choice {
        file,
        reason,
        others,
    }) = &facts.program
    else {
        proposal.without_start = Some("add index.cbl".to_owned());
        return proposal;
    };
    let arguments = match (&facts.arguments, facts.format) {
        (Some(arguments), _) => arguments.as_str(),
        (None, Format::Fixed) => "-x -o",
        (None, Format::Free) => "-x -free -o",
    };
    let name = stem(file);
    let mut command = format!("cobc {arguments} {} {}", quote(name), quote(file));
    for other in &facts.called {
        command = command + " " + &quote(other);
    }
    let build = plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(vec![command]);
    // Data has no usual names: all files of the source stay.
    plan.start = Some(Start {
        cmd: Some(quote(&format!("./{name}"))),
        nix_pkgs: Some(strings(&["gnu-cobol.out"])),
        ..Start::default()
    });
    let apart = others.iter().filter(|other| !facts.called.contains(other));
    let decision = Decision::new("start", format!("./{name}"), *reason);
    let evidence = Evidence::file(file, "found at the root");
    proposal
        .decisions
        .push(decision.from(evidence).over(apart.cloned().collect()));
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    const PROGRAM: &str = "       ID DIVISION.\n       PROGRAM-ID. A.\n";

    fn command(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        let plan = proposed(&Cobol, files, variables).plan;
        plan.phases["build"].cmds.clone().unwrap().join(" && ")
    }

    #[test]
    fn the_usual_names_come_before_the_only_file() {
        let all = [
            ("a.cbl", PROGRAM),
            ("INDEX.CBL", PROGRAM),
            ("main.cob", PROGRAM),
        ];
        assert_eq!(command(&all, &[]), "cobc -x -o INDEX INDEX.CBL");
        assert_eq!(command(&all[..1], &[]), "cobc -x -o a a.cbl");
        let named = [("NIXPACKS_COBOL_APP_NAME", "main")];
        assert_eq!(command(&all, &named), "cobc -x -o main main.cob");
        let arguments = [("NIXPACKS_COBOL_COMPILE_ARGS", "-x -std=ibm -o")];
        assert_eq!(
            command(&all[..1], &arguments),
            "cobc -x -std=ibm -o a a.cbl"
        );
    }

    #[test]
    fn what_a_program_calls_is_compiled_into_it() {
        let shop =
            "identification division.\nprogram-id. shop.\nprocedure division.\n    call 'GREET'.\n";
        let greet = "identification division.\nprogram-id. greet.\nprocedure division using x.\n call 'tax'.\n";
        let files = [
            ("b-greet.cbl", greet),
            ("shop.cbl", shop),
            ("tax.cbl", ""),
            ("z.cbl", PROGRAM),
        ];
        assert_eq!(
            command(&files, &[]),
            "cobc -x -free -o shop shop.cbl b-greet.cbl tax.cbl"
        );
        let proposal = proposed(&Cobol, &files, &[]);
        assert_eq!(proposal.decisions.last().unwrap().rejected, ["z.cbl"]);
        assert_eq!(proposal.plan.start.unwrap().cmd.as_deref(), Some("./shop"));
    }

    #[test]
    fn a_name_that_no_source_has_is_refused() {
        let variables = [("NIXPACKS_COBOL_APP_NAME".to_owned(), "shop".to_owned())].into();
        let error = Cobol
            .propose(&Request {
                repo: &Repo::in_memory(&[("a.cbl", PROGRAM)]),
                variables: &variables,
                test: false,
                assisting: false,
            })
            .err()
            .unwrap();
        assert!(error.to_string().contains("there are a"), "{error}");
    }

    #[test]
    fn sources_below_the_root_are_no_program() {
        assert!(
            Cobol
                .detect(&Repo::in_memory(&[("src/a.cbl", PROGRAM)]))
                .unwrap()
                .is_none()
        );
    }
}
