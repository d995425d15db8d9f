//! Calls of Docker Engine's that answer with news for as long as they take: one JSON object after another.
//!
//! bollard has these calls too. Its builds take one extra host alone, and it keeps neither the code of an error nor the
//! identity of what was made.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};

use super::DaemonError;
use super::host::Host;

/// The longest object of an answer.
const OBJECT_LIMIT: usize = 4 << 20;

/// How long a refusal may take to be told.
const REFUSAL: Duration = Duration::from_secs(30);

/// One object of an answer, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct News {
    /// Text of a build.
    pub stream: Option<String>,
    /// What is done with a layer or an image.
    pub status: Option<String>,
    /// The layer.
    pub id: Option<String>,
    /// How far a layer is.
    progress_detail: Progress,
    /// Why it failed.
    error_detail: Option<Fault>,
    /// The same in one text, which is all that some say.
    error: Option<String>,
    /// What was made.
    pub aux: Option<Made>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Progress {
    current: Option<i64>,
}

/// Why a call failed.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    /// The exit code of a command, where one failed.
    pub code: i32,
    /// In the daemon's words.
    pub message: String,
}

/// What a call made.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Made {
    /// An image's identity.
    #[serde(rename = "ID")]
    pub id: Option<String>,
    /// A manifest's digest in a registry.
    pub digest: Option<String>,
}

impl News {
    /// Why it failed, if it did.
    pub(super) fn fault(&mut self) -> Option<Fault> {
        let told = self.error.take();
        let told = told.map(|message| Fault { code: 0, message });
        self.error_detail.take().or(told)
    }

    /// The line that a person is told; none of the many about how far something is.
    pub(super) fn line(&self) -> Option<String> {
        let status = self.status.as_deref().filter(|text| !text.is_empty())?;
        if self.progress_detail.current.is_some() {
            return None;
        }
        Some(match &self.id {
            Some(id) => format!("{id}: {status}"),
            None => status.to_owned(),
        })
    }
}

/// Who pushes to a registry, as Docker Engine takes it in a header.
#[derive(Debug, Default, Serialize)]
pub(super) struct Login {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub password: String,
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub token: String,
    #[serde(rename = "serveraddress")]
    pub server: String,
}

impl Login {
    /// The header's value.
    pub(super) fn header(&self) -> String {
        URL_SAFE.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// A call.
pub(super) struct Call<S> {
    /// The path with its query.
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: S,
}

/// A body of nothing.
pub(super) fn nothing() -> impl Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    futures_util::stream::empty()
}

/// The answer to a call.
pub(super) struct Answer {
    body: Incoming,
    rest: BytesMut,
}

impl<S: Stream<Item = std::io::Result<Bytes>> + Send + 'static> Call<S> {
    /// Asks; an answer of another kind than success is an error in the daemon's words.
    pub(super) async fn ask(self, host: &Host) -> Result<Answer, DaemonError> {
        let lost = |error: hyper::Error| DaemonError::Protocol(super::chain(&error));
        let stream = host.connect(b"http/1.1").await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(connection);
        let mut request = Request::post(self.target).header("Host", "docker");
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = StreamBody::new(self.body.map(|piece| piece.map(Frame::data)));
        let request = request
            .body(body)
            .map_err(|error| DaemonError::Protocol(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(lost)?;
        if answer.status().is_success() {
            return Ok(Answer {
                body: answer.into_body(),
                rest: BytesMut::new(),
            });
        }
        Err(refusal(answer).await)
    }
}

/// Why a daemon does not even begin.
async fn refusal(answer: Response<Incoming>) -> DaemonError {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = answer.status();
    let body = http_body_util::Limited::new(answer.into_body(), OBJECT_LIMIT).collect();
    let bytes = match tokio::time::timeout(REFUSAL, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let told = serde_json::from_slice::<Refusal>(&bytes);
    DaemonError::Protocol(told.map_or_else(|_| status.to_string(), |refusal| refusal.message))
}

impl Answer {
    /// The next object; none when there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<News>, DaemonError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                if let Some(news) = read(&line)? {
                    return Ok(Some(news));
                }
                continue;
            }
            if self.rest.len() > OBJECT_LIMIT {
                return Err(DaemonError::Protocol("its answer does not end".to_owned()));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.rest.extend_from_slice(bytes);
                    }
                }
                Some(Err(error)) => return Err(DaemonError::Protocol(super::chain(&error))),
                None => return read(&self.rest.split()),
            }
        }
    }
}

/// One object, where there is one.
fn read(line: &[u8]) -> Result<Option<News>, DaemonError> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let news = serde_json::from_slice(line);
    news.map(Some)
        .map_err(|error| DaemonError::Protocol(format!("what is no news: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_docker_engine_writes_them() {
        let news = |line: &str| read(line.as_bytes()).unwrap().unwrap();
        let layer = news(
            r#"{"status":"Pushing","progressDetail":{"current":1,"total":2},"progress":"[=>]","id":"5f70"}"#,
        );
        assert_eq!(layer.line(), None);
        let pushed = news(r#"{"status":"Pushed","progressDetail":{},"id":"5f70"}"#);
        assert_eq!(pushed.line().unwrap(), "5f70: Pushed");
        let end =
            news(r#"{"progressDetail":{},"aux":{"Tag":"latest","Digest":"sha256:0","Size":1}}"#);
        assert_eq!(end.aux.unwrap().digest.unwrap(), "sha256:0");
        let mut failed = news(r#"{"errorDetail":{"code":3,"message":"no"},"error":"no"}"#);
        assert_eq!(failed.fault().unwrap().code, 3);
        assert_eq!(news(r#"{"error":"no"}"#).fault().unwrap().message, "no");
        assert_eq!(read(b" \r\n").unwrap(), None);
        assert!(read(b"<html>").is_err());
    }

    #[test]
    fn a_login_is_told_without_what_it_lacks() {
        let login = Login {
            username: "me".to_owned(),
            password: "?>".to_owned(),
            server: "a.test".to_owned(),
            ..Login::default()
        };
        let told = URL_SAFE.decode(login.header()).unwrap();
        assert_eq!(
            String::from_utf8(told).unwrap(),
            r#"{"username":"me","password":"?>","serveraddress":"a.test"}"#
        );
    }
}
