//! Asks a Go checksum database for the hash of a module, and checks that it is in the signed log.
//!
//! The proxy relays the database, so nothing it says is believed without proof: the tree head has
//! to carry the database's signature, and the record has to be in the tree under that head.
//! Format: the Go project's transparent log design, and RFC 6962, section 2.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::environment::http::Client;
use crate::environment::{Endpoint, EnvironmentError, Registry, Sources};

/// The public key of the database that Go uses when nothing is configured. It is not secret, and
/// it is bound to the database's name by the hash in each signature.
const PUBLIC_KEY: &str = "Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const LIMIT: u64 = 1 << 20;
const TILE_HEIGHT: u32 = 8;

type Hash = [u8; 32];

struct Head {
    size: u64,
    root: Hash,
}

/// The `h1:` hash of a module's zip file.
pub(super) fn hash(
    module: &str,
    version: &str,
    sources: &Sources,
    client: &Client,
) -> Result<String, EnvironmentError> {
    let proxy = sources.endpoint(Registry::GoProxy)?;
    let database = sources.endpoint(Registry::GoSumdb)?;
    let what = format!("the checksum database's record of {module} {version}");
    let path = format!("sumdb/{}/lookup/{module}@{version}", database.url);
    let answer = client.needed(proxy, &path, "*/*", LIMIT)?;
    let invalid = |reason: &str| EnvironmentError::Signature {
        what: what.clone(),
        reason: reason.to_owned(),
    };

    let text = std::str::from_utf8(&answer).map_err(|_| invalid("it is not text"))?;
    let (first, rest) = text
        .split_once('\n')
        .ok_or_else(|| invalid("it is empty"))?;
    let id: u64 = first.parse().map_err(|_| invalid("it has no number"))?;
    let (record, note) = rest
        .split_once("\n\n")
        .ok_or_else(|| invalid("it has no tree head"))?;
    let record = format!("{record}\n");
    let key = database.public_key().unwrap_or(PUBLIC_KEY);
    let head = verify_head(note, &database.url, key).map_err(|reason| invalid(&reason))?;
    if id >= head.size {
        return Err(invalid("it is outside of the signed tree"));
    }
    let tiles = Tiles {
        client,
        proxy,
        database: &database.url,
        size: head.size,
        fetched: RefCell::default(),
    };
    let computed = tiles.root_with(0, head.size, id, leaf_hash(record.as_bytes()))?;
    if computed != head.root {
        return Err(invalid("it is not in the signed tree"));
    }
    let wanted = format!("{module} {version} ");
    let hash = record
        .lines()
        .find_map(|line| line.strip_prefix(&wanted))
        .filter(|hash| hash.starts_with("h1:"));
    hash.map(str::to_owned)
        .ok_or_else(|| invalid("it is about another module"))
}

/// Checks a signed tree head: text, an empty line, signature lines.
fn verify_head(note: &str, name: &str, key: &str) -> Result<Head, String> {
    let (text, signatures) = note
        .split_once("\n\n")
        .ok_or("its tree head is not signed")?;
    let text = format!("{text}\n");
    let key = STANDARD
        .decode(key)
        .map_err(|_| "its public key cannot be read")?;
    let (Some(1), Ok(public)) = (
        key.first(),
        <[u8; 32]>::try_from(key.get(1..).unwrap_or_default()),
    ) else {
        return Err("its public key is of an unknown kind".to_owned());
    };
    let public = VerifyingKey::from_bytes(&public).map_err(|_| "its public key cannot be read")?;
    let mut key_hash = Sha256::new();
    key_hash.update(format!("{name}\n"));
    key_hash.update(&key);
    let key_hash: Hash = key_hash.finalize().into();
    let signed = signatures.lines().any(|line| {
        let Some(encoded) = line.strip_prefix(&format!("\u{2014} {name} ")) else {
            return false;
        };
        let Ok(bytes) = STANDARD.decode(encoded) else {
            return false;
        };
        let Some((hash, signature)) = bytes.split_at_checked(4) else {
            return false;
        };
        hash == &key_hash[..4]
            && Signature::from_slice(signature)
                .is_ok_and(|s| public.verify_strict(text.as_bytes(), &s).is_ok())
    });
    if !signed {
        return Err("its tree head has no valid signature".to_owned());
    }
    let mut lines = text.lines();
    let (Some("go.sum database tree"), Some(size), Some(root)) =
        (lines.next(), lines.next(), lines.next())
    else {
        return Err("its tree head cannot be read".to_owned());
    };
    let root = STANDARD
        .decode(root)
        .ok()
        .and_then(|bytes| Hash::try_from(bytes).ok());
    match (size.parse(), root) {
        (Ok(size), Some(root)) => Ok(Head { size, root }),
        _ => Err("its tree head cannot be read".to_owned()),
    }
}

fn leaf_hash(record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(record)
        .finalize()
        .into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The largest power of two below `n`.
fn split(n: u64) -> u64 {
    n.next_power_of_two() / 2
}

/// Hashes of the log as the proxy has them; wrong ones lead to a wrong root.
struct Tiles<'a> {
    client: &'a Client,
    proxy: &'a Endpoint,
    database: &'a str,
    size: u64,
    fetched: RefCell<BTreeMap<(u32, u64), Vec<u8>>>,
}

impl Tiles<'_> {
    /// The hash of the records in `low..high`, with `leaf` as the hash of record `id` among them.
    fn root_with(
        &self,
        low: u64,
        high: u64,
        id: u64,
        leaf: Hash,
    ) -> Result<Hash, EnvironmentError> {
        if high - low == 1 {
            return Ok(leaf);
        }
        let middle = low + split(high - low);
        if id < middle {
            let right = self.range(middle, high)?;
            Ok(node_hash(&self.root_with(low, middle, id, leaf)?, &right))
        } else {
            let left = self.range(low, middle)?;
            Ok(node_hash(&left, &self.root_with(middle, high, id, leaf)?))
        }
    }

    fn range(&self, low: u64, high: u64) -> Result<Hash, EnvironmentError> {
        let count = high - low;
        if count.is_power_of_two() {
            return self.node(count.trailing_zeros(), low / count);
        }
        let middle = low + split(count);
        Ok(node_hash(
            &self.range(low, middle)?,
            &self.range(middle, high)?,
        ))
    }

    /// The hash of the complete subtree of `2^level` records that is the `index`th of its level.
    fn node(&self, level: u32, index: u64) -> Result<Hash, EnvironmentError> {
        let within = level % TILE_HEIGHT;
        let first = index << within;
        let position = (level / TILE_HEIGHT, first >> TILE_HEIGHT);
        let mut fetched = self.fetched.borrow_mut();
        let tile = match fetched.entry(position) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.tile(position.0, position.1)?),
        };
        let start = usize::try_from(first % (1 << TILE_HEIGHT)).unwrap_or_default() * 32;
        let hashes =
            tile.get(start..start + (32 << within))
                .ok_or_else(|| EnvironmentError::Malformed {
                    what: "a tile of the checksum database".to_owned(),
                    reason: "it is too short".to_owned(),
                })?;
        let mut row: Vec<Hash> = hashes
            .chunks_exact(32)
            .filter_map(|hash| hash.try_into().ok())
            .collect();
        while row.len() > 1 {
            row = row
                .chunks_exact(2)
                .map(|pair| node_hash(&pair[0], &pair[1]))
                .collect();
        }
        Ok(row[0])
    }

    fn tile(&self, level: u32, index: u64) -> Result<Vec<u8>, EnvironmentError> {
        let full = format!(
            "sumdb/{}/tile/{TILE_HEIGHT}/{level}/{}",
            self.database,
            tile_name(index)
        );
        let there = self.size.checked_shr(level * TILE_HEIGHT).unwrap_or(0);
        let width = there
            .saturating_sub(index << TILE_HEIGHT)
            .min(1 << TILE_HEIGHT);
        if width == 1 << TILE_HEIGHT {
            return self.client.needed(self.proxy, &full, "*/*", LIMIT);
        }
        // A tile that was partial under this head may be complete by now.
        match self
            .client
            .document(self.proxy, &format!("{full}.p/{width}"), "*/*", LIMIT)?
        {
            Some(bytes) => Ok(bytes),
            None => self.client.needed(self.proxy, &full, "*/*", LIMIT),
        }
    }
}

/// `1234067` as `x001/x234/067`.
fn tile_name(mut index: u64) -> String {
    let mut name = format!("{:03}", index % 1000);
    while index >= 1000 {
        index /= 1000;
        name = format!("x{:03}/{name}", index % 1000);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_named_in_groups_of_three_digits() {
        assert_eq!(tile_name(7), "007");
        assert_eq!(tile_name(1_234_067), "x001/x234/067");
    }

    #[test]
    fn a_tree_head_without_the_databases_signature_is_refused() {
        let note = "go.sum database tree\n5\nO0jlIxwRb2vZYS1na726XLlaDCtCqKUVLld+AY32AGA=\n\n\u{2014} db.test AAAAAAAA\n";
        assert!(
            verify_head(note, "db.test", PUBLIC_KEY)
                .is_err_and(|reason| reason.contains("no valid signature"))
        );
        assert!(verify_head("go.sum database tree\n5\nx\n", "db.test", PUBLIC_KEY).is_err());
    }

    #[test]
    fn a_signed_head_is_read_and_a_changed_one_is_not() {
        use ed25519_dalek::{Signer, SigningKey};
        let signing = SigningKey::from_bytes(&[7; 32]);
        let key = [&[1][..], signing.verifying_key().as_bytes()].concat();
        let text = format!("go.sum database tree\n5\n{}\n", STANDARD.encode([3; 32]));
        let key_hash = Sha256::new()
            .chain_update("db.test\n")
            .chain_update(&key)
            .finalize();
        let signature = [&key_hash[..4], &signing.sign(text.as_bytes()).to_bytes()].concat();
        let note = format!("{text}\n\u{2014} db.test {}\n", STANDARD.encode(signature));
        let key = STANDARD.encode(key);
        assert_eq!(verify_head(&note, "db.test", &key).unwrap().size, 5);
        assert!(verify_head(&note, "other.test", &key).is_err());
        assert!(verify_head(&note.replace("\n5\n", "\n6\n"), "db.test", &key).is_err());
    }
}
