//! What the tests of this crate share: the examples, and what the sources of a provider say.

#![allow(dead_code)] // No test file uses all of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of examples, sorted.
pub fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The name of an example.
pub fn name(example: &Path) -> &str {
    example.file_name().unwrap().to_str().unwrap()
}

/// The sources of a provider: its file and those in its folder, without unit tests.
pub fn sources(provider: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/languages");
    let own = folder.join(format!("{}.rs", module(provider)));
    let mut text =
        fs::read_to_string(&own).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
    if let Some(tests) = text.find("#[cfg(test)]\nmod tests {") {
        text.truncate(tests);
    }
    let mut inside: Vec<PathBuf> = fs::read_dir(own.with_extension(""))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    inside.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    inside.sort();
    for file in inside.iter().filter(|file| !file.ends_with("tests.rs")) {
        text.push_str(&fs::read_to_string(file).unwrap());
    }
    text
}

/// The module that has a provider: the name, but for names that are no word.
pub fn module(provider: &str) -> &str {
    match provider {
        "c#" | "csharp" => "csharp",
        "f#" | "fsharp" => "fsharp",
        word => word,
    }
}

/// The variables that a provider's sources read, with their prefix, sorted.
pub fn settings(provider: &str) -> Vec<String> {
    let text = sources(provider);
    let word = |text: &str| -> String {
        let letters = text.chars();
        letters
            .take_while(|letter| {
                letter.is_ascii_uppercase() || letter.is_ascii_digit() || *letter == '_'
            })
            .collect()
    };
    let mut found = BTreeSet::new();
    for call in ["setting(\"", "setting_with_evidence(\""] {
        for (at, _) in text.match_indices(call) {
            found.insert(format!("NIXPACKS_{}", word(&text[at + call.len()..])));
        }
    }
    for (at, prefix) in text.match_indices("NIXPACKS_") {
        let rest = word(&text[at + prefix.len()..]);
        if !rest.is_empty() {
            found.insert(format!("{prefix}{rest}"));
        }
    }
    found.remove("NIXPACKS_METADATA");
    found.into_iter().collect()
}
