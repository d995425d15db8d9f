//! Unpacks the artifacts of a toolchain into `opt/<tool>-<version>`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::golang;
use crate::environment::lock::{Artifact, LockedToolchain};
use crate::environment::{EnvironmentError, io_error};
use crate::unpack::{Limits, Root, UnpackOptions, unpack_tar};

/// No toolchain that is known has a quarter of either.
const LIMITS: Limits = Limits {
    bytes: 4 << 30,
    entries: 500_000,
};

/// Settings of the npm that comes with a toolchain: no calls home beside installing.
const NPMRC: &str = "audit=false\nfund=false\nupdate-notifier=false\n";

/// Of the rules below; part of the trees' keys.
pub(crate) const FORMAT: &str = "1";

/// The folder of a toolchain, relative to the root.
pub(crate) fn folder(toolchain: &LockedToolchain) -> String {
    format!("opt/{}-{}", toolchain.tool, toolchain.version)
}

/// Paths of a toolchain that only building with it needs.
pub(crate) fn build_only(toolchain: &LockedToolchain) -> Vec<String> {
    let folder = folder(toolchain);
    match toolchain.tool.as_str() {
        "nodejs" => [
            "include/**",
            "include",
            "share/**",
            "share",
            "*.md",
            "package.json",
        ]
        .map(|glob| format!("{folder}/{glob}"))
        .to_vec(),
        "go" => vec![format!("{folder}/test/**"), format!("{folder}/api/**")],
        _ => Vec::new(),
    }
}

/// Unpacks a toolchain's artifacts, which are at `files` in their order, into a root at `fs_dir`.
pub(crate) fn make(
    fs_dir: &Path,
    toolchain: &LockedToolchain,
    files: &[PathBuf],
) -> Result<(), EnvironmentError> {
    std::fs::create_dir_all(fs_dir).map_err(io_error("create", fs_dir))?;
    let root = Root::open(fs_dir).map_err(|source| EnvironmentError::Unpack {
        what: fs_dir.display().to_string(),
        source,
    })?;
    let folder = folder(toolchain);
    for (artifact, file) in toolchain.artifacts.iter().zip(files) {
        match (artifact.registry.as_str(), artifact.name.as_str()) {
            ("npm", "npm") => npm_itself(&root, artifact, file, &folder)?,
            ("npm", _) => tarball(&root, artifact, file, &folder, &|_| true)?,
            ("pypi", _) => wheel(&root, artifact, file, &folder)?,
            ("go", _) => go_module(&root, artifact, file, &folder)?,
            (other, _) => {
                return Err(EnvironmentError::Malformed {
                    what: "the lock".to_owned(),
                    reason: format!("there is no registry {other}"),
                });
            }
        }
    }
    Ok(())
}

fn failed(artifact: &Artifact) -> impl Fn(crate::unpack::UnpackError) -> EnvironmentError {
    let what = artifact.file.clone();
    move |source| EnvironmentError::Unpack {
        what: what.clone(),
        source,
    }
}

fn tarball(
    root: &Root,
    artifact: &Artifact,
    file: &Path,
    folder: &str,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<(), EnvironmentError> {
    let reader = GzDecoder::new(BufReader::new(
        File::open(file).map_err(io_error("open", file))?,
    ));
    let options = UnpackOptions {
        strip_components: 1,
        prefix: Path::new(folder),
        keep: Some(keep),
        limits: LIMITS,
        ..UnpackOptions::default()
    };
    unpack_tar(reader, root, &options)
        .map(|_| ())
        .map_err(failed(artifact))
}

fn npm_itself(
    root: &Root,
    artifact: &Artifact,
    file: &Path,
    folder: &str,
) -> Result<(), EnvironmentError> {
    let inside = format!("{folder}/lib/node_modules/npm");
    tarball(root, artifact, file, &inside, &|path| {
        !path.starts_with("docs") && !path.starts_with("man")
    })?;
    root.file(
        Path::new(&format!("{inside}/npmrc")),
        0o644,
        &mut NPMRC.as_bytes(),
        NPMRC.len() as u64,
    )
    .map_err(failed(artifact))?;
    for name in ["npm", "npx"] {
        let link = format!("{folder}/bin/{name}");
        let target = format!("../lib/node_modules/npm/bin/{name}-cli.js");
        root.symlink(Path::new(&link), Path::new(&target))
            .map_err(failed(artifact))?;
    }
    Ok(())
}

fn archive(
    artifact: &Artifact,
    file: &Path,
) -> Result<zip::ZipArchive<BufReader<File>>, EnvironmentError> {
    let reader = BufReader::new(File::open(file).map_err(io_error("open", file))?);
    let archive = zip::ZipArchive::new(reader).map_err(malformed(artifact))?;
    if archive.len() as u64 > LIMITS.entries {
        return Err(malformed(artifact)("it has too many entries"));
    }
    Ok(archive)
}

fn malformed<E: std::fmt::Display>(artifact: &Artifact) -> impl Fn(E) -> EnvironmentError {
    let what = artifact.file.clone();
    move |error| EnvironmentError::Malformed {
        what: what.clone(),
        reason: error.to_string(),
    }
}

/// The programs of a wheel: `<name>-<version>.data/scripts/*`, into `bin`.
fn wheel(
    root: &Root,
    artifact: &Artifact,
    file: &Path,
    folder: &str,
) -> Result<(), EnvironmentError> {
    let mut archive = archive(artifact, file)?;
    let mut programs = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(malformed(artifact))?;
        let whole = entry.name().map_err(malformed(artifact))?.into_owned();
        let Some((_, name)) = whole.split_once(".data/scripts/") else {
            continue;
        };
        if name.is_empty() || name.contains('/') || entry.size() > LIMITS.bytes {
            continue;
        }
        let (path, size) = (format!("{folder}/bin/{name}"), entry.size());
        let mode = entry.unix_mode().unwrap_or(0o755) & 0o755 | 0o555;
        root.file(
            Path::new(&path),
            mode,
            &mut Read::take(&mut entry, size),
            size,
        )
        .map_err(failed(artifact))?;
        programs += 1;
    }
    if programs == 0 {
        return Err(malformed(artifact)("it has no programs"));
    }
    Ok(())
}

/// A Go toolchain module: its files, hashed as Go does, with the modes that Go gives them.
fn go_module(
    root: &Root,
    artifact: &Artifact,
    file: &Path,
    folder: &str,
) -> Result<(), EnvironmentError> {
    let mut archive = archive(artifact, file)?;
    let prefix = format!("{}@{}/", golang::MODULE, artifact.version);
    let names: Result<Vec<String>, _> = archive
        .file_names()
        .map(|name| name.map(std::borrow::Cow::into_owned))
        .collect();
    let mut names = names.map_err(malformed(artifact))?;
    names.sort();
    let mut listing = Sha256::new();
    let mut total = 0;
    for name in &names {
        let mut entry = archive.by_name(name).map_err(malformed(artifact))?;
        let inside = name
            .strip_prefix(&prefix)
            .ok_or_else(|| malformed(artifact)("it has files of another module"))?;
        total += entry.size();
        if total > LIMITS.bytes {
            return Err(malformed(artifact)("it is too large"));
        }
        // A module cannot hold other modules, so their go.mod files carry another name in it.
        let path = match inside.rsplit_once('/') {
            Some((dir, "_go.mod")) => format!("{folder}/{dir}/go.mod"),
            None if inside == "_go.mod" => format!("{folder}/go.mod"),
            _ => format!("{folder}/{inside}"),
        };
        let program = inside.starts_with("bin/") || inside.starts_with("pkg/tool/");
        let size = entry.size();
        let mut hashed = Hashed {
            inner: Read::take(&mut entry, size),
            hash: Sha256::new(),
        };
        root.file(
            Path::new(&path),
            if program { 0o755 } else { 0o644 },
            &mut hashed,
            size,
        )
        .map_err(failed(artifact))?;
        listing.update(format!("{}  {name}\n", hex::encode(hashed.hash.finalize())));
    }
    let found = format!(
        "h1:{}",
        base64::engine::general_purpose::STANDARD.encode(listing.finalize())
    );
    if found == artifact.hash {
        return Ok(());
    }
    let _ = std::fs::remove_file(file);
    Err(EnvironmentError::Mismatch {
        what: artifact.file.clone(),
        expected: artifact.hash.clone(),
        found,
        authority: "the checksum database",
    })
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
