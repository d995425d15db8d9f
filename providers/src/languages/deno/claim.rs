//! Programs that only Deno can run, in repositories without its manifest.

use std::collections::VecDeque;

use crate::javascript::{self, Token};
use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::repo::{FileKind, Repo};

use super::has_ending;

/// How much is searched for the imports of a program without a manifest.
const FOLDER_LIMIT: usize = 40;
const FILE_LIMIT: usize = 200;

/// Whether a specifier or a use is one of Deno's alone.
fn is_of_deno(specifier: &str) -> bool {
    ["https://deno.land/", "jsr:", "npm:"]
        .iter()
        .any(|prefix| specifier.starts_with(prefix))
}

/// The first program that only Deno can run, folder by folder.
pub(super) fn imports_of_deno(repo: &Repo) -> Result<Option<Evidence>, PlanError> {
    let mut folders = VecDeque::from([String::new()]);
    let (mut searched, mut files) = (0, 0);
    while let Some(folder) = folders.pop_front() {
        searched += 1;
        if searched > FOLDER_LIMIT {
            break;
        }
        for entry in repo.list(&folder)? {
            let hidden = entry.name.starts_with('.') || entry.name == "node_modules";
            match entry.kind {
                FileKind::Directory if !hidden => folders.push_back(entry.path),
                FileKind::File if has_ending(&entry.name) => {
                    files += 1;
                    if files > FILE_LIMIT {
                        return Ok(None);
                    }
                    if let Some(note) = use_of_deno(repo, &entry.path) {
                        return Ok(Some(Evidence::file(&entry.path, &note)));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

fn use_of_deno(repo: &Repo, path: &str) -> Option<String> {
    // A source that cannot be read, such as a very large one, says nothing.
    let text = repo.text(path).ok().flatten()?;
    if !["deno.land/", "jsr:", "npm:", "Deno"]
        .iter()
        .any(|sign| text.contains(sign))
    {
        return None;
    }
    let tokens = javascript::tokens(&text);
    if let Some(import) = javascript::imports(&tokens)
        .into_iter()
        .find(|import| is_of_deno(import))
    {
        return Some(format!("it imports {import}"));
    }
    let member = tokens.windows(2).enumerate().find(|(at, pair)| {
        let own = *at == 0 || tokens[at - 1] != Token::Sign('.');
        own && *pair == [Token::Word("Deno"), Token::Sign('.')]
    });
    member.map(|_| "it uses Deno".to_owned())
}
