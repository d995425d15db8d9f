//! Downloads: bounded, timed, retried, verified.
//!
//! Documents come into memory with a limit; artifacts go into the cache's download folder, where
//! only bytes with the promised hash and size ever get a name. Knows no registry's format.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use sha2::{Digest, Sha256, Sha512};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Endpoint, EnvironmentError, io_error};
use crate::cache::{Cache, Key, Kind};

const TRIES: u32 = 3;
const CHUNK: usize = 128 * 1024;

/// A promised hash, as the registries write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    /// `sha256:` and hexadecimal digits.
    Sha256(String),
    /// npm's integrity: `sha512-` and base64.
    Sha512(String),
    /// Go's `h1:` covers the files of an archive; the reader of the archive checks it.
    Later(String),
}

impl Promise {
    /// Reads the form that locks have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("sha256:") {
            let legal = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            return legal.then(|| Self::Sha256(hex.to_ascii_lowercase()));
        }
        if let Some(base64) = text.strip_prefix("sha512-") {
            return Some(Self::Sha512(base64.to_owned()));
        }
        text.starts_with("h1:")
            .then(|| Self::Later(text.to_owned()))
    }

    /// The key of the artifact in the cache.
    pub(super) fn key(&self) -> Key {
        let (kind, value) = match self {
            Self::Sha256(value) => ("sha256", value),
            Self::Sha512(value) => ("sha512", value),
            Self::Later(value) => ("h1", value),
        };
        Key::build("download 1").field(kind, value).finish()
    }
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
    None,
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::None => {}
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => {
                base64::engine::general_purpose::STANDARD.encode(hasher.finalize())
            }
            Self::None => String::new(),
        }
    }
}

/// One file to fetch into the cache.
pub(super) struct Fetch<'a> {
    /// For messages.
    pub what: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// Credentials, sent to that host alone.
    pub authorization: Option<&'a str>,
    /// What was promised.
    pub promise: &'a Promise,
    /// Who promised.
    pub authority: &'static str,
    /// The exact size if known.
    pub size: Option<u64>,
    /// The most bytes to accept.
    pub limit: u64,
    /// Told the bytes of each chunk.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

/// An HTTP client; cheap to clone, connections are shared.
#[derive(Clone, Default)]
pub(super) struct Client {
    agent: Arc<OnceLock<ureq::Agent>>,
}

impl Client {
    fn agent(&self) -> &ureq::Agent {
        self.agent.get_or_init(|| {
            let certificates: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|der| Certificate::from_der(der.as_ref()).to_owned())
                .collect();
            let tls = TlsConfig::builder()
                .root_certs(RootCerts::Specific(Arc::new(certificates)))
                .build();
            ureq::Agent::config_builder()
                .tls_config(tls)
                .http_status_as_error(false)
                .max_redirects(5)
                .user_agent(concat!("packwright/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(Duration::from_secs(15)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .timeout_per_read(Some(Duration::from_secs(60)))
                .timeout_global(Some(Duration::from_secs(1800)))
                .max_idle_connections_per_host(8)
                .build()
                .new_agent()
        })
    }

    /// A document below an endpoint, at most `limit` bytes; `None` when the server has none.
    pub(super) fn document(
        &self,
        endpoint: &Endpoint,
        path: &str,
        accept: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, EnvironmentError> {
        let what = format!("{path} from {}", endpoint.provenance);
        retry(|| {
            let mut bytes = Vec::new();
            let found = self.get(
                &endpoint.join(path),
                endpoint.authorization(),
                accept,
                &what,
                limit,
                |chunk| {
                    bytes.extend_from_slice(chunk);
                    Ok(())
                },
            )?;
            Ok(found.then_some(bytes))
        })
    }

    /// As [`Client::document`], for one that has to be there.
    pub(super) fn needed(
        &self,
        endpoint: &Endpoint,
        path: &str,
        accept: &str,
        limit: u64,
    ) -> Result<Vec<u8>, EnvironmentError> {
        self.document(endpoint, path, accept, limit)?
            .ok_or_else(|| EnvironmentError::Download {
                what: format!("{path} from {}", endpoint.provenance),
                reason: "the server does not have it".to_owned(),
                temporary: false,
            })
    }

    /// An artifact in the cache: the one that is there, or fetched and verified first.
    pub(super) fn artifact(
        &self,
        cache: &Cache,
        fetch: &Fetch<'_>,
    ) -> Result<PathBuf, EnvironmentError> {
        let key = fetch.promise.key();
        if let Some(path) = cache.find(Kind::Download, &key) {
            return Ok(path);
        }
        let staging = cache.staging()?;
        let temporary = staging.path().join("download");
        retry(|| self.fetch_once(fetch, &temporary))?;
        let path = cache.path(Kind::Download, &key);
        fs::rename(&temporary, &path).map_err(io_error("rename to", &path))?;
        Ok(path)
    }

    fn fetch_once(
        &self,
        fetch: &Fetch<'_>,
        path: &std::path::Path,
    ) -> Result<(), EnvironmentError> {
        let mut file = File::create(path).map_err(io_error("create", path))?;
        let mut hasher = match fetch.promise {
            Promise::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Promise::Sha512(_) => Hasher::Sha512(Sha512::new()),
            Promise::Later(_) => Hasher::None,
        };
        let mut size = 0;
        let limit = fetch.size.unwrap_or(fetch.limit).min(fetch.limit);
        let found = self.get(
            fetch.url,
            fetch.authorization,
            "*/*",
            fetch.what,
            limit,
            |chunk| {
                hasher.update(chunk);
                size += chunk.len() as u64;
                (fetch.progress)(chunk.len() as u64);
                file.write_all(chunk).map_err(io_error("write", path))
            },
        )?;
        if !found {
            return Err(EnvironmentError::Download {
                what: fetch.what.to_owned(),
                reason: "the server does not have it".to_owned(),
                temporary: false,
            });
        }
        let mismatch = |expected: &str, found: String| EnvironmentError::Mismatch {
            what: fetch.what.to_owned(),
            expected: expected.to_owned(),
            found,
            authority: fetch.authority,
        };
        if let Some(expected) = fetch.size.filter(|expected| *expected != size) {
            return Err(mismatch(
                &format!("{expected} bytes"),
                format!("{size} bytes"),
            ));
        }
        match fetch.promise {
            Promise::Sha256(expected) | Promise::Sha512(expected) => {
                let found = hasher.finish();
                if found == *expected {
                    Ok(())
                } else {
                    Err(mismatch(expected, found))
                }
            }
            Promise::Later(_) => Ok(()),
        }
    }

    /// Streams a body; false when the server says 404 or 410.
    fn get(
        &self,
        url: &str,
        authorization: Option<&str>,
        accept: &str,
        what: &str,
        limit: u64,
        mut chunk: impl FnMut(&[u8]) -> Result<(), EnvironmentError>,
    ) -> Result<bool, EnvironmentError> {
        let failed = |reason: String, temporary: bool| EnvironmentError::Download {
            what: what.to_owned(),
            reason,
            temporary,
        };
        let mut request = self.agent().get(url).header("accept", accept);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = request
            .call()
            .map_err(|error| failed(describe(&error), is_temporary(&error)))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(false),
            status => {
                let temporary = status == 429 || status >= 500;
                return Err(failed(
                    format!("the server answered with status {status}"),
                    temporary,
                ));
            }
        }
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; CHUNK];
        let mut total = 0;
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| failed(error.to_string(), true))?;
            if count == 0 {
                return Ok(true);
            }
            total += count as u64;
            if total > limit {
                return Err(failed(format!("it is larger than {limit} bytes"), false));
            }
            chunk(&buffer[..count])?;
        }
    }
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "the host name is not known".to_owned(),
        ureq::Error::Timeout(which) => format!("no answer in time ({which})"),
        other => other.to_string(),
    }
}

fn is_temporary(error: &ureq::Error) -> bool {
    matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Protocol(_)
            | ureq::Error::HostNotFound
    )
}

fn retry<T>(
    mut attempt: impl FnMut() -> Result<T, EnvironmentError>,
) -> Result<T, EnvironmentError> {
    let mut tries = 1;
    loop {
        match attempt() {
            Err(
                EnvironmentError::Download {
                    temporary: true, ..
                }
                | EnvironmentError::Mismatch { .. },
            ) if tries < TRIES => {
                std::thread::sleep(Duration::from_millis(300 * u64::from(tries * tries)));
                tries += 1;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Serves each body once, in order, and returns the address.
    fn serve(answers: Vec<(u16, &'static [u8])>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for (status, body) in answers {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            }
        });
        address
    }

    fn fetch<'a>(url: &'a str, promise: &'a Promise, size: Option<u64>) -> Fetch<'a> {
        Fetch {
            what: "it",
            url,
            authorization: None,
            promise,
            authority: "the lock",
            size,
            limit: 100,
            progress: &|_| {},
        }
    }

    #[test]
    fn a_wrong_hash_is_refused_and_nothing_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let url = serve(vec![(200, b"bad"), (200, b"bad"), (200, b"bad")]);
        let promise = Promise::Sha256(hex::encode(Sha256::digest(b"good")));
        let error = Client::default()
            .artifact(&cache, &fetch(&url, &promise, None))
            .unwrap_err();
        assert!(
            matches!(error, EnvironmentError::Mismatch { .. }),
            "{error}"
        );
        assert!(cache.find(Kind::Download, &promise.key()).is_none());
    }

    #[test]
    fn a_server_error_is_tried_again() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let url = serve(vec![(503, b""), (200, b"good")]);
        let promise = Promise::Sha256(hex::encode(Sha256::digest(b"good")));
        let path = Client::default()
            .artifact(&cache, &fetch(&url, &promise, Some(4)))
            .unwrap();
        assert_eq!(fs::read(path).unwrap(), b"good");
    }

    #[test]
    fn a_body_beyond_its_limit_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path()).unwrap();
        let url = serve(vec![(200, &[7; 200])]);
        let promise = Promise::Sha256(hex::encode(Sha256::digest([7; 200])));
        let error = Client::default()
            .artifact(&cache, &fetch(&url, &promise, None))
            .unwrap_err();
        assert!(error.to_string().contains("larger than 100"), "{error}");
    }

    #[test]
    fn hashes_are_read_in_the_forms_of_the_registries() {
        assert!(Promise::parse(&format!("sha256:{}", "a".repeat(64))).is_some());
        assert_eq!(Promise::parse("sha256:zz"), None);
        assert_eq!(Promise::parse("md5:aa"), None);
        assert!(Promise::parse("sha512-abc==").is_some());
    }
}
