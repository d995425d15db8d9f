//! Image names as people write them: `host:port/path/name:tag`.

use std::fmt;
use std::str::FromStr;

use super::ImageError;

/// A valid name with a tag, or with a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    repository: String,
    tag: String,
}

impl Reference {
    /// The name without its tag.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, `latest` where none was given.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A name made from a folder's name: lower case, other characters replaced.
    pub fn from_folder(name: &str) -> Self {
        let mut repository = String::new();
        for character in name.to_lowercase().chars() {
            if character.is_ascii_lowercase() || character.is_ascii_digit() {
                repository.push(character);
            } else if !repository.is_empty() && !repository.ends_with('-') {
                repository.push('-');
            }
        }
        let repository = repository.trim_end_matches('-');
        let repository = if repository.is_empty() {
            "app"
        } else {
            repository
        };
        Self {
            repository: repository.to_owned(),
            tag: "latest".to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(name: &str) -> Result<Self, ImageError> {
        let wrong = |reason: &str| ImageError::Reference {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        if name.contains('@') {
            return Err(wrong("an image is built under a tag, not under a digest"));
        }
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match name[last..].split_once(':') {
            Some((_, tag)) => (&name[..name.len() - tag.len() - 1], tag),
            None => (name, "latest"),
        };
        if repository.is_empty() || repository.len() > 255 {
            return Err(wrong("the name is empty or longer than 255 characters"));
        }
        let tag_start = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let tag_byte = |byte: u8| tag_start(byte) || byte == b'.' || byte == b'-';
        if tag.len() > 128
            || !tag.bytes().next().is_some_and(tag_start)
            || !tag.bytes().all(tag_byte)
        {
            return Err(wrong(
                "a tag has up to 128 letters, digits, '_', '.' and '-', and begins with one of the first three",
            ));
        }
        let parts: Vec<&str> = repository.split('/').collect();
        let (host, path) = match parts.as_slice() {
            [first, rest @ ..] if !rest.is_empty() && is_host(first) => (Some(*first), rest),
            all => (None, all),
        };
        if let Some(host) = host.filter(|host| !valid_host(host)) {
            return Err(wrong(&format!("{host:?} is not a host")));
        }
        match path.iter().find(|part| !valid_component(part)) {
            Some(part) if part.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Err(wrong("names are lower case"))
            }
            Some(part) => Err(wrong(&format!(
                "{part:?} must be lower-case letters and digits, with single '.', '_', '__' or '-' between them"
            ))),
            None => Ok(Self {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
            }),
        }
    }
}

fn is_host(part: &str) -> bool {
    part.contains('.') || part.contains(':') || part == "localhost"
}

fn valid_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    let labels = name
        .split('.')
        .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    labels && name.bytes().all(byte) && port.parse::<u16>().is_ok()
}

/// Letters and digits with separators between them: `.`, `_`, `__` or hyphens.
fn valid_component(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
    let separators = part
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|run| !run.is_empty());
    ends && separators
        .into_iter()
        .all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_a_tag_and_keep_their_own() {
        for (given, full) in [
            ("app", "app:latest"),
            ("team/app:1.2", "team/app:1.2"),
            ("localhost:5000/a/b__c-d", "localhost:5000/a/b__c-d:latest"),
            (
                "0f3b1c7e-0000-4000-8000-000000000000",
                "0f3b1c7e-0000-4000-8000-000000000000:latest",
            ),
        ] {
            assert_eq!(given.parse::<Reference>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn wrong_names_say_why() {
        for bad in [
            "",
            "App",
            "a b",
            "a/",
            "/a",
            "a:",
            "a:-x",
            "a..b",
            "-a",
            "a_-b",
            "a@sha256:0",
            "../a",
            "a\n",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_folder_gives_a_valid_name() {
        for (folder, name) in [
            ("My App", "my-app"),
            ("...", "app"),
            ("ünïcode_1", "n-code-1"),
            ("a--b", "a-b"),
        ] {
            let reference = Reference::from_folder(folder);
            assert_eq!(reference.repository(), name);
            reference.to_string().parse::<Reference>().unwrap();
        }
    }
}
