//! What a project file says, and the properties that projects share.

use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

/// What a project is compiled for, and where that is written.
pub(super) struct Framework {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) line: usize,
}

/// The properties that all projects below a folder share.
const SHARED: &str = "Directory.Build.props";

/// The framework of the project file, else of the shared properties.
pub(super) fn framework(repo: &Repo, project: &Project) -> Result<Option<Framework>, PlanError> {
    if let Some((name, line)) = &project.framework {
        return Ok(Some(Framework {
            name: name.clone(),
            file: project.path.clone(),
            line: *line,
        }));
    }
    let Some(text) = repo.text(SHARED)? else {
        return Ok(None);
    };
    let document = read::xml(SHARED, &text)?;
    let found = target_framework(&document);
    Ok(found.map(|(name, line)| Framework {
        name,
        file: SHARED.to_owned(),
        line,
    }))
}

/// A property's text and its line. One of another file or of the command line says nothing.
fn property<'a>(document: &'a roxmltree::Document, name: &str) -> Option<(&'a str, usize)> {
    document
        .descendants()
        .filter(|node| node.tag_name().name() == name)
        .find_map(|node| {
            let line = document.text_pos_at(node.range().start).row;
            Some((node.text()?.trim(), usize::try_from(line).ok()?))
        })
        .filter(|(value, _)| !value.is_empty() && !value.contains("$("))
}

/// The newest target framework, and its line.
fn target_framework(document: &roxmltree::Document) -> Option<(String, usize)> {
    let (names, line) =
        property(document, "TargetFramework").or_else(|| property(document, "TargetFrameworks"))?;
    Some((newest(names)?, line))
}

/// What a project makes, the likeliest to be the application first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Server,
    Program,
    Library,
    Tests,
}

impl Kind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Server => "a server or worker, by its kit",
            Self::Program => "a program, by its OutputType",
            Self::Library => "nothing in it says that it is a program",
            Self::Tests => "there are tests alone",
        }
    }
}

/// What a project file says.
pub(super) struct Project {
    pub(super) path: String,
    /// The newest target framework, and its line.
    pub(super) framework: Option<(String, usize)>,
    /// Name of the program.
    pub(super) assembly: String,
    pub(super) kind: Kind,
    /// Whether it brings the runtime along.
    pub(super) self_contained: bool,
    /// Whether it is compiled together with other projects.
    pub(super) references: bool,
}

impl Project {
    pub(super) fn read(repo: &Repo, path: &str) -> Result<Option<Self>, PlanError> {
        let Some(text) = repo.text(path)? else {
            return Ok(None);
        };
        let document = read::xml(path, &text)?;
        let value = |name: &str| property(&document, name);
        let sdk = document.root_element().attribute("Sdk").unwrap_or_default();
        let has = |name: &str| {
            document
                .descendants()
                .any(|node| node.tag_name().name() == name)
        };
        let mut packages = document
            .descendants()
            .filter(|node| node.tag_name().name() == "PackageReference")
            .filter_map(|node| node.attribute("Include"));
        let stem = path.rsplit('/').next().unwrap_or(path);
        let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
        let output = value("OutputType").map(|(kind, _)| kind.to_ascii_lowercase());
        let kind = if packages.any(|name| name == "Microsoft.NET.Test.Sdk") {
            Kind::Tests
        } else if ["Microsoft.NET.Sdk.Web", "Microsoft.NET.Sdk.Worker"].contains(&sdk) {
            Kind::Server
        } else if output.is_some_and(|kind| kind == "exe" || kind == "winexe") {
            Kind::Program
        } else {
            Kind::Library
        };
        Ok(Some(Self {
            framework: target_framework(&document),
            assembly: value("AssemblyName")
                .map_or(stem, |(name, _)| name)
                .to_owned(),
            kind,
            self_contained: value("SelfContained")
                .is_some_and(|(yes, _)| yes.eq_ignore_ascii_case("true"))
                || value("PublishAot").is_some_and(|(yes, _)| yes.eq_ignore_ascii_case("true")),
            references: has("ProjectReference") || has("Import"),
            path: path.to_owned(),
        }))
    }

    /// Servers, then programs, then whatever there is; tests last; among equals by path.
    pub(super) fn rank(&self) -> (Kind, String) {
        (self.kind, self.path.clone())
    }

    pub(super) fn at_root(&self) -> bool {
        !self.path.contains('/')
    }
}

/// The newest of `net8.0;net9.0-windows`; libraries' standards are not run.
fn newest(names: &str) -> Option<String> {
    names
        .split(';')
        .map(|name| name.trim().split('-').next().unwrap_or_default())
        .filter(|name| {
            name.starts_with("net") && name.contains('.') && !name.starts_with("netstandard")
        })
        .max_by_key(|name| {
            let digits = name
                .trim_start_matches("netcoreapp")
                .trim_start_matches("net");
            let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
            let mut parts = digits.split('.');
            (number(parts.next()), number(parts.next()))
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_frameworks_the_newest_is_used() {
        assert_eq!(
            newest("net8.0;net10.0-windows;netstandard2.1"),
            Some("net10.0".to_owned())
        );
        assert_eq!(newest("netstandard2.1"), None);
        assert_eq!(newest("net48"), None);
    }
}
