//! Frameworks: what their build makes, and how that is served.
//!
//! Owns how configuration files and scripts are read. `servers.rs` and `sites.rs` have the frameworks.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::javascript::{self, Setting};
use crate::plan::PlanError;
use crate::provider::Request;
use crate::repo::Repo;

use super::package::{Lock, Package};
use super::{servers, sites};

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Files to serve from a folder, and the pages that answer for any path, the best first.
    Files {
        folder: String,
        fallbacks: &'static [&'static str],
    },
    /// A program.
    Program(Program),
}

/// A server that a build makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// The file to run, or what to run instead of Node.js with its arguments.
    pub(super) file: String,
    pub(super) with: Option<String>,
    /// The only folders of the application that it reads; empty for all.
    pub(super) only: Vec<String>,
    /// Whether everything that only development needs is bundled or unused.
    pub(super) bundled: bool,
    /// Commands after the build script.
    pub(super) after_build: Vec<String>,
    /// Variables in front of the command.
    pub(super) variables: &'static str,
    /// Variables in front of the build script.
    pub(super) build_variables: &'static str,
}

/// Sites whose pages are all files.
pub(super) const PAGES: &[&str] = &[];
/// Sites whose one page finds out what to show.
pub(super) const SINGLE: &[&str] = &["index.html"];

/// A framework and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framework {
    pub(super) name: &'static str,
    pub(super) output: Output,
    /// What says so.
    pub(super) reason: String,
    /// What the user should know of it.
    pub(super) warning: Option<&'static str>,
}

impl Framework {
    pub(super) fn files(
        name: &'static str,
        folder: &str,
        fallbacks: &'static [&'static str],
        reason: &str,
    ) -> Self {
        Self {
            name,
            output: Output::Files {
                folder: folder.to_owned(),
                fallbacks,
            },
            reason: reason.to_owned(),
            warning: None,
        }
    }

    pub(super) fn program(name: &'static str, program: Program, reason: &str) -> Self {
        Self {
            name,
            output: Output::Program(program),
            reason: reason.to_owned(),
            warning: None,
        }
    }
}

pub(super) const ENDINGS: [&str; 6] = ["ts", "mts", "cts", "js", "mjs", "cjs"];

/// A configuration file that is a program: `vite.config.ts`.
pub(super) struct Config {
    pub(super) file: String,
    text: Arc<str>,
}

impl Config {
    pub(super) fn read(repo: &Repo, stem: &str) -> Result<Option<Self>, PlanError> {
        for ending in ENDINGS {
            let file = format!("{stem}.{ending}");
            if let Some(text) = repo.text(&file)? {
                return Ok(Some(Self { file, text }));
            }
        }
        Ok(None)
    }

    pub(super) fn get(&self, path: &[&str]) -> Setting<'_> {
        javascript::setting(&javascript::tokens(&self.text), path)
    }

    pub(super) fn imports(&self, name: &str) -> bool {
        let tokens = javascript::tokens(&self.text);
        javascript::imports(&tokens).contains(&name)
            || javascript::requires(&tokens).contains(&name)
    }
}

/// A literal of a file that may not be there; `None` when it is computed.
pub(super) fn literal<'a>(
    config: Option<&'a Config>,
    path: &[&str],
    default: &'a str,
) -> Option<&'a str> {
    match config.map_or(Setting::Absent, |config| config.get(path)) {
        Setting::Absent => Some(default),
        Setting::Literal(value) => Some(value),
        Setting::Computed => None,
    }
}

/// A folder below the root, without `.` and `..`.
pub(super) fn folder(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let plain = |letter: char| letter.is_alphanumeric() || "._-+@ /".contains(letter);
    let path = parts.join("/");
    (!path.is_empty() && path.chars().all(plain)).then_some(path)
}

/// What one framework says.
pub(super) enum Verdict {
    /// The package uses another one.
    Not,
    /// It uses this one, in a way that only running it tells.
    Unsure,
    Is(Framework),
}

/// The framework whose output is served, when the files say surely what that is.
pub(super) fn read(
    request: &Request,
    package: &Package,
    lock: &Lock,
) -> Result<Option<Framework>, PlanError> {
    let repo = request.repo;
    let frameworks: [&dyn Fn() -> Result<Verdict, PlanError>; 9] = [
        &|| servers::tanstack(repo, package, lock),
        &|| servers::next(repo, package),
        &|| servers::nuxt(repo, package),
        &|| servers::svelte_kit(repo, package),
        &|| servers::react_router(repo, package),
        &|| servers::astro(repo, package),
        &|| sites::angular(request, package),
        &|| sites::others(repo, package),
        &|| sites::vite(repo, package),
    ];
    for of in frameworks {
        match of()? {
            Verdict::Not => {}
            Verdict::Unsure => return Ok(None),
            Verdict::Is(framework) => return Ok(Some(framework)),
        }
    }
    Ok(None)
}

/// What to do when a framework is used and nothing says how to start.
pub(super) fn advice(package: &Package) -> &'static str {
    const ADVICE: [(&str, &str); 7] = [
        ("@tanstack/react-start", "add Nitro or the package srvx"),
        ("@tanstack/solid-start", "add Nitro or the package srvx"),
        (
            "@sveltejs/kit",
            "use @sveltejs/adapter-node or @sveltejs/adapter-static",
        ),
        ("astro", "use @astrojs/node with `mode: 'standalone'`"),
        ("nuxt", "use Nitro's preset node-server"),
        (
            "@angular/core",
            "name the application in NIXPACKS_ANGULAR_PROJECT",
        ),
        (
            "vite",
            "name the folder that is built in NIXPACKS_SPA_OUT_DIR",
        ),
    ];
    let own = ADVICE.iter().find(|(name, _)| package.uses(name));
    own.map_or("add a \"start\" script to package.json", |(_, advice)| {
        advice
    })
}

/// The words of a script, without quotes.
pub(super) fn words(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(|letter: char| {
            letter.is_whitespace() || matches!(letter, ';' | '&' | '|' | '(' | ')')
        })
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
}

/// Programs that run scripts of package.json by name.
const RUNNERS: [&str; 9] = [
    "npm",
    "pnpm",
    "yarn",
    "bun",
    "concurrently",
    "npm-run-all",
    "npm-run-all2",
    "run-p",
    "run-s",
];

/// The words of a script and of the scripts that it runs.
pub(super) fn all_words<'a>(package: &'a Package, script: &'a str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut waiting = vec![script];
    let mut seen = BTreeSet::new();
    while let Some(script) = waiting.pop() {
        for part in script.split(['&', '|', ';', '\n']) {
            let own: Vec<&str> = words(part).collect();
            if own.first().is_some_and(|first| RUNNERS.contains(first)) {
                let names = own[1..].iter().flat_map(|word| package.scripts_like(word));
                waiting.extend(
                    names
                        .filter(|(name, _)| seen.insert(*name))
                        .map(|(_, text)| text),
                );
            }
            found.extend(own);
        }
    }
    found
}

/// Programs that serve while one develops or looks at a build; none is for production.
const PREVIEWS: [&str; 12] = [
    "vite",
    "ember",
    "react-scripts",
    "ng",
    "astro",
    "vue-cli-service",
    "gatsby",
    "docusaurus",
    "eleventy",
    "parcel",
    "serve",
    "http-server",
];

/// The words of a script from its program on.
fn program(script: &str) -> impl Iterator<Item = &str> {
    words(script).skip_while(|word| {
        matches!(*word, "npx" | "bunx" | "exec" | "cross-env" | "env") || word.contains('=')
    })
}

/// Whether a start script is nothing but such a program.
pub(super) fn is_preview(script: &str) -> bool {
    let first = program(script).next();
    !script.contains("&&") && first.is_some_and(|word| PREVIEWS.contains(&word))
}

/// The program for development that a script is.
pub(super) fn development_server(script: &str) -> Option<&str> {
    let mut words = program(script);
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let develops = match first {
        "nodemon" | "ts-node-dev" | "tsnd" | "vite-node" => true,
        "next" | "nuxt" | "nuxi" | "remix" | "react-router" | "vinxi" => second == "dev",
        "serve" | "http-server" => false,
        "vite" | "astro" => second != "preview" && second != "build",
        other => PREVIEWS.contains(&other),
    };
    develops.then_some(first)
}

#[cfg(test)]
mod tests;
