//! The local images: one OCI image layout, changed under a lock.
//!
//! Blobs are written beside and renamed into place, so that what has its digest's name is whole.
//! What the documents say is in `document`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::document::{
    CONFIG, Descriptor, ImageConfig, ImageSpec, Index, MANIFEST, Manifest, Platform, RuntimeConfig,
    Settings, StoredImage, WrittenImage, architecture, configuration, descriptor,
};
use super::layer::LayerDescriptor;
use super::reference::Reference;
use super::{ImageError, io_error};

/// The annotation that names an image in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Lock files in the store's folder for files under construction.
const LOCKS: [&str; 2] = ["lock", "use"];
/// Documents larger than this are not read: distribution's own limit for manifests.
const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The images of this user.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
}

impl ImageStore {
    /// Opens the store, making what is missing and removing what killed processes left.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let store = Self::open_layout(root)?;
        store.remove_stale();
        Ok(store)
    }

    /// Opens a layout, making what is missing. It may lie in a folder of the user's.
    pub(super) fn open_layout(root: &Path) -> Result<Self, ImageError> {
        let store = Self {
            root: root.to_owned(),
        };
        for folder in ["blobs/sha256", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(io_error("create", &path))?;
        }
        let version = root.join("oci-layout");
        if !version.exists() {
            fs::write(&version, "{\"imageLayoutVersion\":\"1.0.0\"}")
                .map_err(io_error("write", &version))?;
        }
        Ok(store)
    }

    /// The layout's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a blob is there.
    pub fn has_blob(&self, digest: &str) -> bool {
        self.blob_path(digest).is_ok_and(|path| path.is_file())
    }

    /// Whether a layer's blob is there, whole by its length.
    pub fn has_layer(&self, layer: &LayerDescriptor) -> bool {
        let meta = self
            .blob_path(&layer.digest)
            .ok()
            .and_then(|path| path.metadata().ok());
        meta.is_some_and(|meta| meta.is_file() && meta.len() == layer.size)
    }

    /// A blob's file. The digest is checked to be one before it becomes a path.
    pub fn blob_path(&self, digest: &str) -> Result<PathBuf, ImageError> {
        let hash = digest.strip_prefix("sha256:").unwrap_or_default();
        if hash.len() != 64
            || !hash
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            return Err(ImageError::Malformed {
                what: format!("{digest:?}"),
                reason: "it is not a sha256 digest".to_owned(),
            });
        }
        Ok(self.root.join("blobs/sha256").join(hash))
    }

    pub(super) fn new_blob(&self) -> Result<NamedTempFile, ImageError> {
        let folder = self.root.join("tmp");
        let blob = NamedTempFile::new_in(&folder).map_err(io_error("create a file in", &folder))?;
        blob.as_file()
            .lock()
            .map_err(io_error("lock", blob.path()))?;
        Ok(blob)
    }

    /// Removes what processes that died had written of blobs. A living one holds a lock on its
    /// file, from a moment after it made it.
    fn remove_stale(&self) {
        let old = |file: &File| {
            let modified = file.metadata().and_then(|meta| meta.modified());
            modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() > 60))
        };
        for entry in fs::read_dir(self.root.join("tmp"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter(|entry| !LOCKS.iter().any(|name| entry.file_name() == *name))
        {
            if File::open(entry.path()).is_ok_and(|file| old(&file) && file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Gives a finished blob its name. The one that is there already stays.
    pub(super) fn keep_blob(&self, blob: NamedTempFile, digest: &str) -> Result<(), ImageError> {
        let path = self.blob_path(digest)?;
        let size = |meta: io::Result<fs::Metadata>| meta.ok().map(|meta| meta.len());
        // One of another length is damaged, by a crash of the machine for example.
        if path.is_file() && size(path.metadata()) == size(blob.as_file().metadata()) {
            return Ok(());
        }
        blob.as_file()
            .sync_data()
            .map_err(io_error("write", &path))?;
        blob.persist(&path)
            .map_err(|error| io_error("rename to", &path)(error.error))?;
        Ok(())
    }

    /// Stores a document; returns its descriptor.
    pub(super) fn write_document(
        &self,
        media_type: &str,
        document: &impl Serialize,
    ) -> Result<Descriptor, ImageError> {
        let bytes = serde_json::to_vec(document).map_err(|error| ImageError::Malformed {
            what: media_type.to_owned(),
            reason: error.to_string(),
        })?;
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let mut blob = self.new_blob()?;
        let path = blob.path().to_owned();
        blob.write_all(&bytes).map_err(io_error("write", &path))?;
        self.keep_blob(blob, &digest)?;
        Ok(Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
            platform: None,
        })
    }

    /// What Docker knows an image of the store by: the digest of its configuration, and its layers' diff IDs.
    pub fn identity(&self, digest: &str) -> Result<(String, Vec<String>), ImageError> {
        let manifest = self.manifest(digest)?;
        let config: ImageConfig = self.document(&manifest.config.digest)?;
        Ok((manifest.config.digest, config.rootfs.diff_ids))
    }

    /// Writes configuration and manifest and gives the image its names.
    pub fn write_image(
        &self,
        spec: &ImageSpec,
        names: &[String],
    ) -> Result<WrittenImage, ImageError> {
        let names: Vec<Reference> = names
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?;
        let config = self.write_document(CONFIG, &configuration(spec))?;
        let layers: Vec<Descriptor> = spec
            .layers
            .iter()
            .map(|layer| descriptor(&layer.descriptor))
            .collect();
        let size = layers
            .iter()
            .chain([&config])
            .map(|part| part.size)
            .sum::<u64>();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config,
            layers,
        };
        let mut entry = self.write_document(MANIFEST, &manifest)?;
        entry.platform = Some(Platform {
            architecture: architecture().to_owned(),
            os: "linux".to_owned(),
        });
        self.name(&entry, &names)?;
        Ok(WrittenImage {
            size: size + entry.size,
            manifest_digest: entry.digest,
            unpacked_size: spec
                .layers
                .iter()
                .map(|layer| layer.descriptor.unpacked_size)
                .sum(),
        })
    }

    /// Lets names point to a manifest; leaves the index alone when they do already.
    fn name(&self, entry: &Descriptor, names: &[Reference]) -> Result<(), ImageError> {
        let _lock = self.lock()?;
        let mut index = self.index()?;
        let before = index.manifests.clone();
        for name in names {
            let name = name.to_string();
            index
                .manifests
                .retain(|known| known.annotations.get(REF_NAME) != Some(&name));
            let mut known = entry.clone();
            known.annotations.insert(REF_NAME.to_owned(), name);
            index.manifests.push(known);
        }
        index
            .manifests
            .sort_by(|a, b| a.annotations.cmp(&b.annotations));
        if index.manifests == before {
            Ok(())
        } else {
            self.write_index(&index)
        }
    }

    /// The images by name; a damaged one is told as such.
    pub fn list(&self) -> Result<Vec<StoredImage>, ImageError> {
        let images = self.index()?.manifests.into_iter().map(|entry| {
            let manifest = self.manifest(&entry.digest).ok();
            let parts = manifest
                .iter()
                .flat_map(|manifest| manifest.layers.iter().chain([&manifest.config]));
            StoredImage {
                name: entry.annotations.get(REF_NAME).cloned().unwrap_or_default(),
                size: parts.map(|part| part.size).sum::<u64>() + entry.size,
                layers: manifest
                    .as_ref()
                    .map_or(0, |manifest| manifest.layers.len()),
                damaged: manifest.is_none(),
                digest: entry.digest,
            }
        });
        Ok(images.collect())
    }

    /// The manifest's digest of an image given by name or by the beginning of its digest.
    pub fn find(&self, wanted: &str) -> Result<String, ImageError> {
        let index = self.index()?;
        if let Ok(name) = wanted.parse::<Reference>() {
            let name = name.to_string();
            let named = |entry: &&Descriptor| entry.annotations.get(REF_NAME) == Some(&name);
            if let Some(entry) = index.manifests.iter().find(named) {
                return Ok(entry.digest.clone());
            }
        }
        let hash = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let matches: BTreeSet<&str> = index
            .manifests
            .iter()
            .map(|entry| entry.digest.as_str())
            .filter(|digest| {
                hash.len() >= 4
                    && digest
                        .strip_prefix("sha256:")
                        .is_some_and(|full| full.starts_with(hash))
            })
            .collect();
        match matches.iter().collect::<Vec<_>>().as_slice() {
            [] => Err(ImageError::NotFound(wanted.to_owned())),
            [only] => Ok((**only).to_owned()),
            _ => Err(ImageError::Ambiguous(wanted.to_owned())),
        }
    }

    /// Forgets a name, or all names of a digest, and removes the blobs that no image needs any
    /// more. Returns the bytes that became free.
    pub fn remove(&self, wanted: &str) -> Result<u64, ImageError> {
        let _unused = self.lock_file("use", File::lock)?;
        let _lock = self.lock()?;
        let digest = self.find(wanted)?;
        let name = wanted
            .parse::<Reference>()
            .map(|name| name.to_string())
            .ok();
        let mut index = self.index()?;
        let named = index
            .manifests
            .iter()
            .any(|entry| entry.annotations.get(REF_NAME) == name.as_ref() && name.is_some());
        index.manifests.retain(|entry| {
            if named {
                entry.annotations.get(REF_NAME) != name.as_ref()
            } else {
                entry.digest != digest
            }
        });
        self.write_index(&index)?;
        self.collect_garbage(&index)
    }

    fn collect_garbage(&self, index: &Index) -> Result<u64, ImageError> {
        let mut needed = BTreeSet::new();
        for entry in &index.manifests {
            needed.insert(entry.digest.clone());
            // A damaged image keeps its name, and only a new build can give it its layers back.
            let Ok(manifest) = self.manifest(&entry.digest) else {
                continue;
            };
            needed.insert(manifest.config.digest);
            needed.extend(manifest.layers.into_iter().map(|layer| layer.digest));
        }
        let folder = self.root.join("blobs/sha256");
        let mut freed = 0;
        for blob in fs::read_dir(&folder)
            .map_err(io_error("list", &folder))?
            .flatten()
        {
            let digest = format!("sha256:{}", blob.file_name().to_string_lossy());
            if !needed.contains(&digest) {
                freed += blob.metadata().map_or(0, |meta| meta.len());
                fs::remove_file(blob.path()).map_err(io_error("remove", &blob.path()))?;
            }
        }
        Ok(freed)
    }

    /// What is needed to start an image.
    pub fn runtime_config(&self, digest: &str) -> Result<RuntimeConfig, ImageError> {
        let manifest = self.manifest(digest)?;
        let config: ImageConfig = self.document(&manifest.config.digest)?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let reason = format!(
                "{} layers and {} diff IDs",
                manifest.layers.len(),
                diff_ids.len()
            );
            return Err(ImageError::Malformed {
                what: digest.to_owned(),
                reason,
            });
        }
        let layers = manifest
            .layers
            .into_iter()
            .zip(diff_ids)
            .map(|(layer, diff_id)| LayerDescriptor {
                media_type: layer.media_type,
                digest: layer.digest,
                size: layer.size,
                diff_id,
                unpacked_size: 0,
            });
        let Settings {
            cmd,
            entrypoint,
            env,
            user,
            working_dir,
            ..
        } = config.config;
        Ok(RuntimeConfig {
            layers: layers.collect(),
            env,
            entrypoint,
            cmd,
            working_dir,
            user,
        })
    }

    pub(super) fn manifest(&self, digest: &str) -> Result<Manifest, ImageError> {
        let manifest: Manifest = self.document(digest)?;
        if manifest.media_type == MANIFEST {
            return Ok(manifest);
        }
        let reason = format!("its media type is {}", manifest.media_type);
        Err(ImageError::Malformed {
            what: digest.to_owned(),
            reason,
        })
    }

    fn document<T: for<'de> Deserialize<'de>>(&self, digest: &str) -> Result<T, ImageError> {
        let path = self.blob_path(digest)?;
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let mut bytes = Vec::new();
        file.take(DOCUMENT_LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(io_error("read", &path))?;
        let malformed = |reason: String| ImageError::Malformed {
            what: digest.to_owned(),
            reason,
        };
        if bytes.len() as u64 > DOCUMENT_LIMIT {
            return Err(malformed(format!(
                "it is larger than {DOCUMENT_LIMIT} bytes"
            )));
        }
        check_digest(digest, &Sha256::digest(&bytes))?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
    }

    /// Reads a whole blob and makes sure that it is what its name says.
    pub fn verify_blob(&self, digest: &str, size: u64) -> Result<File, ImageError> {
        let path = self.blob_path(digest)?;
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let length = file.metadata().map_err(io_error("examine", &path))?.len();
        if length != size {
            let reason = format!("it has {length} bytes instead of {size}");
            return Err(ImageError::Damaged {
                digest: digest.to_owned(),
                reason,
            });
        }
        check_digest(
            digest,
            &crate::hash::of_reader(&file).map_err(io_error("read", &path))?,
        )?;
        io::Seek::rewind(&mut file).map_err(io_error("read", &path))?;
        Ok(file)
    }

    pub(super) fn index(&self) -> Result<Index, ImageError> {
        let path = self.root.join("index.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| ImageError::Malformed {
                what: path.display().to_string(),
                reason: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    pub(super) fn write_index(&self, index: &Index) -> Result<(), ImageError> {
        let path = self.root.join("index.json");
        let mut file = self.new_blob()?;
        serde_json::to_writer(&mut file, index)
            .map_err(|error| io_error("write", &path)(error.into()))?;
        file.as_file()
            .sync_data()
            .map_err(io_error("write", &path))?;
        file.persist(&path)
            .map_err(|error| io_error("rename to", &path)(error.error))?;
        Ok(())
    }

    /// Keeps the blobs that no image needs yet until the result is dropped: held from the first
    /// layer of an image to its name.
    pub fn hold(&self) -> Result<File, ImageError> {
        self.lock_file("use", File::lock_shared)
    }

    /// Held while the index changes.
    fn lock(&self) -> Result<File, ImageError> {
        self.lock_file("lock", File::lock)
    }

    fn lock_file(&self, name: &str, lock: fn(&File) -> io::Result<()>) -> Result<File, ImageError> {
        let path = self.root.join("tmp").join(name);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(io_error("open", &path))?;
        lock(&file).map_err(io_error("lock", &path))?;
        Ok(file)
    }
}

fn check_digest(digest: &str, hash: &[u8]) -> Result<(), ImageError> {
    let found = format!("sha256:{}", hex::encode(hash));
    if found == digest {
        return Ok(());
    }
    Err(ImageError::Damaged {
        digest: digest.to_owned(),
        reason: format!("its content has the digest {found}"),
    })
}
