//! Names and passwords of registries, from the configuration of Docker's own client.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::news::Login;

/// The registry that Docker means when none is named is known under this name in its configuration.
const DOCKERS_OWN: &str = "https://index.docker.io/v1/";

/// What credential helpers call the user of a token.
const TOKEN: &str = "<token>";

/// What `config.json` says of credentials.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Credentials {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
    /// Registries that the build has to do with; a daemon gets no password of another one.
    #[serde(skip)]
    allowed: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    /// In place of a password.
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Credentials {
    /// Reads the configuration, for the registries of some images; none, or one that cannot be read, has no credentials.
    pub(super) fn discover<'a>(images: impl Iterator<Item = &'a str>) -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
        let read: Option<Self> = folder
            .and_then(|folder| fs::read(folder.join("config.json")).ok())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.unwrap_or_default().limited_to(images)
    }

    fn limited_to<'a>(mut self, images: impl Iterator<Item = &'a str>) -> Self {
        self.allowed = images
            .map(|image| key(registry_of(image)).to_owned())
            .collect();
        self
    }

    /// Who pushes an image.
    pub(super) fn login(&self, image: &str) -> Login {
        let registry = key(registry_of(image));
        let (username, secret) = self.of(registry);
        let (password, token) = match username.as_str() {
            "" => (String::new(), secret),
            _ => (secret, String::new()),
        };
        Login {
            username,
            password,
            token,
            server: registry.to_owned(),
        }
    }

    /// User and password for exactly this host; a token has no user, and both are empty when there are none.
    pub(super) fn of(&self, host: &str) -> (String, String) {
        let key = key(host);
        if !self.allowed.contains(key) {
            return Default::default();
        }
        if let Some(helper) = self.cred_helpers.get(key).or(self.creds_store.as_ref())
            && let Some(answer) = ask(helper, key)
        {
            return match answer.username.as_str() {
                TOKEN => (String::new(), answer.secret),
                _ => (answer.username, answer.secret),
            };
        }
        let named = |name: &String| {
            let plain = name
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            name == key || plain.trim_end_matches('/') == key
        };
        let entry = self.auths.iter().find(|(name, _)| named(name));
        entry.map(|(_, entry)| entry.pair()).unwrap_or_default()
    }
}

/// The name of a registry in the configuration.
fn key(host: &str) -> &str {
    match host {
        "registry-1.docker.io" | "docker.io" | "index.docker.io" => DOCKERS_OWN,
        host => host,
    }
}

/// The registry that an image's name means.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

impl Entry {
    fn pair(&self) -> (String, String) {
        if let Some(token) = self
            .identitytoken
            .as_ref()
            .filter(|token| !token.is_empty())
        {
            return (String::new(), token.clone());
        }
        let decoded = self
            .auth
            .as_ref()
            .and_then(|auth| STANDARD.decode(auth).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => (user.to_owned(), password.to_owned()),
            None => (
                self.username.clone().unwrap_or_default(),
                self.password.clone().unwrap_or_default(),
            ),
        }
    }
}

/// Asks a credential helper of Docker's.
fn ask(helper: &str, host: &str) -> Option<Answer> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !helper.chars().all(plain) {
        return None;
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(host.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_their_host_alone() {
        let credentials: Credentials = serde_json::from_str(
            r#"{"auths":{"a.test:5000":{"auth":"dXNlcjpwYTpzcw=="},"https://b.test/":{"username":"u","password":"p"}}}"#,
        )
        .unwrap();
        let images = ["a.test:5000/app:1", "b.test/app", "a.test/app", "app"];
        let credentials = credentials.limited_to(images.into_iter());
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(credentials.of("a.test:5000"), pair("user", "pa:ss"));
        assert_eq!(credentials.of("b.test"), pair("u", "p"));
        assert_eq!(credentials.of("a.test"), pair("", ""));
    }

    #[test]
    fn a_push_logs_in_by_password_or_by_token() {
        let text = r#"{"auths":{"a.test":{"username":"u","password":"p"},"b.test":{"auth":"dTpw","identitytoken":"t"}}}"#;
        let login = |image: &str| {
            let read: Credentials = serde_json::from_str(text).unwrap();
            let login = read.limited_to(std::iter::once(image)).login(image);
            (login.username, login.password, login.token, login.server)
        };
        let texts = |texts: [&str; 4]| {
            let [a, b, c, d] = texts.map(str::to_owned);
            (a, b, c, d)
        };
        assert_eq!(login("a.test/x:1"), texts(["u", "p", "", "a.test"]));
        assert_eq!(login("b.test/x"), texts(["", "", "t", "b.test"]));
        assert_eq!(login("c.test/x"), texts(["", "", "", "c.test"]));
    }

    #[test]
    fn a_daemon_gets_no_password_of_a_registry_that_the_build_has_nothing_to_do_with() {
        let text = r#"{"auths":{"a.test":{"username":"u","password":"p"},"https://index.docker.io/v1/":{"username":"d","password":"p"}}}"#;
        let of = |images: &[&str], host: &str| {
            let read: Credentials = serde_json::from_str(text).unwrap();
            read.limited_to(images.iter().copied()).of(host).0
        };
        assert_eq!(of(&["b.test/app"], "a.test"), "");
        assert_eq!(of(&["b.test/app", "a.test/cache"], "a.test"), "u");
        assert_eq!(of(&["library/app"], "registry-1.docker.io"), "d");
        assert_eq!(of(&["a.test/app"], "registry-1.docker.io"), "");
    }
}
