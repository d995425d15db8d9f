//! The packages that a list of packages needs, from an index.
//!
//! Takes what is already chosen first, then the first alternative that exists. Conflicts are left
//! to dpkg, which refuses to unpack packages that exclude each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::index::{Index, Package, compare};
use crate::environment::EnvironmentError;
use crate::environment::catalog::nearest;

/// What a resolution starts from.
#[derive(Default)]
pub(crate) struct Given<'a> {
    /// Packages that are there: name and version.
    pub present: BTreeMap<String, String>,
    /// Names whose dependencies are not followed: nothing needs them where this goes.
    pub ignored: &'a [&'a str],
}

/// One alternative of a relation: `name`, `name (>= 1)`, `name:any [amd64] <!nocheck>`.
#[derive(Debug, PartialEq, Eq)]
struct Alternative<'a> {
    name: &'a str,
    constraint: Option<(&'a str, &'a str)>,
}

fn alternative(text: &str) -> Option<Alternative<'_>> {
    let text = text.trim();
    let end = text.find([' ', '(', '[', '<']).unwrap_or(text.len());
    let name = text[..end]
        .split(':')
        .next()
        .filter(|name| !name.is_empty())?;
    let constraint = text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inner, _)| {
            let inner = inner.trim();
            let split = inner.find(|c| !"<>=".contains(c)).unwrap_or(inner.len());
            (&inner[..split], inner[split..].trim())
        });
    Some(Alternative { name, constraint })
}

fn satisfies(version: &str, constraint: Option<(&str, &str)>) -> bool {
    let Some((operator, wanted)) = constraint else {
        return true;
    };
    let order = compare(version, wanted);
    match operator {
        "<<" => order.is_lt(),
        "<=" | "<" => order.is_le(),
        "=" => order.is_eq(),
        ">=" | ">" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    }
}

/// The version under which `package` provides `name`, if it does: empty when unversioned.
fn provided_version<'a>(package: &Package<'a>, name: &str) -> Option<&'a str> {
    package
        .provides
        .split(',')
        .filter_map(alternative)
        .find(|a| a.name == name)
        .map(|a| a.constraint.map_or("", |(_, version)| version))
}

fn provides(package: &Package<'_>, wanted: &Alternative<'_>) -> bool {
    match provided_version(package, wanted.name) {
        None => false,
        Some("") => wanted.constraint.is_none(),
        Some(version) => satisfies(version, wanted.constraint),
    }
}

struct Resolution<'a> {
    index: &'a Index,
    given: &'a Given<'a>,
    chosen: BTreeMap<&'a str, Package<'a>>,
    queue: VecDeque<Package<'a>>,
    /// Names provided by what is chosen or present.
    provided: BTreeSet<String>,
}

impl<'a> Resolution<'a> {
    fn take(&mut self, package: Package<'a>) {
        if self.given.present.contains_key(package.name)
            || self.chosen.insert(package.name, package).is_some()
        {
            return;
        }
        self.provided.extend(
            package
                .provides
                .split(',')
                .filter_map(alternative)
                .map(|a| a.name.to_owned()),
        );
        self.queue.push_back(package);
    }

    fn is_satisfied(&self, wanted: &Alternative<'_>) -> bool {
        if self.given.ignored.contains(&wanted.name) {
            return true;
        }
        if let Some(version) = self.given.present.get(wanted.name)
            && satisfies(version, wanted.constraint)
        {
            return true;
        }
        if self
            .chosen
            .get(wanted.name)
            .is_some_and(|package| satisfies(package.version, wanted.constraint))
        {
            return true;
        }
        self.provided.contains(wanted.name)
            && self.index.providers(wanted.name).iter().any(|provider| {
                let there = self.chosen.contains_key(provider.as_str())
                    || self.given.present.contains_key(provider);
                there
                    && self
                        .index
                        .package(provider)
                        .is_some_and(|package| provides(&package, wanted))
            })
    }

    fn candidate(&self, wanted: &Alternative<'_>) -> Option<Package<'a>> {
        if let Some(package) = self.index.package(wanted.name)
            && satisfies(package.version, wanted.constraint)
        {
            return Some(package);
        }
        self.index
            .providers(wanted.name)
            .iter()
            .filter_map(|provider| self.index.package(provider))
            .find(|package| provides(package, wanted))
    }

    fn follow(&mut self, package: Package<'a>) -> Result<(), EnvironmentError> {
        for relation in package
            .depends
            .split(',')
            .map(str::trim)
            .filter(|relation| !relation.is_empty())
        {
            let alternatives: Vec<Alternative<'a>> =
                relation.split('|').filter_map(alternative).collect();
            if alternatives.iter().any(|wanted| self.is_satisfied(wanted)) {
                continue;
            }
            let found = alternatives
                .iter()
                .find_map(|wanted| self.candidate(wanted));
            self.take(found.ok_or_else(|| EnvironmentError::Unsatisfied {
                package: package.name.to_owned(),
                relation: relation.to_owned(),
                suite: self.index.suite().to_owned(),
            })?);
        }
        Ok(())
    }
}

/// `wanted` and all that they need and that is not present, sorted by name. `name=version` asks for
/// an exact version, which the suite has to have.
pub(crate) fn resolve<'a>(
    index: &'a Index,
    wanted: &[String],
    given: &'a Given<'a>,
) -> Result<Vec<Package<'a>>, EnvironmentError> {
    let provided = given
        .present
        .keys()
        .filter_map(|name| index.package(name))
        .flat_map(|package| package.provides.split(',').filter_map(alternative))
        .map(|a| a.name.to_owned())
        .collect();
    let mut resolution = Resolution {
        index,
        given,
        chosen: BTreeMap::new(),
        queue: VecDeque::new(),
        provided,
    };
    for name in wanted {
        resolution.take(find(index, name)?);
    }
    while let Some(package) = resolution.queue.pop_front() {
        resolution.follow(package)?;
    }
    Ok(resolution.chosen.into_values().collect())
}

/// The package that a person's word names.
pub(crate) fn find<'a>(index: &'a Index, word: &str) -> Result<Package<'a>, EnvironmentError> {
    let (name, version) = word
        .split_once('=')
        .map_or((word, None), |(name, version)| (name, Some(version)));
    let name = name.split(':').next().unwrap_or(name);
    let package = index.package(name).or_else(|| match index.providers(name) {
        [only] => index.package(only),
        _ => None,
    });
    let Some(package) = package else {
        let providers = index.providers(name);
        return Err(EnvironmentError::Unknown {
            kind: format!("Debian package in {}", index.suite()),
            name: name.to_owned(),
            nearest: if providers.is_empty() {
                nearest(name, index.all_names())
            } else {
                providers.iter().take(5).cloned().collect()
            },
        });
    };
    match version {
        Some(version) if version != package.version => Err(EnvironmentError::NoVersion {
            tool: format!("Debian package {name}"),
            range: version.to_owned(),
            available: format!("{} has {}", index.suite(), package.version),
        }),
        _ => Ok(package),
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::compact;
    use super::*;

    fn index(packages: &[(&str, &str, &str, &str)]) -> Index {
        let text: String = packages
            .iter()
            .map(|(name, version, depends, provides)| {
                format!(
                    "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\nProvides: {provides}\n\
                     Filename: pool/{name}.deb\nSize: 1\nSHA256: {}\n\n",
                    "0".repeat(64)
                )
            })
            .collect();
        Index::new("trixie", vec![("debian", compact(&text, "t").unwrap())])
    }

    fn names(
        index: &Index,
        wanted: &[&str],
        present: &[(&str, &str)],
    ) -> Result<Vec<String>, EnvironmentError> {
        let given = Given {
            present: present
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            ignored: &["debconf"],
        };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        Ok(resolve(index, &wanted, &given)?
            .iter()
            .map(|p| p.name.to_owned())
            .collect())
    }

    #[test]
    fn the_closure_follows_dependencies_and_stops_at_what_is_there() {
        let index = index(&[
            ("a", "1", "b, c (>= 2)", ""),
            ("b", "1", "d:any", ""),
            ("c", "2", "", ""),
            ("d", "1", "a", ""),
        ]);
        assert_eq!(names(&index, &["a"], &[]).unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(names(&index, &["a"], &[("b", "1")]).unwrap(), ["a", "c"]);
    }

    #[test]
    fn an_alternative_that_is_chosen_already_beats_the_first() {
        let index = index(&[
            ("a", "1", "x | y", ""),
            ("x", "1", "", ""),
            ("y", "1", "", ""),
        ]);
        assert_eq!(names(&index, &["a"], &[]).unwrap(), ["a", "x"]);
        assert_eq!(names(&index, &["y", "a"], &[]).unwrap(), ["a", "y"]);
    }

    #[test]
    fn a_version_that_is_too_low_falls_to_the_next_alternative() {
        let index = index(&[
            ("a", "1", "x (>= 2) | y", ""),
            ("x", "1", "", ""),
            ("y", "1", "", ""),
        ]);
        assert_eq!(names(&index, &["a"], &[]).unwrap(), ["a", "y"]);
    }

    #[test]
    fn virtual_packages_are_provided_with_versions() {
        let index = index(&[
            ("a", "1", "v (>= 3)", ""),
            ("old", "9", "", "v (= 1)"),
            ("plain", "9", "", "v"),
            ("zed", "1", "", "v (= 3)"),
        ]);
        assert_eq!(names(&index, &["a"], &[]).unwrap(), ["a", "zed"]);
    }

    #[test]
    fn ignored_names_are_not_followed() {
        let index = index(&[
            ("a", "1", "debconf (>= 0.5) | debconf-2.0", ""),
            ("debconf", "1", "perl", ""),
        ]);
        assert_eq!(names(&index, &["a"], &[]).unwrap(), ["a"]);
    }

    #[test]
    fn an_unknown_package_tells_the_nearest() {
        let index = index(&[("imagemagick", "1", "", "")]);
        let error = names(&index, &["imagemagik"], &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no Debian package in trixie is called imagemagik (did you mean imagemagick?)"
        );
    }

    #[test]
    fn a_dependency_that_cannot_be_met_names_who_needs_it() {
        let index = index(&[("a", "1", "b (>= 2)", ""), ("b", "1", "", "")]);
        let error = names(&index, &["a"], &[]).unwrap_err().to_string();
        assert_eq!(error, "a needs b (>= 2), which trixie does not have");
    }

    #[test]
    fn an_exact_version_has_to_be_there() {
        let index = index(&[("a", "1.0-1", "", "")]);
        assert_eq!(names(&index, &["a=1.0-1"], &[]).unwrap(), ["a"]);
        assert!(names(&index, &["a=2"], &[]).is_err());
    }
}
