//! Debian roots from the distribution's own signed archive.

pub(super) mod deb;
pub(super) mod index;
pub(super) mod release;
pub(super) mod resolver;
pub(super) mod root;

/// The suites that a root can be of, the preferred first.
pub(super) const SUITES: [&str; 4] = ["trixie", "bookworm", "bullseye", "sid"];

use std::path::PathBuf;
use std::time::SystemTime;

use lzma_rust2::XzReader;

use self::index::Index;
use self::release::{Keyring, Release};
use super::http::{Client, Fetch, Promise};
use super::{Endpoint, EnvironmentError, Registry, Sources, io_error};
use crate::cache::{Cache, Key, Kind};
use crate::report::{Event, Report};

/// A plain `Packages` file is 56 MB in 2026.
const INDEX_LIMIT: u64 = 1 << 30;

/// One part of a suite: its archive and its folder under `dists/`.
struct Pocket {
    archive: &'static str,
    registry: Registry,
    dist: String,
    needed: bool,
}

fn pockets(suite: &str) -> Vec<Pocket> {
    let pocket = |archive, registry, dist: String, needed| Pocket {
        archive,
        registry,
        dist,
        needed,
    };
    let main = pocket("debian", Registry::Debian, suite.to_owned(), true);
    if suite == "sid" {
        return vec![main];
    }
    vec![
        main,
        pocket(
            "debian",
            Registry::Debian,
            format!("{suite}-updates"),
            false,
        ),
        pocket(
            "debian-security",
            Registry::DebianSecurity,
            format!("{suite}-security"),
            false,
        ),
    ]
}

/// The endpoint of an archive as locks name it.
pub(super) fn endpoint<'a>(
    archive: &str,
    sources: &'a Sources,
) -> Result<&'a Endpoint, EnvironmentError> {
    match archive {
        "debian-security" => sources.endpoint(Registry::DebianSecurity),
        _ => sources.endpoint(Registry::Debian),
    }
}

/// Fetches, verifies and reads the indexes of a suite.
pub(super) fn open(
    suite: &str,
    architecture: &str,
    sources: &Sources,
    client: &Client,
    cache: &Cache,
    report: &dyn Report,
) -> Result<Index, EnvironmentError> {
    let keyring = Keyring::read(&keyring_path(sources))?;
    let read = |pocket: &Pocket| {
        read_pocket(
            pocket,
            architecture,
            &keyring,
            sources,
            client,
            cache,
            report,
        )
    };
    let texts: Vec<Result<Option<String>, EnvironmentError>> = std::thread::scope(|scope| {
        let pockets = pockets(suite);
        let threads: Vec<_> = pockets
            .into_iter()
            .map(|p| (p.archive, scope.spawn(move || read(&p))))
            .collect();
        threads
            .into_iter()
            .map(|(_, thread)| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut found = Vec::new();
    for (pocket, text) in pockets(suite).into_iter().zip(texts) {
        if let Some(text) = text? {
            found.push((pocket.archive, text));
        }
    }
    Ok(Index::new(suite, found))
}

fn read_pocket(
    pocket: &Pocket,
    architecture: &str,
    keyring: &Keyring,
    sources: &Sources,
    client: &Client,
    cache: &Cache,
    report: &dyn Report,
) -> Result<Option<String>, EnvironmentError> {
    let endpoint = sources.endpoint(pocket.registry)?;
    let path = format!("dists/{}/InRelease", pocket.dist);
    let Some(bytes) = client.document(endpoint, &path, "*/*", release::LIMIT)? else {
        if pocket.needed {
            return Err(EnvironmentError::Download {
                what: format!("{path} from {}", endpoint.provenance),
                reason: "the mirror does not have this suite".to_owned(),
                temporary: false,
            });
        }
        let message = format!(
            "the {} has no {}: its updates are not used",
            pocket.registry.title(),
            pocket.dist
        );
        report.event(Event::Warning { message });
        return Ok(None);
    };
    let accept_expired = sources.variable("PACKWRIGHT_DEBIAN_CHECK_VALID_UNTIL") == Some("no");
    if accept_expired {
        report.event(Event::Warning {
            message: format!("the age of {} is not checked, as asked", pocket.dist),
        });
    }
    let release = release::verify(&bytes, &path, keyring, SystemTime::now(), accept_expired)?;
    // A signed index of another suite must not stand for this one.
    if release.codename != pocket.dist {
        let reason = format!("it is the index of {}", release.codename);
        return Err(EnvironmentError::Signature { what: path, reason });
    }
    read_packages(&release, pocket, architecture, endpoint, client, cache).map(Some)
}

fn read_packages(
    release: &Release,
    pocket: &Pocket,
    architecture: &str,
    endpoint: &Endpoint,
    client: &Client,
    cache: &Cache,
) -> Result<String, EnvironmentError> {
    let path = format!("main/binary-{architecture}/Packages.xz");
    let what = format!("{}/{path}", pocket.dist);
    let (sha256, size) = release
        .files
        .get(&path)
        .ok_or_else(|| EnvironmentError::Malformed {
            what: what.clone(),
            reason: "the Release file does not list it".to_owned(),
        })?;
    let key = Key::build("debian index 1")
        .field("sha256", sha256)
        .finish();
    if let Some(file) = cache.find(Kind::Lock, &key)
        && let Ok(text) = std::fs::read_to_string(file)
    {
        return Ok(text);
    }
    let url = if release.by_hash {
        endpoint.join(&format!(
            "dists/{}/main/binary-{architecture}/by-hash/SHA256/{sha256}",
            pocket.dist
        ))
    } else {
        endpoint.join(&format!("dists/{}/{path}", pocket.dist))
    };
    let file = client.artifact(
        cache,
        &Fetch {
            what: &what,
            url: &url,
            authorization: endpoint.authorization(),
            promise: &Promise::Sha256(sha256.clone()),
            authority: "the signed Release file",
            size: Some(*size),
            limit: INDEX_LIMIT,
            progress: &|_| {},
        },
    )?;
    let compressed = std::fs::File::open(&file).map_err(io_error("open", &file))?;
    let mut plain = String::new();
    let reader = XzReader::new_mem_limit(std::io::BufReader::new(compressed), true, 256 << 10);
    std::io::Read::read_to_string(&mut std::io::Read::take(reader, INDEX_LIMIT), &mut plain)
        .map_err(|error| EnvironmentError::Malformed {
            what: what.clone(),
            reason: error.to_string(),
        })?;
    let compact = index::compact(&plain, &what)?;
    cache.write(Kind::Lock, &key, compact.as_bytes())?;
    // The compact form is all that is read from now on.
    let _ = std::fs::remove_file(&file);
    Ok(compact)
}
/// Where the keys are that Debian's indexes are verified with.
pub(super) fn keyring_path(sources: &Sources) -> PathBuf {
    sources.variable("PACKWRIGHT_DEBIAN_KEYRING").map_or_else(
        || PathBuf::from("/usr/share/keyrings/debian-archive-keyring.gpg"),
        PathBuf::from,
    )
}
