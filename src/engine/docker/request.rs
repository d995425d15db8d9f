//! What a daemon is asked to build, and where the result goes.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::DaemonError;
use super::context::ContextFile;

/// A cache or an output in BuildKit's own words: its type, and everything else.
pub type Typed = (String, BTreeMap<String, String>);

/// The kind of a cache that is a folder of this machine.
pub(super) const FOLDER: &str = "local";

/// The commands of each phase, in the order of the Dockerfile, where they have numbers.
pub type Commands = BTreeMap<String, Vec<String>>;

/// What a daemon is told beyond the plan.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// `linux/amd64`.
    pub platform: Option<String>,
    /// `name:address`; nixpacks gives such builds the host's network.
    pub add_hosts: Vec<String>,
    /// `host` or `none`.
    pub network: Option<String>,
    /// Bytes; the classic builder alone limits it.
    pub memory: Option<i64>,
    /// Microseconds in a tenth of a second; the classic builder alone limits it.
    pub cpu_quota: Option<i64>,
    /// Where steps of other builds are found.
    pub cache_from: Vec<Typed>,
    /// Where the steps of this build are kept for others.
    pub cache_to: Vec<Typed>,
    /// An image of Docker Engine's that keeps cache directories between builds.
    pub cache_image: Option<String>,
    /// Where the image goes.
    pub export: Exported,
}

/// A build of a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct ImageBuild {
    /// The context.
    pub files: Vec<ContextFile>,
    /// The file with the instructions, relative to the context.
    pub dockerfile: PathBuf,
    /// What of it are commands of phases.
    pub commands: Commands,
    /// Names of the image.
    pub names: Vec<String>,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// Labels beyond the file's.
    pub labels: BTreeMap<String, String>,
    /// Values by name; only BuildKit can keep them to the steps that mount them.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Run every step.
    pub no_cache: bool,
    /// How and where to.
    pub options: DaemonOptions,
    /// Builds with the same key send what differs from the last one's files.
    pub shared_key: String,
}

impl ImageBuild {
    /// Names of images that the builder may have to read or write: the build's own and those of caches.
    pub(super) fn images(&self) -> impl Iterator<Item = &str> {
        let caches = self.options.cache_from.iter().chain(&self.options.cache_to);
        let caches = caches.filter_map(|(_, attributes)| attributes.get("ref"));
        // Only a push writes to the registry of a name.
        let pushed = (self.options.export == Exported::Registry).then_some(&self.names);
        let names = pushed.into_iter().flatten().chain(caches);
        names.map(String::as_str)
    }
}

/// Where a finished image goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Exported {
    /// To Docker Engine's own images.
    #[default]
    Engine,
    /// To the registry that its name says, from the builder.
    Registry,
    /// To a file or folder of this machine.
    File {
        /// `oci`, `docker`, `tar`; `local` is a folder.
        kind: String,
        /// The exporter's other attributes.
        attributes: HashMap<String, String>,
        /// The file or folder.
        path: PathBuf,
    },
    /// It stays in the builder's cache.
    Nowhere,
}

/// Reads `type=registry,ref=...`; text without `=` is a registry's reference, as with `docker build`.
pub fn parse_typed(flag: &'static str, text: &str) -> Result<Typed, DaemonError> {
    let wrong = |reason: &str| DaemonError::Argument {
        flag,
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    if !text.contains('=') {
        let attributes = BTreeMap::from([("ref".to_owned(), text.to_owned())]);
        return Ok(("registry".to_owned(), attributes));
    }
    let mut kind = None;
    let mut attributes = BTreeMap::new();
    for field in fields(text).ok_or_else(|| wrong("a quote is not closed"))? {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| wrong("each part must be name=value"))?;
        if name == "type" {
            kind = Some(value.to_owned());
        } else {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    let kind = kind.ok_or_else(|| wrong("it must have a type, such as type=registry"))?;
    Ok((kind, attributes))
}

/// Reads a cache; one in a folder of this machine has to name it.
pub fn parse_cache(flag: &'static str, text: &str) -> Result<Typed, DaemonError> {
    let (kind, attributes) = parse_typed(flag, text)?;
    let wrong = |reason: &str| DaemonError::Argument {
        flag,
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    if kind == FOLDER {
        let name = if flag == "--cache-to" { "dest" } else { "src" };
        if attributes.get(name).is_none_or(String::is_empty) {
            return Err(wrong(&format!("it must say {name}=DIR")));
        }
        if attributes.contains_key("reset") {
            return Err(wrong("reset is not known: remove the folder instead"));
        }
    }
    Ok((kind, attributes))
}

/// The fields of one CSV line.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut()?;
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_and_outputs_are_read_as_docker_reads_them() {
        let (kind, attributes) =
            parse_typed("--cache-to", "type=registry,ref=a.test/b:c,mode=max").unwrap();
        assert_eq!(
            (
                kind.as_str(),
                attributes["ref"].as_str(),
                attributes["mode"].as_str()
            ),
            ("registry", "a.test/b:c", "max")
        );
        let (kind, attributes) = parse_typed("--cache-from", "a.test/b").unwrap();
        assert_eq!(
            (kind.as_str(), attributes["ref"].as_str()),
            ("registry", "a.test/b")
        );
        let (_, attributes) = parse_typed("--docker-output", r#"type=local,"dest=a,b""#).unwrap();
        assert_eq!(attributes["dest"], "a,b");
        assert!(parse_typed("--cache-to", "ref=a").is_err());
        assert!(parse_cache("--cache-to", "type=local,dest=a,mode=max").is_ok());
        assert!(parse_cache("--cache-from", "type=local,src=a").is_ok());
        for (flag, text) in [
            ("--cache-to", "type=local"),
            ("--cache-to", "type=local,src=a"),
            ("--cache-to", "type=local,dest=a,reset=true"),
            ("--cache-from", "type=local,src="),
        ] {
            assert!(parse_cache(flag, text).is_err(), "{text}");
        }
        assert!(parse_typed("--cache-to", "\"type=a").is_err());
    }
}
