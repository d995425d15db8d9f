//! Reads Crystal sources for the libraries of the system that they link.

use std::collections::BTreeSet;

use crate::plan::PlanError;
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};

/// What every program links: the collector, regular expressions, the event loop.
const ALWAYS: [&str; 3] = ["bdw-gc", "libpcre2-8", "libevent"];

/// Parts of the standard library, and the libraries that they link.
const PARTS: &[(&str, &[&str])] = &[
    ("big", &["gmp"]),
    ("compress", &["zlib"]),
    ("digest", &["openssl", "zlib"]),
    ("http", &["openssl", "zlib"]),
    ("oauth", &["openssl", "zlib"]),
    ("oauth2", &["openssl", "zlib"]),
    ("openssl", &["openssl"]),
    ("uuid", &["openssl"]),
    ("xml", &["libxml2"]),
    ("yaml", &["yaml-0.1"]),
];

/// The libraries that the sources of the repository link, by any of their names.
pub(super) fn libraries(repo: &Repo) -> Result<BTreeSet<String>, PlanError> {
    let mut found: BTreeSet<String> = ALWAYS.iter().map(|one| (*one).to_owned()).collect();
    for path in repo.glob("**/*.cr")? {
        // Specs are not part of the program, and lib/ is what shards installs.
        if path.starts_with("spec/") || path.starts_with("lib/") {
            continue;
        }
        if let Some(text) = repo.text(&path)? {
            take(&text, &mut found);
        }
    }
    Ok(found)
}

fn take(text: &str, found: &mut BTreeSet<String>) {
    let tokens = tokens(text, Style::Hash);
    for (at, token) in tokens.iter().enumerate() {
        match (token.word(), tokens.get(at + 1..).unwrap_or_default()) {
            (Some("require"), [Token::Text(path), ..]) => {
                let part = path.split('/').next().unwrap_or_default();
                let known = PARTS.iter().filter(|(name, _)| *name == part);
                found.extend(
                    known.flat_map(|(_, libraries)| libraries.iter().map(|one| (*one).to_owned())),
                );
            }
            // @[Link("sqlite3")] above a `lib`.
            (Some("Link"), [Token::Sign('('), Token::Text(library), ..]) => {
                found.insert(library.clone());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_and_linked_is_found_and_specs_are_not_read() {
        let repo = Repo::in_memory(&[
            (
                "src/shop.cr",
                "require \"yaml\"\nrequire \"./shop/*\"\n# require \"xml\"\nputs \"a #{1}\"\n",
            ),
            (
                "src/shop/db.cr",
                "@[Link(\"sqlite3\")]\nlib LibSQLite3\nend\n",
            ),
            ("spec/a_spec.cr", "require \"big\"\n"),
            ("lib/kemal/src/kemal.cr", "require \"http\"\n"),
        ]);
        assert_eq!(
            Vec::from_iter(libraries(&repo).unwrap()),
            ["bdw-gc", "libevent", "libpcre2-8", "sqlite3", "yaml-0.1"]
        );
    }
}
