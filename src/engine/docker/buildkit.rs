//! Lets BuildKit build: the one inside Docker Engine, or a buildkitd of its own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BytesMessage, CacheOptions, CacheOptionsEntry, InfoRequest, ListWorkersRequest, SolveRequest,
    StatusRequest, StatusResponse,
};
use futures_util::StreamExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

use super::credentials::Credentials;
use super::failure::Details;
use super::filesync::ContextServer;
use super::folders::Folders;
use super::host::{Host, Stream};
use super::output::Output;
use super::progress::Progress;
use super::request::{DaemonOptions, Exported, ImageBuild};
use super::session::Session;
use super::{DaemonError, Message, Teller, chain};

/// The largest message that BuildKit itself sends.
const MESSAGE_LIMIT: usize = 16 << 20;

/// How long to wait for the last words about a build that has ended.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Which BuildKit.
pub(super) enum Kind<'a> {
    /// That of Docker Engine.
    Engine(&'a Host),
    /// A daemon of its own, over a stream that is open.
    Daemon(Box<dyn Stream>),
}

/// Builds, tells what happens, and returns the image's digest when the result is where it should be; empty for what has none.
pub(super) async fn build(
    kind: Kind<'_>,
    mut build: ImageBuild,
    tell: &mut Teller<'_>,
) -> Result<String, DaemonError> {
    let id = new_id();
    let output = Output::prepare(&build.options.export)?;
    let folders = Folders::prepare(&mut build.options, tell)?;
    let session = Session {
        context: ContextServer::new(std::mem::take(&mut build.files), &build.dockerfile)?,
        secrets: std::mem::take(&mut build.secrets),
        credentials: Credentials::discover(build.images()),
        content: folders.server(),
        output: output.as_ref().map(Output::file).transpose()?,
    };
    let progress = Progress::of(std::mem::take(&mut build.commands));
    let witness = session.context.witness();
    let methods = session.methods();
    let (channel, serving) = match kind {
        Kind::Engine(host) => {
            let mut headers = vec![
                ("X-Docker-Expose-Session-Uuid".to_owned(), id.clone()),
                (
                    "X-Docker-Expose-Session-Name".to_owned(),
                    "packwright".to_owned(),
                ),
                (
                    "X-Docker-Expose-Session-Sharedkey".to_owned(),
                    build.shared_key.clone(),
                ),
            ];
            headers.extend(methods.iter().map(|method| {
                (
                    "X-Docker-Expose-Session-Grpc-Method".to_owned(),
                    method.clone(),
                )
            }));
            let stream = host.upgrade("/session", &headers).await?;
            let serving = tokio::spawn(async move {
                // Ends with the daemon's side.
                let _ = session.serve(stream).await;
            });
            let control = host.upgrade("/grpc", &[]).await?;
            (channel(control).await?, serving)
        }
        Kind::Daemon(stream) => {
            let channel = channel(stream).await?;
            let metadata = (id.as_str(), methods.as_slice(), build.shared_key.as_str());
            let serving = tunnel(channel.clone(), metadata, session)?;
            (channel, serving)
        }
    };
    let mut control = client(channel);
    let reference = new_id();
    // It has to be on its way before its news are asked for: old daemons wait for a build that they do
    // not know, and answer nothing meanwhile.
    let solving = tokio::spawn(solve(control.clone(), request(&build, &reference, id)));
    let end = solving.abort_handle();
    let watching = control
        .status(StatusRequest {
            r#ref: reference.clone(),
        })
        .await
        .map_err(|status| told(&status))?
        .into_inner();
    let outcome = follow(solving, watching, progress, tell).await;
    // A build that was left ends with its call.
    end.abort();
    serving.abort();
    let solved = outcome.map_err(|error| unknown(witness.told(error), &build.options))?;
    output.map_or(Ok(()), Output::finish)?;
    folders.finish(solved.steps.as_deref(), tell)?;
    Ok(solved.digest)
}

/// The version of a buildkitd and the kind of its machine; also a test of whether it answers.
pub(super) async fn describe(stream: Box<dyn Stream>) -> Result<(String, String), DaemonError> {
    let mut control = client(channel(stream).await?);
    let version = match control.info(InfoRequest {}).await {
        Ok(answer) => {
            answer
                .into_inner()
                .buildkit_version
                .unwrap_or_default()
                .version
        }
        // Those before 0.12 do not tell, and build all the same.
        Err(status) if status.code() == Code::Unimplemented => "before 0.12".to_owned(),
        Err(status) => return Err(told(&status)),
    };
    let workers = control.list_workers(ListWorkersRequest::default()).await;
    let workers = workers.map_err(|status| told(&status))?.into_inner().record;
    // The first platform is the machine's own, the others are those that it can also run.
    let platforms = workers.into_iter().flat_map(|worker| worker.platforms);
    let own = platforms.map(|platform| platform.architecture).next();
    Ok((version, own.unwrap_or_default()))
}

fn client(channel: Channel) -> ControlClient<Channel> {
    ControlClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT)
}

/// gRPC over a stream that is already open.
async fn channel(stream: Box<dyn Stream>) -> Result<Channel, DaemonError> {
    let mut stream = Some(stream);
    Endpoint::from_static("http://buildkit")
        .connect_with_connector(tower::service_fn(move |_| {
            let stream = stream.take();
            async move {
                stream
                    .map(TokioIo::new)
                    .ok_or_else(|| std::io::Error::other("the connection is gone"))
            }
        }))
        .await
        .map_err(|error| DaemonError::Protocol(chain(&error)))
}

/// Serves the session inside a call of the daemon's: bytes both ways.
fn tunnel(
    channel: Channel,
    (id, methods, shared_key): (&str, &[String], &str),
    session: Session,
) -> Result<tokio::task::JoinHandle<()>, DaemonError> {
    let (sender, receiver) = mpsc::channel::<BytesMessage>(16);
    let mut request = Request::new(ReceiverStream::new(receiver));
    let metadata = request.metadata_mut();
    let value = |text: &str| {
        MetadataValue::try_from(text).map_err(|error| DaemonError::Protocol(error.to_string()))
    };
    metadata.insert("x-docker-expose-session-uuid", value(id)?);
    metadata.insert("x-docker-expose-session-name", value("packwright")?);
    metadata.insert("x-docker-expose-session-sharedkey", value(shared_key)?);
    for method in methods {
        metadata.append("x-docker-expose-session-grpc-method", value(method)?);
    }
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (mut read, mut write) = tokio::io::split(theirs);
    // The daemon answers the call only when we have begun to speak, so sending goes first.
    let sending = tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            let data = buffer[..count].to_vec();
            if sender.send(BytesMessage { data }).await.is_err() {
                break;
            }
        }
    });
    let mut control = client(channel);
    Ok(tokio::spawn(async move {
        let receiving = async {
            let Ok(answer) = control.session(request).await else {
                return;
            };
            let mut incoming = answer.into_inner();
            while let Some(Ok(message)) = incoming.next().await {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
        };
        // Whichever ends, the session has ended.
        tokio::select! {
            () = receiving => {}
            _ = session.serve(ours) => {}
        }
        sending.abort();
    }))
}

/// What a daemon says of a build that ended well.
#[derive(Debug, Clone)]
struct Solved {
    /// The image's digest, empty for what has none.
    digest: String,
    /// The manifest of the steps that it kept, as JSON.
    steps: Option<String>,
}

async fn solve(
    mut control: ControlClient<Channel>,
    request: SolveRequest,
) -> Result<Solved, tonic::Status> {
    let mut response = control.solve(request).await?.into_inner().exporter_response;
    let digest = response.remove("containerimage.digest");
    Ok(Solved {
        digest: digest.unwrap_or_default(),
        steps: response.remove("cache.manifest"),
    })
}

fn request(build: &ImageBuild, reference: &str, session: String) -> SolveRequest {
    let mut attributes: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| attributes.insert(name.to_owned(), value);
    set("filename", build.dockerfile.to_string_lossy().into_owned());
    for (name, value) in &build.arguments {
        set(&format!("build-arg:{name}"), value.clone());
    }
    for (name, value) in &build.labels {
        set(&format!("label:{name}"), value.clone());
    }
    if build.no_cache {
        set("no-cache", String::new());
    }
    if let Some(platform) = &build.options.platform {
        set("platform", platform.clone());
    }
    if !build.options.add_hosts.is_empty() {
        let hosts: Vec<String> = build
            .options
            .add_hosts
            .iter()
            .map(|host| host.replacen(':', "=", 1))
            .collect();
        set("add-hosts", hosts.join(","));
    }
    if let Some(network) = &build.options.network {
        set("force-network-mode", network.clone());
    }
    if !build.options.cache_from.is_empty() {
        // It is the frontend that looks for them: the old ones know references alone.
        let imports: Vec<serde_json::Value> = build
            .options
            .cache_from
            .iter()
            .map(|(kind, attributes)| serde_json::json!({ "Type": kind, "Attrs": attributes }))
            .collect();
        set(
            "cache-imports",
            serde_json::Value::from(imports).to_string(),
        );
        let references = build
            .options
            .cache_from
            .iter()
            .filter(|(kind, _)| kind == "registry");
        let references: Vec<&str> = references
            .filter_map(|(_, attributes)| attributes.get("ref").map(String::as_str))
            .collect();
        set("cache-from", references.join(","));
    }
    let entry = |(kind, attributes): &(String, BTreeMap<String, String>)| CacheOptionsEntry {
        r#type: kind.clone(),
        attrs: attributes.clone().into_iter().collect(),
    };
    let host_network = build.options.network.as_deref() == Some("host");
    let (exporter, exporter_attributes) = exporter(build);
    SolveRequest {
        r#ref: reference.to_owned(),
        exporter_deprecated: exporter,
        exporter_attrs_deprecated: exporter_attributes,
        session,
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes.into_iter().collect(),
        cache: Some(CacheOptions {
            exports: build.options.cache_to.iter().map(entry).collect(),
            imports: build.options.cache_from.iter().map(entry).collect(),
            ..CacheOptions::default()
        }),
        entitlements: host_network
            .then(|| "network.host".to_owned())
            .into_iter()
            .collect(),
        ..SolveRequest::default()
    }
}

fn exporter(build: &ImageBuild) -> (String, HashMap<String, String>) {
    let mut attributes = HashMap::from([("name".to_owned(), build.names.join(","))]);
    let exporter = match &build.options.export {
        Exported::Engine => "moby",
        Exported::Registry => {
            attributes.insert("push".to_owned(), "true".to_owned());
            "image"
        }
        Exported::Nowhere => {
            attributes.clear();
            ""
        }
        Exported::File {
            kind,
            attributes: given,
            ..
        } => {
            attributes.extend(given.clone());
            Output::exporter(kind)
        }
    };
    (exporter.to_owned(), attributes)
}

/// What a builder does not know at all, which is most of Docker Engine's, is told with what to do.
fn unknown(error: DaemonError, options: &DaemonOptions) -> DaemonError {
    let DaemonError::Protocol(message) = &error else {
        return error;
    };
    if let Exported::File { kind, .. } = &options.export
        && *message == format!("exporter {kind:?} could not be found")
    {
        return DaemonError::Unable(format!(
            "write type={kind}: Docker Engine writes type=tar and type=local; for others say docker save, --buildkit-host, or \
             --engine native with --output"
        ));
    }
    for (kind, _) in &options.cache_to {
        if *message == format!("unknown cache exporter: {kind:?}") {
            return DaemonError::Unable(format!(
                "keep steps by type={kind}: Docker Engine keeps them by --inline-cache; others need --buildkit-host"
            ));
        }
    }
    error
}

/// Tells what happens until the build has ended.
async fn follow(
    mut solving: tokio::task::JoinHandle<Result<Solved, tonic::Status>>,
    mut watching: tonic::Streaming<StatusResponse>,
    mut progress: Progress,
    tell: &mut Teller<'_>,
) -> Result<Solved, DaemonError> {
    let mut ended = None;
    let mut watched = true;
    let mut unheard = None;
    loop {
        tokio::select! {
            outcome = &mut solving, if ended.is_none() => ended = Some(
                outcome.unwrap_or_else(|error| Err(tonic::Status::internal(error.to_string()))),
            ),
            news = watching.next(), if watched => match news {
                Some(Ok(news)) => progress.take(news, tell),
                Some(Err(status)) => {
                    watched = false;
                    unheard = Some(format!("the daemon tells no more of this build: {}", status.message()));
                }
                None => watched = false,
            },
            // When it has ended with an error, that is what is to be told.
            () = tokio::time::sleep(LAST_WORDS), if ended.is_some() || unheard.is_some() => {
                unheard.take().map(Message::Warning).into_iter().for_each(&mut *tell);
                watched &= ended.is_none();
            }
        }
        if let (Some(outcome), false) = (&ended, watched) {
            return match outcome {
                Ok(solved) => Ok(solved.clone()),
                Err(status) => Err(progress.failure(&Details::of(status), status.message())),
            };
        }
    }
}

fn told(status: &tonic::Status) -> DaemonError {
    DaemonError::Protocol(status.message().to_owned())
}

/// A name that nobody else has: random, since daemons are shared.
fn new_id() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness the process' number and time have to do; the kernel has it in practice.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    hex::encode(bytes)
}
