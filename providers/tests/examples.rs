//! What is decided for every example, and which provider wins among marker files.
//!
//! A snapshot holds detection, warnings and plan of one example: a change of any plan shows up in
//! review, and belongs into CHANGELOG.md. `INSTA_UPDATE=always` writes the snapshots anew.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use packwright_providers::{BuildPlan, Overrides, Planned, Repo, detect, plan};

use common::{examples, name};

/// A new view of the same files each time, so that nothing is remembered between two plans.
fn open(example: &Path) -> Repo {
    Repo::open(example).unwrap_or_else(|error| panic!("{}: {error}", name(example)))
}

fn planned(repo: &Repo, overrides: &Overrides) -> Planned {
    plan(repo, overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// `node by package.json`, or `nothing`.
fn detection(repo: &Repo) -> String {
    let found = detect(repo, &Overrides::default()).unwrap();
    if found.is_empty() {
        return "nothing".to_owned();
    }
    let each: Vec<String> = found
        .iter()
        .map(|one| format!("{} by {}", one.name, one.evidence))
        .collect();
    each.join(", ")
}

#[test]
fn every_example_has_the_plan_that_was_reviewed() {
    for example in examples() {
        let planned = planned(&open(&example), &Overrides::default());
        let mut lines = vec![format!("detect: {}", detection(&open(&example)))];
        lines.extend(
            planned
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        lines.push(planned.plan.to_json().unwrap());
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name(&example), lines.join("\n")));
    }
}

#[test]
fn every_snapshot_is_of_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let snapshots: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".snap").map(str::to_owned))
        .collect();
    let names: BTreeSet<String> = examples().iter().map(|one| name(one).to_owned()).collect();
    assert_eq!(snapshots, names);
}

#[test]
fn detect_names_the_providers_that_plan_uses() {
    for example in examples() {
        let found = detect(&open(&example), &Overrides::default()).unwrap();
        let names: Vec<String> = found.into_iter().map(|one| one.name).collect();
        let planned = planned(&open(&example), &Overrides::default());
        assert_eq!(names, planned.providers, "{}", name(&example));
    }
}

/// The ending of a plan's file, and how the plan is written.
type Format = (&'static str, fn(&BuildPlan) -> String);

const FORMATS: [Format; 2] = [
    ("json", |plan| plan.to_json().unwrap()),
    ("toml", |plan| plan.to_toml().unwrap()),
];

#[test]
fn two_readings_of_the_same_files_give_the_same_bytes() {
    for example in examples() {
        for (format, write) in FORMATS {
            let text = || write(&planned(&open(&example), &Overrides::default()).plan);
            assert_eq!(text(), text(), "{} as {format}", name(&example));
        }
    }
}

/// What users say beside the files: nothing, variables, flags, a plan as JSON.
fn ways_to_override() -> Vec<Overrides> {
    let text = |words: &str| Some(words.to_owned());
    let list = |word: &str| vec![word.to_owned()];
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        Overrides::default(),
        Overrides {
            env: BTreeMap::from([
                variable("NIXPACKS_START_CMD", "./serve 'two words' \"$PORT\""),
                variable("NIXPACKS_BUILD_CACHE_DIRS", "/a,b"),
                variable("COLOUR", "blue = \u{fc}\\n"),
            ]),
            test: true,
            ..Overrides::default()
        },
        Overrides {
            install_cmd: text("make deps"),
            build_cmd: text("printf '%s\\n' \"$HOME\""),
            start_cmd: text("exec ./out"),
            pkgs: list("jq"),
            apt: list("ffmpeg"),
            libs: list("zlib"),
            ..Overrides::default()
        },
        Overrides {
            json_plan: text(
                r#"{"phases":{"lint":{"cmds":["true"],"dependsOn":["..."]},"build":{"cmds":["...","date"]}}}"#,
            ),
            ..Overrides::default()
        },
    ]
}

#[test]
fn a_plan_given_back_as_configuration_comes_out_byte_for_byte() {
    let home = tempfile::tempdir().unwrap();
    for example in examples() {
        for (number, way) in ways_to_override().iter().enumerate() {
            let first = planned(&open(&example), way);
            for (ending, write) in FORMATS {
                let file = home
                    .path()
                    .join(format!("{}-{number}.{ending}", name(&example)));
                fs::write(&file, write(&first.plan)).unwrap();
                let overrides = Overrides {
                    config_file: Some(file),
                    ..Overrides::default()
                };
                let second = planned(&open(&example), &overrides);
                let (first, second) = (write(&first.plan), write(&second.plan));
                assert_eq!(first, second, "{} as {ending} ({number})", name(&example));
            }
        }
    }
}

type File = (&'static str, &'static str);

const PACKAGE: File = ("package.json", r#"{ "scripts": { "start": "node ." } }"#);
const PACKAGE_OF_TOOLS: File = ("package.json", "{}");
const DENO: File = ("deno.json", "{}");
const BUN: File = ("bunfig.toml", "");
const GO_MOD: File = ("go.mod", "module example\n\ngo 1.24\n");
const GO: File = ("main.go", "package main\n\nfunc main() {}\n");
const REQUIREMENTS: File = ("requirements.txt", "flask\n");
const PYPROJECT: File = ("pyproject.toml", "[project]\nname = \"example\"\n");
const PYTHON: File = ("main.py", "print(1)\n");
const COMPOSER: File = ("composer.json", "{}");
const PHP: File = ("index.php", "<?php\n");
const GEMFILE: File = ("Gemfile", "gem 'rack'\n");
const RACK: File = ("config.ru", "run App\n");
const PAGE: File = ("index.html", "<p>\n");
const STATICFILE: File = ("Staticfile", "root: public\n");
const PUBLIC: File = ("public/index.html", "<p>\n");
const LEIN: File = ("project.clj", "(defproject example \"1\")\n");
const DEPS: File = ("deps.edn", "{}\n");
const SBT: File = ("build.sbt", "name := \"example\"\n");
const POM: File = ("pom.xml", "<project/>\n");
const SHARD: File = ("shard.yml", "name: a\ntargets:\n  a:\n    main: src/a.cr\n");
const SWIFT: File = (
    "Package.swift",
    "let package = Package(name: \"a\", targets: [.executableTarget(name: \"a\")])\n",
);
const BUILD_ZIG: File = ("build.zig", "pub fn build(b: *B) void { _ = b; }\n");
const ZIG: File = ("main.zig", "pub fn main() void {}\n");
const COBOL: File = ("index.cbl", "       ID DIVISION.\n");
const SCRIPT: File = ("start.sh", "#!/bin/bash\necho\n");

/// Files, the provider that builds them, and a part of what `explain` says of the choice.
#[rustfmt::skip]
const MATRIX: &[(&[File], &str, &str)] = &[
    // One marker alone.
    (&[PACKAGE], "node", "found at the root"),
    (&[PACKAGE_OF_TOOLS], "node", "nothing in it says how to start"),
    (&[GO_MOD], "go", "found at the root"),
    (&[GO], "go", "found at the root"),
    (&[REQUIREMENTS], "python", "found at the root"),
    (&[PYPROJECT], "python", "found at the root"),
    (&[PYTHON], "python", "found at the root"),
    (&[("app.py", "")], "python", "found at the root"),
    (&[("Pipfile", "")], "python", "found at the root"),
    (&[COMPOSER], "php", "found at the root"),
    (&[PHP], "php", "found at the root"),
    (&[GEMFILE], "ruby", "nothing beside it says how to start"),
    (&[GEMFILE, RACK], "ruby", "found at the root"),
    (&[STATICFILE], "staticfile", "found at the root"),
    (&[PAGE], "staticfile", "found at the root"),
    (&[PUBLIC], "staticfile", "folder"),
    (&[("dist/app.js", "")], "staticfile", "folder"),
    (&[SCRIPT], "shell", "a script at the root"),
    (&[DENO], "deno", "found at the root"),
    (&[("x.ts", "import 'jsr:@std/x'")], "deno", "it imports jsr:@std/x"),
    (&[BUN], "bun", "found at the root"),
    (&[("run.sh", "#!/bin/sh\n")], "shell", "a script at the root"),
    (&[LEIN], "clojure", "found at the root"),
    (&[DEPS], "clojure", "found at the root"),
    (&[SBT], "scala", "found at the root"),
    (&[SHARD], "crystal", "found at the root"),
    (&[("shard.yml", "name: a\n")], "crystal", "there is no target in it"),
    (&[SWIFT], "swift", "found at the root"),
    (&[BUILD_ZIG], "zig", "found at the root"),
    (&[ZIG], "zig", "found, without a build.zig"),
    (&[COBOL], "cobol", "found at the root"),
    // Two manifests: the table of pairs decides.
    (&[SHARD, PACKAGE], "crystal", "node (package.json): a server often keeps a package.json"),
    (&[BUILD_ZIG, PACKAGE], "zig", "node (package.json): a server often keeps a package.json"),
    (&[SWIFT, GO_MOD], "go", "swift (Package.swift): both are whole programs; nixpacks takes the first"),
    (&[BUILD_ZIG, ("CMakeLists.txt", "")], "zig", "cpp (CMakeLists.txt): both are whole programs"),
    (&[GO_MOD, PACKAGE], "go", "node (package.json): a server often keeps a package.json"),
    (&[GO_MOD, REQUIREMENTS], "go", "python (requirements.txt): Python beside another language's manifest is tooling"),
    (&[PACKAGE, REQUIREMENTS], "node", "python (requirements.txt): Python beside a package.json is mostly tooling"),
    (&[PACKAGE, STATICFILE], "node", "staticfile (Staticfile): the pages are what the program builds or serves"),
    (&[REQUIREMENTS, STATICFILE], "python", "staticfile (Staticfile): the pages are what the program builds or serves"),
    (&[GO_MOD, STATICFILE], "go", "staticfile (Staticfile): the pages are what the program builds or serves"),
    (&[PHP, PACKAGE], "php", "node (package.json): a server often keeps a package.json"),
    (&[COMPOSER, REQUIREMENTS], "php", "python (requirements.txt): Python beside another language's manifest is tooling"),
    (&[COMPOSER, GEMFILE, RACK], "php", "ruby (Gemfile): both are whole programs"),
    (&[GEMFILE, RACK, PACKAGE], "ruby", "node (package.json): a server often keeps a package.json"),
    (&[DENO, PACKAGE], "deno", "node (package.json): a server often keeps a package.json"),
    (&[DENO, GO_MOD], "deno", "go (go.mod): both are whole programs; nixpacks takes the first"),
    (&[LEIN, PACKAGE], "clojure", "node (package.json): a server often keeps a package.json"),
    (&[SBT, PACKAGE], "scala", "node (package.json): a server often keeps a package.json"),
    (&[POM, SBT], "java", "scala (build.sbt): both are whole programs; nixpacks takes the first"),
    (&[POM, LEIN], "clojure", "java (pom.xml): both are whole programs; nixpacks takes the first"),
    // Two programs or pages without a manifest: the same table.
    (&[GO, PYTHON], "go", "python (main.py): Python beside another language's manifest is tooling"),
    (&[GO, PAGE], "go", "staticfile (index.html): the pages are what the program builds or serves"),
    (&[PYTHON, PAGE], "python", "staticfile (index.html): the pages are what the program builds or serves"),
    (&[COBOL, PYTHON], "cobol", "python (main.py): Python beside another language's manifest is tooling"),
    (&[ZIG, PAGE], "zig", "staticfile (index.html): the pages are what the program builds or serves"),
    (&[PUBLIC, SCRIPT], "staticfile", "shell (start.sh): nixpacks serves such a repository"),
    // A stronger sign beats a weaker one, whatever the table says of the pair.
    (&[REQUIREMENTS, PACKAGE_OF_TOOLS], "python", "node (package.json): a weaker sign"),
    (&[GEMFILE, PACKAGE], "node", "ruby (Gemfile): a weaker sign"),
    (&[PHP, PAGE], "php", "staticfile (index.html): a weaker sign"),
    (&[PACKAGE, DEPS], "node", "clojure (deps.edn): a weaker sign"),
    (&[REQUIREMENTS, GO], "python", "go (main.go): a weaker sign"),
    (&[PACKAGE, GO], "node", "go (main.go): a weaker sign"),
    (&[PACKAGE, ZIG], "node", "zig (main.zig): a weaker sign"),
    (&[PACKAGE, COBOL], "node", "cobol (index.cbl): a weaker sign"),
    (&[PACKAGE, ("shard.yml", "name: a\n")], "node", "crystal (shard.yml): a weaker sign"),
    (&[PACKAGE, PYTHON], "node", "python (main.py): a weaker sign"),
    (&[PACKAGE, PAGE], "node", "staticfile (index.html): a weaker sign"),
    (&[PACKAGE, PUBLIC], "node", "staticfile (public): a weaker sign"),
    (&[PACKAGE, SCRIPT], "node", "shell (start.sh): a weaker sign"),
    (&[GO_MOD, PYTHON], "go", "python (main.py): a weaker sign"),
    (&[GO_MOD, SCRIPT], "go", "shell (start.sh): a weaker sign"),
    (&[REQUIREMENTS, PAGE], "python", "staticfile (index.html): a weaker sign"),
    (&[REQUIREMENTS, SCRIPT], "python", "shell (start.sh): a weaker sign"),
    (&[STATICFILE, GO], "staticfile", "go (main.go): a weaker sign"),
    (&[STATICFILE, PYTHON], "staticfile", "python (main.py): a weaker sign"),
    (&[PAGE, SCRIPT], "staticfile", "shell (start.sh): a weaker sign"),
    (&[PYTHON, SCRIPT], "python", "shell (start.sh): a weaker sign"),
    (&[GO, SCRIPT], "go", "shell (start.sh): a weaker sign"),
    // All at once.
    (&[PACKAGE, GO_MOD, REQUIREMENTS, STATICFILE, SCRIPT], "go", "shell (start.sh): a weaker sign"),
];

/// The only decision about the provider: its reason, and the losers with theirs.
fn choice(files: &[File]) -> (Planned, String, Vec<String>) {
    let planned = planned(&Repo::in_memory(files), &Overrides::default());
    let mut choices = planned
        .decisions
        .iter()
        .filter(|decision| decision.subject == "provider");
    let (Some(one), None) = (choices.next(), choices.next()) else {
        panic!("not one choice for {files:?}: {:?}", planned.decisions);
    };
    let (reason, rejected) = (one.reason.clone(), one.rejected.clone());
    (planned, reason, rejected)
}

#[test]
fn marker_files_in_combination_choose_the_provider_and_say_why() {
    for (files, expected, part) in MATRIX {
        let mut reversed = files.to_vec();
        reversed.reverse();
        for files in [files, reversed.as_slice()] {
            let (planned, reason, rejected) = choice(files);
            assert_eq!(planned.providers, [*expected], "{files:?}");
            let said = format!("{reason}\n{}", rejected.join("\n"));
            assert!(said.contains(part), "{files:?}: no {part:?} in\n{said}");
        }
    }
}

#[test]
fn every_loser_of_a_combination_is_named() {
    for (files, expected, _) in MATRIX {
        let (_, _, rejected) = choice(files);
        for file in *files {
            let alone = detect(&Repo::in_memory(&[*file]), &Overrides::default()).unwrap();
            let Some(claimed) = alone.first().map(|one| one.name.as_str()) else {
                continue;
            };
            let named = rejected
                .iter()
                .any(|one| one.starts_with(&format!("{claimed} (")));
            assert!(
                named || claimed == *expected,
                "{claimed} is not in {rejected:?}"
            );
        }
    }
}

#[test]
fn files_that_are_no_marker_choose_nothing_and_what_was_looked_for_is_told() {
    let repo = Repo::in_memory(&[("README.md", "hello\n"), ("src/lib.c", "")]);
    let planned = planned(&repo, &Overrides::default());
    assert!(planned.providers.is_empty(), "{:?}", planned.providers);
    assert!(
        planned.advice[0].starts_with("looked for ") && planned.advice[0].contains("; go (go.mod"),
        "{:?}",
        planned.advice
    );
}
