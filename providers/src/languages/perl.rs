//! Perl programs: PSGI, Mojolicious, Dancer2, and scripts.
//!
//! - Claims: `cpanfile`, `Makefile.PL` or `Build.PL` beside a program, `*.psgi`, `app.pl`, `main.pl`, `server.pl`, `index.pl` or the only `*.pl` at the root, a Mojolicious application in `script/`
//! - Version from: `NIXPACKS_PERL_VERSION`, `.perl-version`, `.tool-versions`, mise.toml, cpanfile `requires 'perl'`
//! - Installs with: `cpanm --installdeps` into `local`, nothing when nothing is required
//! - Builds with: nothing
//! - Starts with: `plackup` for `app.psgi`, `bin/app.psgi` or `*.psgi`, `daemon` for Mojolicious, `perl` on the program

use std::collections::BTreeMap;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

const CPANFILE: &str = "cpanfile";
const INSTALLERS: [&str; 2] = ["Makefile.PL", "Build.PL"];
const PSGI: [&str; 2] = ["app.psgi", "bin/app.psgi"];
const PROGRAMS: [&str; 4] = ["app.pl", "main.pl", "server.pl", "index.pl"];

/// The Perl provider.
pub struct Perl;

impl Provider for Perl {
    fn name(&self) -> &'static str {
        "perl"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if let Some(evidence) = Evidence::first_file(repo, &[CPANFILE]) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        let Some(program) = Program::find(repo)? else {
            return Ok(None);
        };
        // Extensions of other languages have such installers too.
        if let Some(evidence) = Evidence::first_file(repo, &INSTALLERS) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        let evidence = Evidence::file(&program.file, program.note);
        Ok(Some(Claim::new(program.strength, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[
            CPANFILE,
            "app.psgi",
            "*.psgi",
            "app.pl",
            "main.pl",
            "server.pl",
            "index.pl",
        ]
    }
}

/// What a cpanfile requires for running, by module; a version may be missing.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cpanfile(BTreeMap<String, Option<String>>);

impl Cpanfile {
    /// A cpanfile is a Perl program; calls of `requires` with literals are taken, outside `on 'test'` and such.
    fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Hash);
        let mut required = BTreeMap::new();
        let mut depth = 0_usize;
        let mut skipped: Option<usize> = None;
        for (at, token) in tokens.iter().enumerate() {
            let rest = tokens.get(at + 1..).unwrap_or_default();
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => {
                    depth = depth.saturating_sub(1);
                    skipped = skipped.filter(|outer| *outer < depth);
                }
                Token::Word(word) if word == "on" && skipped.is_none() => {
                    let phase = rest.iter().find_map(|one| one.word().or(one.text()));
                    if phase.is_some_and(|one| matches!(one, "test" | "develop" | "author")) {
                        skipped = Some(depth);
                    }
                }
                Token::Word(word) if word == "requires" && skipped.is_none() => {
                    let rest = rest.strip_prefix(&[Token::Sign('(')]).unwrap_or(rest);
                    if let Some((module, version)) = requirement(rest) {
                        required.insert(module, version);
                    }
                }
                _ => {}
            }
        }
        Self(required)
    }
}

/// `'Module', '>= 1'` or `'Module' => 1`.
fn requirement(tokens: &[Token]) -> Option<(String, Option<String>)> {
    let module = tokens.first()?.text()?.to_owned();
    let version = match tokens.get(1..)? {
        [Token::Sign(','), value, ..] | [Token::Sign('='), Token::Sign('>'), value, ..] => {
            value.text().or(value.word()).map(str::to_owned)
        }
        _ => None,
    };
    Some((module, version.filter(|version| version != "0")))
}

/// `5.036` and `v5.36` are 5.36; a plain version is the oldest that will do.
fn perl_version(text: &str) -> String {
    let operators = text.find(|letter: char| letter.is_ascii_digit() || letter == 'v');
    let (operator, version) = text.split_at(operators.unwrap_or(0));
    let operator = match operator.trim() {
        "" => ">=",
        operator => operator,
    };
    let version = version.trim_start_matches('v');
    let numbers = match version.split_once('.') {
        Some((major, minor)) if minor.len() >= 3 && !minor.contains('.') => {
            let digits = minor.get(..3).unwrap_or(minor).trim_start_matches('0');
            format!("{major}.{}", if digits.is_empty() { "0" } else { digits })
        }
        _ => version.to_owned(),
    };
    format!("{operator} {numbers}")
}

/// Everything that Perl decisions rest on, read once.
struct Facts {
    perl: Tool,
    modules: Cpanfile,
    /// The files that installing needs; none when nothing is installed.
    installs: Option<Installation>,
    program: Option<Program>,
    tests: bool,
}

/// How dependencies are installed.
struct Installation {
    from: String,
    /// The only files that it reads.
    files: Option<Vec<String>>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let modules = Cpanfile::parse(&repo.text(CPANFILE)?.unwrap_or_default());
        Ok(Self {
            perl: perl(request, &modules)?,
            installs: installation(repo, &modules),
            program: Program::find(repo)?,
            tests: request.test,
            modules,
        })
    }
}

fn perl(request: &Request, modules: &Cpanfile) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let mut candidates = Vec::new();
    candidates.extend(
        request
            .setting_with_evidence("PERL_VERSION")
            .map(|(value, evidence)| Candidate::new(&value, evidence)),
    );
    candidates.extend(version::version_file(repo, ".perl-version")?);
    candidates.extend(version::tool_managers(repo, &["perl"])?);
    for candidate in &mut candidates {
        let bare = candidate.text.trim_start_matches("perl-");
        candidate.text = bare.to_owned();
    }
    if let Some(Some(wish)) = modules.0.get("perl") {
        let evidence = Evidence::key(CPANFILE, "requires", None, wish);
        candidates.push(Candidate::new(&perl_version(wish), evidence));
    }
    version::tool("perl", Grammar::Gem, &candidates)
}

fn installation(repo: &Repo, modules: &Cpanfile) -> Option<Installation> {
    if modules.0.keys().any(|module| module != "perl") {
        return Some(Installation {
            from: CPANFILE.to_owned(),
            files: Some(strings(&[CPANFILE])),
        });
    }
    if repo.is_file(CPANFILE) {
        return None;
    }
    let from = Evidence::first_file(repo, &INSTALLERS)?.file;
    Some(Installation { from, files: None })
}

/// What starts.
struct Program {
    file: String,
    kind: Kind,
    note: &'static str,
    strength: Strength,
}

/// How a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By a server for PSGI.
    Psgi,
    /// By Mojolicious, which is its own server.
    Mojolicious,
    Script,
}

impl Program {
    fn find(repo: &Repo) -> Result<Option<Self>, PlanError> {
        let usual = |names: &[&str]| Evidence::first_file(repo, names).map(|found| found.file);
        let psgi = usual(&PSGI).or(repo.glob("*.psgi")?.into_iter().next());
        if let Some(file) = psgi {
            return Ok(Some(Self {
                file,
                kind: Kind::Psgi,
                note: "a PSGI application",
                strength: Strength::Likely,
            }));
        }
        if let Some(file) = application(repo)? {
            return Ok(Some(Self {
                file,
                kind: Kind::Mojolicious,
                note: "a Mojolicious application",
                strength: Strength::Likely,
            }));
        }
        let (file, note, strength) = match (usual(&PROGRAMS), repo.glob("*.pl")?.as_slice()) {
            (Some(file), _) => (file, "a usual name of programs", Strength::Likely),
            (None, [only]) => (only.clone(), "the only program", Strength::Weak),
            _ => return Ok(None),
        };
        let (kind, note) = if is_mojolicious(&repo.text(&file)?.unwrap_or_default()) {
            (Kind::Mojolicious, "a Mojolicious application")
        } else {
            (Kind::Script, note)
        };
        Ok(Some(Self {
            file,
            kind,
            note,
            strength,
        }))
    }

    fn command(&self, modules: &Cpanfile) -> String {
        let file = quote(&self.file);
        match self.kind {
            Kind::Psgi => {
                let server = ["Starman", "Starlet", "Twiggy", "Gazelle"]
                    .into_iter()
                    .find(|server| modules.0.contains_key(*server))
                    .map_or_else(String::new, |server| format!("-s {server} "));
                format!("plackup {server}--host 0.0.0.0 --port ${{PORT:-5000}} {file}")
            }
            Kind::Mojolicious => {
                format!("perl {file} daemon -m production -l http://*:${{PORT:-3000}}")
            }
            Kind::Script => format!("perl {file}"),
        }
    }
}

/// The program of `mojo generate app`: a script without an ending, beside modules.
fn application(repo: &Repo) -> Result<Option<String>, PlanError> {
    if repo.glob("lib/*.pm")?.is_empty() && repo.glob("lib/*/*.pm")?.is_empty() {
        return Ok(None);
    }
    for file in repo.glob("script/*")? {
        // Whatever is no text is no script.
        let text = repo.text(&file).ok().flatten();
        if !file.contains('.') && text.is_some_and(|text| is_mojolicious(&text)) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// `use Mojolicious::Lite` or `use Mojolicious::Commands`, with or without arguments.
fn is_mojolicious(text: &str) -> bool {
    tokens(text, Style::Hash).windows(5).any(|window| {
        matches!(
            window,
            [Token::Word(word), Token::Word(one), Token::Sign(':'), Token::Sign(':'), Token::Word(two)]
                if word == "use" && one == "Mojolicious" && (two == "Lite" || two == "Commands")
        )
    })
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["perl"]),
        ..Proposal::default()
    };
    for (module, name) in [("Mojolicious", "mojolicious"), ("Dancer2", "dancer2")] {
        if facts.modules.0.contains_key(module) {
            proposal.metadata.push(name.to_owned());
        }
    }
    proposal.decisions.push(facts.perl.decision.clone());
    proposal.warnings.extend(facts.perl.warnings.clone());
    let plan = &mut proposal.plan;
    let mut tools = vec![facts.perl.entry()];
    let mut after = "setup";
    if let Some(installation) = &facts.installs {
        tools.extend(strings(&["cpanminus", "gcc"]));
        plan.variables = BTreeMap::from([
            (
                "PERL5LIB".to_owned(),
                "/app/lib:/app/local/lib/perl5".to_owned(),
            ),
            ("PERL_CPANM_OPT".to_owned(), "--notest".to_owned()),
        ]);
        let install = Phase {
            depends_on: Some(strings(&["setup"])),
            cmds: Some(strings(&[
                "cpanm --local-lib-contained local --installdeps .",
            ])),
            only_include_files: installation.files.clone(),
            cache_directories: Some(strings(&["/root/.cpanm"])),
            paths: Some(strings(&["/app/local/bin"])),
            ..Phase::default()
        };
        plan.phases.insert("install".to_owned(), install);
        let evidence = Evidence::file(&installation.from, "says what is required");
        let decision = Decision::new("install", "cpanm", "modules are required");
        proposal.decisions.push(decision.from(evidence));
        after = "install";
    }
    plan.phase("setup").nix_pkgs = Some(tools);
    if facts.tests {
        let test = plan.phase("test");
        test.depends_on = Some(strings(&[after]));
        test.cmds = Some(strings(&["prove -l -r t"]));
    }
    let mut start = Start {
        nix_pkgs: Some(vec![facts.perl.entry()]),
        ..Start::default()
    };
    match &facts.program {
        Some(program) => {
            start.cmd = Some(program.command(&facts.modules));
            let evidence = Evidence::file(&program.file, "the program");
            let decision = Decision::new("start", program.file.clone(), program.note);
            proposal.decisions.push(decision.from(evidence));
            if program.kind != Kind::Script && facts.installs.is_none() {
                proposal.warnings.push(
                    "no file says which modules the program requires, so none are installed: write a cpanfile"
                        .to_owned(),
                );
            }
        }
        None => {
            proposal.without_start = Some(
                "add app.psgi or app.pl, a Procfile, or start.cmd in nixpacks.toml".to_owned(),
            );
        }
    }
    plan.start = Some(start);
    proposal
}

#[cfg(test)]
mod tests;
