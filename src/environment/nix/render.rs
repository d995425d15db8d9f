//! Writes the expressions that Nix evaluates, from a lock or from questions about versions.
//!
//! Pure: what is written depends on the lock and on where the app and the lock's sources are.

use std::fs;
use std::path::{Path, PathBuf};

use minijinja::{Value, context};

use super::catalog::{FOR_PHASES, SHELL, split_output};
use super::origin::{Origins, Reads};
use super::pin::LockedSource;
use super::{Attribute, LockedAttribute, LockedNix, LockedSet};
use crate::environment::{EnvironmentError, io_error};

const ENVIRONMENT: &str = include_str!("../../../templates/env.nix");
const VERSIONS: &str = include_str!("../../../templates/versions.nix");

/// Before the text of an expression of the user's: its names are the set's. One line.
const SCOPE: &str = "pkgs: with pkgs;\n";
/// How many lines that are.
pub(super) const SCOPE_LINES: u64 = 1;

/// Expressions in a folder.
pub(super) struct Written {
    /// The file to evaluate.
    pub(super) file: PathBuf,
    /// What it may read when it is evaluated.
    pub(super) reads: Reads,
    /// Texts of the user's that became files: the file, and what it was in the plan.
    pub(super) texts: Vec<(PathBuf, String)>,
}

/// A set with the attributes that are asked about.
pub(super) struct Question<'a> {
    pub(super) set: &'a LockedSet,
    pub(super) attributes: Vec<String>,
    /// All names of the set are wanted too.
    pub(super) all: bool,
}

/// Writes the expression that fetches archives and flakes, and evaluates nothing of them.
pub(super) fn sources(
    folder: &Path,
    sources: &[&LockedSource],
) -> Result<Written, EnvironmentError> {
    let each: Vec<String> = sources.iter().map(|source| fetch(source)).collect();
    let text = format!("[\n{}\n]\n", each.join("\n"));
    write(folder, "sources.nix", &text, Reads::Flakes)
}

fn fetch(source: &LockedSource) -> String {
    match source {
        LockedSource::Archive { url, hash } => {
            format!(
                "(builtins.fetchTarball {{ url = {}; sha256 = {}; }})",
                string(url),
                string(hash)
            )
        }
        LockedSource::Flake(locked) => {
            format!(
                "(builtins.fetchTree (builtins.fromJSON {})).outPath",
                string(&locked.to_string())
            )
        }
        // It is where it is.
        LockedSource::Path(path) => string(path),
    }
}

/// Writes the expression that tells versions.
pub(super) fn versions(
    folder: &Path,
    system: &str,
    questions: &[Question<'_>],
    origins: &Origins,
    reads: Reads,
) -> Result<Written, EnvironmentError> {
    let attribute = |name: &String| {
        let path = name.split('.').map(string).collect::<Vec<_>>().join(" ");
        context! { name => string(name), path }
    };
    let set = |question: &Question<'_>| {
        let attributes: Vec<Value> = question.attributes.iter().map(attribute).collect();
        context! { expression => imported(question.set, origins), attributes, all => question.all }
    };
    let sets: Vec<Value> = questions.iter().map(set).collect();
    let values = context! { system => string(system), sets };
    write(folder, "versions.nix", &fill(VERSIONS, values)?, reads)
}

fn write(folder: &Path, name: &str, text: &str, reads: Reads) -> Result<Written, EnvironmentError> {
    let file = folder.join(name);
    fs::write(&file, text).map_err(io_error("write", &file))?;
    Ok(Written {
        file,
        reads,
        texts: Vec::new(),
    })
}

/// The lists of one environment.
#[derive(Default)]
struct Lists {
    packages: Vec<String>,
    given: Vec<String>,
    libraries: Vec<String>,
    /// The PHP, which has its settings in a file.
    php: Option<String>,
}

/// Writes the expression of an environment, and a file for each text of the user's.
pub(super) fn environment(
    folder: &Path,
    app: &Path,
    lock: &LockedNix,
    place: &dyn Fn(&str) -> String,
    origins: &Origins,
    reads: Reads,
) -> Result<Written, EnvironmentError> {
    let (mut build, mut run) = (Lists::default(), Lists::default());
    let mut texts = Vec::new();
    for (number, set) in lock.sets.iter().enumerate() {
        for package in &set.packages {
            let text = match &package.source {
                Attribute::Path(path) => attribute(number, path),
                Attribute::Php {
                    path,
                    extensions,
                    member,
                } => {
                    let php = php(number, path, extensions);
                    let parts = member.iter().flat_map(|member| member.split('.'));
                    parts.fold(php, |text, name| format!("{text}.{}", string(name)))
                }
                Attribute::File(file) => {
                    format!("given set{number} (import {})", path(&app.join(file)))
                }
                Attribute::Text(text) => {
                    let file = folder.join(format!("{}.nix", texts.len()));
                    fs::write(&file, format!("{SCOPE}{text}\n"))
                        .map_err(io_error("write", &file))?;
                    let name = file
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned();
                    texts.push((file, place(&package.asked)));
                    format!("given set{number} (import ./{name})")
                }
            };
            if package.build {
                add(&mut build, package, &text);
            }
            if package.run {
                add(&mut run, package, &text);
            }
        }
    }
    let packages = lock.sets.iter().flat_map(|set| &set.packages);
    if packages
        .map(|package| &package.source)
        .any(|source| matches!(source, Attribute::Path(path) if path == "frankenphp"))
    {
        // It has a PHP of its own, which cannot load these extensions.
        (build.php, run.php) = (None, None);
    }
    let shell = SHELL.iter().map(|name| attribute(0, name));
    run.packages.extend(shell.clone());
    build.packages.extend(shell);
    build
        .packages
        .extend(FOR_PHASES.iter().map(|name| attribute(0, name)));
    let import = |set| imported(set, origins);
    let sets: Vec<String> = lock.sets.iter().map(import).collect();
    let values = context! {
        system => string(&lock.system), sets,
        build => build.packages, build_given => build.given, build_libraries => build.libraries, build_variables => variables(build.php),
        run => run.packages, run_given => run.given, run_libraries => run.libraries, run_variables => variables(run.php),
    };
    let written = write(folder, "env.nix", &fill(ENVIRONMENT, values)?, reads)?;
    Ok(Written { texts, ..written })
}

/// Variables that packages of an environment are found by.
fn variables(php: Option<String>) -> String {
    php.map_or_else(String::new, |php| {
        format!("PHP_INI_SCAN_DIR = \"${{{php}}}/lib\";")
    })
}

fn add(lists: &mut Lists, package: &LockedAttribute, text: &str) {
    match &package.source {
        Attribute::Php { member: None, .. } => {
            // The first one is what PATH finds.
            lists.php.get_or_insert_with(|| text.to_owned());
            lists.packages.push(text.to_owned());
        }
        Attribute::Path(_) | Attribute::Php { .. } => lists.packages.push(text.to_owned()),
        Attribute::File(_) | Attribute::Text(_) => lists.given.push(format!("({text})")),
    }
    if package.library {
        lists.libraries.push(text.to_owned());
    }
}

/// A set with its overlays. Neither the user's own configuration nor overlays have a say.
fn imported(set: &LockedSet, origins: &Origins) -> String {
    let at = |source| path(origins.path(source));
    let overlays: Vec<String> = set.overlays.iter().map(at).collect();
    let overlays: String = overlays
        .iter()
        .map(|overlay| format!("(import {overlay}) "))
        .collect();
    format!(
        "import {} {{ inherit system; config = {{ }}; overlays = [ {overlays}]; }}",
        at(&set.nixpkgs)
    )
}

/// `set0."openssl"`, or an output of it, which falls back to the package's own choice.
fn attribute(set: usize, path: &str) -> String {
    let (base, output) = split_output(path);
    let base = base.split('.').fold(format!("set{set}"), |text, name| {
        format!("{text}.{}", string(name))
    });
    match output {
        Some(output) => format!("(set{set}.lib.getOutput {} {base})", string(output)),
        None => base,
    }
}

/// A PHP with extensions beside its own, as far as its set has them.
fn php(set: usize, path: &str, extensions: &[String]) -> String {
    let names: Vec<String> = extensions.iter().map(|name| string(name)).collect();
    format!(
        "({}.withExtensions ({{ enabled, all, ... }}: enabled ++ map (name: all.${{name}}) (builtins.filter (name: all ? ${{name}}) [ {} ])))",
        attribute(set, path),
        names.join(" ")
    )
}

/// A path of this machine; its text may have any letter.
fn path(path: &Path) -> String {
    format!("(/. + {})", string(&path.to_string_lossy()))
}

/// A string of Nix's.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' | '$' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A template with its values: blocks take their whole line away.
fn fill(template: &str, values: Value) -> Result<String, EnvironmentError> {
    let render = || packwright_providers::template_environment()?.render_str(template, values);
    render().map_err(|error: minijinja::Error| EnvironmentError::Malformed {
        what: "a template".to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_string() {
        assert_eq!(string("a\"${b}\\c\n"), "\"a\\\"\\${b}\\\\c\\n\"");
        assert_eq!(
            attribute(0, "stdenv.cc.cc.lib"),
            "set0.\"stdenv\".\"cc\".\"cc\".\"lib\""
        );
        assert_eq!(
            attribute(1, "openssl.dev"),
            "(set1.lib.getOutput \"dev\" set1.\"openssl\")"
        );
    }

    #[test]
    fn a_php_is_asked_for_those_extensions_that_its_set_has() {
        let names = ["redis".to_owned(), "xsl".to_owned()];
        assert_eq!(
            php(1, "php84", &names),
            "(set1.\"php84\".withExtensions ({ enabled, all, ... }: enabled ++ map (name: all.${name}) \
             (builtins.filter (name: all ? ${name}) [ \"redis\" \"xsl\" ])))"
        );
    }

    #[test]
    fn what_is_fetched_has_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let archive = LockedSource::Archive {
            url: "https://x.example/nixexprs.tar.xz".to_owned(),
            hash: "sha256-eeH+=".to_owned(),
        };
        let flake = LockedSource::Flake(serde_json::json!({ "type": "github", "rev": "abc" }));
        let written = sources(folder.path(), &[&archive, &flake]).unwrap();
        assert_eq!(
            fs::read_to_string(&written.file).unwrap(),
            "[\n(builtins.fetchTarball { url = \"https://x.example/nixexprs.tar.xz\"; sha256 = \"sha256-eeH+=\"; })\n\
             (builtins.fetchTree (builtins.fromJSON \"{\\\"rev\\\":\\\"abc\\\",\\\"type\\\":\\\"github\\\"}\")).outPath\n]\n"
        );
    }

    #[test]
    fn an_environment_names_its_sets_and_what_is_taken_from_them() {
        let folder = tempfile::tempdir().unwrap();
        let package = |asked: &str, source, build, run, library| LockedAttribute {
            asked: asked.to_owned(),
            source,
            version: None,
            build,
            run,
            library,
        };
        let lock = LockedNix {
            format: LockedNix::FORMAT,
            system: "x86_64-linux".to_owned(),
            sets: vec![LockedSet {
                nixpkgs: LockedSource::Path("/set".to_owned()),
                overlays: vec![LockedSource::Path("/over lay".to_owned())],
                packages: vec![
                    package(
                        "nodejs@22",
                        Attribute::Path("nodejs_22".to_owned()),
                        true,
                        true,
                        false,
                    ),
                    package(
                        "openssl",
                        Attribute::Path("openssl".to_owned()),
                        true,
                        false,
                        true,
                    ),
                    package(
                        "hello",
                        Attribute::Text("hello".to_owned()),
                        true,
                        false,
                        false,
                    ),
                ],
            }],
            build: String::new(),
            run: String::new(),
            debian: None,
        };
        let place = |asked: &str| format!("nixPkgs, {asked}");
        let (origins, app) = (Origins::default(), Path::new("/app"));
        let written = environment(folder.path(), app, &lock, &place, &origins, Reads::Anything);
        let written = written.unwrap();
        let text = fs::read_to_string(&written.file).unwrap();
        for part in [
            "set0 = import (/. + \"/set\") { inherit system; ",
            "(import (/. + \"/over lay\"))",
            "set0.\"nodejs_22\"\n",
            "++ (given set0 (import ./0.nix))",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        assert_eq!(text.matches("set0.\"openssl\"").count(), 2, "{text}");
        assert_eq!(
            fs::read_to_string(&written.texts[0].0).unwrap(),
            "pkgs: with pkgs;\nhello\n"
        );
        assert_eq!(written.texts[0].1, "nixPkgs, hello");
    }
}
