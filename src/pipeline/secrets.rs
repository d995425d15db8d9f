//! Values that phases need and nobody else may see.
//!
//! A value goes to the phases that name it, as a variable, and nowhere else: no plan, no argument,
//! no log, no layer. What a step's key holds of it is a hash with a key of this cache's own, so that
//! a changed value runs the steps that use it again, and the key tells nothing of the value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use hmac::{Hmac, KeyInit, Mac};
use packwright_providers::Phase;
use sha2::Sha256;

use super::PipelineError;
use crate::cache::Cache;

/// The file of the cache with the key of hashes.
const KEY_FILE: &str = "secret-key";

/// What stands for a value in output.
const MASK: &str = "***";

/// Shorter lines of a value are not looked for: they would hide half of all output.
const SHORTEST: usize = 4;

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value, for those that it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// The secrets of a build, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<String, Secret>);

impl Secrets {
    /// Those that a phase names and that were given.
    pub fn of_phase<'s>(&'s self, phase: &'s Phase) -> BTreeMap<&'s str, &'s Secret> {
        let names = phase.secrets.iter().flatten();
        names
            .filter_map(|name| Some((name.as_str(), self.0.get(name)?)))
            .collect()
    }

    /// Lines without the values that are in them.
    pub fn mask_all(&self, lines: &[String]) -> Vec<String> {
        let lines = lines.iter().map(|line| self.mask(line).into_owned());
        lines.collect()
    }

    /// A line without the values that are in it.
    pub fn mask<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let all = self.0.values().flat_map(|secret| secret.0.lines());
        let mut parts: Vec<&str> = all
            .map(str::trim)
            .filter(|part| part.len() >= SHORTEST)
            .collect();
        // One value may begin another, whose rest would stay.
        parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.len()));
        let mut masked = Cow::Borrowed(line);
        for part in parts {
            if masked.contains(part) {
                masked = Cow::Owned(masked.replace(part, MASK));
            }
        }
        masked
    }
}

/// Stands for the values in keys; empty where there are none.
pub fn fingerprint(
    cache: &Cache,
    secrets: &BTreeMap<&str, &Secret>,
) -> Result<String, PipelineError> {
    if secrets.is_empty() {
        return Ok(String::new());
    }
    let key = machine_key(cache)?;
    let mut hash = Hmac::<Sha256>::new_from_slice(&key)
        .map_err(|error| PipelineError::Folder(error.to_string()))?;
    for (name, secret) in secrets {
        for part in [name.as_bytes(), secret.0.as_bytes()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize().into_bytes()))
}

/// The key, made when it is first needed.
fn machine_key(cache: &Cache) -> Result<Vec<u8>, PipelineError> {
    let path = cache.root().join(KEY_FILE);
    let failed = |action| {
        let path = path.clone();
        move |error| PipelineError::io(action, &path, error)
    };
    match fs::read(&path) {
        Ok(key) if key.len() == 32 => return Ok(key),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read")(error)),
    }
    let mut key = [0_u8; 32];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| failed("make")(error.into()))?;
    let staged = path.with_extension(std::process::id().to_string());
    let written = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&staged)
        .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()));
    written.map_err(failed("write"))?;
    // Of two builds that make one at once, the first one's stays.
    let _ = fs::hard_link(&staged, &path);
    fs::remove_file(&staged).map_err(failed("remove"))?;
    fs::read(&path).map_err(failed("read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let secret =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::new((*value).to_owned()));
        Secrets(pairs.iter().map(secret).collect())
    }

    #[test]
    fn values_are_masked_line_by_line_and_never_debugged() {
        let secrets = secrets(&[("A", "hunter22"), ("B", "first line\nsecond line\nx")]);
        assert_eq!(secrets.mask("is hunter22, x"), "is ***, x");
        assert_eq!(secrets.mask("<second line>"), "<***>");
        let begun = self::secrets(&[("A", "abcdef"), ("B", "abcdefghij")]);
        assert_eq!(begun.mask("abcdefghij"), "***");
        assert!(matches!(secrets.mask("nothing"), Cow::Borrowed(_)));
        assert!(!format!("{secrets:?}").contains("hunter"));
    }

    #[test]
    fn a_fingerprint_follows_the_value_and_the_machine() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let caches = homes
            .each_ref()
            .map(|home| Cache::open(home.path()).unwrap());
        let print = |cache: &Cache, value: &str| {
            let secrets = secrets(&[("A", value)]);
            let map = secrets
                .0
                .iter()
                .map(|(name, secret)| (name.as_str(), secret))
                .collect();
            fingerprint(cache, &map).unwrap()
        };
        assert_eq!(print(&caches[0], "1"), print(&caches[0], "1"));
        assert_ne!(print(&caches[0], "1"), print(&caches[0], "2"));
        assert_ne!(print(&caches[0], "1"), print(&caches[1], "1"));
    }
}
