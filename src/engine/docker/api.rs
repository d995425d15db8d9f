//! Docker Engine through its API: builds, and images that are handed over.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    BuildImageOptions, CreateContainerOptions, ImportImageOptions, ListImagesOptions,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    TagImageOptionsBuilder, WaitContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker, body_try_stream};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::context::{ContextBody, ContextFile};
use super::filesync::with_folders;
use super::host::{Address, Host, Stream};
use super::request::ImageBuild;
use super::{DaemonError, Message, Teller, buildkit, progress, wait};
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
        wait(buildkit::build(
            buildkit::Kind::Engine(&self.host),
            build,
            interrupt,
            tell,
        ))
    }

    /// Builds with the builder that was there before BuildKit.
    pub fn build_classic(
        &self,
        build: ImageBuild,
        interrupt: &Interrupt,
        tell: &mut Teller<'_>,
    ) -> Result<String, DaemonError> {
        let small = |flag: &'static str, number: Option<i64>| match number.map(i32::try_from) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(DaemonError::Argument {
                flag,
                text: number.unwrap_or_default().to_string(),
                reason: "the classic builder takes less than 2 GiB".to_owned(),
            }),
        };
        let pairs = |map: &std::collections::BTreeMap<String, String>| -> HashMap<String, String> {
            map.clone().into_iter().collect()
        };
        let options = BuildImageOptions {
            dockerfile: build.dockerfile.to_string_lossy().into_owned(),
            t: build.names.first().cloned(),
            extrahosts: (!build.options.add_hosts.is_empty())
                .then(|| build.options.add_hosts.join(",")),
            nocache: build.no_cache,
            cachefrom: registries(&build),
            memory: small("--memory", build.options.memory)?,
            cpuquota: small("--cpu-quota", build.options.cpu_quota)?,
            buildargs: Some(pairs(&build.arguments)),
            labels: Some(pairs(&build.labels)),
            networkmode: build.options.network.clone(),
            platform: build.options.platform.clone().unwrap_or_default(),
            forcerm: true,
            ..BuildImageOptions::default()
        };
        let files = with_folders(build.files);
        wait(async {
            let body = body_try_stream(written(move |to| write_context(&files, to)));
            let mut news = self.docker.build_image(options, None, Some(body));
            let mut classic = Classic::default();
            while let Some(news) = next(&mut news, interrupt).await? {
                match news {
                    Ok(news) => classic.take(&news.stream.unwrap_or_default(), tell),
                    Err(error) => return Err(classic.failure(&error, tell)),
                }
            }
            classic.end(tell);
            for name in build.names.iter().skip(1) {
                self.tag(&build.names[0], name).await?;
            }
            Ok(String::new())
        })
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
        wait(async {
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
            while let Some(news) = next(&mut news, interrupt).await? {
                news.map_err(|error| DaemonError::Protocol(error.to_string()))?;
            }
            Ok(Loaded::Sent { known })
        })
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

    /// Runs a command in a new container of an image, by the image's entrypoint; its exit code and last lines.
    pub fn run(
        &self,
        image: &str,
        command: &str,
        interrupt: &Interrupt,
        output: &mut (dyn FnMut(report::Stream, &str) + Send),
    ) -> Result<(i32, Vec<String>), DaemonError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(vec![command.to_owned()]),
            ..ContainerCreateBody::default()
        };
        wait(async {
            let created = self
                .docker
                .create_container(None::<CreateContainerOptions>, body)
                .await;
            let id = created.map_err(protocol)?.id;
            let outcome = self.follow(&id, interrupt, output).await;
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
        interrupt: &Interrupt,
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
        let mut tail = Tail::default();
        while let Some(log) = next(&mut logs, interrupt).await? {
            let log = log.map_err(protocol)?;
            let stream = match log {
                LogOutput::StdErr { .. } => report::Stream::Stderr,
                _ => report::Stream::Stdout,
            };
            for line in String::from_utf8_lossy(&log.into_bytes()).lines() {
                output(stream, line);
                tail.push(line);
            }
        }
        let mut ends = self.docker.wait_container(id, None::<WaitContainerOptions>);
        let code = match next(&mut ends, interrupt).await? {
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

/// Two halves as one stream.
struct Joined<R, W> {
    read: R,
    write: W,
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Joined<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Joined<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
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

/// The next of a stream of news, unless a signal asks for the end.
async fn next<T>(
    news: &mut (impl futures_util::Stream<Item = T> + Unpin),
    interrupt: &Interrupt,
) -> Result<Option<T>, DaemonError> {
    loop {
        if interrupt.count() > 0 {
            return Err(DaemonError::Interrupted);
        }
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(100), news.next()).await {
            return Ok(next);
        }
    }
}

/// Repository and tag of a name.
fn split(name: &str) -> (&str, &str) {
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].rfind(':') {
        Some(colon) => (&name[..last + colon], &name[last + colon + 1..]),
        None => (name, "latest"),
    }
}

fn registries(build: &ImageBuild) -> Option<Vec<String>> {
    let references = build
        .options
        .cache_from
        .iter()
        .filter_map(|(_, attributes)| attributes.get("ref").cloned());
    let references: Vec<String> = references.collect();
    (!references.is_empty()).then_some(references)
}

/// What a thread writes, as a stream of its pieces.
fn written(
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let mut pieces = std::io::BufWriter::with_capacity(1 << 20, Pieces(sender.clone()));
        if let Err(error) = write(&mut pieces).and_then(|()| pieces.flush()) {
            // Nobody may listen any more.
            let _ = sender.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver)
}

struct Pieces(mpsc::Sender<Result<Bytes, std::io::Error>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A context as a tar archive, which is all that the classic builder takes.
fn write_context(files: &[ContextFile], to: &mut dyn Write) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_mtime(315_532_800);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match &file.body {
            ContextBody::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, &file.path, std::io::empty())?;
            }
            ContextBody::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, &file.path, target)?;
            }
            _ => {
                let (content, size) = file.open()?;
                header.set_size(size);
                archive.append_data(&mut header, &file.path, content.take(size))?;
            }
        }
    }
    archive.finish()
}

/// The classic builder's text, taken apart into steps.
#[derive(Default)]
struct Classic {
    step: Option<String>,
    title: String,
    cached: bool,
    rest: String,
    tail: Tail,
    seen: BTreeSet<String>,
}

impl Classic {
    fn take(&mut self, text: &str, tell: &mut Teller<'_>) {
        self.rest += text;
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            self.line(line.trim_end(), tell);
        }
    }

    fn line(&mut self, line: &str, tell: &mut Teller<'_>) {
        if let Some((number, instruction)) = line
            .strip_prefix("Step ")
            .and_then(|line| line.split_once(" : "))
        {
            self.end(tell);
            let step = format!("step {number}");
            if self.seen.insert(step.clone()) {
                let command = progress::command(instruction);
                let phase = command.is_some();
                self.title = command.unwrap_or_else(|| instruction.chars().take(160).collect());
                self.cached = false;
                self.tail = Tail::default();
                let title = self.title.clone();
                tell(Message::Started {
                    step: step.clone(),
                    title,
                    phase,
                });
                self.step = Some(step);
            }
        } else if line == " ---> Using cache" {
            self.cached = true;
        } else if let Some(step) = &self.step
            && !line.starts_with(" ---> ")
            && !line.is_empty()
        {
            self.tail.push(line);
            let stream = report::Stream::Stdout;
            tell(Message::Output {
                step: step.clone(),
                stream,
                line: line.to_owned(),
            });
        }
    }

    fn end(&mut self, tell: &mut Teller<'_>) {
        if let Some(step) = self.step.take() {
            tell(Message::Finished {
                step,
                cached: self.cached,
            });
        }
    }

    fn failure(&mut self, error: &bollard::errors::Error, tell: &mut Teller<'_>) -> DaemonError {
        if let Some(step) = self.step.take() {
            tell(Message::Failed { step });
        }
        DaemonError::Build {
            step: std::mem::take(&mut self.title),
            reason: error.to_string(),
            tail: std::mem::take(&mut self.tail).last(Tail::LINES),
        }
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

    #[test]
    fn the_classic_builders_text_is_taken_apart() {
        let mut told = Vec::new();
        let mut classic = Classic::default();
        let text = "Step 1/2 : FROM scratch\n ---> \nStep 2/2 : RUN x\n ---> Using cache\nhel";
        classic.take(text, &mut |message| told.push(message));
        classic.take("lo\n", &mut |message| told.push(message));
        classic.end(&mut |message| told.push(message));
        let step = |name: &str| name.to_owned();
        assert_eq!(
            told[3..],
            [
                Message::Started {
                    step: step("step 2/2"),
                    title: step("RUN x"),
                    phase: false
                },
                Message::Output {
                    step: step("step 2/2"),
                    stream: report::Stream::Stdout,
                    line: step("hello")
                },
                Message::Finished {
                    step: step("step 2/2"),
                    cached: true
                },
            ]
        );
    }
}
