//! Reads Swift sources for the libraries of the system that Foundation links for them.

use std::collections::BTreeSet;

use crate::plan::PlanError;
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};

/// Parts of Foundation, and the library that each links.
const PARTS: [(&str, &str); 2] = [
    ("FoundationNetworking", "curl"),
    ("FoundationXML", "libxml2"),
];

/// The libraries that the sources of the repository link.
pub(super) fn libraries(repo: &Repo) -> Result<BTreeSet<&'static str>, PlanError> {
    let mut found = BTreeSet::new();
    for path in repo.glob("**/*.swift")? {
        if path.starts_with("Tests/") {
            continue;
        }
        if let Some(text) = repo.text(&path)? {
            found.extend(imported(&text));
        }
    }
    Ok(found)
}

fn imported(text: &str) -> BTreeSet<&'static str> {
    let tokens = tokens(text, Style::Slashes);
    let imports = tokens.windows(2).filter_map(|pair| match pair {
        [Token::Word(import), Token::Word(part)] if import == "import" => Some(part.as_str()),
        _ => None,
    });
    let known = |part| PARTS.iter().find(|(name, _)| *name == part);
    imports
        .filter_map(known)
        .map(|(_, library)| *library)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_of_foundation_s_parts_link_libraries() {
        let repo = Repo::in_memory(&[
            (
                "Sources/App/App.swift",
                "import Foundation\n#if canImport(FoundationXML)\nimport FoundationNetworking\n#endif\n// import FoundationXML\n",
            ),
            ("Tests/AppTests/AppTests.swift", "import FoundationXML\n"),
        ]);
        assert_eq!(Vec::from_iter(libraries(&repo).unwrap()), ["curl"]);
    }
}
