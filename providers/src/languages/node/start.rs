//! How an application is started.
//!
//! Owns the order: task runner, framework, script, `main`, a file by name. What a framework makes is for `framework.rs`.

use crate::languages::{quote, strings};
use crate::provider::{Decision, Evidence};
use crate::read;
use crate::repo::Repo;

use super::Application;
use super::framework::{self, Framework, Output, Program};
use super::manager::Kind;
use super::monorepo;
use super::package::Package;

/// How the application is started.
pub(super) enum Begin {
    Nothing,
    Command(String, Decision),
    /// The server that a framework's build makes.
    Program(Program, Decision),
    /// Caddy, on a folder; the pages that answer for any path.
    Files(String, &'static [&'static str], Decision),
}

/// A file that can be started although nothing says so: as nixpacks, then as npm's own default.
pub(super) fn entry(repo: &Repo, package: &Package) -> Option<String> {
    let declared = package.main().into_iter().flat_map(|main| {
        [
            main.to_owned(),
            format!("{main}.js"),
            format!("{main}/index.js"),
        ]
    });
    let candidates = declared.chain(strings(&["index.js", "index.mjs", "server.js"]));
    candidates
        .map(|file| file.trim_start_matches("./").to_owned())
        .find(|file| repo.is_file(file) && repo.in_image(file))
}

fn decided(command: String, reason: &str, evidence: impl Into<Option<Evidence>>) -> Begin {
    let decision = Decision::new("start", command.clone(), reason).from(evidence);
    Begin::Command(command, decision)
}

/// The best way to start, with warnings about it.
pub(super) fn start(app: &Application, warnings: &mut Vec<String>) -> Begin {
    if let Some(command) = &app.runner.start {
        let reason = format!("{} starts it", app.runner.name);
        return decided(command.clone(), &reason, app.runner.evidence.clone());
    }
    let ways = [served(app, warnings), scripted(app), of_file(app)];
    if let Some(begin) = ways.into_iter().flatten().next() {
        warnings.extend(for_development(app, &begin));
        return begin;
    }
    match monorepo::only_starter(&app.members) {
        Some(name) => {
            let command = app.manager.run_in(&quote(name), "start");
            decided(command, "the only package with a start script", None)
        }
        None => Begin::Nothing,
    }
}

/// A start script.
fn scripted(app: &Application) -> Option<Begin> {
    let script = |name: &str, reason: &str| {
        let text = app.package.script(name)?;
        let line = read::line_of(&app.text, &format!("\"{name}\""));
        let evidence = Evidence::key("package.json", &format!("scripts.{name}"), line, text);
        Some(decided(app.manager.run(name), reason, evidence))
    };
    // Nest's own start script compiles; what it compiled is started by another one.
    let compiles = app.package.script("start").map(str::trim) == Some("nest start");
    let built = "the built program; `nest start` would compile again";
    let production = (compiles && app.package.script("build").is_some())
        .then(|| script("start:prod", built))
        .flatten();
    let of_next = app.package.script("start").map(str::trim) == Some("next start");
    let reason = if of_next && app.runner.build.is_none() {
        "the start script; with output: \"standalone\" the image would have only what the server needs"
    } else {
        "the start script"
    };
    production.or_else(|| script("start", reason))
}

/// `main`, which the build may have to make, or a file that is usually the program.
fn of_file(app: &Application) -> Option<Begin> {
    let (repo, package) = (app.request.repo, &app.package);
    let found = entry(repo, package);
    let builds = package.script("build").is_some();
    if let Some(main) = package.main().filter(|_| found.is_none() && builds) {
        let line = read::line_of(&app.text, "\"main\"");
        let evidence = Evidence::key("package.json", "main", line, main);
        let command = app.manager.file(&quote(main));
        let reason = "main, which the build has to make";
        return Some(decided(command, reason, evidence));
    }
    let of_bun = app.manager.kind == Kind::Bun;
    let file = found.or_else(|| {
        let typed = ["index.ts", "index.tsx", "server.ts", "src/index.ts"];
        let mut typed = typed.into_iter().filter(|file| repo.in_image(file));
        typed.next().filter(|_| of_bun).map(str::to_owned)
    })?;
    let evidence = Evidence::file(&file, "found");
    let command = app.manager.file(&quote(&file));
    Some(decided(command, "there is no start script", evidence))
}

/// A warning for a script that starts what one develops with.
fn for_development(app: &Application, begin: &Begin) -> Option<String> {
    let script = app.package.script("start")?;
    let runs = matches!(begin, Begin::Command(command, _) if *command == app.manager.run("start"));
    let program = framework::development_server(script)?;
    runs.then(|| {
        format!(
            "the start script runs {program}, which is for development; start what the build makes"
        )
    })
}

/// What a framework's build makes, unless the start script is a program of the user's own.
fn served(app: &Application, warnings: &mut Vec<String>) -> Option<Begin> {
    let request = app.request;
    let caddy = request.setting("SPA_CADDY");
    let no = |value: &str| matches!(value, "0" | "false");
    let refused = caddy.as_deref().is_some_and(no)
        || request.setting("NO_SPA").is_some_and(|value| !no(&value));
    let forced = caddy.is_some() && !refused;
    let asked = request
        .setting_with_evidence("SPA_OUT_DIR")
        .or_else(|| request.setting_with_evidence("SPA_OUTPUT_DIR"))
        .filter(|_| !refused);
    if let Some((wish, evidence)) = asked {
        let output = app.framework.as_ref().map(|framework| &framework.output);
        let fallbacks = match output {
            Some(Output::Files { fallbacks, .. }) => fallbacks,
            _ => framework::SINGLE,
        };
        match framework::folder(&wish) {
            Some(folder) => {
                let reason = format!("serves {folder}");
                let decision = Decision::new("start", "caddy", reason).from(evidence);
                return Some(Begin::Files(folder, fallbacks, decision));
            }
            None => warnings.push(format!(
                "{} is no folder of the application: {wish:?}",
                evidence.key.unwrap_or_default()
            )),
        }
    }
    of_framework(app.framework.as_ref()?, &app.package, refused, forced)
}

fn of_framework(
    framework: &Framework,
    package: &Package,
    refused: bool,
    forced: bool,
) -> Option<Begin> {
    let script = package.script("start");
    let free = script.is_none_or(framework::is_preview)
        // It refuses to serve an export.
        || (framework.name == "next" && script.is_some_and(|script| starts(script, ".next/")));
    match &framework.output {
        Output::Files { folder, fallbacks } => {
            let folder = framework::folder(folder)?;
            let reason = format!(
                "serves {folder}, which {} makes: {}",
                framework.name, framework.reason
            );
            let decision = Decision::new("start", "caddy", reason);
            (!refused && (free || forced)).then_some(Begin::Files(folder, fallbacks, decision))
        }
        Output::Program(program) => {
            let same = script.is_some_and(|script| starts(script, &program.file));
            let reason = format!("{}: {}", framework.name, framework.reason);
            let decision = Decision::new("start", program.file.clone(), reason);
            (free || same).then(|| Begin::Program(program.clone(), decision))
        }
    }
}

/// Whether a script does nothing but what starting a framework's own server does.
fn starts(script: &str, file: &str) -> bool {
    let words: Vec<&str> = script.split_whitespace().collect();
    match words.as_slice() {
        ["next", "start"] => file.starts_with(".next/"),
        ["nuxt" | "nuxi", "start" | "preview"] => file.starts_with(".output/"),
        ["node", path] => path.trim_start_matches("./").trim_end_matches('/') == file,
        _ => false,
    }
}

/// Whether a start command is a file that Bun runs, so that the image needs no Node.js.
pub(super) fn needs_bun_alone(app: &Application, begin: &Begin) -> bool {
    let Begin::Command(command, _) = begin else {
        return false;
    };
    if app.manager.kind != Kind::Bun {
        return false;
    }
    let around = ["prestart", "poststart"];
    let script = app.package.script("start");
    let command = match script.filter(|_| *command == app.manager.run("start")) {
        Some(_) if around.iter().any(|name| app.package.script(name).is_some()) => return false,
        Some(script) => script,
        None => command,
    };
    let mut words = command
        .split_whitespace()
        .skip_while(|word| word.contains('='));
    let plain = !command.contains(['&', '|', ';', '$', '`', '(', '<', '>']);
    let bun = words.next() == Some("bun");
    let file = words.find(|word| !word.starts_with('-') && *word != "run");
    let typed = |file: &str| {
        let ending = file.rsplit_once('.').map(|(_, ending)| ending);
        ending.is_some_and(|ending| framework::ENDINGS.contains(&ending) || ending == "tsx")
    };
    plain && bun && file.is_some_and(typed)
}
