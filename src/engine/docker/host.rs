//! Where a daemon is, and a stream of bytes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::DaemonError;

/// The longest answer to a request for another protocol.
const ANSWER_LIMIT: usize = 16 << 10;

/// How long a daemon may take to change protocols.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A stream to a daemon.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// How it was given.
    pub text: String,
    /// How it is reached.
    pub address: Address,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem`, for an address over TLS.
    pub certificates: Option<PathBuf>,
}

/// How a daemon is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    /// buildkitd in a container of this name.
    Container(String),
}

impl Host {
    /// Reads `unix://PATH`, `tcp://HOST:PORT`, `docker-container://NAME`.
    pub fn parse(text: &str, certificates: Option<PathBuf>) -> Result<Self, DaemonError> {
        let wrong = |reason: &str| DaemonError::Address {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it must begin with unix:// or tcp://"))?;
        let address = match scheme {
            _ if rest.is_empty() => return Err(wrong("there is nothing after the scheme")),
            "unix" => Address::Unix(rest.into()),
            "tcp" | "http" | "https" => {
                let place = rest.trim_end_matches('/');
                let port = if certificates.is_some() { 2376 } else { 2375 };
                let has_port = place
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                Address::Tcp(if has_port {
                    place.to_owned()
                } else {
                    format!("{place}:{port}")
                })
            }
            "docker-container" => Address::Container(rest.to_owned()),
            _ => {
                return Err(wrong(
                    "only unix://, tcp:// and docker-container:// are known",
                ));
            }
        };
        Ok(Self {
            text: text.to_owned(),
            address,
            certificates,
        })
    }

    /// Opens a stream; over TLS, `protocol` is what is spoken above it.
    pub(super) async fn connect(&self, protocol: &[u8]) -> Result<Box<dyn Stream>, DaemonError> {
        let failed = |error: std::io::Error| DaemonError::Unreachable {
            host: self.text.clone(),
            reason: error.to_string(),
        };
        match &self.address {
            Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
            Address::Tcp(place) => {
                let stream = TcpStream::connect(place).await.map_err(failed)?;
                // Small messages go back and forth.
                let _ = stream.set_nodelay(true);
                let Some(folder) = &self.certificates else {
                    return Ok(Box::new(stream));
                };
                let mut config = client_config(folder)?;
                config.alpn_protocols = vec![protocol.to_vec()];
                let name = place
                    .rsplit_once(':')
                    .map_or(place.as_str(), |(host, _)| host);
                let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned())
                    .map_err(|error| failed(std::io::Error::other(error)))?;
                let tls = TlsConnector::from(Arc::new(config));
                Ok(Box::new(tls.connect(name, stream).await.map_err(failed)?))
            }
            Address::Container(_) => Err(failed(std::io::Error::other(
                "a container is reached through Docker alone",
            ))),
        }
    }

    /// Opens a stream to Docker Engine and turns it into one of another protocol.
    pub(super) async fn upgrade(
        &self,
        path: &str,
        headers: &[(String, String)],
    ) -> Result<Box<dyn Stream>, DaemonError> {
        let mut stream = self.connect(b"http/1.1").await?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n"
        );
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                request.push_str(part);
            }
        }
        request += "\r\n";
        let failed = |error: std::io::Error| DaemonError::Unreachable {
            host: self.text.clone(),
            reason: error.to_string(),
        };
        let asked = async {
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let mut answer = Vec::new();
            // A byte at a time: what follows belongs to the other protocol.
            while !answer.ends_with(b"\r\n\r\n") {
                if answer.len() > ANSWER_LIMIT {
                    return Err(std::io::Error::other("its answer does not end"));
                }
                answer.push(stream.read_u8().await?);
            }
            Ok(answer)
        };
        let answer = tokio::time::timeout(ANSWER_TIME, asked)
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("no answer")))
            .map_err(failed)?;
        let status = String::from_utf8_lossy(&answer);
        let status = status.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) == Some("101") {
            Ok(stream)
        } else {
            Err(DaemonError::NoBuildKit(status.to_owned()))
        }
    }
}

/// The client's side of mutual TLS, from the files that Docker's own client reads.
fn client_config(folder: &Path) -> Result<ClientConfig, DaemonError> {
    let failed = |name: &str, reason: String| DaemonError::Certificates {
        path: folder.join(name),
        reason,
    };
    let authorities = certificates(folder, "ca.pem")?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|error| failed("ca.pem", error.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("ca.pem", error.to_string()))?
        .with_root_certificates(roots);
    if !folder.join("key.pem").exists() {
        return Ok(builder.with_no_client_auth());
    }
    let key = fs::read(folder.join("key.pem")).map_err(|e| failed("key.pem", e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| failed("key.pem", e.to_string()))?;
    builder
        .with_client_auth_cert(certificates(folder, "cert.pem")?, key)
        .map_err(|error| failed("cert.pem", error.to_string()))
}

fn certificates(folder: &Path, name: &str) -> Result<Vec<CertificateDer<'static>>, DaemonError> {
    let path = folder.join(name);
    let failed = |reason: String| DaemonError::Certificates {
        path: path.clone(),
        reason,
    };
    let pem = fs::read(&path).map_err(|error| failed(error.to_string()))?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let address = |text| Host::parse(text, None).map(|host| host.address);
        assert_eq!(
            address("unix:///run/docker.sock").unwrap(),
            Address::Unix("/run/docker.sock".into())
        );
        assert_eq!(address("tcp://a:1").unwrap(), Address::Tcp("a:1".into()));
        assert_eq!(address("tcp://a").unwrap(), Address::Tcp("a:2375".into()));
        assert_eq!(
            Host::parse("tcp://[::1]", Some("c".into()))
                .unwrap()
                .address,
            Address::Tcp("[::1]:2376".into())
        );
        assert!(address("/run/docker.sock").is_err() && address("ssh://a").is_err());
    }
}
