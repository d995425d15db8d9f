//! PHP with its extensions and tools, which nixpkgs makes of all of them together.
//!
//! `php84.withExtensions` gives a PHP whose programs find the extensions, and whose tools (`packages.composer`) have
//! them too. Which ones it has is in a file of settings that it finds by a variable.

use std::collections::BTreeSet;

use serde_json::Value;

use super::catalog::{TOOLS, Want};
use super::wanted::{Asked, Wanted};
use super::{Attribute, LockedAttribute, LockedSet, Nix};
use crate::environment::EnvironmentError;
use crate::environment::catalog::nearest;
use crate::report::Step;

/// What Debian's PHP has without being asked and nixpkgs' has not.
const USUAL: [&str; 5] = ["ffi", "shmop", "sysvmsg", "sysvshm", "xsl"];

/// Extensions that are called otherwise in nixpkgs; sorted.
const CALLED: [(&str, &str); 3] = [
    ("interbase", "pdo_firebird"),
    ("odbc", "pdo_odbc"),
    ("sybase", "pdo_dblib"),
];

/// Where extensions are in a PHP of nixpkgs.
const EXTENSIONS: &str = "extensions";

/// What an entry of a plan is in a PHP of nixpkgs: `extensions.redis`, `packages.composer`.
pub(super) fn part(entry: &str) -> Option<String> {
    if entry == "composer" {
        return Some("packages.composer".to_owned());
    }
    let extension = entry.strip_prefix("php-ext-")?;
    let called = CALLED.iter().find(|(name, _)| *name == extension);
    let name = called.map_or(extension, |(_, name)| name);
    Some(format!("{EXTENSIONS}.{name}"))
}

impl Nix<'_> {
    /// Gives the PHP that was chosen its extensions, and adds its tools.
    pub(super) fn complete_php(
        &self,
        wanted: &Wanted,
        sets: &mut [LockedSet],
        system: &str,
        step: &Step<'_>,
    ) -> Result<(), EnvironmentError> {
        // Several sets and lists may ask for the same one.
        let mut parts: Vec<(Asked, &str)> = Vec::new();
        for asked in &wanted.asked {
            let Want::OfPhp(part) = &asked.want else {
                continue;
            };
            match parts.iter_mut().find(|(_, known)| known == part) {
                Some((known, _)) => {
                    known.build |= asked.build;
                    known.run |= asked.run;
                }
                None => parts.push((asked.clone(), part)),
            }
        }
        let Some((set, index, path)) = place(sets, &parts) else {
            return Ok(());
        };
        let name_of = |part: &str| format!("{path}.{part}");
        let mut attributes = vec![Vec::new(); sets.len()];
        attributes[set].push(name_of(EXTENSIONS));
        attributes[set].extend(parts.iter().map(|(_, part)| name_of(part)));
        let answers = self.ask(sets, &attributes, None, system, step)?;
        let answers = &answers[set];
        let mut extensions: BTreeSet<String> = USUAL.map(str::to_owned).into();
        for (_, part) in &parts {
            if answers[name_of(part)].is_null() {
                let known = answers[name_of(EXTENSIONS)]
                    .as_array()
                    .into_iter()
                    .flatten();
                let known = known.filter_map(Value::as_str);
                let name = part.rsplit('.').next().unwrap_or(part);
                return Err(EnvironmentError::Unknown {
                    kind: format!(
                        "extension or tool of {path} in {}",
                        sets[set].nixpkgs.title()
                    ),
                    name: name.to_owned(),
                    nearest: nearest(name, known),
                });
            }
            let extension = part.strip_prefix("extensions.");
            extensions.extend(extension.map(str::to_owned));
        }
        let source = |member: Option<&str>| Attribute::Php {
            path: path.clone(),
            extensions: extensions.iter().cloned().collect(),
            member: member.map(str::to_owned),
        };
        sets[set].packages[index].source = source(None);
        let tools = parts
            .iter()
            .filter(|(_, part)| !part.starts_with(EXTENSIONS));
        let tools = tools.map(|(asked, part)| LockedAttribute {
            asked: asked.entry.clone(),
            source: source(Some(part)),
            version: answers[name_of(part)].as_str().map(str::to_owned),
            build: asked.build,
            run: asked.run,
            library: false,
        });
        sets[set].packages.extend(tools);
        Ok(())
    }
}

/// The PHP among the packages: its set, its place there and its attribute. One is added where none is named and
/// a part of one is asked for.
fn place(sets: &mut [LockedSet], parts: &[(Asked, &str)]) -> Option<(usize, usize, String)> {
    let php = TOOLS.iter().find(|tool| tool.name == "php")?;
    let attribute = |package: &LockedAttribute| match &package.source {
        Attribute::Path(path) if php.attributes.contains(&path.as_str()) => Some(path.clone()),
        _ => None,
    };
    let found = sets.iter().enumerate().find_map(|(number, set)| {
        let mut packages = set.packages.iter().enumerate();
        packages.find_map(|(index, package)| Some((number, index, attribute(package)?)))
    });
    if found.is_some() {
        return found;
    }
    let (first, _) = parts.first()?;
    sets[first.set].packages.push(LockedAttribute {
        asked: php.name.to_owned(),
        source: Attribute::Path(php.name.to_owned()),
        version: None,
        build: parts.iter().any(|(asked, _)| asked.build),
        run: parts.iter().any(|(asked, _)| asked.run),
        library: false,
    });
    let index = sets[first.set].packages.len() - 1;
    Some((first.set, index, php.name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn extensions_and_composer_are_parts_of_a_php() {
        assert_eq!(part("composer").unwrap(), "packages.composer");
        assert_eq!(part("php-ext-redis").unwrap(), "extensions.redis");
        assert_eq!(part("php-ext-sybase").unwrap(), "extensions.pdo_dblib");
        assert_eq!(part("php"), None);
    }
}
