//! Images on their way out of the store: archives, layouts, root file systems.
//!
//! A file is written beside its place and renamed; a delivery that fails leaves nothing.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::document::{Descriptor, Index};
use super::reference::Reference;
use super::store::{ImageStore, REF_NAME};
use super::tar::{Header, Kind, write_end, write_header, write_padding};
use super::unpack::unpack;
use super::{ImageError, io_error};
use crate::unpack::Whiteouts;
use crate::whole;

/// Where an image goes beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `oci-archive:FILE`: a tar archive of an OCI layout.
    OciArchive(Target),
    /// `docker-archive:FILE`: what `docker load` reads, every version of it.
    DockerArchive(Target),
    /// `oci:FOLDER`: an OCI layout; other images in it stay.
    OciLayout(PathBuf),
    /// `rootfs:FOLDER`: the files, in a new folder.
    Rootfs(PathBuf),
}

/// A file or standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file, replaced if it exists.
    File(PathBuf),
    /// Standard output, written as `-`.
    Stdout,
}

impl Destination {
    /// Whether standard output carries the image.
    pub fn is_stdout(&self) -> bool {
        matches!(
            self,
            Self::OciArchive(Target::Stdout) | Self::DockerArchive(Target::Stdout)
        )
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("-"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OciArchive(target) => write!(f, "oci-archive:{target}"),
            Self::DockerArchive(target) => write!(f, "docker-archive:{target}"),
            Self::OciLayout(path) => write!(f, "oci:{}", path.display()),
            Self::Rootfs(path) => write!(f, "rootfs:{}", path.display()),
        }
    }
}

impl FromStr for Destination {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = |reason: &str| ImageError::Destination {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let kinds = "it must be oci-archive:FILE, docker-archive:FILE, oci:FOLDER or rootfs:FOLDER; FILE may be -";
        let (kind, path) = text.split_once(':').ok_or_else(|| wrong(kinds))?;
        if path.is_empty() {
            return Err(wrong("there is no path after the colon"));
        }
        let target = if path == "-" {
            Target::Stdout
        } else {
            Target::File(path.into())
        };
        match kind {
            "oci-archive" => Ok(Self::OciArchive(target)),
            "docker-archive" => Ok(Self::DockerArchive(target)),
            "oci" | "rootfs" if path == "-" => {
                Err(wrong("only archives can go to standard output"))
            }
            "oci" => Ok(Self::OciLayout(path.into())),
            "rootfs" => Ok(Self::Rootfs(path.into())),
            _ => Err(wrong(kinds)),
        }
    }
}

/// Delivers an image of the store.
pub fn export(
    store: &ImageStore,
    digest: &str,
    names: &[String],
    to: &Destination,
) -> Result<(), ImageError> {
    let names: Vec<Reference> = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    match to {
        Destination::OciArchive(target) => write_archive(store, digest, &names, target, false),
        Destination::DockerArchive(target) => write_archive(store, digest, &names, target, true),
        Destination::OciLayout(folder) => {
            let new = !folder.exists();
            let written = write_layout(store, digest, &names, folder);
            if written.is_err() && new {
                // The first error is the one to tell.
                let _ = fs::remove_dir_all(folder);
            }
            written
        }
        Destination::Rootfs(folder) => write_rootfs(store, digest, folder),
    }
}

/// Writes what `docker load` reads, without the blobs of the `known` lowest layers, which the daemon has.
pub fn write_for_docker(
    store: &ImageStore,
    digest: &str,
    names: &[String],
    known: usize,
    to: &mut dyn Write,
) -> Result<(), ImageError> {
    let names: Vec<Reference> = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    write_archive_to(store, digest, &names, true, known, to)
}

/// The index entry of the image, once for each name.
fn entries(
    store: &ImageStore,
    digest: &str,
    names: &[Reference],
) -> Result<Vec<Descriptor>, ImageError> {
    let index = store.index()?;
    let known = index
        .manifests
        .into_iter()
        .find(|entry| entry.digest == digest);
    let mut entry = known.ok_or_else(|| ImageError::NotFound(digest.to_owned()))?;
    entry.annotations.clear();
    if names.is_empty() {
        return Ok(vec![entry]);
    }
    let all = names.iter().map(|name| {
        let mut entry = entry.clone();
        entry
            .annotations
            .insert(REF_NAME.to_owned(), name.to_string());
        entry
    });
    Ok(all.collect())
}

/// What Docker's own archive format says of an image.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

fn write_archive(
    store: &ImageStore,
    digest: &str,
    names: &[Reference],
    target: &Target,
    docker: bool,
) -> Result<(), ImageError> {
    match target {
        Target::Stdout => {
            let mut stdout = BufWriter::with_capacity(1 << 20, io::stdout().lock());
            write_archive_to(store, digest, names, docker, 0, &mut stdout)?;
            stdout
                .flush()
                .map_err(io_error("write", Path::new("standard output")))
        }
        Target::File(path) if whole::is_stream(path) => {
            let file = fs::File::options()
                .write(true)
                .open(path)
                .map_err(io_error("open", path))?;
            let mut writer = BufWriter::with_capacity(1 << 20, file);
            write_archive_to(store, digest, names, docker, 0, &mut writer)?;
            writer.flush().map_err(io_error("write", path))
        }
        Target::File(path) => {
            let file =
                whole::beside(path, 0o644).map_err(io_error("create a file beside", path))?;
            let mut writer = BufWriter::with_capacity(1 << 20, file.as_file());
            write_archive_to(store, digest, names, docker, 0, &mut writer)?;
            writer.flush().map_err(io_error("write", path))?;
            drop(writer);
            file.persist(path)
                .map_err(|error| io_error("rename to", path)(error.error))?;
            Ok(())
        }
    }
}

/// An OCI layout as a tar archive; with `docker`, also the document that `docker load` looks for.
fn write_archive_to(
    store: &ImageStore,
    digest: &str,
    names: &[Reference],
    docker: bool,
    left_out: usize,
    to: &mut dyn Write,
) -> Result<(), ImageError> {
    let manifest = store.manifest(digest)?;
    let index = Index {
        manifests: entries(store, digest, names)?,
        ..Index::default()
    };
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    let mut blobs: Vec<(String, u64)> = manifest
        .layers
        .iter()
        .skip(left_out)
        .chain([&manifest.config])
        .map(|part| (part.digest.clone(), part.size))
        .collect();
    blobs.extend(
        index
            .manifests
            .first()
            .map(|entry| (entry.digest.clone(), entry.size)),
    );
    blobs.sort();
    blobs.dedup();
    for folder in ["blobs", "blobs/sha256"] {
        entry(to, Kind::Directory, folder, 0)?;
    }
    for (digest, size) in blobs {
        let name = blob(&digest);
        let mut file = store.verify_blob(&digest, size)?;
        entry(to, Kind::File, &name, size)?;
        io::copy(&mut file, to).map_err(io_error("write", Path::new(&name)))?;
        write_padding(to, size).map_err(io_error("write", Path::new(&name)))?;
    }
    document(to, "index.json", &index)?;
    if docker {
        let described = DockerManifest {
            config: blob(&manifest.config.digest),
            repo_tags: names.iter().map(ToString::to_string).collect(),
            layers: manifest
                .layers
                .iter()
                .map(|layer| blob(&layer.digest))
                .collect(),
        };
        document(to, "manifest.json", &[described])?;
    }
    bytes(to, "oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
    write_end(to).map_err(io_error("write", Path::new("the archive")))
}

fn entry(to: &mut dyn Write, kind: Kind, name: &str, size: u64) -> Result<(), ImageError> {
    let mode = if kind == Kind::Directory {
        0o755
    } else {
        0o644
    };
    let header = Header {
        kind,
        path: Path::new(name),
        link: Path::new(""),
        mode,
        owner: (0, 0),
        size,
    };
    write_header(to, &header).map_err(io_error("write", Path::new(name)))
}

fn document(to: &mut dyn Write, name: &str, document: &impl Serialize) -> Result<(), ImageError> {
    let encoded = serde_json::to_vec(document)
        .map_err(|error| io_error("encode", Path::new(name))(error.into()))?;
    bytes(to, name, &encoded)
}

fn bytes(to: &mut dyn Write, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let size = bytes.len() as u64;
    entry(to, Kind::File, name, size)?;
    to.write_all(bytes)
        .and_then(|()| write_padding(to, size))
        .map_err(io_error("write", Path::new(name)))
}

fn write_layout(
    store: &ImageStore,
    digest: &str,
    names: &[Reference],
    folder: &Path,
) -> Result<(), ImageError> {
    let target = ImageStore::open_layout(folder)?;
    let manifest = store.manifest(digest)?;
    let new = entries(store, digest, names)?;
    let parts = manifest
        .layers
        .iter()
        .chain([&manifest.config])
        .chain(new.first());
    for part in parts {
        if target.has_blob(&part.digest) {
            continue;
        }
        let mut from = store.verify_blob(&part.digest, part.size)?;
        let mut blob = target.new_blob()?;
        let path = blob.path().to_owned();
        io::copy(&mut from, &mut blob).map_err(io_error("write", &path))?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        blob.as_file()
            .set_permissions(readable)
            .map_err(io_error("open up", &path))?;
        target.keep_blob(blob, &part.digest)?;
    }
    let mut index = target.index()?;
    index.manifests.retain(|entry| {
        !new.iter()
            .any(|new| new.annotations.get(REF_NAME) == entry.annotations.get(REF_NAME))
    });
    index.manifests.extend(new);
    index
        .manifests
        .sort_by(|a, b| a.annotations.cmp(&b.annotations));
    target.write_index(&index)?;
    // Every blob has its place now. A folder that holds anything else is the user's own.
    let _ = fs::remove_dir(folder.join("tmp"));
    Ok(())
}

/// Unpacks all layers into a new folder.
fn write_rootfs(store: &ImageStore, digest: &str, folder: &Path) -> Result<(), ImageError> {
    let occupied = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(io_error("write to", folder)(
            io::ErrorKind::DirectoryNotEmpty.into(),
        ));
    }
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let staging = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(io_error("create a folder in", parent))?;
    for layer in store.runtime_config(digest)?.layers {
        unpack(store, &layer, staging.path(), Whiteouts::Apply)?;
    }
    let _ = fs::remove_dir(folder);
    fs::rename(staging.path(), folder).map_err(io_error("rename to", folder))?;
    // Renamed away: nothing is left for the guard to remove.
    let _ = staging.keep();
    Ok(())
}
