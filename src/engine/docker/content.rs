//! The folders that keep steps of builds, as a daemon reads and writes them: a part of containerd's content store.
//!
//! Offered is what BuildKit uses for `type=local`: to ask for a blob, to read it, and to write one. Nothing is listed,
//! changed or deleted. Which folder a call is about stands in its metadata.

mod messages;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, StdError, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::layout::{Digest, Ingest, Layout};
use super::stream::blocking;
use messages::{
    Action, ByDigest, ByReference, Info, InfoAnswer, Part, Progress, ReadRequest, StatusAnswer,
    WriteAnswer, WriteRequest,
};

/// The header that says which folder a call is about.
const STORE: &str = "buildkit-attachable-store-id";

/// Bytes of one answer; gRPC allows four million.
const CHUNK: usize = 1 << 20;

/// The largest message that BuildKit itself sends.
const MESSAGE_LIMIT: usize = 16 << 20;

/// The most blobs that are on their way at a time, and the most bytes of the name of one.
const WRITES: usize = 256;
const REFERENCE: usize = 4 << 10;

/// The calls, as the daemon is told of them.
pub(super) const METHODS: [&str; 5] = [INFO, READ, STATUS, WRITE, ABORT];
const INFO: &str = "/containerd.services.content.v1.Content/Info";
const READ: &str = "/containerd.services.content.v1.Content/Read";
const STATUS: &str = "/containerd.services.content.v1.Content/Status";
const WRITE: &str = "/containerd.services.content.v1.Content/Write";
const ABORT: &str = "/containerd.services.content.v1.Content/Abort";

/// Offers folders to a daemon, by the names that it has for them.
#[derive(Clone)]
pub(super) struct ContentServer(Arc<BTreeMap<String, Arc<Store>>>);

/// A folder, and the blobs that are on their way to it.
struct Store {
    layout: Arc<Layout>,
    /// By the daemon's name for each; none while a call writes to it.
    writes: Mutex<BTreeMap<String, Option<Ingest>>>,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

impl ContentServer {
    pub(super) fn new(folders: impl IntoIterator<Item = (String, Arc<Layout>)>) -> Self {
        let store = |layout| {
            Arc::new(Store {
                layout,
                writes: Mutex::default(),
            })
        };
        let stores = folders.into_iter().map(|(id, layout)| (id, store(layout)));
        Self(Arc::new(stores.collect()))
    }

    fn store(&self, metadata: &MetadataMap) -> Result<Arc<Store>, Status> {
        let id = metadata.get(STORE).and_then(|id| id.to_str().ok());
        let id = id.ok_or_else(|| Status::invalid_argument("it is not said which folder"))?;
        let store = self.0.get(id).cloned();
        store.ok_or_else(|| Status::not_found(format!("no folder {id}")))
    }

    async fn info(&self, request: Request<ByDigest>) -> Result<Response<InfoAnswer>, Status> {
        let store = self.store(request.metadata())?;
        let digest = digest(&request.get_ref().digest)?;
        let size = blocking({
            let digest = digest.clone();
            move || Ok(store.blob(&digest)?.metadata().map_err(broken)?.len())
        })
        .await?;
        let info = Info {
            digest: digest.to_string(),
            size: signed(size),
        };
        Ok(Response::new(InfoAnswer { info: Some(info) }))
    }

    fn read(&self, request: &Request<ReadRequest>) -> Result<Response<Answers<Part>>, Status> {
        let store = self.store(request.metadata())?;
        let ReadRequest {
            digest: text,
            offset,
            size,
        } = request.get_ref().clone();
        let digest = digest(&text)?;
        let (answers, receiver) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            if let Err(status) = store.send(&digest, offset, size, &answers) {
                // The daemon may be gone already.
                let _ = answers.blocking_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    fn status(&self, request: &Request<ByReference>) -> Result<Response<StatusAnswer>, Status> {
        let store = self.store(request.metadata())?;
        let reference = request.get_ref().reference.clone();
        let writes = store.writes();
        let ingest = writes
            .get(&reference)
            .ok_or_else(|| nothing_written(&reference))?;
        let ingest = ingest.as_ref().ok_or_else(|| in_use(&reference))?;
        let offset = ingest.offset;
        let status = Progress {
            reference,
            offset: signed(offset),
        };
        Ok(Response::new(StatusAnswer {
            status: Some(status),
        }))
    }

    fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<Answers<WriteAnswer>>, Status> {
        let store = self.store(request.metadata())?;
        let (answers, receiver) = mpsc::channel(2);
        tokio::spawn(async move {
            if let Err(status) = take(store, request.into_inner(), &answers).await {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    fn abort(&self, request: &Request<ByReference>) -> Result<Response<()>, Status> {
        let store = self.store(request.metadata())?;
        let reference = &request.get_ref().reference;
        let removed = store.writes().remove(reference);
        removed.ok_or_else(|| nothing_written(reference))?;
        Ok(Response::new(()))
    }
}

impl Store {
    fn writes(&self) -> MutexGuard<'_, BTreeMap<String, Option<Ingest>>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blob(&self, digest: &Digest) -> Result<std::fs::File, Status> {
        let blob = self.layout.blob(digest).map_err(broken)?;
        blob.ok_or_else(|| Status::not_found(format!("no blob {digest}")))
    }

    /// Sends a part of a blob; without a size all that follows.
    fn send(
        &self,
        digest: &Digest,
        offset: i64,
        size: i64,
        answers: &mpsc::Sender<Result<Part, Status>>,
    ) -> Result<(), Status> {
        let mut file = self.blob(digest)?;
        let length = file.metadata().map_err(broken)?.len();
        let mut offset = unsigned(offset);
        let left = length
            .checked_sub(offset)
            .ok_or_else(|| Status::out_of_range(format!("{digest} has {length} bytes")))?;
        let mut left = match unsigned(size) {
            0 => left,
            size => size.min(left),
        };
        file.seek(SeekFrom::Start(offset)).map_err(broken)?;
        while left > 0 {
            let mut data = Vec::with_capacity(CHUNK.min(usize::try_from(left).unwrap_or(CHUNK)));
            let part = file.by_ref().take(left.min(CHUNK as u64));
            let count = { part }.read_to_end(&mut data).map_err(broken)? as u64;
            if count == 0 {
                return Err(Status::data_loss(format!("{digest} became shorter")));
            }
            let part = Part {
                offset: signed(offset),
                data,
            };
            if answers.blocking_send(Ok(part)).is_err() {
                return Ok(());
            }
            offset += count;
            left -= count;
        }
        Ok(())
    }
}

/// Takes a blob, or what comes of it: the next call with the same name goes on.
async fn take(
    store: Arc<Store>,
    mut incoming: Streaming<WriteRequest>,
    answers: &mpsc::Sender<Result<WriteAnswer, Status>>,
) -> Result<(), Status> {
    let Some(mut request) = incoming.message().await? else {
        return Ok(());
    };
    let mut turn = Turn::of(store, &request.reference)?;
    loop {
        let last = request.action() == Action::Commit;
        let (back, answer) = blocking(move || {
            let answer = turn.step(&request)?;
            Ok((turn, answer))
        })
        .await?;
        turn = back;
        if answers.send(Ok(answer)).await.is_err() || last {
            return Ok(());
        }
        match incoming.message().await? {
            Some(next) => request = next,
            None => return Ok(()),
        }
    }
}

/// A blob that one call writes to; what is left of it goes back.
struct Turn {
    store: Arc<Store>,
    reference: String,
    ingest: Option<Ingest>,
    expected: Option<Digest>,
    total: u64,
}

impl Turn {
    fn of(store: Arc<Store>, reference: &str) -> Result<Self, Status> {
        if reference.is_empty() || reference.len() > REFERENCE {
            return Err(Status::invalid_argument("a blob must have a name first"));
        }
        let ingest = {
            let mut writes = store.writes();
            let many = writes.len() >= WRITES;
            match writes.get_mut(reference) {
                Some(ingest) => ingest.take().ok_or_else(|| in_use(reference))?,
                None if many => {
                    return Err(Status::resource_exhausted(
                        "too many blobs are on their way",
                    ));
                }
                None => {
                    let begun = store.layout.begin().map_err(refused)?;
                    writes.insert(reference.to_owned(), None);
                    begun
                }
            }
        };
        Ok(Self {
            ingest: Some(ingest),
            reference: reference.to_owned(),
            store,
            expected: None,
            total: 0,
        })
    }

    fn step(&mut self, request: &WriteRequest) -> Result<WriteAnswer, Status> {
        if !request.expected.is_empty() {
            let expected = digest(&request.expected)?;
            // One that lies about itself counts as none, and is replaced.
            if let Ok(Some(_)) = self.store.layout.blob(&expected) {
                self.store.writes().remove(&self.reference);
                return Err(Status::already_exists(format!("{expected} is there")));
            }
            self.expected = Some(expected);
        }
        if request.total > 0 {
            self.total = unsigned(request.total);
        }
        let mut written = String::new();
        if request.action() != Action::Stat {
            self.add(unsigned(request.offset), &request.data)?;
        }
        let offset = self.ingest()?.offset;
        if request.action() == Action::Commit {
            written = self.commit()?.to_string();
        }
        Ok(WriteAnswer {
            action: request.action,
            offset: signed(offset),
            total: signed(self.total),
            digest: written,
        })
    }

    fn ingest(&mut self) -> Result<&mut Ingest, Status> {
        let gone = || Status::failed_precondition("the blob was committed");
        self.ingest.as_mut().ok_or_else(gone)
    }

    fn add(&mut self, offset: u64, data: &[u8]) -> Result<(), Status> {
        let total = self.total;
        let ingest = self.ingest()?;
        match offset {
            0 if ingest.offset > 0 => ingest.restart().map_err(refused)?,
            offset if offset != ingest.offset => {
                let at = ingest.offset;
                return Err(Status::out_of_range(format!("the next byte is {at}")));
            }
            _ => {}
        }
        if total > 0 && ingest.offset + data.len() as u64 > total {
            return Err(Status::out_of_range(format!("more than {total} bytes")));
        }
        ingest.write(data).map_err(refused)
    }

    fn commit(&mut self) -> Result<Digest, Status> {
        let offset = self.ingest()?.offset;
        if self.store.writes().remove(&self.reference).is_none() {
            return Err(Status::aborted("another call gave it up"));
        }
        if self.total > 0 && offset != self.total {
            let what = format!("{offset} bytes of {}", self.total);
            return Err(Status::failed_precondition(what));
        }
        let ingest = self.ingest.take();
        let ingest = ingest.ok_or_else(|| Status::internal("the blob is gone"))?;
        let committed = self.store.layout.commit(ingest, self.expected.as_ref());
        committed.map_err(refused)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(place) = self.store.writes().get_mut(&self.reference) {
            *place = self.ingest.take();
        }
    }
}

fn digest(text: &str) -> Result<Digest, Status> {
    Digest::parse(text).ok_or_else(|| Status::invalid_argument(format!("{text:?} is no digest")))
}

fn nothing_written(reference: &str) -> Status {
    Status::not_found(format!("nothing is written to {reference:?}"))
}

fn in_use(reference: &str) -> Status {
    Status::unavailable(format!("{reference:?} is written by another call"))
}

#[allow(clippy::needless_pass_by_value)]
fn broken(error: io::Error) -> Status {
    Status::data_loss(error.to_string())
}

#[allow(clippy::needless_pass_by_value)]
fn refused(error: io::Error) -> Status {
    Status::failed_precondition(error.to_string())
}

/// Negative numbers mean nothing here.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl NamedService for ContentServer {
    const NAME: &'static str = "containerd.services.content.v1.Content";
}

impl<B> Service<http::Request<B>> for ContentServer
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let answer = match request.uri().path() {
                INFO => {
                    let call = tower::service_fn(move |request| {
                        let server = server.clone();
                        async move { server.info(request).await }
                    });
                    grpc().unary(call, request).await
                }
                READ => {
                    let call =
                        tower::service_fn(move |request| std::future::ready(server.read(&request)));
                    grpc().server_streaming(call, request).await
                }
                STATUS => {
                    let call = tower::service_fn(move |request| {
                        std::future::ready(server.status(&request))
                    });
                    grpc().unary(call, request).await
                }
                WRITE => {
                    let call =
                        tower::service_fn(move |request| std::future::ready(server.write(request)));
                    grpc().streaming(call, request).await
                }
                ABORT => {
                    let call = tower::service_fn(move |request| {
                        std::future::ready(server.abort(&request))
                    });
                    grpc().unary(call, request).await
                }
                _ => Status::unimplemented("not offered").into_http(),
            };
            Ok(answer)
        })
    }
}

fn grpc<A: Message + 'static, Q: Message + Default + 'static>() -> Grpc<ProstCodec<A, Q>> {
    Grpc::new(ProstCodec::default())
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT)
}

#[cfg(test)]
mod tests;
