//! Clojure applications, built by Leiningen or tools.build, or started from deps.edn.
//!
//! - Claims: `project.clj`, `build.clj`, `deps.edn`
//! - Version from: `NIXPACKS_JDK_VERSION`, `.java-version`, `.jdk-version`, `.sdkmanrc`, system.properties, `.tool-versions`, mise.toml
//! - Installs with: nothing; Leiningen and Clojure download into Maven's cache
//! - Builds with: `lein uberjar`, or `lein ring uberjar` with the plugin; `clojure -T:build uber` with a build.clj; else the class path of deps.edn is copied
//! - Starts with: `java -jar` on the jar that has everything; else `java` with the copied class path and the main-opts or exec-fn of an alias

mod lein;
mod reader;
mod tools;

use crate::jvm;
use crate::leftovers;
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::Tool;

use self::lein::{PROJECT, Project};
use self::tools::{BUILD, DEPS, Deps, Entry, Program};
use super::{quote, strings};

/// The Clojure provider.
pub struct Clojure;

impl Provider for Clojure {
    fn name(&self) -> &'static str {
        "clojure"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if let Some(evidence) = Evidence::first_file(repo, &[PROJECT, BUILD]) {
            return Ok(Some(Claim::new(Strength::Definite, evidence)));
        }
        // Front ends that Node.js builds have one too.
        let evidence = Evidence::first_file(repo, &[DEPS]);
        Ok(evidence.map(|evidence| Claim::new(Strength::Likely, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[PROJECT, BUILD, DEPS]
    }
}

/// Everything that Clojure decisions rest on, read once.
struct Facts {
    jdk: Tool,
    build: Build,
    leftovers: Vec<String>,
    tests: bool,
}

/// What builds.
enum Build {
    Lein(Project),
    Tools(Deps, Program),
    /// Nothing: the sources are started.
    Deps(Deps),
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let build = if repo.is_file(BUILD) {
            Build::Tools(Deps::read(repo)?, Program::read(repo)?)
        } else if let Some(project) = Project::read(repo)? {
            Build::Lein(project)
        } else {
            Build::Deps(Deps::read(repo)?)
        };
        let leftovers = leftovers::beside_program(repo)?.into_iter();
        // Resources are in the jar.
        let packed = |path: &String| {
            path.split('/')
                .any(|part| matches!(part, "src" | "resources"))
        };
        Ok(Self {
            jdk: jvm::jdk(&jvm::asked(request)?)?,
            build,
            leftovers: leftovers.filter(|path| !packed(path)).collect(),
            tests: request.test,
        })
    }
}

/// What builds, starts and tests a program.
#[derive(Default)]
struct Way {
    tool: &'static str,
    commands: Vec<String>,
    /// None when nothing says what to start.
    start: Option<String>,
    files: Vec<String>,
    decisions: Vec<Decision>,
    test: Option<String>,
}

fn lein(project: &Project) -> Way {
    let pattern = project.jar();
    let jar = found(&pattern);
    let (start, reason) = match &project.main {
        // Nothing in the jar is a class that Java could start.
        Some(main) if !project.compiled && !project.ring => (
            format!("java $JAVA_OPTS -cp {jar} clojure.main -m {}", quote(main)),
            "the jar of everything; its namespace is compiled when it starts",
        ),
        _ => (jvm::java(None, &jar), "the jar of everything"),
    };
    Way {
        tool: "leiningen",
        commands: strings(&[project.command()]),
        start: Some(start),
        files: vec![pattern],
        decisions: vec![Decision::new("start", jar, reason)],
        test: Some("lein test".to_owned()),
    }
}

fn tools(deps: &Deps, build: &Program) -> Way {
    let (function, there) = build.function();
    let pattern = build.jar();
    let reason = match &pattern {
        Some(_) => "the uber-file of build.clj",
        None => "the jar of everything; only build.clj knows its name",
    };
    let pattern = pattern.unwrap_or_else(|| "target/*.jar".to_owned());
    let jar = found(&pattern);
    let command = format!("clojure -T:{} {function}", deps.building());
    let why = if there {
        "the function of build.clj that makes one jar"
    } else {
        "what such functions are called; build.clj shows none"
    };
    Way {
        tool: "clojure",
        start: Some(jvm::java(None, &jar)),
        files: vec![pattern],
        decisions: vec![
            Decision::new("build", command.clone(), why),
            Decision::new("start", jar, reason),
        ],
        commands: vec![command],
        test: deps.test(build),
    }
}

/// A jar by its name, or found by the shell.
fn found(pattern: &str) -> String {
    if pattern.contains('*') {
        jvm::found_jar(pattern)
    } else {
        quote(pattern)
    }
}

/// The class path comes into one folder; what is outside the application is copied there.
const COPY_PATHS: &str = "number=0; while read -r path; do case $path in /*) number=$((number + 1)); copy=target/app/lib/$number-${path##*/}; cp -r \"$path\" \"$copy\"; path=$copy ;; esac; printf '%s:' \"$path\"; done < target/app/paths > target/app/class-path";

fn from_sources(deps: &Deps) -> Way {
    let program = deps.program();
    let alias = program
        .as_ref()
        .map(|(alias, ..)| alias.as_str())
        .unwrap_or_default();
    let aliases = if alias.is_empty() {
        String::new()
    } else {
        format!("-A:{alias} ")
    };
    let commands = vec![
        "mkdir -p target/app/lib".to_owned(),
        format!("set -o pipefail; clojure {aliases}-Spath | tr : '\\n' > target/app/paths"),
        COPY_PATHS.to_owned(),
    ];
    let mut files = strings(&["target/app/class-path", "target/app/lib"]);
    files.extend(deps.paths.clone());
    files.extend(deps.paths_of(alias));
    let mut way = Way {
        tool: "clojure",
        commands,
        files,
        test: deps.test(&Program::default()),
        ..Way::default()
    };
    let Some((alias, entry, others)) = &program else {
        return way;
    };
    let main = match entry {
        Entry::Main(options) => options
            .iter()
            .map(|option| word(option))
            .collect::<Vec<_>>()
            .join(" "),
        Entry::Function(function) => {
            format!(
                "-e {}",
                word(&format!("((requiring-resolve '{function}) {{}})"))
            )
        }
    };
    let options: String = deps
        .java_options(alias)
        .iter()
        .map(|option| format!("{} ", word(option)))
        .collect();
    way.start = Some(format!(
        "java {options}$JAVA_OPTS -cp \"$(cat target/app/class-path)\" clojure.main {main}"
    ));
    let evidence = Evidence::key(DEPS, &format!("aliases.{alias}"), None, &main);
    let reason =
        "no build.clj makes a jar, so the sources are started with a copy of the class path";
    way.decisions.push(
        Decision::new("start", main, reason)
            .from(evidence)
            .over(others.clone()),
    );
    way
}

/// An argument as one word of the shell, options too.
fn word(text: &str) -> String {
    if text.starts_with('-') {
        let quoted = quote(&format!("_{text}"));
        return quoted.replacen('_', "", 1);
    }
    quote(text)
}

const CACHES: [&str; 2] = ["/root/.m2", "/root/.gitlibs"];

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal::default();
    proposal.decisions.push(facts.jdk.decision.clone());
    proposal.warnings.extend(facts.jdk.warnings.clone());
    proposal.metadata = strings(&["clojure"]);
    let way = match &facts.build {
        Build::Lein(project) => lein(project),
        Build::Tools(deps, program) => tools(deps, program),
        Build::Deps(deps) => from_sources(deps),
    };
    let (caches, git) = match &facts.build {
        Build::Lein(_) => (&CACHES[..1], false),
        Build::Tools(deps, _) | Build::Deps(deps) => (&CACHES[..], deps.git),
    };
    let jre = jvm::jre(&facts.jdk);
    let mut tools = vec![facts.jdk.entry(), jre.clone(), way.tool.to_owned()];
    tools.extend(git.then(|| "git".to_owned()));
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["install", "setup"]));
    build.cmds = Some(way.commands);
    build.cache_directories = Some(strings(caches));
    if let Some(command) = way.test.filter(|_| facts.tests) {
        let test = proposal.plan.phase("test");
        test.depends_on = Some(strings(&["build"]));
        test.cmds = Some(vec![command]);
        test.cache_directories = Some(strings(caches));
    }
    proposal.decisions.extend(way.decisions);
    if way.start.is_none() {
        proposal.without_start = Some(
            "deps.edn has no alias with main-opts or exec-fn; add one, or set start.cmd in nixpacks.toml"
                .to_owned(),
        );
    }
    let mut files = way.files;
    files.extend(facts.leftovers.clone());
    proposal.plan.start = Some(Start {
        cmd: way.start,
        nix_pkgs: Some(vec![jre]),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

#[cfg(test)]
mod tests;
