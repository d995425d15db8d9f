//! Where registries and archives are, as this machine is configured.
//!
//! Every address comes from the machine, none from this program: our own variable, the client's
//! variable, the client's files, the client itself, and last what the binary's maker compiled in.
//! The app's folder is never asked, so that a repository cannot choose where toolchains come from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::EnvironmentError;
use crate::cache::{Cache, Key, Kind};

mod maven;

/// The registries that environments use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registry {
    /// Debian's archive.
    Debian,
    /// Debian's archive of security updates.
    DebianSecurity,
    /// The npm registry.
    Npm,
    /// The Python package index ("simple" interface).
    Pypi,
    /// The Go module proxy.
    GoProxy,
    /// The Go checksum database: a name, not an address; the proxy relays it.
    GoSumdb,
    /// Maven's central repository.
    Maven,
}

impl Registry {
    pub(super) const ALL: [Self; 7] = [
        Self::Debian,
        Self::DebianSecurity,
        Self::Npm,
        Self::Pypi,
        Self::GoProxy,
        Self::GoSumdb,
        Self::Maven,
    ];

    /// In locks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::DebianSecurity => "debian-security",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::GoProxy => "go",
            Self::GoSumdb => "gosumdb",
            Self::Maven => "maven",
        }
    }

    /// The registry of a name in a lock.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|registry| registry.name() == name)
    }

    /// For messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian mirror",
            Self::DebianSecurity => "Debian security mirror",
            Self::Npm => "npm registry",
            Self::Pypi => "Python package index",
            Self::GoProxy => "Go module proxy",
            Self::GoSumdb => "Go checksum database",
            Self::Maven => "Maven repository",
        }
    }

    /// The variable of ours that names it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Debian => "PACKWRIGHT_DEBIAN_MIRROR",
            Self::DebianSecurity => "PACKWRIGHT_DEBIAN_SECURITY_MIRROR",
            Self::Npm => "PACKWRIGHT_NPM_REGISTRY",
            Self::Pypi => "PACKWRIGHT_PYPI_INDEX",
            Self::GoProxy => "PACKWRIGHT_GOPROXY",
            Self::GoSumdb => "PACKWRIGHT_GOSUMDB",
            Self::Maven => "PACKWRIGHT_MAVEN_REPOSITORY",
        }
    }

    fn client(self) -> &'static str {
        match self {
            Self::Debian | Self::DebianSecurity => "apt",
            Self::Npm => "npm",
            Self::Pypi => "pip or uv",
            Self::GoProxy | Self::GoSumdb => "go",
            Self::Maven => "Maven",
        }
    }

    fn client_variables(self) -> &'static [&'static str] {
        match self {
            Self::Debian | Self::DebianSecurity | Self::Maven => &[],
            Self::Npm => &["npm_config_registry", "NPM_CONFIG_REGISTRY"],
            Self::Pypi => &["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"],
            Self::GoProxy => &["GOPROXY"],
            Self::GoSumdb => &["GOSUMDB"],
        }
    }

    fn compiled_in(self) -> Option<&'static str> {
        match self {
            Self::Debian => option_env!("PACKWRIGHT_DEFAULT_DEBIAN_MIRROR"),
            Self::DebianSecurity => option_env!("PACKWRIGHT_DEFAULT_DEBIAN_SECURITY_MIRROR"),
            Self::Npm => option_env!("PACKWRIGHT_DEFAULT_NPM_REGISTRY"),
            Self::Pypi => option_env!("PACKWRIGHT_DEFAULT_PYPI_INDEX"),
            Self::GoProxy => option_env!("PACKWRIGHT_DEFAULT_GOPROXY"),
            Self::GoSumdb => option_env!("PACKWRIGHT_DEFAULT_GOSUMDB"),
            Self::Maven => option_env!("PACKWRIGHT_DEFAULT_MAVEN_REPOSITORY"),
        }
    }

    /// The command that makes the client say its setting.
    fn question(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Debian | Self::DebianSecurity | Self::Maven => None,
            Self::Npm => Some(("npm", &["config", "get", "registry"])),
            Self::Pypi => Some((
                "python3",
                &[
                    "-c",
                    "from pip._internal.models.index import PyPI; print(PyPI.simple_url)",
                ],
            )),
            Self::GoProxy => Some(("go", &["env", "GOPROXY"])),
            Self::GoSumdb => Some(("go", &["env", "GOSUMDB"])),
        }
    }
}

/// An address with where it was found. Credentials in it are kept apart and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Without credentials and without a slash at its end.
    pub url: String,
    /// `the variable GOPROXY`, `/etc/apt/sources.list.d/debian.sources`.
    pub provenance: String,
    authorization: Option<String>,
    public_key: Option<String>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("provenance", &self.provenance)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The `Authorization` header to send to this address alone.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// The same for another address, when that is on the same host.
    pub(super) fn authorization_for(&self, url: &str) -> Option<&str> {
        let host = |url: &str| url.split('/').nth(2).map(str::to_owned);
        self.authorization()
            .filter(|_| host(url) == host(&self.url))
    }

    /// The public key that a checksum database's setting names after its name.
    pub(super) fn public_key(&self) -> Option<&str> {
        self.public_key.as_deref()
    }

    /// The address of a path below this one.
    pub(super) fn join(&self, path: &str) -> String {
        format!("{}/{}", self.url, path.trim_start_matches('/'))
    }

    fn parse(registry: Registry, value: &str, provenance: &str) -> Result<Self, EnvironmentError> {
        let bad = |reason: &str| EnvironmentError::BadEndpoint {
            registry: registry.title(),
            provenance: provenance.to_owned(),
            reason: reason.to_owned(),
        };
        if registry == Registry::GoSumdb {
            // `name`, or `name+hash+key`, or `name url`: the name is what the proxy's paths need.
            let name = value.split(['+', ' ']).next().unwrap_or_default();
            let legal = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
            return if legal {
                let public_key = value
                    .split(' ')
                    .next()
                    .and_then(|v| v.splitn(3, '+').nth(2))
                    .map(str::to_owned);
                Ok(Self {
                    url: name.to_owned(),
                    provenance: provenance.to_owned(),
                    authorization: None,
                    public_key,
                })
            } else {
                Err(bad("it is not a name"))
            };
        }
        let (scheme, rest) = value
            .split_once("://")
            .ok_or_else(|| bad("it is not a URL"))?;
        if !matches!(scheme, "http" | "https") {
            return Err(bad("only http and https are supported"));
        }
        if scheme == "http"
            && matches!(registry, Registry::Npm | Registry::Pypi | Registry::Maven)
            && !is_local(rest)
        {
            return Err(bad(
                "plain http carries no proof of what it serves; use https",
            ));
        }
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, host) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(u, h)| (Some(u), h));
        if host.is_empty() || rest.chars().any(|c| c.is_control() || c == ' ') {
            return Err(bad("it names no host"));
        }
        let authorization = userinfo.map(|userinfo| {
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(percent_decode(userinfo))
            )
        });
        Ok(Self {
            url: format!("{scheme}://{host}{}", path.trim_end_matches('/')),
            provenance: provenance.to_owned(),
            authorization,
            public_key: None,
        })
    }
}

fn is_local(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.starts_with("[::1]") || matches!(host.split(':').next(), Some("localhost" | "127.0.0.1"))
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let decoded = (bytes[index] == b'%')
            .then(|| {
                text.get(index + 1..index + 3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .flatten();
        out.push(decoded.unwrap_or(bytes[index]));
        index += if decoded.is_some() { 3 } else { 1 };
    }
    out
}

/// Finds addresses when they are first needed.
pub struct Sources {
    variables: BTreeMap<String, String>,
    home: Option<PathBuf>,
    system: PathBuf,
    cache: Option<Cache>,
    found: [OnceLock<Endpoint>; Registry::ALL.len()],
}

impl Sources {
    /// Sources as this process' environment and this machine's files have them. What clients
    /// answer is remembered in the cache for a day.
    pub fn discover(cache: &Cache) -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        let home = variables
            .get("HOME")
            .filter(|home| home.starts_with('/'))
            .map(PathBuf::from);
        Self {
            variables,
            home,
            system: PathBuf::from("/"),
            cache: Some(cache.clone()),
            found: Default::default(),
        }
    }

    /// A variable of the environment, if it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The address of a registry.
    pub fn endpoint(&self, registry: Registry) -> Result<&Endpoint, EnvironmentError> {
        let slot = &self.found[Registry::ALL
            .iter()
            .position(|r| *r == registry)
            .unwrap_or_default()];
        if let Some(endpoint) = slot.get() {
            return Ok(endpoint);
        }
        let endpoint = self.search(registry)?;
        Ok(slot.get_or_init(|| endpoint))
    }

    fn search(&self, registry: Registry) -> Result<Endpoint, EnvironmentError> {
        let ours = std::iter::once(registry.variable());
        for name in ours.chain(registry.client_variables().iter().copied()) {
            if let Some(value) = self
                .variable(name)
                .and_then(|value| usable(registry, value))
            {
                return Endpoint::parse(registry, value, &format!("the variable {name}"));
            }
        }
        if let Some((value, file)) = self.configured_in_files(registry) {
            return Endpoint::parse(registry, &value, &file.display().to_string());
        }
        if let Some((value, provenance)) = self.asked(registry) {
            return Endpoint::parse(registry, &value, &provenance);
        }
        if registry == Registry::DebianSecurity
            && let Ok(main) = self.endpoint(Registry::Debian)
            && main.url.ends_with("/debian")
        {
            let mut endpoint = main.clone();
            endpoint.url.push_str("-security");
            return Ok(endpoint);
        }
        match registry.compiled_in() {
            Some(value) => Endpoint::parse(registry, value, "the program's default"),
            None => Err(EnvironmentError::NoEndpoint {
                registry: registry.title(),
                variable: registry.variable(),
                client: registry.client(),
            }),
        }
    }

    fn configured_in_files(&self, registry: Registry) -> Option<(String, PathBuf)> {
        let home = |path: &str| self.home.as_ref().map(|home| home.join(path));
        let system = |path: &str| Some(self.system.join(path));
        match registry {
            Registry::Debian | Registry::DebianSecurity => apt_mirror(&self.system, registry),
            Registry::Npm => {
                let own = self
                    .variable("NPM_CONFIG_USERCONFIG")
                    .map(PathBuf::from)
                    .or_else(|| home(".npmrc"));
                setting_in([own, system("etc/npmrc")], None, "registry", registry)
            }
            Registry::Pypi => {
                let own = self.variable("PIP_CONFIG_FILE").map(PathBuf::from);
                let files = [
                    own,
                    home(".config/pip/pip.conf"),
                    home(".pip/pip.conf"),
                    system("etc/pip.conf"),
                ];
                setting_in(files, Some("global"), "index-url", registry)
            }
            Registry::GoProxy | Registry::GoSumdb => {
                let own = self
                    .variable("GOENV")
                    .map(PathBuf::from)
                    .or_else(|| home(".config/go/env"));
                let name = if registry == Registry::GoProxy {
                    "GOPROXY"
                } else {
                    "GOSUMDB"
                };
                setting_in([own], None, name, registry)
            }
            Registry::Maven => {
                let installed = self.variable("PATH").and_then(maven::installation);
                let files = [
                    home(".m2/settings.xml"),
                    installed.map(|folder| folder.join("conf/settings.xml")),
                ];
                files.into_iter().flatten().find_map(|file| {
                    let url = maven::mirror(&fs::read_to_string(&file).ok()?)?;
                    Some((url, file))
                })
            }
        }
    }

    /// Asks the client itself, outside of the app's folder; slow, so the answer is remembered.
    fn asked(&self, registry: Registry) -> Option<(String, String)> {
        if registry == Registry::Maven {
            let installed = maven::installation(self.variable("PATH")?)?;
            let provenance = format!("what the Maven in {} has built in", installed.display());
            return Some((maven::built_in(&installed)?, provenance));
        }
        let (program, arguments) = registry.question()?;
        let path = self.variable("PATH")?;
        let key = Key::build("endpoint 1")
            .field("registry", registry.title())
            .field("path", path)
            .finish();
        if let Some(cache) = &self.cache
            && let Some(file) = cache
                .path(Kind::Lock, &key)
                .exists()
                .then(|| cache.path(Kind::Lock, &key))
            && fs::metadata(&file)
                .and_then(|m| m.modified())
                .ok()?
                .elapsed()
                .is_ok_and(|age| age < super::lock::FRESH)
            && let Ok(text) = fs::read_to_string(&file)
        {
            return Some((text, format!("what {program} says")));
        }
        let text = ask(program, arguments)?;
        let value = usable(registry, text.trim())?.to_owned();
        // An address with credentials is not written down.
        if let Some(cache) = &self.cache
            && !value.contains('@')
        {
            let _ = cache.write(Kind::Lock, &key, value.as_bytes());
        }
        Some((value, format!("what {program} says")))
    }
}

/// The part of a setting that names an address: `GOPROXY` is a list with words in it.
fn usable(registry: Registry, value: &str) -> Option<&str> {
    let value = value.trim();
    match registry {
        Registry::GoProxy => value
            .split([',', '|'])
            .map(str::trim)
            .find(|part| part.contains("://")),
        Registry::GoSumdb => (value != "off" && !value.is_empty()).then_some(value),
        _ => (!value.is_empty() && value != "undefined").then_some(value),
    }
}

fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match child.try_wait().ok()? {
            Some(status) if status.success() => break,
            Some(_) => return None,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut std::io::Read::take(child.stdout.take()?, 4096),
        &mut text,
    )
    .ok()?;
    Some(text)
}

/// Looks for `name = value` in ini-like files, below `[section]` if one is given.
fn setting_in<const N: usize>(
    files: [Option<PathBuf>; N],
    section: Option<&str>,
    name: &str,
    registry: Registry,
) -> Option<(String, PathBuf)> {
    files.into_iter().flatten().find_map(|file| {
        let text = fs::read_to_string(&file).ok()?;
        let value = setting(&text, section, name)?;
        Some((usable(registry, &value)?.to_owned(), file))
    })
}

fn setting(text: &str, section: Option<&str>, name: &str) -> Option<String> {
    let mut inside = section.is_none();
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            inside = section.is_none_or(|section| section == header.trim());
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == name
            && !value.contains("${")
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}

/// The suites whose apt sources are Debian's own.
const DEBIAN_SUITES: [&str; 12] = [
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
    "sid",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "buster",
];

fn apt_mirror(system: &Path, registry: Registry) -> Option<(String, PathBuf)> {
    let apt = system.join("etc/apt");
    let mut files: Vec<PathBuf> = fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.insert(0, apt.join("sources.list"));
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(&file).ok()?;
        let entries = match file.extension().and_then(|e| e.to_str()) {
            Some("list") => list_entries(&text),
            Some("sources") => deb822_entries(&text),
            _ => return None,
        };
        let uri = entries.into_iter().find(|(uri, suite)| {
            let security = suite.ends_with("-security") || suite.ends_with("/updates");
            let name = suite.split(['-', '/']).next().unwrap_or_default();
            DEBIAN_SUITES.contains(&name)
                && security == (registry == Registry::DebianSecurity)
                && uri.starts_with("http")
        })?;
        Some((uri.0, file))
    })
}

/// `deb [options] URI suite component...` lines that have a `main` component.
fn list_entries(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next()?.trim().strip_prefix("deb ")?.trim();
            let line = match line.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?.1,
                None => line,
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            let [uri, suite, components @ ..] = words.as_slice() else {
                return None;
            };
            components
                .contains(&"main")
                .then(|| ((*uri).to_owned(), (*suite).to_owned()))
        })
        .collect()
}

fn deb822_entries(text: &str) -> Vec<(String, String)> {
    let text = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut entries = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            paragraph.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let words = |name: &str| field(name).unwrap_or_default().split_whitespace();
        // A third party may reuse Debian's suite names, but not its key.
        let third_party = field("Signed-By").is_some_and(|key| !key.contains("debian-archive"));
        let disabled = field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
        if third_party
            || disabled
            || !words("Types").any(|t| t == "deb")
            || !words("Components").any(|c| c == "main")
        {
            continue;
        }
        for uri in words("URIs") {
            entries.extend(words("Suites").map(|suite| (uri.to_owned(), suite.to_owned())));
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)], files: &[(&str, &str)]) -> (Sources, tempfile::TempDir) {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = Sources {
            variables: variables
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            home: Some(home.path().to_owned()),
            system: home.path().to_owned(),
            cache: None,
            found: Default::default(),
        };
        (sources, home)
    }

    #[test]
    fn our_variable_beats_the_clients_and_its_files() {
        let (sources, _home) = sources(
            &[
                ("PACKWRIGHT_NPM_REGISTRY", "https://ours.test/npm/"),
                ("npm_config_registry", "https://theirs.test"),
            ],
            &[(".npmrc", "registry=https://file.test/")],
        );
        let endpoint = sources.endpoint(Registry::Npm).unwrap();
        assert_eq!(endpoint.url, "https://ours.test/npm");
        assert_eq!(endpoint.provenance, "the variable PACKWRIGHT_NPM_REGISTRY");
    }

    #[test]
    fn credentials_in_an_address_are_kept_apart() {
        let (sources, _home) = sources(
            &[("PIP_INDEX_URL", "https://user:p%40ss@index.test/simple")],
            &[],
        );
        let endpoint = sources.endpoint(Registry::Pypi).unwrap();
        assert_eq!(endpoint.url, "https://index.test/simple");
        assert_eq!(endpoint.authorization(), Some("Basic dXNlcjpwQHNz"));
        assert!(!format!("{endpoint:?}").contains("dXNl"));
    }

    #[test]
    fn the_first_address_of_a_proxy_list_is_taken() {
        let (sources, _home) = sources(&[("GOPROXY", "direct,https://proxy.test|off")], &[]);
        assert_eq!(
            sources.endpoint(Registry::GoProxy).unwrap().url,
            "https://proxy.test"
        );
    }

    #[test]
    fn apt_sources_of_third_parties_are_not_debians() {
        let (sources, _home) = sources(
            &[],
            &[
                (
                    "etc/apt/sources.list.d/a.sources",
                    "Types: deb\nURIs: https://third.test/deb\nSuites: bookworm\nComponents: main\nSigned-By: /usr/share/keyrings/third.gpg\n",
                ),
                (
                    "etc/apt/sources.list.d/b.sources",
                    "Types: deb\n# a comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://mirror.test/sec\nSuites: bookworm-security\nComponents: main\n",
                ),
            ],
        );
        assert_eq!(
            sources.endpoint(Registry::Debian).unwrap().url,
            "http://mirror.test/debian"
        );
        assert_eq!(
            sources.endpoint(Registry::DebianSecurity).unwrap().url,
            "http://mirror.test/sec"
        );
    }

    #[test]
    fn mavens_settings_name_its_repository_and_plain_http_is_refused() {
        let settings = |url: &str| {
            format!(
                "<settings><mirrors><mirror><mirrorOf>*</mirrorOf><url>{url}</url></mirror></mirrors></settings>"
            )
        };
        let file = settings("https://maven.test/2/");
        let (found, _home) = sources(&[], &[(".m2/settings.xml", &file)]);
        let endpoint = found.endpoint(Registry::Maven).unwrap();
        assert_eq!(endpoint.url, "https://maven.test/2");
        assert!(endpoint.provenance.ends_with(".m2/settings.xml"));
        let file = settings("http://maven.test/2/");
        let (found, _home) = sources(&[], &[(".m2/settings.xml", &file)]);
        assert!(found.endpoint(Registry::Maven).is_err());
    }

    #[test]
    fn one_line_sources_are_read_with_their_options() {
        let (sources, _home) = sources(
            &[],
            &[(
                "etc/apt/sources.list",
                "# deb http://no.test/debian sid main\ndeb [arch=amd64 signed-by=/k] http://yes.test/debian trixie main contrib # here\n",
            )],
        );
        assert_eq!(
            sources.endpoint(Registry::Debian).unwrap().url,
            "http://yes.test/debian"
        );
        assert_eq!(
            sources.endpoint(Registry::DebianSecurity).unwrap().url,
            "http://yes.test/debian-security"
        );
    }

    #[test]
    fn nothing_configured_is_an_error_that_names_the_variable() {
        let (sources, _home) = sources(&[], &[]);
        if Registry::Npm.compiled_in().is_none() {
            let error = sources.endpoint(Registry::Npm).unwrap_err().to_string();
            assert!(error.contains("PACKWRIGHT_NPM_REGISTRY"), "{error}");
        }
    }
}
