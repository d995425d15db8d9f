//! How often a plan touches the files: each is read and parsed once, each directory listed once, the tree walked once.

mod common;

use std::path::Path;

use packwright_providers::{Counts, Overrides, Repo, detect, plan};

use common::{examples, name};

/// The counts above one, each in words.
fn repeated(counts: &Counts) -> Vec<String> {
    let files = |what: &'static str, times: &std::collections::BTreeMap<String, usize>| {
        times
            .iter()
            .filter(|(_, times)| **times > 1)
            .map(move |(file, times)| format!("{file} is {what} {times} times"))
            .collect::<Vec<_>>()
    };
    let mut found = files("read", &counts.reads);
    found.extend(files("parsed", &counts.parses));
    for (folder, times) in counts.listings.iter().filter(|(_, times)| **times > 1) {
        found.push(format!("{} is listed {times} times", folder.display()));
    }
    // Below `apps` and below `libs` are no two walks of the same folders.
    for (number, walk) in counts.walks.iter().enumerate() {
        let others = counts.walks.iter().skip(number + 1);
        let meets = |other: &&String| {
            let (one, other) = (Path::new(walk), Path::new(*other));
            one.starts_with(other) || other.starts_with(one)
        };
        found.extend(
            others
                .filter(meets)
                .map(|other| format!("walks below {walk:?} and {other:?}")),
        );
    }
    found
}

#[test]
fn detecting_and_planning_an_example_touches_nothing_twice() {
    let mut wrong = Vec::new();
    for example in examples() {
        let repo = Repo::open(&example).unwrap();
        detect(&repo, &Overrides::default()).unwrap();
        plan(&repo, &Overrides::default()).unwrap();
        let repeated = repeated(&repo.counts());
        wrong.extend(
            repeated
                .iter()
                .map(|one| format!("{}: {one}", name(&example))),
        );
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn patterns_through_all_folders_share_one_walk() {
    let repo = Repo::in_memory(&[("a/b/one.zig", ""), ("a/two.cbl", ""), ("three.zig", "")]);
    assert_eq!(repo.glob("**/*.zig").unwrap(), ["a/b/one.zig", "three.zig"]);
    assert_eq!(repo.glob("**/*.cbl").unwrap(), ["a/two.cbl"]);
    assert_eq!(repo.glob("**/b/**").unwrap(), ["a/b/one.zig"]);
    let counts = repo.counts();
    assert_eq!(counts.walks, [""]);
    assert!(
        counts.listings.values().all(|times| *times == 1),
        "{counts:?}"
    );
    assert_eq!(counts.listings.get(Path::new("a/b")), Some(&1));
}
