//! What goes into one layer, and its way into the store.
//!
//! Same entries in, same bytes out. Entries are sorted by path; bodies are read when the layer is
//! written, once. Which entries a layer should have is its caller's business.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};

use super::compress::{Compression, Compressor};
use super::store::ImageStore;
use super::tar::{Header, Kind, write_end, write_header, write_padding};
use super::{ImageError, io_error};
use crate::hash::HashingReader;

/// The entry that stands for everything that lower layers have in its folder, as deleted.
pub const OPAQUE: &str = ".wh..wh..opq";

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDescriptor {
    /// `application/vnd.oci.image.layer.v1.tar+gzip` or without `+gzip`.
    pub media_type: String,
    /// `sha256:` and the hash of the blob.
    pub digest: String,
    /// Bytes of the blob.
    pub size: u64,
    /// `sha256:` and the hash of the tar archive.
    pub diff_id: String,
    /// Bytes of the tar archive.
    pub unpacked_size: u64,
}

/// The entries of a layer, by path.
#[derive(Debug, Default)]
pub struct LayerContent {
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    body: Body,
}

#[derive(Debug)]
enum Body {
    Directory,
    Symlink(PathBuf),
    HardLink(PathBuf),
    Bytes(Vec<u8>),
    /// A file on the host and the size it had when it was found.
    File(PathBuf, u64),
    /// A file of the app: where it lies below the app's folder, and what it must hold.
    Source {
        folder: Arc<OwnedFd>,
        path: PathBuf,
        size: u64,
        hash: [u8; 32],
    },
}

impl LayerContent {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The entries of a tree for which `keep` holds; nothing below a folder that is not kept.
    /// With `overlay`, overlayfs' signs of deletion become those of OCI; `keep` is asked about [`OPAQUE`] as about a file.
    pub fn from_tree(
        root: &Path,
        keep: &dyn Fn(&Path) -> bool,
        overlay: bool,
    ) -> Result<Self, ImageError> {
        let mut content = Self::new();
        let mut links = BTreeMap::new();
        Walk {
            root,
            keep,
            overlay,
            links: &mut links,
            content: &mut content,
        }
        .folder(Path::new(""))?;
        Ok(content)
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a folder.
    pub fn add_directory(&mut self, path: &Path, mode: u32) -> Result<(), ImageError> {
        self.add(path, mode, (0, 0), Body::Directory)
    }

    /// Adds a symbolic link.
    pub fn add_symlink(&mut self, path: &Path, target: &Path) -> Result<(), ImageError> {
        self.add(path, 0o777, (0, 0), Body::Symlink(target.to_owned()))
    }

    /// Adds a file whose bytes are at hand.
    pub fn add_bytes(&mut self, path: &Path, mode: u32, bytes: Vec<u8>) -> Result<(), ImageError> {
        self.add(path, mode, (0, 0), Body::Bytes(bytes))
    }

    /// Adds a path of Nix's store: all of it, owned by root. Files that share their bytes by hard links
    /// do so by chance of the store that they are in, so each is written.
    pub fn add_store_path(&mut self, host: &Path, path: &Path) -> Result<(), ImageError> {
        let meta = fs::symlink_metadata(host).map_err(io_error("examine", host))?;
        let kind = meta.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(host).map_err(io_error("read", host))?;
            return self.add_symlink(path, &target);
        }
        if kind.is_file() {
            let body = Body::File(host.to_owned(), meta.len());
            return self.add(path, meta.mode(), (0, 0), body);
        }
        self.add_directory(path, meta.mode())?;
        for entry in fs::read_dir(host).map_err(io_error("list", host))? {
            let name = entry.map_err(io_error("list", host))?.file_name();
            self.add_store_path(&host.join(&name), &path.join(&name))?;
        }
        Ok(())
    }

    /// Adds a file that lies at `source` below a folder of the host, owned by root in the image.
    /// No link on the way to it is followed, and its bytes must have `hash` when they are read:
    /// others may write there meanwhile.
    pub fn add_source_file(
        &mut self,
        folder: &Arc<OwnedFd>,
        source: &Path,
        hash: [u8; 32],
        path: &Path,
        mode: u32,
    ) -> Result<(), ImageError> {
        let file = open_beneath(folder, source)?;
        let meta = file.metadata().map_err(io_error("examine", source))?;
        let body = Body::Source {
            folder: Arc::clone(folder),
            path: source.to_owned(),
            size: meta.len(),
            hash,
        };
        self.add(path, mode, (0, 0), body)
    }

    fn add(
        &mut self,
        path: &Path,
        mode: u32,
        owner: (u32, u32),
        body: Body,
    ) -> Result<(), ImageError> {
        let path: PathBuf = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        if path
            .file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b".wh."))
        {
            return Err(ImageError::WhiteoutName(path));
        }
        let parent = path.parent().map(Path::to_owned).unwrap_or_default();
        if !parent.as_os_str().is_empty() && !self.entries.contains_key(&parent) {
            self.add(&parent, 0o755, (0, 0), Body::Directory)?;
        }
        self.entries.insert(
            path,
            Entry {
                mode: mode & 0o7777,
                owner,
                body,
            },
        );
        Ok(())
    }

    /// Adds a deletion, which is a file with a name that users' files cannot have.
    fn add_whiteout(&mut self, parent: &Path, hidden: &[u8]) {
        let mut name = b".wh.".to_vec();
        name.extend(hidden);
        let path = parent.join(std::ffi::OsStr::from_bytes(&name));
        self.entries.insert(
            path,
            Entry {
                mode: 0,
                owner: (0, 0),
                body: Body::Bytes(Vec::new()),
            },
        );
    }
}

/// A walk through a tree on disk.
struct Walk<'a> {
    root: &'a Path,
    keep: &'a dyn Fn(&Path) -> bool,
    overlay: bool,
    /// The first path of each file with several names.
    links: &'a mut BTreeMap<(u64, u64), PathBuf>,
    content: &'a mut LayerContent,
}

impl Walk<'_> {
    /// Adds what a folder holds; tells whether it held nothing but what is left out.
    fn folder(&mut self, path: &Path) -> Result<bool, ImageError> {
        let host = self.root.join(path);
        let mut names: Vec<_> = fs::read_dir(&host)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect()
            })
            .map_err(io_error("list", &host))?;
        names.sort();
        let (mut kept, mut left_out) = (0, 0);
        for name in names {
            let inside = path.join(name);
            if !(self.keep)(&inside) || !self.entry(&inside)? {
                left_out += 1;
            } else {
                kept += 1;
            }
        }
        Ok(kept == 0 && left_out > 0)
    }

    /// Adds one entry; tells whether it is in the layer.
    fn entry(&mut self, path: &Path) -> Result<bool, ImageError> {
        let host = self.root.join(path);
        let meta = fs::symlink_metadata(&host).map_err(io_error("examine", &host))?;
        let (mode, owner) = (meta.mode(), (meta.uid(), meta.gid()));
        let kind = meta.file_type();
        let parent = path.parent().unwrap_or(Path::new(""));
        if kind.is_dir() {
            self.content.add(path, mode, owner, Body::Directory)?;
            if self.overlay && is_opaque(&host) && (self.keep)(&path.join(OPAQUE)) {
                self.content.add_whiteout(path, b".wh..opq");
            }
            // A folder that exists only as the way to a mount point is no change.
            if self.folder(path)? {
                self.content.entries.remove(path);
                return Ok(false);
            }
        } else if kind.is_symlink() {
            let target = fs::read_link(&host).map_err(io_error("read", &host))?;
            self.content
                .add(path, 0o777, owner, Body::Symlink(target))?;
        } else if kind.is_file() {
            let body = match self.links.get(&(meta.dev(), meta.ino())) {
                Some(first) => Body::HardLink(first.clone()),
                None => Body::File(host, meta.len()),
            };
            if meta.nlink() > 1 {
                self.links
                    .entry((meta.dev(), meta.ino()))
                    .or_insert_with(|| path.to_owned());
            }
            self.content.add(path, mode, owner, body)?;
        } else if self.overlay && kind.is_char_device() && meta.rdev() == 0 {
            let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            self.content.add_whiteout(parent, name);
        } else {
            // Sockets, pipes and devices have no place in an image.
            return Ok(false);
        }
        Ok(true)
    }
}

/// Whether a folder of an overlay's changes hides everything below the folder of its name.
pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 4];
    rustix::fs::lgetxattr(path, "user.overlay.opaque", &mut value)
        .is_ok_and(|length| &value[..length] == b"y")
}

/// Writes a layer into the store: one pass over its files.
pub fn write_layer(
    content: &LayerContent,
    store: &ImageStore,
    compression: Compression,
) -> Result<LayerDescriptor, ImageError> {
    let blob = store.new_blob()?;
    let path = blob.path().to_owned();
    let sink = blob.reopen().map_err(io_error("open", &path))?;
    let mut compressor = Compressor::new(sink, compression);
    for (path, entry) in &content.entries {
        write_entry(&mut compressor, path, entry)?;
    }
    write_end(&mut compressor).map_err(io_error("write", &path))?;
    let written = compressor.finish().map_err(io_error("write", &path))?;
    let digest = format!("sha256:{}", hex::encode(written.hash));
    store.keep_blob(blob, &digest)?;
    let media_type = match compression {
        Compression::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::None => "application/vnd.oci.image.layer.v1.tar",
    };
    Ok(LayerDescriptor {
        media_type: media_type.to_owned(),
        digest,
        size: written.size,
        diff_id: format!("sha256:{}", hex::encode(written.raw_hash)),
        unpacked_size: written.raw_size,
    })
}

fn write_entry(to: &mut dyn Write, path: &Path, entry: &Entry) -> Result<(), ImageError> {
    let nothing = Path::new("");
    let (kind, link, size) = match &entry.body {
        Body::Directory => (Kind::Directory, nothing, 0),
        Body::Symlink(target) => (Kind::Symlink, target.as_path(), 0),
        Body::HardLink(first) => (Kind::HardLink, first.as_path(), 0),
        Body::Bytes(bytes) => (Kind::File, nothing, bytes.len() as u64),
        Body::File(_, size) | Body::Source { size, .. } => (Kind::File, nothing, *size),
    };
    let header = Header {
        kind,
        path,
        link,
        mode: entry.mode,
        owner: entry.owner,
        size,
    };
    write_header(to, &header).map_err(io_error("write", path))?;
    match &entry.body {
        Body::Bytes(bytes) => to.write_all(bytes).map_err(io_error("write", path))?,
        Body::File(host, size) => write_body(to, &mut open_file(host)?, host, *size)?,
        Body::Source {
            folder,
            path,
            size,
            hash,
        } => {
            let mut file = HashingReader::new(open_beneath(folder, path)?);
            write_body(to, &mut file, path, *size)?;
            if file.finish() != *hash {
                return Err(ImageError::Changed(path.clone()));
            }
        }
        Body::Directory | Body::Symlink(_) | Body::HardLink(_) => {}
    }
    write_padding(to, size).map_err(io_error("write", path))
}

fn open_file(host: &Path) -> Result<File, ImageError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    File::options()
        .read(true)
        .custom_flags(flags)
        .open(host)
        .map_err(io_error("open", host))
}

/// Opens a file below a folder; a link on the way, or in its place, is an error.
fn open_beneath(folder: &OwnedFd, path: &Path) -> Result<File, ImageError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve)
        .map(File::from)
        .map_err(|error| io_error("open", path)(error.into()))
}

/// Copies a file that must still have the size of its header.
fn write_body(
    to: &mut dyn Write,
    from: &mut impl Read,
    name: &Path,
    size: u64,
) -> Result<(), ImageError> {
    let copied = io::copy(&mut from.take(size), to).map_err(io_error("copy", name))?;
    let more = from.read(&mut [0]).map_err(io_error("read", name))?;
    if copied == size && more == 0 {
        Ok(())
    } else {
        Err(ImageError::Changed(name.to_owned()))
    }
}
