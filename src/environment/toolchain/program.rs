//! Programs written in Python: the wheels that one needs, chosen together for the Python of the suite.
//!
//! The choice is pip's: of everything the newest version that all requirements allow. A wheel says itself what it
//! requires, so each is downloaded while choosing; the tree needs it anyway. Unpacking is for `tree.rs`.

mod wheels;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nodejs_semver::Range;
use packwright_providers::languages::python::requirement;
use pep440_rs::Version;
use pep508_rs::{ExtraName, Requirement, VerbatimUrl, VersionOrUrl};
use pubgrub::{
    DefaultStringReporter, Dependencies, DependencyConstraints, DependencyProvider,
    PackageResolutionStatistics, PubGrubError, Ranges, Reporter,
};

use super::{Asking, Toolchain, number, pypi};
use crate::environment::EnvironmentError;
use crate::environment::lock::{LockedToolchain, highest, parse_ranges};
use wheels::{Target, Wheel, metadata, wheels};

/// Wheels that are fetched at the same time.
const CONNECTIONS: usize = 6;

/// Chooses the wheels of a program: its newest version that all ranges allow, and what that requires.
pub(super) fn lock(
    tool: &Toolchain,
    meant: &BTreeSet<String>,
    asking: Asking<'_>,
) -> Result<LockedToolchain, EnvironmentError> {
    let name = tool.packages[0].name(asking.architecture);
    let solver = Solver {
        asking,
        target: Target::new(asking)?,
        wanted: wanted(tool, name, &parse_ranges(tool.name, meant)?),
        pages: Mutex::default(),
        needs: Mutex::default(),
    };
    let page = solver.page(name)?;
    let numbered: Vec<(nodejs_semver::Version, String)> = page
        .iter()
        .filter_map(|wheel| Some((number(&wheel.text)?, wheel.text.clone())))
        .collect();
    // Nothing in the range at all is told with what there is.
    highest(tool.name, meant, &numbered)?;
    let chosen = solver
        .solve()
        .map_err(|reason| EnvironmentError::NoVersion {
            tool: tool.name.to_owned(),
            range: meant.iter().cloned().collect::<Vec<_>>().join(" and "),
            available: reason,
        })?;
    let own = chosen.iter().find(|(project, _)| project == name);
    let version = own.map_or_else(String::new, |(_, wheel)| wheel.text.clone());
    let others = chosen.iter().filter(|(project, _)| project != name);
    let artifacts = own.into_iter().chain(others);
    Ok(LockedToolchain {
        tool: tool.name.to_owned(),
        version,
        asked: meant.iter().cloned().collect::<Vec<_>>().join(" "),
        build: false,
        run: false,
        artifacts: artifacts
            .map(|(project, wheel)| wheel.artifact(project))
            .collect(),
    })
}

/// What is installed: the program, and the table's further requirements.
struct Wanted {
    program: String,
    ranges: Vec<Range>,
    beside: Vec<Requirement<VerbatimUrl>>,
}

fn wanted(tool: &Toolchain, program: &str, ranges: &[Range]) -> Wanted {
    Wanted {
        program: program.to_owned(),
        ranges: ranges.to_vec(),
        beside: tool
            .beside
            .iter()
            .filter_map(|text| requirement(text))
            .collect(),
    }
}

/// What is chosen a version of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    Everything,
    Project(String),
    Extra(String, String),
}

impl Node {
    fn project(&self) -> Option<&str> {
        match self {
            Self::Everything => None,
            Self::Project(name) | Self::Extra(name, _) => Some(name),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => write!(formatter, "it"),
            Self::Project(name) => write!(formatter, "{name}"),
            Self::Extra(name, extra) => write!(formatter, "{name}[{extra}]"),
        }
    }
}

type Set = Ranges<Version>;
type Remembered<T> = Mutex<BTreeMap<String, Arc<Vec<T>>>>;

struct Solver<'a> {
    asking: Asking<'a>,
    target: Target,
    wanted: Wanted,
    pages: Remembered<Wheel>,
    needs: Remembered<Requirement<VerbatimUrl>>,
}

impl Solver<'_> {
    /// Each project and its wheel, by name; why there is no choice otherwise.
    fn solve(&self) -> Result<Vec<(String, Wheel)>, String> {
        let zero = Version::new([0]);
        let solution =
            pubgrub::resolve(self, Node::Everything, zero).map_err(|error| match error {
                PubGrubError::NoSolution(mut tree) => {
                    tree.collapse_no_versions();
                    let report = DefaultStringReporter::report(&tree).replace('\n', " ");
                    let python = self.asking.python;
                    format!("for Python {python} there are no wheels that go together: {report}")
                }
                other => error_chain(&other),
            })?;
        let mut chosen = BTreeMap::new();
        for (node, version) in solution {
            if let Node::Project(name) = node {
                let page = self.page(&name).map_err(|error| error.to_string())?;
                let wheel = page.iter().find(|wheel| wheel.version == version);
                chosen.extend(wheel.map(|wheel| (name, wheel.clone())));
            }
        }
        Ok(chosen.into_iter().collect())
    }

    fn page(&self, project: &str) -> Result<Arc<Vec<Wheel>>, EnvironmentError> {
        remembered(&self.pages, project, || {
            let files = pypi::files(project, self.asking.sources, self.asking.client)?;
            Ok(wheels(files, &self.target))
        })
    }

    /// What a wheel requires.
    fn needs(
        &self,
        project: &str,
        wheel: &Wheel,
    ) -> Result<Arc<Vec<Requirement<VerbatimUrl>>>, EnvironmentError> {
        remembered(&self.needs, &wheel.file.name, || {
            let path = pypi::fetch(&wheel.artifact(project), &wheel.file, self.asking)?;
            let malformed = |reason: String| EnvironmentError::Malformed {
                what: wheel.file.name.clone(),
                reason,
            };
            let text = metadata(&path).map_err(malformed)?;
            let lines = text.lines().take_while(|line| !line.trim().is_empty());
            let texts = lines.filter_map(|line| line.strip_prefix("Requires-Dist:"));
            texts
                .map(|text| {
                    requirement(text.trim())
                        .ok_or_else(|| malformed(format!("{text} is no requirement")))
                })
                .collect()
        })
    }

    /// The wheel of a set of versions: the newest finished one, else the newest.
    fn newest(&self, project: &str, set: &Set) -> Result<Option<Wheel>, EnvironmentError> {
        let page = self.page(project)?;
        let mut fitting = page.iter().rev().filter(|wheel| {
            let asked = *project != *self.wanted.program || self.wanted.allows(wheel);
            asked && set.contains(&wheel.version)
        });
        let finished = fitting.clone().find(|wheel| wheel.version.is_stable());
        Ok(finished.or_else(|| fitting.next()).cloned())
    }

    /// The program, and what the table wants beside it.
    fn everything(&self) -> Result<DependencyConstraints<Node, Set>, String> {
        let mut all = constraints(&self.wanted.beside)?;
        let program = Node::Project(self.wanted.program.clone());
        all.entry(program).or_insert_with(Set::full);
        Ok(all)
    }

    /// What a version of a project wants, or one of its extras.
    fn of_project(
        &self,
        project: &str,
        extra: Option<&str>,
        version: &Version,
    ) -> Result<Result<DependencyConstraints<Node, Set>, String>, EnvironmentError> {
        let page = self.page(project)?;
        let Some(wheel) = page.iter().find(|wheel| wheel.version == *version) else {
            return Ok(Err("it is not there".to_owned()));
        };
        let needs = self.needs(project, wheel)?;
        let extras: Vec<ExtraName> = extra
            .and_then(|extra| ExtraName::from_str(extra).ok())
            .into_iter()
            .collect();
        let holding = needs
            .iter()
            .filter(|one| one.evaluate_markers(&self.target.markers, &extras));
        let mut all = constraints(holding);
        if let (Ok(all), Some(_)) = (&mut all, extra) {
            let itself = Node::Project(project.to_owned());
            all.insert(itself, Set::singleton(version.clone()));
        }
        Ok(all)
    }

    /// Fetches what will be asked for next, many at a time. What goes wrong is told when it is asked for.
    fn look_ahead(&self, constraints: &DependencyConstraints<Node, Set>) {
        let next: Vec<(&str, &Set)> = constraints
            .iter()
            .filter_map(|(node, set)| Some((node.project()?, set)))
            .collect();
        let place = AtomicUsize::new(0);
        let work = || {
            while let Some((project, set)) = next.get(place.fetch_add(1, Ordering::Relaxed)) {
                if let Ok(Some(wheel)) = self.newest(project, set) {
                    let _ = self.needs(project, &wheel);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(next.len()) {
                scope.spawn(work);
            }
        });
    }
}

impl Wanted {
    fn allows(&self, wheel: &Wheel) -> bool {
        let number = number(&wheel.text);
        number.is_some_and(|number| self.ranges.iter().all(|range| range.satisfies(&number)))
    }
}

impl DependencyProvider for Solver<'_> {
    type P = Node;
    type V = Version;
    type VS = Set;
    type Priority = (u32, std::cmp::Reverse<usize>);
    type M = String;
    type Err = EnvironmentError;

    /// What made trouble, then what there are the fewest versions of.
    fn prioritize(
        &self,
        node: &Node,
        set: &Set,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let page = node.project().and_then(|project| self.page(project).ok());
        let count = page.map_or(0, |page| {
            page.iter()
                .filter(|wheel| set.contains(&wheel.version))
                .count()
        });
        (statistics.conflict_count(), std::cmp::Reverse(count))
    }

    fn choose_version(&self, node: &Node, set: &Set) -> Result<Option<Version>, EnvironmentError> {
        match node.project() {
            None => Ok(Some(Version::new([0]))),
            Some(project) => Ok(self.newest(project, set)?.map(|wheel| wheel.version)),
        }
    }

    fn get_dependencies(
        &self,
        node: &Node,
        version: &Version,
    ) -> Result<Dependencies<Node, Set, String>, EnvironmentError> {
        let constraints = match node {
            Node::Everything => self.everything(),
            Node::Project(project) => self.of_project(project, None, version)?,
            Node::Extra(project, extra) => self.of_project(project, Some(extra), version)?,
        };
        Ok(match constraints {
            Ok(constraints) => {
                self.look_ahead(&constraints);
                Dependencies::Available(constraints)
            }
            Err(reason) => Dependencies::Unavailable(reason),
        })
    }
}

/// What was asked before, or is asked now.
fn remembered<T>(
    among: &Remembered<T>,
    key: &str,
    ask: impl FnOnce() -> Result<Vec<T>, EnvironmentError>,
) -> Result<Arc<Vec<T>>, EnvironmentError> {
    let known = |map: &Remembered<T>| {
        let map = map.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(key).cloned()
    };
    if let Some(found) = known(among) {
        return Ok(found);
    }
    let found = Arc::new(ask()?);
    let mut map = among.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(map.entry(key.to_owned()).or_insert(found).clone())
}

/// What requirements want, as sets of versions.
fn constraints<'r>(
    requirements: impl IntoIterator<Item = &'r Requirement<VerbatimUrl>>,
) -> Result<DependencyConstraints<Node, Set>, String> {
    let mut found = DependencyConstraints::default();
    for requirement in requirements {
        let set = match &requirement.version_or_url {
            None => Set::full(),
            Some(VersionOrUrl::VersionSpecifier(range)) => Set::from(range.clone()),
            Some(VersionOrUrl::Url(_)) => {
                return Err(format!("{requirement} is not in the index"));
            }
        };
        let name = requirement.name.to_string();
        let extras = requirement
            .extras
            .iter()
            .map(|extra| Node::Extra(name.clone(), extra.to_string()));
        for node in extras.chain([Node::Project(name.clone())]) {
            let known = found.entry(node).or_insert_with(Set::full);
            *known = known.intersection(&set);
        }
    }
    Ok(found)
}

/// The messages of an error and its causes in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::wheels::tests::{file, target};
    use super::*;
    use crate::environment::Sources;
    use crate::environment::http::Client;
    use crate::environment::toolchain::pypi::File;

    /// What a program becomes in an index of these projects: each a wheel's name and what it requires.
    fn chosen(tool: &Toolchain, index: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let home = tempfile::tempdir().unwrap();
        let cache = crate::cache::Cache::open(home.path()).unwrap();
        let (sources, client) = (Sources::discover(&cache), Client::default());
        let target = target("3.13.5");
        let mut files: BTreeMap<&str, Vec<File>> = BTreeMap::new();
        let mut needs = BTreeMap::new();
        for (name, requirements) in index {
            let project = name.split('-').next().unwrap();
            let name = format!("{name}-py3-none-any.whl");
            files.entry(project).or_default().push(file(&name, None));
            let requirements = requirements.iter().map(|text| requirement(text).unwrap());
            needs.insert(name, Arc::new(requirements.collect()));
        }
        let pages = files
            .into_iter()
            .map(|(project, files)| (project.to_owned(), Arc::new(wheels(files, &target))));
        let solver = Solver {
            wanted: wanted(tool, tool.name, &[Range::parse("*").unwrap()]),
            pages: Mutex::new(pages.collect()),
            needs: Mutex::new(needs),
            asking: Asking {
                sources: &sources,
                client: &client,
                cache: &cache,
                architecture: "amd64",
                python: "3.13.5",
            },
            target,
        };
        let text = |(project, wheel): (String, Wheel)| format!("{project} {}", wheel.text);
        Ok(solver.solve()?.into_iter().map(text).collect())
    }

    #[test]
    fn of_everything_the_newest_that_all_requirements_allow_is_taken() {
        let pipenv = super::super::named("pipenv").unwrap();
        let index: &[(&str, &[&str])] = &[
            ("pipenv-3.0", &["a>=9"]),
            (
                "pipenv-2.0",
                &[
                    "a[fast]>=1; python_version >= '3.9'",
                    "c; sys_platform == 'win32'",
                ],
            ),
            ("pipenv-1.0", &[]),
            ("a-1.5", &["b<2; extra == 'fast'"]),
            ("a-2.0rc1", &[]),
            ("b-1.9", &[]),
            ("b-2.0", &[]),
        ];
        assert_eq!(
            chosen(pipenv, index).unwrap(),
            ["a 1.5", "b 1.9", "pipenv 2.0"]
        );
        let error = chosen(pipenv, &[("pipenv-3.0", &["a>=9"]), ("a-1", &[])]).unwrap_err();
        assert!(
            error.contains("3.13.5") && error.contains("pipenv"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_says_what_it_was_tested_with_gets_that() {
        let pdm = super::super::named("pdm").unwrap();
        let index: &[(&str, &[&str])] = &[
            ("pdm-2.1", &["a", "a==7; extra == 'locked'"]),
            ("pdm-2.0", &["a", "a==1; extra == 'locked'"]),
            ("a-1", &[]),
            ("a-2", &[]),
        ];
        assert_eq!(chosen(pdm, index).unwrap(), ["a 1", "pdm 2.0"]);
    }
}
