//! Chooses the providers of a repository.
//!
//! Owns the choice among claims: the stronger claim first, then one table of pairs with a reason for each. `plan` and
//! `detect` both come here, so they cannot disagree. What each language claims is its own business.

use serde::Serialize;

use crate::languages;
use crate::plan::PlanError;
use crate::provider::{Claim, Decision, Evidence, Provider, near_markers};
use crate::read;
use crate::repo::{FileKind, Repo};

/// A provider that builds this repository, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detected {
    /// The provider's name.
    pub name: String,
    /// Why.
    pub evidence: Evidence,
}

/// Winners, losers and why, for claims that are equally strong. `*` is every language; the first row that has a pair
/// decides it.
const BEATS: &[(&[&str], &[&str], &str)] = &[
    (
        &["staticfile"],
        &["shell"],
        "nixpacks serves such a repository, and would not run the script",
    ),
    (
        &["*"],
        &["shell"],
        "the script starts or builds the program",
    ),
    (
        &["*"],
        &["staticfile"],
        "the pages are what the program builds or serves",
    ),
    (
        &["lunatic"],
        &["rust"],
        "the runner of .cargo/config.toml is lunatic",
    ),
    (
        &["node"],
        &["python"],
        "Python beside a package.json is mostly tooling, or a native module's",
    ),
    (
        &["*"],
        &["python"],
        "Python beside another language's manifest is tooling",
    ),
    (
        &["*"],
        &["node"],
        "a server often keeps a package.json for its assets, hardly the other way round",
    ),
];

/// Programs that serve what another language makes of the same repository: the program, the assistant and why.
const ASSISTS: &[(&[&str], &str, &str)] = &[(
    &["python", "go", "php", "ruby", "rust", "elixir", "perl"],
    "node",
    "its build makes assets that the program serves",
)];

/// nixpacks' order, for pairs that no row of `BEATS` has: two whole programs side by side.
const NIXPACKS_ORDER: &[&str] = &[
    "crystal",
    "c#",
    "dart",
    "elixir",
    "deno",
    "f#",
    "clojure",
    "gleam",
    "go",
    "haskell",
    "scheme",
    "java",
    "lunatic",
    "scala",
    "php",
    "ruby",
    "node",
    "python",
    "rust",
    "swift",
    "staticfile",
    "zig",
    "cobol",
];

/// Files that say how to build, whatever the language.
const CONFIGURATION: [&str; 3] = ["nixpacks.toml", "nixpacks.json", "Procfile"];

/// What was chosen.
#[derive(Default)]
pub(crate) struct Selection {
    pub(crate) chosen: Vec<(&'static dyn Provider, Evidence)>,
    /// Languages that make assets for the first chosen one.
    pub(crate) assistants: Vec<&'static dyn Provider>,
    pub(crate) decisions: Vec<Decision>,
}

/// The providers to use: those that are named, where `"..."` stands for the detected one.
pub(crate) fn select(repo: &Repo, wish: Option<(&str, &[String])>) -> Result<Selection, PlanError> {
    let Some((place, names)) = wish else {
        return detected(repo);
    };
    let mut selection = Selection::default();
    for name in names {
        if matches!(name.as_str(), "..." | "@auto") {
            let found = detected(repo)?;
            selection.decisions.extend(found.decisions);
            selection.chosen.extend(found.chosen);
            selection.assistants.extend(found.assistants);
            continue;
        }
        let provider = languages::find(name).ok_or_else(|| unknown(place, name))?;
        let evidence = Evidence::key(place, "providers", None, &format!("{name} is named"));
        let decision =
            Decision::new("provider", provider.name(), "named by the user").from(evidence.clone());
        selection.decisions.push(decision);
        selection.chosen.push((provider, evidence));
    }
    let mut seen = std::collections::BTreeSet::new();
    selection
        .chosen
        .retain(|(provider, _)| seen.insert(provider.name()));
    selection
        .assistants
        .retain(|provider| seen.insert(provider.name()));
    Ok(selection)
}

fn unknown(place: &str, name: &str) -> PlanError {
    let mut known: Vec<String> = languages::ALL
        .iter()
        .map(|provider| provider.name().to_owned())
        .collect();
    if let Some(near) = read::nearest(name, languages::ALL.iter().map(|provider| provider.name())) {
        known.retain(|name| *name != near);
        known.insert(0, near);
    }
    PlanError::UnknownProvider {
        place: place.to_owned(),
        name: name.to_owned(),
        known,
    }
}

/// Refuses a marker or configuration file that is there but cannot be read as a file: a pipe, a
/// device, a link out of the repository. Passing over it would build something else.
pub(crate) fn refuse_unreadable(repo: &Repo) -> Result<(), PlanError> {
    let markers = languages::ALL
        .iter()
        .flat_map(|provider| provider.markers());
    let known: Vec<&str> = markers.copied().chain(CONFIGURATION).collect();
    for entry in repo.list("")? {
        let suspicious = match entry.kind {
            FileKind::Special => true,
            FileKind::Symlink => !repo.exists(&entry.path),
            FileKind::File | FileKind::Directory => false,
        };
        if suspicious && known.contains(&entry.name.as_str()) {
            repo.text(&entry.path)?;
        }
    }
    Ok(())
}

fn detected(repo: &Repo) -> Result<Selection, PlanError> {
    let mut claims: Vec<(&'static dyn Provider, Claim)> = Vec::new();
    for provider in languages::ALL {
        if let Some(claim) = provider.detect(repo)? {
            claims.push((*provider, claim));
        }
    }
    let strongest = claims.iter().map(|(_, claim)| claim.strength).max();
    let winner = claims
        .iter()
        .filter(|(_, claim)| Some(claim.strength) == strongest)
        .min_by(|(one, _), (two, _)| order(one.name(), two.name()));
    let Some((winner, claim)) = winner.cloned() else {
        return Ok(Selection::default());
    };
    let others: Vec<&(&'static dyn Provider, Claim)> = claims
        .iter()
        .filter(|(other, _)| other.name() != winner.name())
        .collect();
    let assistants: Vec<_> = others
        .iter()
        .filter(|(_, other)| other.assists)
        .filter_map(|(other, claim)| {
            assists(winner.name(), other.name()).map(|why| (*other, claim, why))
        })
        .collect();
    let mut reason = claim.evidence.note.clone();
    let rejected: Vec<String> = others
        .iter()
        .filter(|(other, _)| {
            !assistants
                .iter()
                .any(|(one, _, _)| one.name() == other.name())
        })
        .map(|(other, theirs)| {
            let why = if theirs.strength < claim.strength {
                "a weaker sign"
            } else {
                beats(winner.name(), other.name()).unwrap_or(UNDECIDED)
            };
            format!("{} ({}): {why}", other.name(), theirs.evidence)
        })
        .collect();
    if !rejected.is_empty() {
        reason += "; name others with providers = [\"...\", \"NAME\"]";
    }
    let mut selection = Selection {
        chosen: vec![(winner, claim.evidence.clone())],
        assistants: Vec::new(),
        decisions: vec![
            Decision::new("provider", winner.name(), reason)
                .from(claim.evidence)
                .over(rejected),
        ],
    };
    for (assistant, claim, why) in assistants {
        let decision =
            Decision::new("assistant", assistant.name(), why).from(claim.evidence.clone());
        selection.decisions.push(decision);
        selection.assistants.push(assistant);
    }
    Ok(selection)
}

const UNDECIDED: &str = "both are whole programs; nixpacks takes the first";

/// The winner of two languages comes first.
fn order(one: &str, two: &str) -> std::cmp::Ordering {
    if one == two {
        return std::cmp::Ordering::Equal;
    }
    if beats(one, two).is_some() {
        return std::cmp::Ordering::Less;
    }
    if beats(two, one).is_some() {
        return std::cmp::Ordering::Greater;
    }
    // Languages that nixpacks does not know come last, by name.
    let place = |name: &str| {
        let place = NIXPACKS_ORDER.iter().position(|other| *other == name);
        (place.unwrap_or(NIXPACKS_ORDER.len()), name.to_owned())
    };
    place(one).cmp(&place(two))
}

/// Why a language beats another, when the first row that has the pair says so.
fn beats(winner: &str, loser: &str) -> Option<&'static str> {
    let has = |names: &[&str], name: &str| names.contains(&name) || names == ["*"];
    BEATS
        .iter()
        .find_map(|(winners, losers, reason)| {
            let forth = has(winners, winner) && losers.contains(&loser);
            let back = has(winners, loser) && losers.contains(&winner);
            (forth || back).then_some(forth.then_some(*reason))
        })
        .flatten()
}

fn assists(program: &str, assistant: &str) -> Option<&'static str> {
    ASSISTS
        .iter()
        .find(|(programs, name, _)| programs.contains(&program) && *name == assistant)
        .map(|(_, _, reason)| *reason)
}

/// What to tell somebody whose repository no provider claims.
pub(crate) fn advice(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let entries = repo.list("")?;
    if entries.is_empty() {
        return Ok(vec![
            "the folder is empty, or everything in it is ignored".to_owned(),
        ]);
    }
    let looked: Vec<String> = languages::ALL
        .iter()
        .map(|one| format!("{} ({})", one.name(), one.markers().join(", ")))
        .collect();
    let mut advice = vec![format!("looked for {}", looked.join("; "))];
    let markers: Vec<&str> = languages::ALL
        .iter()
        .flat_map(|one| one.markers().iter().copied())
        .collect();
    let names: Vec<String> = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::File)
        .map(|entry| entry.name.clone())
        .collect();
    advice.extend(near_markers(&names, &markers));
    for marker in markers
        .iter()
        .filter(|marker| repo.is_file(marker) && !repo.in_image(marker))
    {
        advice.push(format!(
            "{marker} is there, but .gitignore or .dockerignore leaves it out"
        ));
    }
    let folders: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == FileKind::Directory && !entry.name.starts_with('.'))
        .collect();
    for folder in folders.iter().take(50) {
        if let Some(marker) = markers
            .iter()
            .find(|marker| repo.is_file(&format!("{}/{marker}", folder.path)))
        {
            advice.push(format!(
                "{}/{marker} is there; build that folder",
                folder.path
            ));
        }
    }
    Ok(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Strength;

    fn name(files: &[(&str, &str)]) -> Option<&'static str> {
        select(&Repo::in_memory(files), None)
            .unwrap()
            .chosen
            .first()
            .map(|(provider, _)| provider.name())
    }

    #[test]
    fn every_pair_of_languages_has_one_order() {
        for one in languages::ALL {
            for two in languages::ALL {
                let there = order(one.name(), two.name());
                assert_eq!(there, order(two.name(), one.name()).reverse());
                assert_eq!(
                    there == std::cmp::Ordering::Equal,
                    one.name() == two.name(),
                    "{} and {}",
                    one.name(),
                    two.name()
                );
            }
        }
    }

    #[test]
    fn the_order_has_no_circle() {
        let mut sorted: Vec<&str> = languages::ALL.iter().map(|one| one.name()).collect();
        sorted.sort_by(|one, two| order(one, two));
        for (index, one) in sorted.iter().enumerate() {
            for two in &sorted[index + 1..] {
                assert_eq!(order(one, two), std::cmp::Ordering::Less, "{one} and {two}");
            }
        }
    }

    #[test]
    fn every_name_in_the_tables_is_a_language() {
        let rows = BEATS
            .iter()
            .flat_map(|(winners, losers, _)| winners.iter().chain(*losers))
            .chain(
                ASSISTS
                    .iter()
                    .flat_map(|(programs, name, _)| programs.iter().chain(std::iter::once(name))),
            );
        for name in rows.filter(|name| **name != "*") {
            assert!(languages::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_package_that_builds_assets_assists_a_program() {
        let repo = Repo::in_memory(&[
            (
                "package.json",
                "{\"scripts\":{\"build\":\"vite build\"},\"devDependencies\":{\"vite\":\"7\"}}",
            ),
            ("requirements.txt", "django"),
        ]);
        let selection = select(&repo, None).unwrap();
        assert_eq!(selection.chosen[0].0.name(), "python");
        assert_eq!(selection.assistants[0].name(), "node");
    }

    #[test]
    fn every_language_is_found_by_one_file_alone() {
        for (file, expected) in [
            ("package.json", "node"),
            ("requirements.txt", "python"),
            ("go.mod", "go"),
            ("composer.json", "php"),
            ("Gemfile", "ruby"),
            ("shard.yml", "crystal"),
            ("Package.swift", "swift"),
            ("build.zig", "zig"),
            ("index.cbl", "cobol"),
            ("index.html", "staticfile"),
            ("start.sh", "shell"),
        ] {
            let text = match file {
                "package.json" | "composer.json" => "{}",
                "go.mod" => "module a\n",
                _ => "",
            };
            assert_eq!(name(&[(file, text)]), Some(expected));
        }
    }

    #[test]
    fn a_package_beats_its_page_and_says_what_it_rejected() {
        let repo = Repo::in_memory(&[
            ("package.json", "{\"scripts\":{\"start\":\"x\"}}"),
            ("index.html", ""),
            ("start.sh", ""),
        ]);
        let decisions = select(&repo, None).unwrap().decisions;
        assert_eq!(decisions[0].choice, "node");
        assert_eq!(decisions[0].rejected.len(), 2);
    }

    #[test]
    fn a_package_that_cannot_start_gives_way_to_a_python_manifest() {
        assert_eq!(
            name(&[
                ("package.json", "{\"devDependencies\":{\"prettier\":\"3\"}}"),
                ("requirements.txt", "flask")
            ]),
            Some("python")
        );
        assert_eq!(
            name(&[
                ("package.json", "{\"scripts\":{\"start\":\"x\"}}"),
                ("requirements.txt", "flask")
            ]),
            Some("node")
        );
    }

    #[test]
    fn an_ignored_marker_does_not_count_and_is_told() {
        let repo = Repo::in_memory(&[("index.html", ""), (".gitignore", "*.html")]);
        assert!(select(&repo, None).unwrap().chosen.is_empty());
        assert!(
            advice(&repo)
                .unwrap()
                .iter()
                .any(|line| line.contains("index.html is there, but"))
        );
    }

    #[test]
    fn misspelt_markers_and_subfolders_are_advice() {
        let repo = Repo::in_memory(&[
            ("requirments.txt", ""),
            ("Package.json", "{}"),
            ("web/package.json", "{}"),
            ("go.mod.txt", ""),
        ]);
        let advice = advice(&repo).unwrap().join("\n");
        assert!(
            advice.contains("requirments.txt looks like requirements.txt"),
            "{advice}"
        );
        assert!(
            advice.contains("Package.json looks like package.json"),
            "{advice}"
        );
        assert!(advice.contains("web/package.json is there"), "{advice}");
    }

    #[test]
    fn an_unknown_provider_names_the_nearest() {
        let error = select(
            &Repo::in_memory(&[]),
            Some(("nixpacks.toml", &["pyton".to_owned()])),
        )
        .err()
        .unwrap();
        assert!(
            error.hint().unwrap().starts_with("providers are python"),
            "{:?}",
            error.hint()
        );
    }

    #[test]
    fn strength_is_ordered() {
        assert!(Strength::Definite > Strength::Likely && Strength::Likely > Strength::Weak);
    }
}
