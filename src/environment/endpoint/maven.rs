//! Where Maven's central repository is: a mirror in Maven's settings, or what the client has built in.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

/// The model of Maven that every project inherits; it names the central repository.
const SUPER_POM: &str = "org/apache/maven/model/pom-4.0.0.xml";
const LIMIT: u64 = 1 << 20;

/// The address that a settings file gives the central repository, with the credentials of its server.
pub(super) fn mirror(settings: &str) -> Option<String> {
    let document = Document::parse(settings).ok()?;
    let root = document.root_element();
    let mirrors = children(child(root, "mirrors")?, "mirror");
    let mirror = mirrors
        .into_iter()
        .find(|mirror| text(*mirror, "mirrorOf").is_some_and(is_for_central))?;
    let url = text(mirror, "url")?;
    let credentials = text(mirror, "id").and_then(|id| credentials(root, id));
    Some(match (credentials, url.split_once("://")) {
        (Some((user, password)), Some((scheme, rest))) if !rest.contains('@') => {
            format!("{scheme}://{}:{}@{rest}", escape(&user), escape(&password))
        }
        _ => url.to_owned(),
    })
}

/// `central`, `*`, `external:*`, and lists of them with exceptions.
fn is_for_central(pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split(',').map(str::trim).collect();
    let named = parts
        .iter()
        .any(|part| matches!(*part, "central" | "*" | "external:*"));
    named && !parts.contains(&"!central")
}

/// The user and password of a server; not an encrypted password, which only Maven can read.
fn credentials(settings: Node<'_, '_>, id: &str) -> Option<(String, String)> {
    let servers = children(child(settings, "servers")?, "server");
    let server = servers
        .into_iter()
        .find(|server| text(*server, "id") == Some(id))?;
    let (user, password) = (text(server, "username")?, text(server, "password")?);
    let plain = |value: &str| !value.contains("${") && !value.starts_with('{');
    (plain(user) && plain(password)).then(|| (user.to_owned(), password.to_owned()))
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// The folder of the Maven that `PATH` leads to.
pub(super) fn installation(path: &str) -> Option<PathBuf> {
    let program = std::env::split_paths(path)
        .map(|dir| dir.join("mvn"))
        .find(|program| program.is_file())?;
    let program = fs::canonicalize(program).ok()?;
    Some(program.parent()?.parent()?.to_owned())
}

/// The central repository that a Maven has built in.
pub(super) fn built_in(installation: &Path) -> Option<String> {
    let mut jars: Vec<PathBuf> = fs::read_dir(installation.join("lib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("maven-model-builder-"))
        })
        .collect();
    jars.sort();
    central(&super_pom(jars.first()?)?)
}

fn super_pom(jar: &Path) -> Option<String> {
    let mut archive = zip::ZipArchive::new(File::open(jar).ok()?).ok()?;
    let entry = archive.by_name(SUPER_POM).ok()?;
    let mut text = String::new();
    entry.take(LIMIT).read_to_string(&mut text).ok()?;
    Some(text)
}

fn central(pom: &str) -> Option<String> {
    let document = Document::parse(pom).ok()?;
    let repositories = child(document.root_element(), "repositories")?;
    children(repositories, "repository")
        .into_iter()
        .find(|repository| text(*repository, "id") == Some("central"))
        .and_then(|repository| text(repository, "url"))
        .map(str::to_owned)
}

fn children<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Vec<Node<'a, 'd>> {
    node.children()
        .filter(|node| node.tag_name().name() == name)
        .collect()
}

fn child<'a, 'd>(node: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    children(node, name).into_iter().next()
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?
        .text()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mirror_of: &str, servers: &str) -> String {
        format!(
            "<settings xmlns=\"http://maven.test/SETTINGS/1.0.0\"><servers>{servers}</servers><mirrors>\
             <mirror><id>other</id><mirrorOf>thirds</mirrorOf><url>https://thirds.test</url></mirror>\
             <mirror><id>ours</id><mirrorOf>{mirror_of}</mirrorOf><url> https://ours.test/maven </url></mirror>\
             </mirrors></settings>"
        )
    }

    #[test]
    fn the_mirror_of_the_central_repository_is_taken() {
        for pattern in ["central", "*", "external:*", "*,!thirds"] {
            let found = mirror(&settings(pattern, ""));
            assert_eq!(
                found.as_deref(),
                Some("https://ours.test/maven"),
                "{pattern}"
            );
        }
        for pattern in ["*,!central", "jcenter"] {
            assert_eq!(mirror(&settings(pattern, "")), None, "{pattern}");
        }
        assert_eq!(mirror("<settings"), None);
    }

    #[test]
    fn a_mirror_has_the_credentials_of_its_server_unless_they_are_encrypted() {
        let server = |password: &str| {
            format!(
                "<server><id>ours</id><username>me@x</username><password>{password}</password></server>"
            )
        };
        assert_eq!(
            mirror(&settings("*", &server("p:w"))).unwrap(),
            "https://me%40x:p%3Aw@ours.test/maven"
        );
        assert_eq!(
            mirror(&settings("*", &server("{COQLCE}"))).unwrap(),
            "https://ours.test/maven"
        );
    }

    #[test]
    fn the_super_pom_names_the_central_repository() {
        let pom = "<project><repositories><repository><id>central</id><url>https://central.test/2</url>\
                   </repository></repositories></project>";
        assert_eq!(central(pom).unwrap(), "https://central.test/2");
        assert_eq!(central("<project/>"), None);
    }
}
