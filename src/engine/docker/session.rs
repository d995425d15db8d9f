//! What a daemon may ask of us while it builds: files, secrets, credentials, a place for its output.
//!
//! The daemon calls back over the connection that we opened, so roles are turned round: we serve.

use std::collections::BTreeMap;
use std::fs::File;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::file_send_server::{FileSend, FileSendServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    BytesMessage, CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

use super::content::{self, ContentServer};
use super::credentials::Credentials;
use super::filesync::ContextServer;

/// The largest message that BuildKit itself sends.
const MESSAGE_LIMIT: usize = 16 << 20;

/// How long a credential helper may take: some ask a person.
const HELPER: Duration = Duration::from_secs(60);

/// What is offered to the daemon.
pub(super) struct Session {
    pub context: ContextServer,
    pub secrets: BTreeMap<String, Vec<u8>>,
    pub credentials: Credentials,
    /// Folders that keep steps of builds, when there are any.
    pub content: Option<ContentServer>,
    /// Where the daemon's output goes, when it has one.
    pub output: Option<File>,
}

impl Session {
    /// The calls that are offered, as the daemon is told of them.
    pub(super) fn methods(&self) -> Vec<String> {
        let mut methods = vec![
            "/moby.filesync.v1.FileSync/DiffCopy",
            "/moby.buildkit.secrets.v1.Secrets/GetSecret",
            "/moby.filesync.v1.Auth/Credentials",
            "/grpc.health.v1.Health/Check",
        ];
        if self.content.is_some() {
            methods.extend(content::METHODS);
        }
        if self.output.is_some() {
            methods.push("/moby.filesync.v1.FileSend/DiffCopy");
        }
        methods.into_iter().map(str::to_owned).collect()
    }

    /// Serves one daemon over one stream until it goes away.
    pub(super) async fn serve<T>(self, stream: T) -> Result<(), tonic::transport::Error>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let context = FileSyncServer::new(self.context)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let mut router = Server::builder()
            .add_service(HealthServer::new(Healthy))
            .add_service(context)
            .add_service(SecretsServer::new(SecretValues(Arc::new(self.secrets))))
            .add_service(AuthServer::new(self.credentials))
            .add_optional_service(self.content);
        if let Some(output) = self.output {
            let server = FileSendServer::new(Output(Mutex::new(Some(output))))
                .max_decoding_message_size(MESSAGE_LIMIT);
            router = router.add_service(server);
        }
        let once = futures_util::stream::iter([Ok::<_, std::io::Error>(Turned(stream))]);
        // The connection outlives the list of connections, which ends after this one.
        let pending = futures_util::stream::pending();
        router.serve_with_incoming(once.chain(pending)).await
    }
}

/// A connection that we opened, as a server takes it.
struct Turned<T>(T);

impl<T> Connected for Turned<T> {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl<T: AsyncRead + Unpin> AsyncRead for Turned<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Turned<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Says that we are there.
struct Healthy;

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

/// Hands out secrets by name.
struct SecretValues(Arc<BTreeMap<String, Vec<u8>>>);

#[tonic::async_trait]
impl Secrets for SecretValues {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let name = request.into_inner().id;
        match self.0.get(&name) {
            Some(value) => Ok(Response::new(GetSecretResponse {
                data: value.clone(),
            })),
            None => Err(Status::not_found(format!("no secret {name}"))),
        }
    }
}

#[tonic::async_trait]
impl Auth for Credentials {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let (credentials, host) = (self.clone(), request.into_inner().host);
        // A helper is a program of its own, which may never answer.
        let asked = tokio::task::spawn_blocking(move || credentials.of(&host));
        let (username, secret) = tokio::time::timeout(HELPER, asked)
            .await
            .map_err(|_| Status::deadline_exceeded("the credential helper does not answer"))?
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(CredentialsResponse { username, secret }))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's business"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's business"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("tokens are the daemon's business"))
    }
}

/// Takes an archive that the daemon writes, once.
struct Output(Mutex<Option<File>>);

impl Output {
    async fn write(&self, mut stream: Streaming<BytesMessage>) -> std::io::Result<()> {
        let file = self.0.lock().ok().and_then(|mut file| file.take());
        let file = file.ok_or_else(|| std::io::Error::other("there is one output alone"))?;
        let mut file = tokio::fs::File::from_std(file);
        while let Some(message) = stream.next().await {
            let message = message.map_err(std::io::Error::other)?;
            file.write_all(&message.data).await?;
        }
        file.flush().await
    }
}

#[tonic::async_trait]
impl FileSend for Output {
    type DiffCopyStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        self.write(request.into_inner())
            .await
            .map_err(|error| Status::internal(format!("write the output: {error}")))?;
        Ok(Response::new(Box::pin(futures_util::stream::empty())))
    }
}
