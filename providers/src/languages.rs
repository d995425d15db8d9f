//! The languages, in nixpacks' order. One line a language.

pub mod bun;
pub mod clojure;
pub mod cobol;
pub mod cpp;
pub mod crystal;
pub mod csharp;
pub mod dart;
pub mod deno;
pub mod elixir;
pub mod fsharp;
pub mod gleam;
pub mod go;
pub mod haskell;
pub mod java;
pub mod lua;
pub mod lunatic;
pub mod node;
pub mod ocaml;
pub mod perl;
pub mod php;
pub mod python;
pub mod ruby;
pub mod rust;
pub mod scala;
pub mod scheme;
pub mod shell;
pub mod staticfile;
pub mod swift;
pub mod zig;

use crate::provider::Provider;

/// Every provider.
pub const ALL: &[&dyn Provider] = &[
    &crystal::Crystal,
    &csharp::CSharp,
    &dart::Dart,
    &elixir::Elixir,
    &deno::Deno,
    &fsharp::FSharp,
    &clojure::Clojure,
    &gleam::Gleam,
    &go::Go,
    &scheme::Scheme,
    &haskell::Haskell,
    &java::Java,
    &lunatic::Lunatic,
    &scala::Scala,
    &php::Php,
    &ruby::Ruby,
    &node::Node,
    &python::Python,
    &rust::Rust,
    &swift::Swift,
    &staticfile::Staticfile,
    &zig::Zig,
    &cobol::Cobol,
    &shell::Shell,
    &bun::Bun,
    &cpp::Cpp,
    &lua::Lua,
    &ocaml::Ocaml,
    &perl::Perl,
];

/// The provider of a name.
pub fn find(name: &str) -> Option<&'static dyn Provider> {
    ALL.iter().find(|provider| provider.name() == name).copied()
}

/// A word that the shell takes as one word.
pub(crate) fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/+=:@%,".contains(letter);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.starts_with('-') {
        single_quoted(&format!("./{word}"))
    } else {
        single_quoted(word)
    }
}

/// Any text as one word of the shell.
pub(crate) fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

pub(crate) fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What a provider proposes for some files.
#[cfg(test)]
pub(crate) fn proposed(
    provider: &dyn Provider,
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> crate::provider::Proposal {
    asked(provider, files, variables).unwrap()
}

/// What a provider answers for some files.
#[cfg(test)]
pub(crate) fn asked(
    provider: &dyn Provider,
    files: &[(&str, &str)],
    variables: &[(&str, &str)],
) -> Result<crate::provider::Proposal, crate::plan::PlanError> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    provider.propose(&crate::provider::Request {
        repo: &crate::repo::Repo::in_memory(files),
        variables: &variables,
        test: false,
        assisting: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_a_file_that_documents_its_five_points() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/languages");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension() == Some("rs".as_ref()))
            .collect();
        files.sort();
        assert_eq!(files.len(), ALL.len());
        for file in files {
            let source = std::fs::read_to_string(&file).unwrap();
            for point in [
                "Claims:",
                "Version from:",
                "Installs with:",
                "Builds with:",
                "Starts with:",
            ] {
                let there = source
                    .lines()
                    .any(|line| line.starts_with(&format!("//! - {point}")));
                assert!(there, "{point} in {}", file.display());
            }
        }
    }

    #[test]
    fn words_with_anything_special_are_quoted() {
        assert_eq!(quote("cmd/web"), "cmd/web");
        assert_eq!(quote("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quote("-rf"), "'./-rf'");
    }
}
