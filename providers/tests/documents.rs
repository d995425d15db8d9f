//! docs/providers.md is what the sources say of themselves: one section for each provider, written from its module's
//! documentation, the settings that it reads and the examples that it builds. `UPDATE_DOCS=1` writes the page anew.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use packwright_providers::{Overrides, Planned, Provider, Repo, languages, plan};

use common::{examples, module, name, settings};

/// How the page and the table are written.
const UPDATE: &str = "run UPDATE_DOCS=1 cargo test -p packwright-providers --test documents, and read the difference";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const HEAD: &str = "# Providers

What each language is recognised by, where its version comes from, and how it is installed, built and started. `packwright
explain` says which of these held for an app. `NIXPACKS_` settings are given with `--env` or in `[variables]` of
`nixpacks.toml`; where one is missing, Railpack's `RAILPACK_` variable of the same name counts. Written from the sources by `UPDATE_DOCS=1 just test --test documents`.
";

/// The providers by name.
fn providers() -> Vec<&'static dyn Provider> {
    let mut all = languages::ALL.to_vec();
    all.sort_by_key(|provider| provider.name());
    all
}

/// The documentation at the head of a provider's module.
fn module_documentation(provider: &str) -> String {
    let file = format!(
        "{}/src/languages/{}.rs",
        env!("CARGO_MANIFEST_DIR"),
        module(provider)
    );
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n").trim().to_owned()
}

/// The examples whose snapshot says that this provider builds them.
fn examples_of(provider: &str) -> Vec<String> {
    let of_provider = |example: &PathBuf| {
        let file = format!(
            "{}/tests/snapshots/{}.snap",
            env!("CARGO_MANIFEST_DIR"),
            name(example)
        );
        let snapshot = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let detected = snapshot
            .lines()
            .find_map(|line| line.strip_prefix("detect: "));
        detected.is_some_and(|one| one.starts_with(&format!("{provider} by ")))
    };
    let found = examples().into_iter().filter(of_provider);
    found.map(|example| name(&example).to_owned()).collect()
}

fn section(provider: &str) -> String {
    let mut text = format!("\n## {provider}\n\n{}\n", module_documentation(provider));
    let code = |words: Vec<String>| -> String {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let settings = settings(provider);
    if !settings.is_empty() {
        writeln!(text, "- Settings: {}", code(settings)).unwrap();
    }
    let links: Vec<String> = examples_of(provider)
        .iter()
        .map(|example| format!("[{example}](../examples/{example})"))
        .collect();
    writeln!(text, "- Examples: {}", links.join(", ")).unwrap();
    text
}

#[test]
fn the_page_of_providers_says_what_the_sources_say() {
    let page = root().join("docs/providers.md");
    let sections: String = providers()
        .iter()
        .map(|provider| section(provider.name()))
        .collect();
    let text = format!("{HEAD}{sections}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &text).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == text,
        "docs/providers.md is out of date: {UPDATE}"
    );
}

#[test]
fn every_provider_has_an_example() {
    let without: Vec<&str> = providers()
        .iter()
        .map(|provider| provider.name())
        .filter(|name| examples_of(name).is_empty())
        .collect();
    assert_eq!(without, [""; 0]);
}

/// Whether something starts, or the user is told what to do about it.
fn helps(planned: &Planned) -> bool {
    let command = planned
        .plan
        .start
        .as_ref()
        .and_then(|start| start.cmd.as_ref());
    let told = |warning: &String| warning.starts_with("nothing says how to start: ");
    command.is_some() || planned.warnings.iter().any(told)
}

#[test]
fn every_provider_starts_the_app_or_says_what_to_do() {
    let mut without = Vec::new();
    for provider in providers() {
        let name = provider.name();
        let named = format!("providers = [\"{name}\"]\n");
        let mut apps = vec![vec![("nixpacks.toml", named.as_str())]];
        let files = provider
            .markers()
            .iter()
            .filter(|marker| !marker.contains(['*', '/']));
        apps.extend(files.map(|marker| vec![("nixpacks.toml", named.as_str()), (*marker, "")]));
        for app in apps {
            // An empty manifest may be refused: that says what to do, too.
            let planned = plan(&Repo::in_memory(&app), &Overrides::default());
            if planned.is_ok_and(|planned| !helps(&planned)) {
                without.push(format!("{name} with {:?}", app.last()));
            }
        }
    }
    assert_eq!(without, [""; 0]);
}

/// The README's table: each provider, linked, and the files that it looks for.
fn table() -> String {
    let mut text = "| Language | Recognised by |\n|---|---|\n".to_owned();
    for provider in providers() {
        let name = provider.name();
        let link = format!("[{name}](docs/providers.md#{})", anchor(name));
        let markers: Vec<String> = provider
            .markers()
            .iter()
            .map(|marker| format!("`{marker}`"))
            .collect();
        writeln!(text, "| {link} | {} |", markers.join(", ")).unwrap();
    }
    text
}

#[test]
fn the_readmes_table_of_languages_is_that_of_the_sources() {
    let file = root().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    let start = readme
        .find("| Language | Recognised by |")
        .expect("README.md has a table of languages");
    let rows = readme[start..].find("\n\n").expect("a table ends");
    let written = &readme[start..=start + rows];
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, readme.replace(written, &table())).unwrap();
        return;
    }
    assert!(
        written == table(),
        "the table of README.md is out of date: {UPDATE}"
    );
}

/// The anchor that a heading has on a page: letters, digits and dashes.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    lower
        .chars()
        .filter(|letter| letter.is_alphanumeric() || *letter == '-')
        .collect()
}

#[derive(serde::Deserialize)]
struct Differences {
    sections: std::collections::BTreeMap<String, String>,
    difference: Vec<Rule>,
}

#[derive(serde::Deserialize)]
struct Rule {
    provider: String,
    reason: String,
}

#[test]
fn every_rule_of_a_difference_has_its_section_in_the_page_of_differences() {
    let rules = fs::read_to_string(root().join("tests/nixpacks/differences.toml")).unwrap();
    let rules: Differences = toml::from_str(&rules).unwrap();
    let page = fs::read_to_string(root().join("docs/differences.md")).unwrap();
    for rule in rules.difference {
        let heading = rules
            .sections
            .get(&rule.provider)
            .unwrap_or_else(|| panic!("no section for {}: {}", rule.provider, rule.reason));
        let there = page
            .lines()
            .any(|line| line.trim_start_matches('#').trim() == heading);
        assert!(there, "no heading {heading:?} in docs/differences.md");
    }
}
