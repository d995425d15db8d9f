//! Verifies a suite's `InRelease` file and reads what it promises.
//!
//! Only the text that a key of the keyring signed is parsed. The time is an argument.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::KeyDetails;

use crate::environment::EnvironmentError;

/// How far a clock may be behind the archive's.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
/// Armor and text of an `InRelease`; Debian's are about 200 KB.
pub(crate) const LIMIT: u64 = 16 << 20;

/// What a verified Release file says.
#[derive(Debug)]
pub(crate) struct Release {
    /// The code name, such as `trixie`.
    pub codename: String,
    /// Files can be asked for by their hash.
    pub by_hash: bool,
    /// SHA-256 and size of each index, by its path.
    pub files: BTreeMap<String, (String, u64)>,
}

/// The keys of a distribution.
pub(crate) struct Keyring(Vec<SignedPublicKey>);

impl Keyring {
    /// Reads a binary keyring.
    pub(crate) fn read(path: &Path) -> Result<Self, EnvironmentError> {
        let bytes = std::fs::read(path).map_err(|_| EnvironmentError::NoKeyring {
            path: path.to_owned(),
        })?;
        Self::parse(&bytes).map_err(|reason| EnvironmentError::Signature {
            what: path.display().to_string(),
            reason,
        })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let keys: Vec<SignedPublicKey> = SignedPublicKey::from_bytes_many(bytes)
            .map_err(|error| error.to_string())?
            .filter_map(Result::ok)
            .filter(|key| key.details.revocation_signatures.is_empty())
            .collect();
        if keys.is_empty() {
            Err("the keyring has no usable key".to_owned())
        } else {
            Ok(Self(keys))
        }
    }

    /// True if one of the keys, or of their signing subkeys, made this signature over the text
    /// while it was valid.
    fn made(&self, signature: &Signature, text: &[u8]) -> bool {
        let Some(created) = signature.created() else {
            return false;
        };
        let created = u64::from(created.as_secs());
        self.0.iter().any(|key| {
            let alive = |made: u64, lasts: Option<u64>| {
                lasts.is_none_or(|lasts| lasts == 0 || created <= made + lasts)
            };
            let lasts = key
                .details
                .users
                .iter()
                .flat_map(|user| &user.signatures)
                .chain(&key.details.direct_signatures)
                .filter(|own| {
                    own.issuer_key_id()
                        .iter()
                        .any(|id| **id == key.primary_key.legacy_key_id())
                        || own
                            .issuer_fingerprint()
                            .iter()
                            .any(|print| **print == key.primary_key.fingerprint())
                })
                .max_by_key(|own| own.created().map(pgp::types::Timestamp::as_secs))
                .and_then(|own| own.key_expiration_time().map(|t| u64::from(t.as_secs())));
            if !alive(u64::from(key.primary_key.created_at().as_secs()), lasts) {
                return false;
            }
            signature.verify(&key.primary_key, text).is_ok()
                || key.public_subkeys.iter().any(|subkey| {
                    let revoked = subkey
                        .signatures
                        .iter()
                        .any(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
                    let signs = subkey.signatures.iter().any(|s| s.key_flags().sign());
                    let lasts = subkey
                        .signatures
                        .iter()
                        .max_by_key(|own| own.created().map(pgp::types::Timestamp::as_secs))
                        .and_then(|own| own.key_expiration_time().map(|t| u64::from(t.as_secs())));
                    !revoked
                        && signs
                        && subkey.verify_bindings(&key.primary_key).is_ok()
                        && alive(u64::from(subkey.key.created_at().as_secs()), lasts)
                        && signature.verify(&subkey.key, text).is_ok()
                })
        })
    }
}

/// Verifies `bytes` as the `InRelease` of `suite` at `now` and reads it. An index whose time has
/// passed is refused unless `accept_expired`.
pub(crate) fn verify(
    bytes: &[u8],
    what: &str,
    keyring: &Keyring,
    now: SystemTime,
    accept_expired: bool,
) -> Result<Release, EnvironmentError> {
    let invalid = |reason: String| EnvironmentError::Signature {
        what: what.to_owned(),
        reason,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not text".to_owned()))?;
    if !text.starts_with("-----BEGIN PGP SIGNED MESSAGE-----") {
        return Err(invalid("it is not a signed document".to_owned()));
    }
    // The parser refuses bytes before the header and after the signature.
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|error| invalid(error.to_string()))?;
    let signed = message.signed_text();
    if !message
        .signatures()
        .iter()
        .any(|signature| keyring.made(signature, signed.as_bytes()))
    {
        return Err(invalid(format!(
            "none of its {} signatures is of a key in the keyring; the archive may have a newer key than this machine",
            message.signatures().len()
        )));
    }
    let release = parse(&signed, what)?;
    check_time(&signed, what, now, accept_expired)?;
    Ok(release)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

fn parse(text: &str, what: &str) -> Result<Release, EnvironmentError> {
    let malformed = |reason: &str| EnvironmentError::Malformed {
        what: what.to_owned(),
        reason: reason.to_owned(),
    };
    let codename = field(text, "Codename").ok_or_else(|| malformed("it names no suite"))?;
    let mut files = BTreeMap::new();
    let hashes = text
        .lines()
        .skip_while(|line| !line.starts_with("SHA256:"))
        .skip(1);
    for line in hashes.take_while(|line| line.starts_with(' ')) {
        let mut words = line.split_whitespace();
        if let (Some(hash), Some(size), Some(path)) = (words.next(), words.next(), words.next())
            && hash.len() == 64
            && let Ok(size) = size.parse()
        {
            files.insert(path.to_owned(), (hash.to_owned(), size));
        }
    }
    if files.is_empty() {
        return Err(malformed("it lists no SHA-256 hashes"));
    }
    Ok(Release {
        codename: codename.to_owned(),
        by_hash: field(text, "Acquire-By-Hash") == Some("yes"),
        files,
    })
}

fn check_time(
    text: &str,
    what: &str,
    now: SystemTime,
    accept_expired: bool,
) -> Result<(), EnvironmentError> {
    let time = |name: &str| -> Result<Option<SystemTime>, EnvironmentError> {
        let Some(value) = field(text, name) else {
            return Ok(None);
        };
        let seconds = parse_date(value).ok_or_else(|| EnvironmentError::Malformed {
            what: what.to_owned(),
            reason: format!("its {name} is {value:?}"),
        })?;
        Ok(Some(UNIX_EPOCH + Duration::from_secs(seconds)))
    };
    let expired = |reason: String| {
        Err(EnvironmentError::Expired {
            what: what.to_owned(),
            reason,
        })
    };
    if let Some(date) = time("Date")?
        && let Ok(ahead) = date.duration_since(now)
        && ahead > CLOCK_SKEW
    {
        return expired(format!(
            "was signed {} in the future: this machine's clock is probably behind",
            duration(ahead)
        ));
    }
    if !accept_expired
        && let Some(until) = time("Valid-Until")?
        && let Ok(late) = now.duration_since(until)
    {
        return expired(format!(
            "expired {} ago: the mirror is out of date, or this machine's clock is ahead; \
             PACKWRIGHT_DEBIAN_CHECK_VALID_UNTIL=no accepts it",
            duration(late)
        ));
    }
    Ok(())
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..3600 => format!("{} minutes", seconds / 60 + 1),
        3600..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Seconds since 1970 of `Sat, 12 Sep 2026 07:55:41 UTC`.
fn parse_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, "UTC" | "GMT" | "+0000"] = words.as_slice() else {
        return None;
    };
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| name == month)? as u64 + 1;
    let year: u64 = year
        .parse()
        .ok()
        .filter(|year| (1970..10_000).contains(year))?;
    let mut parts = clock
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|n| *n < 61));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // Days from the civil calendar, years beginning in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_the_archive_are_read() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:01 UTC"), Some(1));
        assert_eq!(
            parse_date("Sat, 12 Sep 2026 07:55:41 UTC"),
            Some(1_789_199_741)
        );
        assert_eq!(
            parse_date("Thu, 29 Feb 2024 00:00:00 UTC"),
            Some(1_709_164_800)
        );
        assert_eq!(parse_date("Sat, 12 Sep 2026 07:55:41 CEST"), None);
    }

    const DATED: &str = "Codename: x\nDate: Sat, 12 Sep 2026 00:00:00 UTC\nValid-Until: Sat, 19 Sep 2026 00:00:00 UTC\n";

    fn at(date: &str) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(parse_date(date).unwrap())
    }

    #[test]
    fn an_expired_index_says_by_how_much() {
        let now = at("Tue, 22 Sep 2026 00:00:00 UTC");
        let error = check_time(DATED, "the index", now, false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expired 3 days ago"), "{error}");
        assert!(check_time(DATED, "the index", now, true).is_ok());
    }

    #[test]
    fn an_index_from_the_future_names_the_clock() {
        let error = check_time(
            DATED,
            "the index",
            at("Fri, 11 Sep 2026 12:00:00 UTC"),
            true,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("12 hours in the future") && error.contains("clock"),
            "{error}"
        );
    }

    #[test]
    fn hashes_come_from_the_sha256_section_alone() {
        let text = format!(
            "Codename: x\nMD5Sum:\n {} 1 a\nSHA256:\n {} 2 b\n {} 3 c\nOther: y\n {} 4 d\n",
            "0".repeat(32),
            "1".repeat(64),
            "2".repeat(64),
            "3".repeat(64)
        );
        let release = parse(&text, "t").unwrap();
        assert_eq!(release.files.len(), 2);
        assert_eq!(release.files["b"], ("1".repeat(64), 2));
    }

    const SIGNED: &str = include_str!("fixtures/InRelease");

    fn verify_at(text: &str, keyring: &[u8], date: &str) -> Result<Release, EnvironmentError> {
        verify(
            text.as_bytes(),
            "the index",
            &Keyring::parse(keyring).unwrap(),
            at(date),
            false,
        )
    }

    fn check(text: &str) -> Result<Release, EnvironmentError> {
        verify_at(
            text,
            include_bytes!("fixtures/keyring.gpg"),
            "Sun, 13 Sep 2026 00:00:00 UTC",
        )
    }

    fn is_signature_error(result: &Result<Release, EnvironmentError>) -> bool {
        matches!(result, Err(EnvironmentError::Signature { .. }))
    }

    #[test]
    fn a_signed_index_is_read() {
        let release = check(SIGNED).unwrap();
        assert!(release.codename == "trixie" && release.by_hash);
        assert_eq!(
            release.files["main/binary-amd64/Packages.xz"],
            ("a".repeat(64), 12)
        );
    }

    #[test]
    fn a_changed_index_is_refused() {
        assert!(is_signature_error(&check(
            &SIGNED.replace(" 12 main", " 13 main")
        )));
    }

    #[test]
    fn an_unsigned_index_is_refused() {
        let body = SIGNED.split("-----BEGIN PGP SIGNATURE").next().unwrap();
        assert!(is_signature_error(&check(body)));
        let bare = body.split_once("\n\n").unwrap().1;
        assert!(is_signature_error(&check(bare)));
        assert!(is_signature_error(&check("")));
    }

    #[test]
    fn text_outside_of_the_signature_is_refused() {
        assert!(is_signature_error(&check(&format!(
            "Codename: sid\n\n{SIGNED}"
        ))));
        assert!(is_signature_error(&check(&format!(
            "{SIGNED}\nCodename: sid\n"
        ))));
        assert!(is_signature_error(&check(&format!("{SIGNED}{SIGNED}"))));
        // Between the armor header and the signed text only hash names may stand.
        assert!(is_signature_error(&check(&SIGNED.replacen(
            "\n\n",
            "\nCodename: sid\n\n",
            1
        ))));
    }

    #[test]
    fn a_key_outside_of_the_keyring_is_refused() {
        let other = include_bytes!("fixtures/other-keyring.gpg");
        assert!(is_signature_error(&verify_at(
            SIGNED,
            other,
            "Sun, 13 Sep 2026 00:00:00 UTC"
        )));
    }

    #[test]
    fn a_signed_index_that_expired_is_refused() {
        let keyring = include_bytes!("fixtures/keyring.gpg");
        let error = verify_at(SIGNED, keyring, "Sun, 20 Sep 2026 00:00:00 UTC").unwrap_err();
        assert!(
            error.to_string().contains("expired 24 hours ago"),
            "{error}"
        );
    }
}
