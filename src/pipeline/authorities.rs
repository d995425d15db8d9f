//! The host's network for phases: its resolver, its hosts and its certificate authorities.
//!
//! A machine may stand behind a proxy with an authority of its own, which builds have to trust and
//! images must not carry. So the authorities are mounts and variables, in the two forms that
//! clients read: PEM, and the key store of Java, whose programs know no other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::PipelineError;
use crate::engine::Bind;

/// Where phases find the machine's certificate authorities; below a file system that is never
/// part of a layer.
const AUTHORITIES: &str = "/run/packwright/ca-certificates.crt";

/// Variables by which common clients find certificate authorities.
pub(super) const VARIABLES: [&str; 11] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "npm_config_cafile",
];

/// Where every Java of Debian looks for authorities.
const JAVA_STORE: &str = "etc/ssl/certs/java/cacerts";

/// The password that Java expects; it hides nothing.
const JAVA_PASSWORD: &str = "changeit";

/// The host's resolver configuration and certificate authorities, for a root of `lowers`.
/// A key store is written into the folder `scratch`.
pub(super) fn network_binds(
    env: &mut BTreeMap<String, String>,
    lowers: &[PathBuf],
    scratch: &Path,
) -> Result<Vec<Bind>, PipelineError> {
    let mut binds = Vec::new();
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        if let Ok(source) = fs::canonicalize(file) {
            binds.push(read_only(source, file));
        }
    }
    let Some(authorities) = of_host() else {
        return Ok(binds);
    };
    for name in VARIABLES {
        env.entry(name.to_owned())
            .or_insert_with(|| AUTHORITIES.to_owned());
    }
    // Mounted over the store of the root, since Java has no quiet variable for another place.
    if lowers.iter().any(|lower| lower.join(JAVA_STORE).is_file())
        && let Ok(pem) = fs::read_to_string(&authorities)
    {
        let store = scratch.join("java-authorities");
        fs::write(&store, key_store(&certificates(&pem)))
            .map_err(|e| PipelineError::io("write", &store, e))?;
        binds.push(read_only(store, &format!("/{JAVA_STORE}")));
    }
    binds.push(read_only(authorities, AUTHORITIES));
    Ok(binds)
}

fn read_only(source: PathBuf, target: &str) -> Bind {
    Bind {
        source,
        target: target.to_owned(),
        read_only: true,
    }
}

/// The machine's bundle of authorities.
pub(super) fn of_host() -> Option<PathBuf> {
    let candidates = [
        std::env::var_os("SSL_CERT_FILE").map(PathBuf::from),
        Some(PathBuf::from("/etc/ssl/certs/ca-certificates.crt")),
        Some(PathBuf::from("/etc/pki/tls/certs/ca-bundle.crt")),
    ];
    candidates
        .into_iter()
        .flatten()
        .find_map(|path| fs::canonicalize(path).ok())
}

/// The certificates of a PEM file; what cannot be read is left out.
fn certificates(pem: &str) -> Vec<Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .filter_map(|part| {
            let (body, _) = part.split_once("-----END CERTIFICATE-----")?;
            let body: String = body.split_whitespace().collect();
            STANDARD.decode(body).ok()
        })
        .collect()
}

/// A Java key store of trusted certificates: a list of entries, and a keyed hash of it.
/// Source: the format of `sun.security.provider.JavaKeyStore`, version 2.
fn key_store(certificates: &[Vec<u8>]) -> Vec<u8> {
    let mut store = vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
    store.extend(length(certificates.len()));
    for (number, certificate) in certificates.iter().enumerate() {
        store.extend([0, 0, 0, 2]);
        store.extend(text(&format!("authority-{number}")));
        // The time of the entry.
        store.extend([0; 8]);
        store.extend(text("X.509"));
        store.extend(length(certificate.len()));
        store.extend(certificate);
    }
    let password: Vec<u8> = JAVA_PASSWORD
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let hash = Sha1::new()
        .chain_update(password)
        .chain_update("Mighty Aphrodite")
        .chain_update(&store)
        .finalize();
    store.extend(hash);
    store
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

/// A short text as Java writes it: its length in two bytes, and its bytes.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "# a comment\n-----BEGIN CERTIFICATE-----\nAQID\nBA==\n-----END CERTIFICATE-----\n\
                       -----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";

    #[test]
    fn certificates_are_read_from_pem() {
        assert_eq!(certificates(PEM), [vec![1, 2, 3, 4]]);
    }

    #[test]
    fn a_key_store_lists_each_certificate_and_ends_with_its_hash() {
        let store = key_store(&certificates(PEM));
        assert_eq!(
            &store[..12],
            [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1]
        );
        assert_eq!(
            &store[store.len() - 28..store.len() - 20],
            [0, 0, 0, 4, 1, 2, 3, 4]
        );
        assert_eq!(key_store(&[]).len(), 32);
    }

    #[test]
    fn only_a_root_with_java_gets_a_key_store() {
        let dir = tempfile::tempdir().unwrap();
        let with_store = |lowers: &[PathBuf]| {
            let binds = network_binds(&mut BTreeMap::new(), lowers, dir.path()).unwrap();
            binds.iter().any(|bind| bind.target.ends_with("/cacerts"))
        };
        assert!(!with_store(&[dir.path().to_owned()]));
        let store = dir.path().join(JAVA_STORE);
        fs::create_dir_all(store.parent().unwrap()).unwrap();
        fs::write(&store, "").unwrap();
        assert_eq!(with_store(&[dir.path().to_owned()]), of_host().is_some());
    }
}
