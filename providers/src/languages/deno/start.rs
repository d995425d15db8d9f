//! Which program is started, and how.

use crate::javascript::{self, Token};
use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::repo::Repo;

use super::has_ending;
use super::manifest::Manifest;

/// Names of programs, the likeliest first.
const PROGRAMS: [&str; 4] = ["index", "main", "server", "app"];

/// How the program is started.
pub(super) struct StartFact {
    pub(super) command: String,
    pub(super) reason: &'static str,
    pub(super) evidence: Evidence,
    /// The program, when the command names one.
    pub(super) program: Option<String>,
    /// Programs that were not chosen.
    pub(super) others: Vec<String>,
}

/// The task `start`, else the first program.
pub(super) fn start(
    repo: &Repo,
    manifest: Option<(&str, &Manifest)>,
) -> Result<Option<StartFact>, PlanError> {
    let task = manifest.and_then(|(file, manifest)| Some((file, manifest.tasks.get("start")?)));
    if let Some((file, task)) = task {
        let command = task.command();
        // What is more than a call of deno may need the shell and the PATH of tasks.
        let plain = command.filter(|command| {
            command.starts_with("deno ") && !command.contains(['$', '&', '|', ';', '>', '<', '`'])
        });
        return Ok(Some(StartFact {
            command: plain.map_or_else(|| "deno task start".to_owned(), str::to_owned),
            reason: "the task start",
            evidence: Evidence::key(file, "tasks.start", None, "a task"),
            program: command.and_then(|command| program_of(repo, command)),
            others: Vec::new(),
        }));
    }
    let mut programs = programs(repo)?;
    if programs.is_empty() {
        return Ok(None);
    }
    let program = programs.remove(0);
    let serves = repo
        .text(&program)?
        .is_some_and(|text| exports_fetch(&text));
    let listens = repo
        .text(&program)?
        .is_some_and(|text| listens_by_default(&text));
    let word = quote(&program);
    Ok(Some(StartFact {
        command: if serves {
            format!("deno serve --allow-all --host 0.0.0.0 --port ${{PORT:-8000}} {word}")
        } else if listens {
            format!("DENO_SERVE_ADDRESS=tcp:0.0.0.0:${{PORT:-8000}} deno run --allow-all {word}")
        } else {
            format!("deno run --allow-all {word}")
        },
        reason: if serves {
            "it exports fetch, which deno serve calls"
        } else {
            "the first program"
        },
        evidence: Evidence::file(&program, "a program"),
        program: Some(program),
        others: programs,
    }))
}

/// The program in a command: the first word that names a file of the repository and is one.
fn program_of(repo: &Repo, command: &str) -> Option<String> {
    command
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']).trim_start_matches("./"))
        .find(|word| has_ending(word) && repo.is_file(word))
        .map(str::to_owned)
}

/// Programs at the root, then in `src/`, then every `index` below; the likeliest first.
fn programs(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let mut found = javascript::programs(repo, &PROGRAMS);
    if found.is_empty() {
        found = repo.glob("**/index.{ts,tsx,js,jsx}")?;
        found.retain(|path| !path.split('/').any(|part| part == "node_modules"));
    }
    Ok(found)
}

/// Whether a program's default export is an object with a method or property `fetch`.
fn exports_fetch(text: &str) -> bool {
    let tokens = javascript::tokens(text);
    let export = [
        Token::Word("export"),
        Token::Word("default"),
        Token::Sign('{'),
    ];
    let Some(at) = tokens.windows(3).position(|three| *three == export) else {
        return false;
    };
    let mut depth = 0;
    for token in &tokens[at + 2..] {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            Token::Word("fetch") if depth == 1 => return true,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    false
}

/// Whether a program serves and says nothing of a port.
fn listens_by_default(text: &str) -> bool {
    let tokens = javascript::tokens(text);
    let call = [Token::Word("Deno"), Token::Sign('.'), Token::Word("serve")];
    let of_port = |word: &str| word.to_ascii_lowercase().contains("port");
    let named = tokens.iter().any(|token| match token {
        Token::Word("import" | "export") | Token::Sign(_) => false,
        Token::Word(word) | Token::Text(word) => of_port(word),
    });
    tokens.windows(3).any(|three| three == call) && !named
}
