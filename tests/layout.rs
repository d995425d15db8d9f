//! The shape of the repository: who may name whom, who prints, and what each file has to say of itself.
//!
//! Reads the sources as text without comments, strings and unit tests. It is no parser of Rust; it knows enough of
//! Rust's tokens that neither a comment nor a group of imports misleads it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder, relative to the repository, sorted.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![repository().join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let inside = path.strip_prefix(repository()).unwrap();
                found.push(inside.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no Rust files in {folder}");
    found
}

fn read(file: &str) -> String {
    let path = repository().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether the file is a module of unit tests.
fn is_tests(file: &str) -> bool {
    file.ends_with("/tests.rs")
}

/// The code of a file: no comments, the insides of strings and characters gone, no unit tests at its end.
fn code(text: &str) -> String {
    let bare = without_comments_and_strings(text);
    let end = bare.find("#[cfg(test)]\nmod tests").unwrap_or(bare.len());
    bare[..end].to_owned()
}

fn without_comments_and_strings(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !ends_in_word(&bare)) {
            bare.push_str("\"\"");
            length
        } else if letter == '"' {
            bare.push_str("\"\"");
            quoted(rest, '"')
        } else if let Some(length) = character(rest) {
            bare.push_str("' '");
            length
        } else {
            bare.push(letter);
            letter.len_utf8()
        };
        rest = &rest[skipped..];
    }
    bare
}

fn ends_in_word(bare: &str) -> bool {
    bare.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

/// The length of `r#"..."#` with any number of hashes, or of `br"..."`.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = if text.starts_with("br") { 2 } else { 1 };
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).unwrap_or(inside.len());
    Some(prefix + hashes + 1 + length + end.len())
}

/// The length of a literal between two of the same quotes, with backslashes in it.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut letters = text.strip_prefix('\'')?.chars();
    match (letters.next()?, letters.next()) {
        ('\\', _) => Some(quoted(text, '\'')),
        (one, Some('\'')) => Some(2 + one.len_utf8()),
        _ => None,
    }
}

/// The modules of this crate that the code names: `crate::a`, `crate::{a, b::c}`, and `super::`
/// from a file directly below `src/`.
fn modules_named(file: &str, code: &str) -> BTreeSet<String> {
    let tight: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut named = BTreeSet::new();
    let mut paths = vec!["crate::", "packwright::"];
    if file.matches('/').count() == 1 {
        paths.push("super::");
    }
    for path in paths {
        for (at, _) in tight.match_indices(path) {
            if !ends_in_word(&tight[..at]) {
                named.extend(first_names(&tight[at + path.len()..]));
            }
        }
    }
    named
}

/// The first names of what follows a path: one word, or the words at the top of a group.
fn first_names(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let word = |letter: &char| letter.is_alphanumeric() || *letter == '_';
        text.chars().take_while(word).collect()
    };
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(word(group[start..at].trim_start()));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The part of the crate that a file belongs to: `engine` for src/engine.rs and src/engine/native.rs.
fn part(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

#[test]
fn imports_run_one_way() {
    const SIBLINGS: [&str; 3] = ["engine", "environment", "image"];
    const ABOVE: [&str; 3] = ["pipeline", "cli", "error"];
    // What everything stands on names nothing of what stands on it.
    const GROUND: [&str; 8] = [
        "attached",
        "cache",
        "hash",
        "interrupt",
        "report",
        "stamp",
        "unpack",
        "whole",
    ];
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let part = part(&file);
        let forbidden: Vec<&str> = if SIBLINGS.contains(&part) {
            let others = SIBLINGS.into_iter().filter(|other| *other != part);
            others.chain(ABOVE).collect()
        } else if GROUND.contains(&part) {
            SIBLINGS.into_iter().chain(ABOVE).collect()
        } else if part == "pipeline" {
            vec!["cli", "error"]
        } else {
            continue;
        };
        let named = modules_named(&file, &code(&read(&file)));
        for module in forbidden.iter().filter(|module| named.contains(**module)) {
            wrong.push(format!("{file} names {module}"));
        }
    }
    assert_eq!(wrong, [""; 0], "imports run cli -> pipeline -> parts");
}

#[test]
fn the_providers_touch_the_world_through_repo_alone() {
    const WORLD: [&str; 5] = [
        "std::env",
        "std::net",
        "std::process",
        "std::thread",
        "std::time",
    ];
    let mut wrong = Vec::new();
    for file in rust_files("providers/src") {
        if is_tests(&file) {
            continue;
        }
        let code = code(&read(&file));
        let disk = file.starts_with("providers/src/repo");
        let forbidden = WORLD.iter().chain((!disk).then_some(&"std::fs"));
        for name in forbidden.filter(|name| code.contains(**name)) {
            wrong.push(format!("{file} names {name}"));
        }
        if code.contains("HashMap") || code.contains("HashSet") {
            wrong.push(format!("{file} has an order of hashes"));
        }
    }
    assert_eq!(wrong, [""; 0], "providers/ is pure");
}

#[test]
fn only_the_command_line_prints() {
    // An image on its way to standard output; a process that stands for another program, whose caller reads what it says.
    const EXCEPT: [&str; 2] = ["src/image/archive.rs", "src/attached.rs"];
    const PRINTING: [&str; 7] = [
        "println!",
        "print!",
        "eprintln!",
        "eprint!",
        "dbg!",
        "stdout()",
        "stderr()",
    ];
    let mut wrong = Vec::new();
    for file in [rust_files("src"), rust_files("providers/src")].concat() {
        if part(&file) == "cli" || is_tests(&file) || EXCEPT.contains(&file.as_str()) {
            continue;
        }
        let code = code(&read(&file));
        for call in PRINTING {
            let prints = code
                .match_indices(call)
                .any(|(at, _)| !ends_in_word(&code[..at]));
            if prints {
                wrong.push(format!("{file} calls {call}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0], "only src/cli* prints");
}

#[test]
fn only_the_command_line_and_the_sandboxs_processes_end_the_process() {
    const EXCEPT: [&str; 2] = ["src/main.rs", "src/engine/native/stage.rs"];
    let files = [rust_files("src"), rust_files("providers/src")].concat();
    let wrong: Vec<&String> = files
        .iter()
        .filter(|file| part(file) != "cli" && !EXCEPT.contains(&file.as_str()))
        .filter(|file| code(&read(file)).contains("process::exit"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} end the process");
}

#[test]
fn unsafe_code_is_in_one_file() {
    let files = [rust_files("src"), rust_files("providers/src")].concat();
    let found: Vec<&String> = files
        .iter()
        .filter(|file| code(&read(file)).contains("unsafe {"))
        .collect();
    assert_eq!(found, ["src/engine/native/sys.rs"]);
}

#[test]
fn every_file_opens_by_saying_what_it_owns() {
    for file in [rust_files("src"), rust_files("providers/src")].concat() {
        if is_tests(&file) && file.starts_with("providers/") {
            continue;
        }
        assert!(
            read(&file).starts_with("//! "),
            "{file} does not say what it owns"
        );
    }
}

#[test]
fn every_language_opens_with_its_five_points() {
    const POINTS: [&str; 5] = [
        "//! - Claims: ",
        "//! - Version from: ",
        "//! - Installs with: ",
        "//! - Builds with: ",
        "//! - Starts with: ",
    ];
    let folder = PathBuf::from("providers/src/languages");
    let languages: Vec<String> = rust_files("providers/src/languages")
        .into_iter()
        .filter(|file| Path::new(file).parent() == Some(&folder))
        .collect();
    for file in &languages {
        let text = read(file);
        let head = text.lines().take_while(|line| line.starts_with("//!"));
        let points: Vec<&str> = head.filter(|line| line.starts_with("//! - ")).collect();
        assert_eq!(points.len(), POINTS.len(), "{file}: {points:?}");
        for (line, point) in points.iter().zip(POINTS) {
            assert!(line.starts_with(point), "{file}: {line:?} is not {point:?}");
        }
    }
    let registry = read("providers/src/languages.rs");
    for file in &languages {
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        assert!(
            registry.contains(&format!("    &{name}::")),
            "{name} is not in languages.rs"
        );
    }
}

#[test]
fn every_example_says_what_has_to_come_back_and_is_in_the_list() {
    let list = read("examples/README.md");
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            path.join("expect.toml").is_file(),
            "{name} has no expect.toml"
        );
        assert!(
            list.contains(&format!("| `{name}` |")),
            "{name} is not in examples/README.md"
        );
    }
}

#[test]
fn every_test_file_is_in_the_list_of_contributing() {
    let list = read("CONTRIBUTING.md");
    for folder in ["tests", "providers/tests"] {
        for file in rust_files(folder) {
            let inside = file.strip_prefix("tests/").unwrap_or(&file);
            assert!(
                inside.ends_with("common/mod.rs") || list.contains(&format!("| `{inside}` |")),
                "{file} is not in CONTRIBUTING.md"
            );
        }
    }
}

#[test]
fn every_variable_of_ours_is_in_the_readme() {
    // Between two processes of ours or two lines of a Dockerfile, and a prefix in a message or a format.
    const INTERNAL: [&str; 3] = [
        "PACKWRIGHT_NAMESPACE",
        "PACKWRIGHT_",
        "PACKWRIGHT_SECRETS_OF_",
    ];
    let readme = read("README.md");
    for file in rust_files("src") {
        let text = read(&file);
        for (at, _) in text.match_indices("PACKWRIGHT_") {
            let word = |letter: &char| letter.is_ascii_uppercase() || *letter == '_';
            let name: String = text[at..].chars().take_while(word).collect();
            assert!(
                INTERNAL.contains(&name.as_str()) || readme.contains(&format!("`{name}`")),
                "{name} of {file} is not in README.md"
            );
        }
    }
}

#[test]
fn comments_strings_and_groups_do_not_mislead_these_tests() {
    let text = "// crate::cli\nuse crate::{image::{Layer, b}, cache};\nlet a = \"crate::engine\"; let b = '\"';\n\
        let c = r#\"\"crate::pipeline\"#; fn d<'a>(x: &'a str) { crate::report::x() }\n\
        #[cfg(test)]\nmod tests { use crate::environment; }";
    let named: Vec<String> = modules_named("src/x/y.rs", &code(text))
        .into_iter()
        .collect();
    assert_eq!(named, ["cache", "image", "report"]);
    let above = modules_named("src/engine.rs", "super::image::x(); use super::{cli};");
    assert_eq!(above.len(), 2);
}
