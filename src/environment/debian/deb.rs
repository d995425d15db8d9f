//! Reads `.deb` files: an `ar` archive with a control and a data tarball.
//!
//! The whole file was verified by its hash before it comes here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use lzma_rust2::XzReader;

use crate::environment::{EnvironmentError, io_error};
use crate::unpack::{Limits, Root, UnpackOptions, unpack_tar};

/// Plain bytes of one data tarball that are accepted.
const DATA_LIMIT: u64 = 4 << 30;
const CONTROL_LIMIT: u64 = 64 << 20;
/// XZ dictionaries of the archive are at most 64 MiB, so 256 MiB is plenty.
const XZ_MEMORY_KB: u32 = 256 << 10;

/// A package in memory, decompressed.
pub(crate) struct Deb {
    /// Files of the control tarball: `control`, `postinst`.
    pub control: BTreeMap<String, Vec<u8>>,
    data: Vec<u8>,
    what: String,
}

impl Deb {
    /// Reads and decompresses a package.
    pub(crate) fn read(path: &Path, what: &str) -> Result<Self, EnvironmentError> {
        let malformed = |reason: String| EnvironmentError::Malformed {
            what: what.to_owned(),
            reason,
        };
        let mut file = BufReader::new(File::open(path).map_err(io_error("open", path))?);
        let mut magic = [0; 8];
        file.read_exact(&mut magic)
            .map_err(io_error("read", path))?;
        if &magic != b"!<arch>\n" {
            return Err(malformed("it is not a Debian package".to_owned()));
        }
        let (mut control, mut data) = (None, None);
        let mut header = [0; 60];
        while control.is_none() || data.is_none() {
            file.read_exact(&mut header)
                .map_err(|_| malformed("a tarball is missing in it".to_owned()))?;
            let name = String::from_utf8_lossy(&header[..16])
                .trim_end()
                .trim_end_matches('/')
                .to_owned();
            let size = std::str::from_utf8(&header[48..58])
                .ok()
                .and_then(|size| size.trim().parse::<u64>().ok());
            let size = size
                .filter(|_| header[58..] == *b"`\n")
                .ok_or_else(|| malformed("its ar header is broken".to_owned()))?;
            let start = file.stream_position().map_err(io_error("read", path))?;
            let member = Read::take(&mut file, size);
            if let Some(kind) = name.strip_prefix("control.tar") {
                control = Some(decompress(member, kind, CONTROL_LIMIT).map_err(&malformed)?);
            } else if let Some(kind) = name.strip_prefix("data.tar") {
                data = Some(decompress(member, kind, DATA_LIMIT).map_err(&malformed)?);
            }
            file.seek(SeekFrom::Start(start + size + size % 2))
                .map_err(io_error("read", path))?;
        }
        let control = read_control(&control.unwrap_or_default())
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            control,
            data: data.unwrap_or_default(),
            what: what.to_owned(),
        })
    }

    /// A file of the control tarball as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.control.get(name)?).ok()
    }

    /// A field of the control file.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.text("control")?
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    }

    /// Unpacks the files that `keep` wants, given their relative paths. Returns all paths of
    /// the package, in its order, as dpkg lists them.
    pub(crate) fn unpack(
        &self,
        into: &Root,
        owners: bool,
        keep: &dyn Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>, EnvironmentError> {
        let listed = RefCell::new(Vec::new());
        let record = |path: &Path| {
            listed.borrow_mut().push(path.to_owned());
            !MERGED.iter().any(|merged| path == Path::new(merged)) && keep(path)
        };
        let options = UnpackOptions {
            owners,
            through_links: true,
            keep: Some(&record),
            limits: Limits {
                bytes: DATA_LIMIT,
                entries: 500_000,
            },
            ..UnpackOptions::default()
        };
        unpack_tar(self.data.as_slice(), into, &options).map_err(|source| {
            EnvironmentError::Unpack {
                what: self.what.clone(),
                source,
            }
        })?;
        Ok(listed.into_inner())
    }

    /// Bytes of the regular files below a folder, sorted by path.
    pub(crate) fn files_below(&self, folder: &str) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(self.data.as_slice()).entries()? {
            let mut entry = entry?;
            let path = entry
                .path()?
                .to_string_lossy()
                .trim_start_matches("./")
                .to_owned();
            if path.starts_with(folder) && entry.header().entry_type().is_file() {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                files.insert(path, bytes);
            }
        }
        Ok(files)
    }
}

/// Folders of the root that are links into `/usr` in every suite that is supported.
pub(crate) const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

fn decompress(member: impl Read, kind: &str, limit: u64) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut read = |reader: &mut dyn Read| {
        reader
            .take(limit + 1)
            .read_to_end(&mut plain)
            .map_err(|error| error.to_string())
    };
    match kind {
        ".xz" => read(&mut XzReader::new_mem_limit(member, true, XZ_MEMORY_KB))?,
        ".gz" => read(&mut GzDecoder::new(member))?,
        "" => read(&mut { member })?,
        other => return Err(format!("its compression {other} is not supported")),
    };
    if plain.len() as u64 > limit {
        Err(format!("it has more than {limit} bytes"))
    } else {
        Ok(plain)
    }
}

fn read_control(tarball: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tarball).entries()? {
        let mut entry = entry?;
        let path = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_owned();
        let plain = path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if entry.header().entry_type().is_file() && plain && !path.is_empty() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(path, bytes);
        }
    }
    Ok(files)
}
