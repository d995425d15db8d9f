//! Whether development dependencies can be taken away after the build.
//!
//! Owns the question what the running program uses. They stay in doubt: an image that is too large runs.

use std::collections::BTreeSet;

use crate::javascript;
use crate::plan::PlanError;
use crate::repo::Repo;
use crate::version::Tool;

use super::Application;
use super::framework::words;
use super::manager::Kind;
use super::package::Package;
use super::start::Begin;
use super::{install, monorepo};

/// Programs that are always there, or that need nothing of their own.
const PLAIN: [&str; 12] = [
    "bash", "bun", "cd", "echo", "env", "exec", "export", "node", "npm", "pnpm", "sh", "yarn",
];

/// Programs by packages that do not have their name.
const PROGRAMS: [(&str, &str); 10] = [
    ("cross-env", "cross-env"),
    ("dotenv", "dotenv-cli"),
    ("keystone", "@keystone-6/core"),
    ("medusa", "@medusajs/cli"),
    ("nest", "@nestjs/cli"),
    ("ng", "@angular/cli"),
    ("react-router-serve", "@react-router/serve"),
    ("remix-serve", "@remix-run/serve"),
    ("strapi", "@strapi/strapi"),
    ("tsc", "typescript"),
];

/// Why a command needs development dependencies, or may.
fn needed_by_command(
    package: &Package,
    programs: &BTreeSet<String>,
    command: &str,
    depth: usize,
) -> Option<String> {
    let development = package.for_development();
    let all: Vec<&str> = words(command).collect();
    if let Some(name) = all.iter().find_map(|word| {
        let name = package_of(word);
        development.contains(name).then_some(name)
    }) {
        return Some(format!("the start command uses {name}"));
    }
    for part in command.split(['&', '|', ';', '\n']) {
        let mut words = words(part).skip_while(|word| word.contains('='));
        let Some(program) = words.next() else {
            continue;
        };
        if matches!(program, "npm" | "pnpm" | "yarn" | "bun") {
            let script =
                words.find(|word| !matches!(*word, "run" | "start") && !word.starts_with('-'));
            let script = script.unwrap_or("start");
            if let Some(text) = package.script(script).filter(|_| depth < 5) {
                for name in [format!("pre{script}"), format!("post{script}")] {
                    let around = package.script(&name);
                    let why = around
                        .and_then(|text| needed_by_command(package, programs, text, depth + 1));
                    if why.is_some() {
                        return why;
                    }
                }
                if let Some(why) = needed_by_command(package, programs, text, depth + 1) {
                    return Some(why);
                }
            }
        } else {
            let owner = PROGRAMS
                .iter()
                .find(|(name, _)| *name == program)
                .map_or(program, |(_, owner)| owner);
            let known = PLAIN.contains(&program)
                || programs.contains(program)
                || package.needs(owner)
                || program.starts_with(['.', '/']);
            if !known {
                return Some(format!(
                    "the start command runs {program}, which may be a development dependency's"
                ));
            }
        }
    }
    None
}

/// `ts-node/register` is of `ts-node`, `@a/b/c` of `@a/b`.
fn package_of(text: &str) -> &str {
    let mut slashes = text.match_indices('/').map(|(at, _)| at);
    let end = if text.starts_with('@') {
        slashes.nth(1)
    } else {
        slashes.next()
    };
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

const ENDINGS: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];
/// Folders and parts of names that hold no code of the running program.
const APART: [&str; 10] = [
    "__mocks__",
    "__tests__",
    "cypress",
    "e2e",
    "node_modules",
    "scripts",
    "spec",
    "stories",
    "test",
    "tests",
];
const PARTS: [&str; 6] = ["config", "d", "spec", "stories", "test", "e2e"];
/// Packages that only files for their own build import.
const BUILDERS: [&str; 2] = ["@react-router/dev", "@remix-run/dev"];
/// More files are not read.
const LIMIT: usize = 3000;

/// Why the source needs development dependencies at run time, or may: a file that imports one.
fn needed_by_source(repo: &Repo, package: &Package) -> Result<Option<String>, PlanError> {
    let development = package.for_development();
    // A program of TypeScript is compiled; types that it imports are gone then.
    let mut files = repo.glob("**/*.{js,mjs,cjs,jsx,ts,mts,cts,tsx}")?;
    files.retain(|file| {
        is_of_program(file) || (package.uses("next") && file.starts_with("next.config."))
    });
    if files.len() > LIMIT {
        return Ok(Some(format!(
            "{} files of source are too many to look for imports",
            files.len()
        )));
    }
    // Next.js reads its configuration when it starts, before version 16 with the help of typescript.
    let old = !package.is_at_least("next", 16);
    let typed = old && repo.is_file("next.config.ts") && !package.needs("typescript");
    if package.uses("next") && typed {
        return Ok(Some("next.config.ts needs typescript".to_owned()));
    }
    for file in files {
        let Some(text) = repo.text(&file)? else {
            continue;
        };
        let tokens = javascript::tokens(&text);
        let mut used = javascript::imports_at_run_time(&tokens);
        used.extend(javascript::requires(&tokens));
        if let Some(name) = used
            .into_iter()
            .map(package_of)
            .find(|name| development.contains(name) && !BUILDERS.contains(name))
        {
            return Ok(Some(format!("{file} imports {name}")));
        }
    }
    Ok(None)
}

fn is_of_program(file: &str) -> bool {
    let mut folders = file.split('/').rev();
    let name = folders.next().unwrap_or_default();
    let mut parts = name.split('.').rev();
    let source = parts.next().is_some_and(|ending| ENDINGS.contains(&ending));
    source
        && !file.starts_with('.')
        && !folders.any(|folder| APART.contains(&folder))
        && !parts.any(|part| PARTS.contains(&part))
}

/// Whether development dependencies go: the command, or why they stay; nothing when it makes no difference.
pub(super) fn prune(
    app: &Application,
    node: &Tool,
    start: &Begin,
) -> Result<Option<Result<String, String>>, PlanError> {
    let (package, manager) = (&app.package, &app.manager);
    let wish = app.request.setting("PRUNE_DEPS");
    let wish = wish.map(|value| matches!(value.as_str(), "1" | "true"));
    if package.for_development().is_empty() || wish == Some(false) {
        return Ok(None);
    }
    match start {
        Begin::Files(..) => return Ok(None),
        Begin::Program(program, _) if !program.only.is_empty() => return Ok(None),
        _ => {}
    }
    let own = app.request.setting("NODE_PRUNE_CMD");
    let Some(command) = own.or_else(|| manager.prune(node).map(str::to_owned)) else {
        let why = format!("{} cannot do it in place", manager.name());
        return Ok(Some(Err(why)));
    };
    if wish == Some(true) {
        return Ok(Some(Ok(command)));
    }
    if let Some(why) = unsafe_with(app) {
        return Ok(Some(Err(why.to_owned())));
    }
    let bundled = matches!(start, Begin::Program(program, _) if program.bundled);
    let why = match start {
        Begin::Command(command, _) => needed_by_command(package, &app.lock.programs(), command, 0),
        Begin::Nothing => Some("nothing says how to start".to_owned()),
        _ => None,
    };
    let why = match why {
        None if !bundled => needed_by_source(app.request.repo, package)?,
        why => why,
    };
    Ok(Some(why.map_or(Ok(command), Err)))
}

/// Why the manager's command would do more than take development dependencies away.
fn unsafe_with(app: &Application) -> Option<&'static str> {
    let (package, manager) = (&app.package, &app.manager);
    if monorepo::is_monorepo(app.request.repo, package) {
        return Some("there are several packages");
    }
    if manager.lock.is_none() && manager.kind != Kind::Npm {
        return Some("there is no lock file");
    }
    if app.request.repo.is_dir(".yarn/cache") {
        return Some("the packages are files of the repository");
    }
    // These install anew: scripts would run again, and what scripts made would be gone.
    let scripts = install::lifecycle(package).is_some() || package.trusted_dependencies.is_some();
    match manager.kind {
        Kind::Bun if scripts => Some("install scripts would run again"),
        Kind::Bun | Kind::Yarn if install::generates(package) => {
            Some("what was generated into node_modules would go, too")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
