//! Names by which builders know what is no file: arguments and cache mounts. Different things have different names.

use sha2::{Digest, Sha256};

/// The build argument whose change runs the phase again: it stands for the values of its secrets.
pub fn secrets_argument(phase: &str) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let name = distinct(phase, plain, '_');
    format!("PACKWRIGHT_SECRETS_OF_{}", name.to_ascii_uppercase())
}

/// A cache directory as a mount's name says it.
pub fn cache_id(target: &str) -> String {
    let inside = target.trim_start_matches('/');
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    // What has slashes alone beside that is told apart by them.
    let parts = inside.split('/').collect::<Vec<_>>();
    if parts.iter().all(|part| part.chars().all(plain)) {
        return parts.join("-");
    }
    distinct(inside, plain, '-')
}

/// The mount of a cache directory, in an app's scope.
pub fn mount_id(scope: &str, target: &str) -> String {
    // A scope has no dot.
    format!("{scope}.{}", cache_id(target))
}

/// The key that a user gave to share mounts.
pub fn scope_of_key(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    distinct(key, plain, '-')
}

/// A text of plain letters alone: as it is, or with `other` instead of each that is not, and a hash that tells it from
/// whatever looks the same then.
fn distinct(text: &str, plain: impl Fn(char) -> bool, other: char) -> String {
    if text.chars().all(&plain) {
        return text.to_owned();
    }
    let letters = text
        .chars()
        .map(|letter| if plain(letter) { letter } else { other });
    let mut name: String = letters.collect();
    name.push(other);
    name + &hex::encode(&Sha256::digest(text.as_bytes())[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_differ(names: &[String]) {
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }

    #[test]
    fn phases_that_look_the_same_have_arguments_of_their_own() {
        assert!(secrets_argument("install").ends_with("_OF_INSTALL"));
        let names = ["a-b", "a_b", "a.b", "A-b", "ab", "AB", "ü", "ö"].map(secrets_argument);
        all_differ(&names);
        for name in &names {
            assert!(super::super::is_name(name), "{name}");
        }
    }

    #[test]
    fn directories_and_keys_that_look_the_same_have_mounts_of_their_own() {
        assert_eq!(mount_id("x", "/root/cache"), "x.root-cache");
        let names = [
            ("a", "/b/c"),
            ("a", "/b-c"),
            ("a", "/b.c"),
            ("a", "/b_c"),
            ("a", "/b c"),
            ("a-b", "/c"),
            ("a.b", "/c"),
            ("a b", "/c"),
        ];
        all_differ(&names.map(|(key, target)| mount_id(&scope_of_key(key), target)));
    }
}
