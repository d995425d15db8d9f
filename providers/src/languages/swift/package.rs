//! Reads Package.swift, which is a program, for the calls that say what the package makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::PlanError;
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};

/// What Package.swift says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    /// The package's own name.
    pub(super) name: Option<String>,
    /// Names of executable products.
    pub(super) products: Vec<String>,
    /// Names of executable targets.
    pub(super) executables: Vec<String>,
    /// Names of plain targets, and their folder where it is named. Before Swift 5.4 programs were such, too.
    pub(super) targets: Vec<(String, Option<String>)>,
    /// Whether packages are fetched.
    pub(super) fetches: bool,
    /// Whether packages are folders, of the repository or beside it.
    pub(super) local: bool,
    /// Whether targets have files that programs read.
    pub(super) resources: bool,
    /// Products of other packages that targets use.
    pub(super) uses: Vec<String>,
    /// Names of libraries of the system.
    pub(super) libraries: Vec<String>,
    /// Debian packages that targets for libraries of the system name, where pkg-config is not asked.
    pub(super) packages: Vec<String>,
    /// Debian packages of the library whose declaration is being read.
    offered: Vec<String>,
}

/// `5.9` of a first line `// swift-tools-version: 5.9`.
pub(super) fn tools_version(text: &str) -> Option<&str> {
    let comment = text.lines().next()?.trim().strip_prefix("//")?.trim_start();
    let (key, version) = comment.split_once(':')?;
    let version = version.trim_start();
    let end = version
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(version.len());
    let named = key.trim_end().eq_ignore_ascii_case("swift-tools-version");
    Some(&version[..end]).filter(|version| named && !version.is_empty())
}

impl Package {
    pub(super) fn read(repo: &Repo) -> Result<Arc<Self>, PlanError> {
        let parse = |text: &str| Ok::<_, PlanError>(Self::parse(text));
        Ok(repo.parsed(super::MANIFEST, parse)?.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Slashes);
        let mut package = Self::default();
        // The brackets that are open, and which of them are calls.
        let mut open: Vec<Option<Call>> = Vec::new();
        let mut calls: Vec<usize> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            match (token, tokens.get(at + 1..).unwrap_or_default()) {
                (Token::Sign('('), _) if before.and_then(Token::word).is_some() => {
                    calls.push(open.len());
                    open.push(before.and_then(Token::word).map(Call::new));
                }
                (Token::Sign('(' | '[' | '{'), _) => open.push(None),
                (Token::Sign(')' | ']' | '}'), _) => {
                    if let Some(call) = open.pop().flatten() {
                        calls.pop();
                        package.take(&call);
                    }
                }
                (Token::Word(label), [Token::Sign(':'), value, ..]) => {
                    if let Some(Some(call)) = open.last_mut() {
                        call.labels.entry(label).or_insert(value);
                    }
                }
                (Token::Text(text), _) => {
                    let call = calls.last().and_then(|at| open.get_mut(*at));
                    call.into_iter()
                        .flatten()
                        .for_each(|call| call.texts.push(text));
                }
                _ => {}
            }
        }
        // Whatever is not closed ends with the text.
        open.iter()
            .rev()
            .flatten()
            .for_each(|call| package.take(call));
        package
    }

    fn take(&mut self, call: &Call) {
        let has = |label: &str| call.labels.contains_key(label);
        let text = |label: &str| call.labels.get(label)?.text().map(str::to_owned);
        let name = text("name");
        self.resources |= has("resources");
        match call.name {
            "Package" => self.name = name,
            "executable" => self.products.extend(name),
            "executableTarget" => self.executables.extend(name),
            "target" => self.targets.extend(name.map(|name| (name, text("path")))),
            "package" => {
                self.fetches |= has("url") || has("id");
                self.local |= has("path");
            }
            "product" if has("package") => self.uses.extend(name),
            "linkedLibrary" => self.libraries.extend(call.first()),
            // .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])])
            "apt" => {
                let names = call.texts.iter().map(|name| (*name).to_owned());
                self.offered = names.collect();
            }
            "systemLibrary" => {
                let offered = std::mem::take(&mut self.offered);
                match text("pkgConfig") {
                    Some(module) => self.libraries.push(module),
                    None => self.packages.extend(offered),
                }
            }
            _ => {}
        }
    }
}

/// A call, its labelled arguments and the strings in it that belong to no inner call.
struct Call<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a Token>,
    texts: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            labels: BTreeMap::new(),
            texts: Vec::new(),
        }
    }

    fn first(&self) -> Option<String> {
        self.texts.first().map(|text| (*text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_targets_and_dependencies_are_told_apart() {
        let package = Package::parse(
            r#"// swift-tools-version:5.9
import PackageDescription
let package = Package(
    name: "shop",
    products: [.library(name: "Lib", targets: ["Lib"]), .executable(name: "shop-server", targets: ["App"])],
    dependencies: [
        // .package(path: "../gone"),
        .package(url: "https://example.com/vapor.git", from: "4.0.0"),
    ],
    targets: [
        .target(name: "Lib", path: "Lib"),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CFoo", providers: [.brew(["foo"]), .apt(["libfoo-dev", "libbar-dev"])]),
        .executableTarget(name: "App", dependencies: [.product(name: "Vapor", package: "vapor"), .target(name: "Lib")],
            linkerSettings: [.linkedLibrary("z")]),
    ]
)"#,
        );
        assert_eq!(package.name.as_deref(), Some("shop"));
        assert_eq!(package.products, ["shop-server"]);
        assert_eq!(package.executables, ["App"]);
        assert_eq!(
            package.targets[0],
            ("Lib".to_owned(), Some("Lib".to_owned()))
        );
        assert!(package.fetches && !package.local);
        assert_eq!(package.uses, ["Vapor"]);
        assert_eq!(package.libraries, ["sqlite3", "z"]);
        assert_eq!(package.packages, ["libfoo-dev", "libbar-dev"]);
    }
}
