//! Damaged manifests, through the public door: no panic, and an error that names a file.
//!
//! Takes the examples and breaks what their plans read: bytes, lines, values of wrong types, endless numbers and nesting.
//! Quick by default; `PROPTEST_CASES=20000` or `FUZZ_SECONDS=300` for a long run.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use packwright_providers::{Overrides, PlanError, Planned, Repo, languages, plan};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use common::{examples, name, settings};

/// One way to break a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Truncate(Index),
    Duplicate(Index, Index),
    Remove(Index, Index),
    Insert(Index, &'static str),
    /// A value after `:`, `=` or `>` becomes another one.
    Value(Index, String),
    Nest(Index, &'static str, usize),
    Replace(String),
    CarriageReturns,
    ByteOrderMark,
    NotText(Index),
    Utf16,
}

/// Words that mean something in one of the formats.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    ":",
    ",",
    "\n",
    "\r",
    "\t",
    " ",
    "=",
    "#",
    "//",
    "/*",
    "*/",
    "<!--",
    "-->",
    "<![CDATA[",
    "<a>",
    "</a>",
    "<a/>",
    "&lt;",
    "&amp",
    "<?xml",
    "- ",
    "---\n",
    "? ",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!!map",
    "<<: *a",
    "[[a]]\n",
    "[a.b]\n",
    "a.b = 1\n",
    "\"\"\"",
    "'''",
    "\\",
    "\\u0000",
    "\\ud800",
    "#{",
    "${",
    "%{",
    "~w(",
    "do\n",
    "end\n",
    "(",
    ")",
    "=>",
    "->",
    "::",
    ";",
    "\0",
    "é",
    "\u{2028}",
    "..",
    "../..",
    "*",
    "**",
    "~>",
    "^",
    ">=",
    "||",
    "<",
    "99999999999999999999",
    "1.2.3.4.5.6",
    "-1",
    "1e999",
    "null",
    "true",
    "latest",
    "workspace:*",
    "git+ssh://a",
];

/// Values of every type, for where another type is expected.
const VALUES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "123456789012345678901234567890",
    "0.1",
    "\"\"",
    "\"x\"",
    "\"99999999999.0\"",
    "[]",
    "{}",
    "[[[]]]",
    "[null]",
    "[1,\"a\",{}]",
    "{\"a\":{\"b\":null}}",
    "\"\\u0000\"",
    "'",
    "1979-05-27T07:32:00Z",
    "{ a = 1 }",
    "~",
    "|",
    "nan",
    "\"../../etc\"",
    "\"a b\\n'c\"",
    "<x><y/></x>",
    "\"=\"",
    "\">=\"",
    "\"*\"",
    "\"^\"",
    "\"v\"",
    "\"lts/*\"",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(VALUES).prop_map(str::to_owned),
        1 => any::<i128>().prop_map(|number| number.to_string()),
        1 => any::<String>(),
        1 => "[0-9.x*^~<>=| -]{1,20}",
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        2 => at().prop_map(Damage::Truncate),
        3 => (at(), at()).prop_map(|(from, to)| Damage::Duplicate(from, to)),
        3 => (at(), at()).prop_map(|(from, to)| Damage::Remove(from, to)),
        8 => (at(), prop::sample::select(WORDS)).prop_map(|(at, word)| Damage::Insert(at, word)),
        10 => (at(), value()).prop_map(|(at, value)| Damage::Value(at, value)),
        1 => (at(), prop::sample::select(vec!["[", "{\"a\":", "(", "<a>", "{", "- ", "a.", "#{\"", "/*"]), 1..30_000_usize)
            .prop_map(|(at, opening, times)| Damage::Nest(at, opening, times)),
        2 => value().prop_map(Damage::Replace),
        1 => Just(Damage::CarriageReturns),
        1 => Just(Damage::ByteOrderMark),
        1 => at().prop_map(Damage::NotText),
        1 => Just(Damage::Utf16),
    ]
}

/// A place in some bytes, the end included.
fn place(at: Index, bytes: &[u8]) -> usize {
    at.index(bytes.len() + 1)
}

fn span(from: Index, to: Index, bytes: &[u8]) -> std::ops::Range<usize> {
    let (one, other) = (place(from, bytes), place(to, bytes));
    one.min(other)..one.max(other).min(one.min(other) + 2_000)
}

/// The values of a file, roughly: what stands between a separator and the end of its line or element.
fn values(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, b':' | b'=' | b'>') {
            continue;
        }
        let spaces = bytes[at + 1..]
            .iter()
            .take_while(|byte| **byte == b' ')
            .count();
        let start = at + 1 + spaces;
        let length = bytes[start..]
            .iter()
            .take_while(|byte| !matches!(byte, b'\n' | b',' | b'<'))
            .count();
        found.push(start..start + length);
    }
    found
}

fn apply(damage: &Damage, mut bytes: Vec<u8>) -> Vec<u8> {
    match damage {
        Damage::Flip(at, byte) if !bytes.is_empty() => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        Damage::Flip(..) => {}
        Damage::Truncate(at) => bytes.truncate(place(*at, &bytes)),
        Damage::Duplicate(from, to) => {
            let span = span(*from, *to, &bytes);
            let copy = bytes[span.clone()].to_vec();
            bytes.splice(span.end..span.end, copy);
        }
        Damage::Remove(from, to) => drop(bytes.drain(span(*from, *to, &bytes))),
        Damage::Insert(at, word) => {
            let at = place(*at, &bytes);
            bytes.splice(at..at, word.bytes());
        }
        Damage::Value(at, value) => {
            let values = values(&bytes);
            if !values.is_empty() {
                bytes.splice(values[at.index(values.len())].clone(), value.bytes());
            }
        }
        Damage::Nest(at, opening, times) => {
            let at = place(*at, &bytes);
            bytes.splice(at..at, opening.repeat(*times).into_bytes());
        }
        Damage::Replace(text) => bytes = text.clone().into_bytes(),
        Damage::CarriageReturns => {
            bytes = String::from_utf8_lossy(&bytes)
                .replace('\n', "\r\n")
                .into_bytes();
        }
        Damage::ByteOrderMark => drop(bytes.splice(0..0, [0xef, 0xbb, 0xbf])),
        Damage::NotText(at) => {
            let at = place(*at, &bytes);
            bytes.splice(at..at, [0xc3, 0x28]);
        }
        Damage::Utf16 => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes = [0xff, 0xfe]
                .into_iter()
                .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
                .collect();
        }
    }
    bytes
}

/// Files that any app may have, and what one would say.
const BESIDE: &[(&str, &str)] = &[
    (
        ".tool-versions",
        "nodejs 22.1.0\nruby 3.3.5\npython 3.12\ngolang 1.24\njava temurin-21\nerlang 27.1\n",
    ),
    (
        "mise.toml",
        "[tools]\nnode = \"22\"\npython = [\"3.12\", \"3.11\"]\ngo = { version = \"1.24\" }\n\n[env]\nA = \"b\"\n",
    ),
    (
        "Procfile",
        "release: ./migrate\nweb: ./serve --port $PORT\nworker: ./work\n",
    ),
    (
        "nixpacks.toml",
        "providers = [\"...\"]\n\n[variables]\nA = \"b\"\n\n[phases.build]\ncmds = [\"...\", \"date\"]\n\n[start]\ncmd = \"./serve\"\n",
    ),
    (
        "nixpacks.json",
        "{\"phases\": {\"build\": {\"cmds\": [\"...\"], \"dependsOn\": [\"install\"]}}, \"start\": {\"cmd\": \"./serve\"}}",
    ),
    (".dockerignore", "node_modules\n!dist/**\n*.log\n"),
    (".gitignore", "/target\n!*.keep\n[ab]?\n"),
    (
        ".gitmodules",
        "[submodule \"a\"]\n\tpath = vendor/a\n\turl = ../a\n",
    ),
    (".nvmrc", "lts/jod\n"),
    (".node-version", "v22.1.0\n"),
    (".python-version", "3.12.1\n"),
    (".ruby-version", "ruby-3.3.5\n"),
    (".java-version", "21\n"),
    (".php-version", "8.3\n"),
    ("runtime.txt", "python-3.12.1\n"),
    (
        "global.json",
        "{\"sdk\": {\"version\": \"8.0.100\", \"rollForward\": \"latestFeature\"}}",
    ),
    (
        "rust-toolchain.toml",
        "[toolchain]\nchannel = \"1.85.0\"\ntargets = [\"wasm32-wasip1\"]\n",
    ),
    (
        "system.properties",
        "java.runtime.version=21\nmaven.version=3.9\n",
    ),
    (".sdkmanrc", "java=21.0.4-tem\n"),
    (
        "Cargo.toml",
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\nmembers = [\"a/*\"]\n",
    ),
    (
        "package.json",
        "{\"scripts\": {\"build\": \"vite build\", \"start\": \"node .\"}, \"engines\": {\"node\": \"22\"}, \"workspaces\": [\"a/*\"]}",
    ),
    (
        "composer.json",
        "{\"require\": {\"php\": \"^8.2\", \"ext-gd\": \"*\"}}",
    ),
    (
        "pyproject.toml",
        "[project]\nname = \"shop\"\nrequires-python = \">=3.11\"\ndependencies = [\"flask>=3\"]\n\n[project.scripts]\nshop = \"shop:main\"\n",
    ),
];

/// A file of an app and what it says before it is damaged.
#[derive(Debug, Clone)]
struct Manifest {
    example: PathBuf,
    file: String,
    whole: Vec<u8>,
    /// Whether the example has it.
    own: bool,
}

/// The files that plans of the examples read, and those that may be beside them.
fn manifests() -> Vec<Manifest> {
    let mut found = Vec::new();
    for example in examples() {
        let repo = Repo::open(&example).unwrap();
        plan(&repo, &Overrides::default()).unwrap();
        for file in repo.files_read() {
            let whole = fs::read(example.join(&file)).unwrap();
            let example = example.clone();
            found.push(Manifest {
                example,
                file,
                whole,
                own: true,
            });
        }
        for (file, text) in BESIDE
            .iter()
            .filter(|(file, _)| !example.join(file).exists())
        {
            let (file, whole) = ((*file).to_owned(), text.as_bytes().to_vec());
            found.push(Manifest {
                example: example.clone(),
                file,
                whole,
                own: false,
            });
        }
    }
    found
}

impl Manifest {
    /// The copy of the example below a folder, made when it is not there.
    fn app(&self, home: &Path) -> PathBuf {
        let app = home.join(name(&self.example));
        if !app.exists() {
            copy(&self.example, &app);
        }
        app
    }

    /// Plans the app with other bytes in the file, and puts everything back.
    fn judge_as(&self, home: &Path, bytes: &[u8]) -> Result<(), String> {
        let app = self.app(home);
        let file = app.join(&self.file);
        fs::write(&file, bytes).unwrap();
        let judged = std::panic::catch_unwind(|| judge(&app, &Overrides::default()));
        if self.own {
            fs::write(&file, &self.whole).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let wrong = match judged {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(wrong)) => wrong,
            Err(_) => "panic".to_owned(),
        };
        let (name, text) = (name(&self.example), String::from_utf8_lossy(bytes));
        Err(format!("{wrong}\n{} of {name}:\n{text:.2000}", self.file))
    }
}

/// A copy of a folder, without links and large files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.metadata().unwrap().len() < 1_000_000 {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether the error says where: a file of the app or a variable, and the line where a parser refused.
fn says_where(error: &PlanError, app: &Path, variables: &BTreeMap<String, String>) -> bool {
    let text = error.to_string();
    let place = match error {
        PlanError::Invalid { file, line, .. } if *line > 0 => file.as_str(),
        PlanError::Version { place, .. } | PlanError::UnknownProvider { place, .. } => {
            place.as_str()
        }
        PlanError::Repo(_) | PlanError::Cycle { .. } | PlanError::UnknownPhase { .. } => {
            return true;
        }
        PlanError::ConfigMissing { file } | PlanError::ConfigUnreadable { file, .. } => {
            file.as_str()
        }
        _ => return false,
    };
    let file = place.split([' ', ':', '(']).next().unwrap_or_default();
    let of_variable = variables.keys().any(|name| text.contains(name.as_str()));
    of_variable
        || place.starts_with("environment")
        || app.join(file).exists()
        || app.join(place).exists()
}

/// Plans the app; what is wrong with the answer.
fn judge(app: &Path, overrides: &Overrides) -> Result<Option<Planned>, String> {
    let planned = match plan(
        &Repo::open(app).map_err(|error| error.to_string())?,
        overrides,
    ) {
        Ok(planned) => planned,
        Err(error) if says_where(&error, app, &overrides.env) => return Ok(None),
        Err(error) => return Err(format!("does not say where: {error:?}")),
    };
    let text = planned.plan.to_json().map_err(|error| error.to_string())?;
    if text.contains('\0') {
        return Err("a plan with a NUL".to_owned());
    }
    Ok(Some(planned))
}

/// Runs a property for some cases, or again and again for `FUZZ_SECONDS`.
fn fuzz<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("FUZZ_SECONDS")
        .ok()
        .and_then(|value| value.parse().ok());
    let deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() {
        Config::default().cases
    } else {
        200
    };
    loop {
        let config = Config {
            cases,
            failure_persistence: None,
            max_shrink_iters: 2_000,
            ..Config::default()
        };
        if let Err(failure) = TestRunner::new(config).run(strategy, &property) {
            panic!("{failure}");
        }
        if Instant::now() >= deadline {
            return;
        }
    }
}

#[test]
fn a_damaged_manifest_gives_a_plan_or_an_error_that_names_the_place() {
    let home = tempfile::tempdir().unwrap();
    let strategy = (
        prop::sample::select(manifests()),
        prop::collection::vec(damage(), 1..5),
    );
    fuzz(&strategy, |(manifest, damages)| {
        let broken = damages
            .iter()
            .fold(manifest.whole.clone(), |bytes, damage| apply(damage, bytes));
        manifest
            .judge_as(home.path(), &broken)
            .map_err(TestCaseError::fail)
    });
}

#[test]
fn no_value_of_a_setting_makes_a_provider_panic() {
    let home = tempfile::tempdir().unwrap();
    let names: Vec<String> = languages::ALL
        .iter()
        .flat_map(|provider| settings(provider.name()))
        .collect();
    let strategy = (
        prop::sample::select(examples()),
        prop::collection::btree_map(prop::sample::select(names), value(), 1..4),
    );
    fuzz(&strategy, |(example, env)| {
        let app = home.path().join(name(&example));
        if !app.exists() {
            copy(&example, &app);
        }
        let overrides = Overrides {
            env,
            ..Overrides::default()
        };
        judge(&app, &overrides)
            .map(drop)
            .map_err(TestCaseError::fail)
    });
}

#[test]
fn deep_nesting_in_any_manifest_is_no_end_of_the_stack() {
    let home = tempfile::tempdir().unwrap();
    // Once for each name of a file.
    let by_name: BTreeMap<String, Manifest> = manifests()
        .into_iter()
        .map(|manifest| (manifest.file.clone(), manifest))
        .collect();
    for manifest in by_name.into_values() {
        for opening in [
            "[", "{\"a\":", "{", "(", "<a>", "a:\n ", "- ", "#{\"", "a = [", "fn(", "/*",
        ] {
            let judged = manifest.judge_as(home.path(), opening.repeat(50_000).as_bytes());
            judged.unwrap_or_else(|wrong| panic!("{opening:?}: {wrong}"));
        }
    }
}
