//! Docker Engine through its API: builds, and images that are handed over.

use std::io::Write;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, ImportImageOptions, ListImagesOptions, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, TagImageOptionsBuilder,
    WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;

use super::classic::{self, Classic};
use super::context::{Witness, write_archive};
use super::credentials::Credentials;
use super::filesync::with_folders;
use super::host::{Address, Host, Stream};
use super::lines::Lines;
use super::news::{self, Call};
use super::request::ImageBuild;
use super::stream::{Joined, written};
use super::{DaemonError, Teller, buildkit, heard, wait};
use crate::engine::Tail;
use crate::interrupt::Interrupt;
use crate::report;

/// For calls that a healthy daemon answers at once.
const SHORT: Duration = Duration::from_secs(3);
/// For builds and loads, in seconds.
const LONG: u64 = 24 * 3600;

/// What a daemon does with parts of an image that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The image was there already.
    Known,
    /// It was sent, without this many layers that were there.
    Sent {
        /// Layers that were not sent.
        known: usize,
    },
}

/// Docker Engine, or what speaks its API.
#[derive(Clone)]
pub struct Engine {
    host: Host,
    docker: Docker,
    /// Its version, as it says.
    pub version: String,
    /// The kind of its machine: `amd64`.
    pub architecture: String,
    /// It keeps images as they come, and needs every blob of them.
    whole_images: bool,
}

impl Engine {
    /// Asks the daemon who it is; quick when there is none.
    pub fn connect(host: &Host) -> Result<Self, DaemonError> {
        let docker = client(host)?;
        let unreachable = |reason: String| DaemonError::Unreachable {
            host: host.text.clone(),
            reason,
        };
        wait(async {
            // Before the library is asked, which waits for long.
            let stream = tokio::time::timeout(SHORT, host.connect(b"http/1.1")).await;
            drop(stream.map_err(|_| unreachable("no answer".to_owned()))??);
            let asked = async {
                let docker = docker.negotiate_version().await?;
                let version = docker.version().await?;
                let info = docker.info().await?;
                Ok::<_, bollard::errors::Error>((docker, version, info))
            };
            let (docker, version, info) = tokio::time::timeout(SHORT * 3, asked)
                .await
                .map_err(|_| unreachable("no answer".to_owned()))?
                .map_err(|error| unreachable(error.to_string()))?;
            let status = info.driver_status.unwrap_or_default();
            let containerd =
                |pair: &Vec<String>| pair.iter().any(|text| text.contains("containerd"));
            Ok(Self {
                host: host.clone(),
                docker,
                version: version.version.unwrap_or_default(),
                architecture: version.arch.unwrap_or_default(),
                whole_images: status.iter().any(containerd),
            })
        })
    }

    /// The address.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Whether BuildKit is inside.
    pub fn has_buildkit(&self) -> bool {
        wait(async { self.host.upgrade("/grpc", &[]).await.map(|_| ()) }).is_ok()
    }

    /// Builds with the BuildKit inside.
    pub fn build(
        &self,
        build: ImageBuild,
        interrupt: &Interrupt,
        tell: &mut Teller<'_>,
    ) -> Result<String, DaemonError> {
        let kind = buildkit::Kind::Engine(&self.host);
        wait(heard(interrupt, buildkit::build(kind, build, tell)))
    }

    /// Builds with the builder that was there before BuildKit.
    pub fn build_classic(
        &self,
        build: ImageBuild,
        interrupt: &Interrupt,
        tell: &mut Teller<'_>,
    ) -> Result<String, DaemonError> {
        let target = classic::target(&build)?;
        let files = with_folders(build.files);
        let witness = Witness::default();
        let heard_of = witness.clone();
        let outcome = wait(heard(interrupt, async {
            let call = Call {
                target,
                headers: vec![("Content-Type", "application/x-tar".to_owned())],
                body: written(move |to| {
                    let sent = write_archive(&files, to);
                    sent.inspect_err(|error| heard_of.hear(error))
                }),
            };
            let mut answer = call.ask(&self.host).await?;
            let mut classic = Classic::of(build.commands);
            let mut id = String::new();
            while let Some(mut news) = answer.next().await? {
                if let Some(fault) = news.fault() {
                    return Err(classic.failure(&fault, tell));
                }
                classic.take(&news.stream.unwrap_or_default(), tell);
                id = news.aux.and_then(|made| made.id).unwrap_or(id);
            }
            classic.end(tell);
            Ok(id)
        }));
        outcome.map_err(|error| witness.told(error))
    }

    /// Names an image of the daemon's and pushes it to the registry that the name says; its digest there.
    pub fn push(
        &self,
        id: &str,
        name: &str,
        interrupt: &Interrupt,
        tell: &mut dyn FnMut(&str),
    ) -> Result<String, DaemonError> {
        let failed = |reason: String| DaemonError::Push {
            name: name.to_owned(),
            reason,
        };
        let (repository, tag) = split(name);
        let tag: String = form_urlencoded::byte_serialize(tag.as_bytes()).collect();
        let login = Credentials::discover(std::iter::once(name)).login(name);
        wait(heard(interrupt, async {
            self.tag(id, name).await?;
            let call = Call {
                target: format!("/images/{repository}/push?tag={tag}"),
                headers: vec![("X-Registry-Auth", login.header())],
                body: news::nothing(),
            };
            let mut answer = call.ask(&self.host).await.map_err(|error| match error {
                DaemonError::Protocol(reason) => failed(reason),
                other => other,
            })?;
            let mut digest = String::new();
            while let Some(mut news) = answer.next().await? {
                if let Some(fault) = news.fault() {
                    return Err(failed(fault.message));
                }
                if let Some(line) = news.line() {
                    tell(&line);
                }
                digest = news.aux.and_then(|made| made.digest).unwrap_or(digest);
            }
            if digest.is_empty() {
                return Err(failed(
                    "the daemon does not say that it is there".to_owned(),
                ));
            }
            Ok(digest)
        }))
    }

    async fn tag(&self, image: &str, name: &str) -> Result<(), DaemonError> {
        let (repository, tag) = split(name);
        let options = TagImageOptionsBuilder::new()
            .repo(repository)
            .tag(tag)
            .build();
        let tagged = self.docker.tag_image(image, Some(options)).await;
        tagged.map_err(|error| DaemonError::Protocol(error.to_string()))
    }

    /// Gives the daemon an image: an archive that `write` writes without the given number of lowest layers,
    /// which the daemon has. `id` is the digest of the image's configuration.
    pub fn load<W>(
        &self,
        id: &str,
        diff_ids: &[String],
        names: &[String],
        interrupt: &Interrupt,
        write: W,
    ) -> Result<Loaded, DaemonError>
    where
        W: FnOnce(usize, &mut dyn Write) -> std::io::Result<()> + Send + 'static,
    {
        wait(heard(interrupt, async {
            if self.docker.inspect_image(id).await.is_ok() {
                for name in names {
                    self.tag(id, name).await?;
                }
                return Ok(Loaded::Known);
            }
            let known = if self.whole_images {
                0
            } else {
                self.known_layers(diff_ids).await
            };
            let archive = written(move |to| write(known, to));
            let options = ImportImageOptions::default();
            let mut news = Box::pin(self.docker.import_image_stream(options, archive, None));
            while let Some(news) = news.next().await {
                news.map_err(|error| DaemonError::Protocol(error.to_string()))?;
            }
            Ok(Loaded::Sent { known })
        }))
    }

    /// How many of the lowest layers some image of the daemon has.
    async fn known_layers(&self, diff_ids: &[String]) -> usize {
        let images = self
            .docker
            .list_images(None::<ListImagesOptions>)
            .await
            .unwrap_or_default();
        let mut most = 0;
        for image in images {
            let Ok(image) = self.docker.inspect_image(&image.id).await else {
                continue;
            };
            let layers = image
                .root_fs
                .and_then(|root| root.layers)
                .unwrap_or_default();
            let common = layers
                .iter()
                .zip(diff_ids)
                .take_while(|(a, b)| a == b)
                .count();
            most = most.max(common);
        }
        most
    }

    /// The identity and size of an image.
    pub fn describe(&self, name: &str) -> Result<(String, u64), DaemonError> {
        let image = wait(async { self.docker.inspect_image(name).await.map_err(protocol) })?;
        let size = image.size.and_then(|size| u64::try_from(size).ok());
        Ok((image.id.unwrap_or_default(), size.unwrap_or_default()))
    }

    /// Runs a command in a new container of an image, as the sandbox does; its exit code and last lines.
    pub fn run(
        &self,
        image: &str,
        command: &str,
        network: Option<&str>,
        interrupt: &Interrupt,
        output: &mut (dyn FnMut(report::Stream, &str) + Send),
    ) -> Result<(i32, Vec<String>), DaemonError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(["/bin/bash", "-l", "-c"].map(str::to_owned).to_vec()),
            cmd: Some(vec![command.to_owned()]),
            host_config: Some(HostConfig {
                network_mode: network.map(str::to_owned),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        // Whatever ends it, the container goes.
        let _listening = interrupt.listen();
        wait(async {
            let created = self
                .docker
                .create_container(None::<CreateContainerOptions>, body)
                .await;
            let id = created.map_err(protocol)?.id;
            let outcome = heard(interrupt, self.follow(&id, output)).await;
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            // The outcome is what is to be told.
            let _ = self.docker.remove_container(&id, Some(options)).await;
            outcome
        })
    }

    async fn follow(
        &self,
        id: &str,
        output: &mut (dyn FnMut(report::Stream, &str) + Send),
    ) -> Result<(i32, Vec<String>), DaemonError> {
        let started = self
            .docker
            .start_container(id, None::<StartContainerOptions>)
            .await;
        started.map_err(protocol)?;
        let options = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .build();
        let mut logs = self.docker.logs(id, Some(options));
        let (mut lines, mut tail) = (Lines::default(), Tail::default());
        while let Some(log) = logs.next().await {
            let log = log.map_err(protocol)?;
            let stream = match log {
                LogOutput::StdErr { .. } => report::Stream::Stderr,
                _ => report::Stream::Stdout,
            };
            lines.take(stream, &log.into_bytes(), &mut |line| {
                output(stream, line);
                tail.push(line);
            });
        }
        lines.end(&mut |stream, line| {
            output(stream, line);
            tail.push(line);
        });
        let mut ends = self.docker.wait_container(id, None::<WaitContainerOptions>);
        let code = match ends.next().await {
            Some(Ok(end)) => end.status_code,
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(protocol(error)),
            None => 0,
        };
        Ok((i32::try_from(code).unwrap_or(1), tail.last(Tail::LINES)))
    }

    /// A stream to the buildkitd in a container.
    pub(super) async fn dial_container(&self, name: &str) -> Result<Box<dyn Stream>, DaemonError> {
        let failed = |error: bollard::errors::Error| DaemonError::Unreachable {
            host: format!("docker-container://{name}"),
            reason: error.to_string(),
        };
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["buildctl", "dial-stdio"]),
            ..CreateExecOptions::default()
        };
        let exec = self
            .docker
            .create_exec(name, options)
            .await
            .map_err(failed)?;
        let started = self
            .docker
            .start_exec(&exec.id, None::<StartExecOptions>)
            .await;
        match started.map_err(failed)? {
            StartExecResults::Attached { output, input } => {
                let output = output.filter_map(|item| async {
                    match item {
                        Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
                        Ok(_) => None,
                        Err(error) => Some(Err(std::io::Error::other(error))),
                    }
                });
                let read = tokio_util::io::StreamReader::new(Box::pin(output));
                Ok(Box::new(Joined { read, write: input }))
            }
            StartExecResults::Detached => Err(DaemonError::Protocol("no stream".to_owned())),
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn protocol(error: bollard::errors::Error) -> DaemonError {
    DaemonError::Protocol(error.to_string())
}

fn client(host: &Host) -> Result<Docker, DaemonError> {
    let made = match (&host.address, &host.certificates) {
        (Address::Unix(path), _) => {
            Docker::connect_with_unix(&path.to_string_lossy(), LONG, API_DEFAULT_VERSION)
        }
        (Address::Tcp(place), None) => Docker::connect_with_http(place, LONG, API_DEFAULT_VERSION),
        (Address::Tcp(place), Some(folder)) => Docker::connect_with_ssl(
            place,
            &folder.join("key.pem"),
            &folder.join("cert.pem"),
            &folder.join("ca.pem"),
            LONG,
            API_DEFAULT_VERSION,
        ),
        (Address::Container(_), _) => {
            return Err(DaemonError::Address {
                text: host.text.clone(),
                reason: "Docker Engine is no container".to_owned(),
            });
        }
    };
    made.map_err(|error| DaemonError::Unreachable {
        host: host.text.clone(),
        reason: error.to_string(),
    })
}

/// Repository and tag of a name.
fn split(name: &str) -> (&str, &str) {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].rfind(':') {
        Some(colon) => (&name[..last + colon], &name[last + colon + 1..]),
        None => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_repository_and_tag() {
        assert_eq!(split("a.test:5000/b/c:1"), ("a.test:5000/b/c", "1"));
        assert_eq!(split("a.test:5000/b"), ("a.test:5000/b", "latest"));
    }
}
