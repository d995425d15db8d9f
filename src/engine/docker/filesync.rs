//! Sends the build context, and of it only what the daemon does not have from an earlier build.
//!
//! The protocol is BuildKit's own: we tell what there is, in order; the daemon asks for the files
//! whose size, mode or time differ; we send these; it says that it is done.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSync;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::DaemonError;
use super::context::{ContextBody, ContextFile, Witness};
use super::stream::blocking;

/// Bytes of one message; gRPC allows four million.
const CHUNK: usize = 256 << 10;

/// Go's bits of a file's kind.
const GO_DIRECTORY: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;
/// Unix' bits beyond permissions, and Go's.
const GO_SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

/// Offers a context to a daemon.
#[derive(Clone)]
pub(super) struct ContextServer {
    files: Arc<Vec<ContextFile>>,
    dockerfile: PathBuf,
    witness: Witness,
}

type Packets = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;

impl ContextServer {
    /// Refuses names that the protocol, whose texts are UTF-8, cannot carry: they would arrive as others.
    pub(super) fn new(files: Vec<ContextFile>, dockerfile: &Path) -> Result<Self, DaemonError> {
        let target = |file: &ContextFile| match &file.body {
            ContextBody::Symlink(target) => target.to_str().is_some(),
            _ => true,
        };
        let fits = |file: &ContextFile| file.path.to_str().is_some() && target(file);
        if let Some(file) = files.iter().find(|file| !fits(file)) {
            let what = format!(
                "take {}, whose name or target is not UTF-8",
                file.path.display()
            );
            return Err(DaemonError::Unable(what));
        }
        Ok(Self {
            files: Arc::new(with_folders(files)),
            dockerfile: dockerfile.to_owned(),
            witness: Witness::default(),
        })
    }

    /// Knows of files that changed.
    pub(super) fn witness(&self) -> Witness {
        self.witness.clone()
    }

    /// What a request is about: its folder's name and the paths that it is limited to.
    fn asked(&self, metadata: &MetadataMap) -> Vec<ContextFile> {
        let values = |name: &str| -> Vec<String> {
            let texts = metadata.get_all(name).iter();
            texts
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let whole = |path: &Path| self.dockerfile.starts_with(path);
        if values("dir-name").iter().any(|name| name == "dockerfile") {
            let files = self.files.iter().filter(|file| whole(&file.path));
            return files.cloned().collect();
        }
        let included = values("include-patterns");
        let plain = |pattern: &String| !pattern.contains(['*', '?', '[']);
        if included.is_empty() || !included.iter().all(plain) {
            return self.files.to_vec();
        }
        // Rules about ignored files were applied already.
        let wanted = |path: &Path| {
            included
                .iter()
                .filter(|name| *name != ".dockerignore")
                .any(|name| {
                    let name = Path::new(name);
                    path.starts_with(name) || name.starts_with(path)
                })
        };
        let files = self.files.iter().filter(|file| wanted(&file.path));
        files.cloned().collect()
    }
}

#[tonic::async_trait]
impl FileSync for ContextServer {
    type DiffCopyStream = Packets;
    type TarStreamStream = Packets;

    async fn diff_copy(
        &self,
        request: Request<Streaming<Packet>>,
    ) -> Result<Response<Packets>, Status> {
        let files = self.asked(request.metadata());
        let (sender, receiver) = mpsc::channel(16);
        let witness = self.witness.clone();
        tokio::spawn(async move {
            if let Err(status) = send(files, request.into_inner(), &sender, &witness).await {
                // The daemon may be gone already.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<Packets>, Status> {
        Err(Status::unimplemented("tar streams are not offered"))
    }
}

type Sender = mpsc::Sender<Result<Packet, Status>>;

async fn send(
    files: Vec<ContextFile>,
    mut incoming: Streaming<Packet>,
    sender: &Sender,
    witness: &Witness,
) -> Result<(), Status> {
    let gone = |_| Status::cancelled("the daemon went away");
    let announced = files.clone();
    let stats = reading(move || {
        announced
            .iter()
            .map(stat)
            .collect::<std::io::Result<Vec<_>>>()
    })
    .await?;
    let announcing = async {
        for stat in stats {
            let packet = Packet {
                r#type: PacketType::PacketStat.into(),
                stat: Some(stat),
                ..Packet::default()
            };
            sender.send(Ok(packet)).await.map_err(gone)?;
        }
        // One without a file says that these were all.
        sender.send(Ok(Packet::default())).await.map_err(gone)
    };
    // The daemon asks while it is still told, and for each file once: so what waits has a limit.
    let (asked, mut numbers) = mpsc::unbounded_channel();
    let count = files.len();
    let listening = async move {
        let mut known = BTreeSet::new();
        while let Some(packet) = incoming.next().await {
            let packet = packet?;
            match PacketType::try_from(packet.r#type) {
                Ok(PacketType::PacketReq) => {
                    let there = usize::try_from(packet.id).is_ok_and(|id| id < count);
                    if !there {
                        return Err(Status::invalid_argument("there is no such file"));
                    }
                    if !known.insert(packet.id) {
                        return Err(Status::invalid_argument("a file is asked for twice"));
                    }
                    let _ = asked.send(packet.id);
                }
                Ok(PacketType::PacketFin) => return Ok(()),
                Ok(PacketType::PacketErr) => {
                    return Err(Status::aborted(
                        String::from_utf8_lossy(&packet.data).into_owned(),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    };
    let answering = async {
        while let Some(number) = numbers.recv().await {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let Some(file) = files.get(index) else {
                return Err(Status::invalid_argument("there is no such file"));
            };
            send_file(number, file, sender, witness).await?;
        }
        Ok(())
    };
    // When the listening ends, the numbers end, and with them the answering.
    let ((), (), ()) = futures_util::try_join!(announcing, listening, answering)?;
    let end = Packet {
        r#type: PacketType::PacketFin.into(),
        ..Packet::default()
    };
    sender.send(Ok(end)).await.map_err(gone)
}

async fn send_file(
    number: u32,
    file: &ContextFile,
    sender: &Sender,
    witness: &Witness,
) -> Result<(), Status> {
    let file = file.clone();
    let sender = sender.clone();
    let witness = witness.clone();
    reading(move || {
        let data = |data: Vec<u8>| Packet {
            r#type: PacketType::PacketData.into(),
            id: number,
            data,
            ..Packet::default()
        };
        let heard = |error| {
            witness.hear(&error);
            error
        };
        let (mut content, _) = file.open().map_err(heard)?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            content
                .by_ref()
                .take(CHUNK as u64)
                .read_to_end(&mut chunk)
                .map_err(heard)?;
            let last = chunk.is_empty();
            if sender.blocking_send(Ok(data(chunk))).is_err() || last {
                return Ok(());
            }
        }
    })
    .await
}

/// Reads files on a thread that may wait.
async fn reading<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    blocking(|| work().map_err(|error| Status::internal(error.to_string()))).await
}

/// What the daemon is told of a file. Everything belongs to root, as in every build context.
fn stat(file: &ContextFile) -> std::io::Result<Stat> {
    let mut stat = Stat {
        path: String::from_utf8_lossy(file.path.as_os_str().as_bytes()).into_owned(),
        mode: file.mode & 0o777,
        ..Stat::default()
    };
    for (unix, go) in GO_SPECIAL {
        if file.mode & unix != 0 {
            stat.mode |= go;
        }
    }
    match &file.body {
        ContextBody::Directory => stat.mode |= GO_DIRECTORY,
        ContextBody::Symlink(target) => {
            stat.mode = GO_SYMLINK | 0o777;
            stat.linkname = target.to_string_lossy().into_owned();
        }
        ContextBody::Bytes(bytes) => {
            stat.size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            // The daemon tells files apart by size and time, so the time has to follow the content.
            let hash = Sha256::digest(bytes);
            let second = u32::from_be_bytes([0, hash[0], hash[1], hash[2]]);
            stat.mod_time = (315_532_800 + i64::from(second)) * 1_000_000_000;
        }
        // Named by their content.
        ContextBody::File(path) => {
            stat.size = i64::try_from(path.metadata()?.len()).unwrap_or(i64::MAX);
            stat.mod_time = 315_532_800 * 1_000_000_000;
        }
        // What a daemon has of it from an earlier build is as it was then, whatever it is now.
        ContextBody::Beneath { stamp, .. } => {
            stat.size = i64::try_from(stamp.size()).unwrap_or(i64::MAX);
            stat.mod_time = stamp.modified();
        }
    }
    Ok(stat)
}

/// The files in the order of a walk, with every folder that leads to one.
pub(super) fn with_folders(files: Vec<ContextFile>) -> Vec<ContextFile> {
    let mut all: std::collections::BTreeMap<PathBuf, ContextFile> =
        std::collections::BTreeMap::new();
    for file in files {
        for folder in file
            .path
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
        {
            all.entry(folder.to_owned()).or_insert_with(|| ContextFile {
                path: folder.to_owned(),
                mode: 0o755,
                body: ContextBody::Directory,
            });
        }
        all.insert(file.path.clone(), file);
    }
    // Paths compare part by part, which is the order of a walk.
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ContextFile {
        ContextFile {
            path: path.into(),
            mode: 0o644,
            body: ContextBody::Bytes(text.into()),
        }
    }

    fn paths(files: &[ContextFile]) -> Vec<&str> {
        files
            .iter()
            .map(|file| file.path.to_str().unwrap())
            .collect()
    }

    #[test]
    fn a_context_is_told_in_the_order_of_a_walk() {
        let files = with_folders(vec![file("a.b", ""), file("a/z", ""), file("b/c/d", "")]);
        assert_eq!(paths(&files), ["a", "a/z", "a.b", "b", "b/c", "b/c/d"]);
    }

    #[test]
    fn another_content_of_the_same_length_has_another_time() {
        let time = |text| stat(&file("a", text)).unwrap().mod_time;
        assert_ne!(time("one"), time("two"));
        assert_eq!(time("one"), time("one"));
    }

    #[test]
    fn a_name_that_the_protocol_cannot_carry_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff");
        let odd = ContextFile {
            path: name.into(),
            ..file("", "")
        };
        let refused = ContextServer::new(vec![odd], Path::new("x")).err().unwrap();
        assert!(refused.to_string().contains("not UTF-8"), "{refused}");
        let link = ContextFile {
            body: ContextBody::Symlink(name.into()),
            ..file("link", "")
        };
        assert!(ContextServer::new(vec![link], Path::new("x")).is_err());
    }

    #[test]
    fn a_request_is_limited_to_what_it_names() {
        let files = vec![
            file(".dockerignore", "*"),
            file("a/b", ""),
            file("x/Dockerfile", ""),
        ];
        let server = ContextServer::new(files, Path::new("x/Dockerfile")).unwrap();
        let asked = |pairs: &[(&'static str, &'static str)]| {
            let mut metadata = MetadataMap::new();
            for (name, value) in pairs {
                metadata.append(*name, value.parse().unwrap());
            }
            let files = server.asked(&metadata);
            paths(&files).join(" ")
        };
        assert_eq!(asked(&[("dir-name", "dockerfile")]), "x x/Dockerfile");
        assert_eq!(
            asked(&[
                ("dir-name", "context"),
                ("include-patterns", ".dockerignore")
            ]),
            ""
        );
        assert_eq!(asked(&[("include-patterns", "a/b")]), "a a/b");
        assert_eq!(asked(&[]), ".dockerignore a a/b x x/Dockerfile");
    }
}
