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

/// Winner, loser, and why, for claims that are equally strong.
const BEATS: &[(&str, &str, &str)] = &[
    (
        "go",
        "node",
        "a Go server often keeps a package.json for its assets, hardly the other way round",
    ),
    ("go", "python", "Python beside a Go module is tooling"),
    ("go", "staticfile", "the pages are what the program serves"),
    ("go", "shell", "the script starts or builds the program"),
    (
        "node",
        "python",
        "Python beside a package.json is mostly tooling, or a native module's",
    ),
    (
        "node",
        "staticfile",
        "index.html is the page that the package builds or serves",
    ),
    ("node", "shell", "the script starts or builds the package"),
    (
        "python",
        "staticfile",
        "the pages are what the program serves",
    ),
    ("python", "shell", "the script starts or builds the program"),
    (
        "staticfile",
        "shell",
        "nixpacks serves such a repository, and would not run the script",
    ),
];

/// Files that say how to build, whatever the language.
const CONFIGURATION: [&str; 3] = ["nixpacks.toml", "nixpacks.json", "Procfile"];

/// What was chosen.
pub(crate) struct Selection {
    pub(crate) chosen: Vec<(&'static dyn Provider, Evidence)>,
    pub(crate) decisions: Vec<Decision>,
}

/// The providers to use: those that are named, where `"..."` stands for the detected one.
pub(crate) fn select(repo: &Repo, wish: Option<(&str, &[String])>) -> Result<Selection, PlanError> {
    let Some((place, names)) = wish else {
        return detected(repo);
    };
    let mut selection = Selection {
        chosen: Vec::new(),
        decisions: Vec::new(),
    };
    for name in names {
        if matches!(name.as_str(), "..." | "@auto") {
            let found = detected(repo)?;
            selection.decisions.extend(found.decisions);
            selection.chosen.extend(found.chosen);
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
    let Some(strongest) = claims.iter().map(|(_, claim)| claim.strength).max() else {
        return Ok(Selection {
            chosen: Vec::new(),
            decisions: Vec::new(),
        });
    };
    let (first, others): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|(_, claim)| claim.strength == strongest);
    let winner = first.iter().find(|(one, _)| {
        first
            .iter()
            .all(|(two, _)| one.name() == two.name() || beats(one.name(), two.name()).is_some())
    });
    let Some((winner, claim)) = winner.or(first.first()).cloned() else {
        return Ok(Selection {
            chosen: Vec::new(),
            decisions: Vec::new(),
        });
    };
    let mut reason = claim.evidence.note.clone();
    let mut rejected = Vec::new();
    for (loser, other) in first
        .iter()
        .filter(|(other, _)| other.name() != winner.name())
    {
        let why = beats(winner.name(), loser.name()).unwrap_or_default();
        rejected.push(format!("{} ({}): {why}", loser.name(), other.evidence));
    }
    rejected.extend(
        others
            .iter()
            .map(|(loser, other)| format!("{} ({}): a weaker sign", loser.name(), other.evidence)),
    );
    if !rejected.is_empty() {
        reason += "; name others with providers = [\"...\", \"NAME\"]";
    }
    let decision = Decision::new("provider", winner.name(), reason)
        .from(claim.evidence.clone())
        .over(rejected);
    Ok(Selection {
        chosen: vec![(winner, claim.evidence)],
        decisions: vec![decision],
    })
}

fn beats(winner: &str, loser: &str) -> Option<&'static str> {
    BEATS
        .iter()
        .find(|(one, two, _)| *one == winner && *two == loser)
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
    fn every_pair_of_languages_has_one_order_and_a_reason() {
        for (index, one) in languages::ALL.iter().enumerate() {
            for two in &languages::ALL[index + 1..] {
                let there = beats(one.name(), two.name()).is_some();
                let back = beats(two.name(), one.name()).is_some();
                assert!(there ^ back, "{} and {}", one.name(), two.name());
            }
        }
    }

    #[test]
    fn every_language_is_found_by_one_file_alone() {
        for (file, expected) in [
            ("package.json", "node"),
            ("requirements.txt", "python"),
            ("go.mod", "go"),
            ("index.html", "staticfile"),
            ("start.sh", "shell"),
        ] {
            let text = match file {
                "package.json" => "{}",
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
