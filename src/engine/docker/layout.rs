//! A folder of this machine that keeps steps of builds: OCI's image layout, as `docker buildx` and `buildctl` write it.
//!
//! It is a daemon that asks for blobs, and the folder may be anybody's: so a blob's name is a digest and nothing else, no
//! link in the folder is followed, and what a file holds is compared with its name before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat, renameat};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::{hash, whole};

/// The annotation of an index' entry that is its tag.
const TAG: &str = "org.opencontainers.image.ref.name";

/// The annotation of entries that have a whole name beside their tag.
const NAME: &str = "io.containerd.image.name";

/// The most bytes of a document; BuildKit takes no larger manifest than one MiB.
const DOCUMENT: u64 = 4 << 20;

/// The most bytes of a description of steps that is looked at before it is used.
const CONFIGURATION: u64 = 64 << 20;

/// How long another process may hold the folder.
const PATIENCE: Duration = Duration::from_secs(20);

/// A blob's name: `sha256:` and 64 small hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Digest(String);

impl Digest {
    /// Nothing else is a name, so that none leads out of the folder.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == 64 && hex.bytes().all(digit)).then(|| Self(hex.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no digest of sha256"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// What a document says of a blob; what is not named here is kept as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Descriptor {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default = "index_type")]
    media_type: String,
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

fn index_type() -> String {
    "application/vnd.oci.image.index.v1+json".to_owned()
}

/// The blobs that a cache's manifest names, whichever of its two forms it has.
#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// The folder, open.
pub(super) struct Layout {
    path: PathBuf,
    blobs: OwnedFd,
    /// Where blobs are until they are whole; none where nothing is written.
    staging: Mutex<Option<TempDir>>,
    /// Blobs that were compared with their names.
    known: Mutex<BTreeSet<Digest>>,
}

impl Layout {
    /// Opens what another build left.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let folder = folder(CWD, path, OFlags::empty())?;
        let blobs = folder_in(&folder, "blobs", &path.join("blobs"))?;
        let blobs = folder_in(&blobs, "sha256", &path.join("blobs/sha256"))?;
        Ok(Self {
            path: path.to_owned(),
            blobs,
            staging: Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// Opens or makes one to write to.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        for name in ["blobs", "ingest"] {
            fs::create_dir_all(path.join(name))?;
        }
        let folder = folder(CWD, path, OFlags::empty())?;
        // What leads out is refused before anything is made behind it.
        folder_in(&folder, "blobs", &path.join("blobs"))?;
        folder_in(&folder, "ingest", &path.join("ingest"))?;
        fs::create_dir_all(path.join("blobs/sha256"))?;
        let layout = Self::open(path)?;
        // A folder that cannot be told from another one's is found before the build, not after it.
        layout.index()?;
        let staging = tempfile::Builder::new()
            .prefix(".packwright-")
            .tempdir_in(path.join("ingest"))?;
        *layout.staging() = Some(staging);
        Ok(layout)
    }

    /// Takes nothing any more, and removes what is not whole, whoever still writes to it.
    pub(super) fn close(&self) {
        self.staging().take();
    }

    fn staging(&self) -> std::sync::MutexGuard<'_, Option<TempDir>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob that is what its name says; none when there is no such blob.
    pub(super) fn blob(&self, digest: &Digest) -> io::Result<Option<File>> {
        let Some(mut file) = self.unread(digest)? else {
            return Ok(None);
        };
        if !self.known().contains(digest) {
            if hex::encode(hash::of_reader(&file)?) != digest.0 {
                let path = self.blob_path(digest);
                return Err(invalid(format!(
                    "{path} is not what its name says: remove it"
                )));
            }
            file.rewind()?;
            self.known().insert(digest.clone());
        }
        Ok(Some(file))
    }

    fn unread(&self, digest: &Digest) -> io::Result<Option<File>> {
        plain_file(&self.blobs, &digest.0, &self.blob_path(digest))
    }

    fn blob_path(&self, digest: &Digest) -> String {
        let path = self.path.join("blobs/sha256").join(&digest.0);
        path.display().to_string()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<Digest>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a blob.
    pub(super) fn begin(&self) -> io::Result<Ingest> {
        let staging = self.staging();
        let staging = staging
            .as_ref()
            .ok_or_else(|| io::Error::other(format!("{} is only read", self.path.display())))?;
        let file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(staging.path())?;
        Ok(Ingest {
            file,
            hash: Sha256::new(),
            offset: 0,
        })
    }

    /// Gives a blob that is whole its name, which has to be `expected`; a file that lies about itself is replaced.
    pub(super) fn commit(&self, ingest: Ingest, expected: Option<&Digest>) -> io::Result<Digest> {
        let digest = Digest(hex::encode(ingest.hash.finalize()));
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(invalid(format!(
                "a blob that should be {expected} is {digest}"
            )));
        }
        let path = ingest.file.into_temp_path();
        renameat(CWD, &*path, &self.blobs, digest.0.as_str())?;
        // Its name is another one now.
        let _ = path.keep();
        self.known().insert(digest.clone());
        Ok(digest)
    }

    /// The manifest of a tag.
    pub(super) fn tagged(&self, tag: &str) -> io::Result<Option<Descriptor>> {
        let index = self.index()?.map(|index| index.manifests);
        let of = |name: &str, entry: &Descriptor| {
            entry.annotations.get(name).map(String::as_str) == Some(tag)
        };
        let entries = index.unwrap_or_default();
        let found = entries.iter().find(|entry| of(NAME, entry));
        // Images have a name besides, steps have none.
        let steps = |entry: &&Descriptor| !entry.annotations.contains_key(NAME) && of(TAG, entry);
        let found = found.or_else(|| entries.iter().find(steps));
        let found = found.or_else(|| entries.iter().find(|entry| of(TAG, entry)));
        Ok(found.cloned())
    }

    /// Makes a manifest the tag's, instead of an older one.
    pub(super) fn tag(&self, tag: &str, mut manifest: Descriptor) -> io::Result<()> {
        // Another process may do the same; one that does not end is not waited for.
        let lock = File::open(&self.path)?;
        let begun = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::Error(error) => return Err(error),
                TryLockError::WouldBlock if begun.elapsed() > PATIENCE => {
                    let what = format!("another process holds {}", self.path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                TryLockError::WouldBlock => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        let mut index = self.index()?.unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
            rest: BTreeMap::new(),
        });
        index.manifests.retain(|entry| {
            entry.annotations.contains_key(NAME)
                || entry.annotations.get(TAG).map(String::as_str) != Some(tag)
        });
        // A daemon may say more of it than what it is.
        manifest.annotations = BTreeMap::from([(TAG.to_owned(), tag.to_owned())]);
        manifest.rest.retain(|name, value| {
            name == "mediaType" && value.as_str().is_some_and(|text| text.len() < 256)
        });
        // Others take the first one that has the tag.
        index.manifests.insert(0, manifest);
        let text = serde_json::to_vec(&index)?;
        if text.len() as u64 > DOCUMENT {
            let path = self.path.join("index.json");
            return Err(invalid(format!("{} has too many entries", path.display())));
        }
        self.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.write("index.json", &text)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path.join(name);
        let mut staged = whole::beside(&path, 0o644)?;
        staged.write_all(bytes)?;
        staged.persist(&path).map(drop).map_err(|error| error.error)
    }

    fn index(&self) -> io::Result<Option<Index>> {
        let path = self.path.join("index.json");
        let told = path.display().to_string();
        let folder = folder(CWD, &self.path, OFlags::empty())?;
        let file = plain_file(&folder, "index.json", &told)?;
        file.map(|file| document(&file, &told)).transpose()
    }

    /// Looks whether all that a manifest names is there, and the manifest and what describes its steps are themselves.
    pub(super) fn examine(&self, manifest: &Digest) -> io::Result<()> {
        let missing = |digest: &Digest| {
            let what = format!("{} is missing", self.blob_path(digest));
            io::Error::new(io::ErrorKind::NotFound, what)
        };
        let size = |digest: &Digest| {
            let file = self.unread(digest)?.ok_or_else(|| missing(digest))?;
            file.metadata().map(|meta| meta.len())
        };
        // Before it is read: what has no end would be read for as long.
        if size(manifest)? > DOCUMENT {
            let path = self.blob_path(manifest);
            return Err(invalid(format!("{path} is no manifest: it is too large")));
        }
        let file = self.blob(manifest)?.ok_or_else(|| missing(manifest))?;
        let manifest: Manifest = document(&file, &self.blob_path(manifest))?;
        for named in manifest
            .config
            .iter()
            .chain(&manifest.layers)
            .chain(&manifest.manifests)
        {
            let size = size(&named.digest)?;
            if size != named.size {
                let blob = self.blob_path(&named.digest);
                return Err(invalid(format!(
                    "{blob} has {size} bytes instead of {}",
                    named.size
                )));
            }
        }
        if let Some(config) = manifest
            .config
            .filter(|config| config.size <= CONFIGURATION)
        {
            self.blob(&config.digest)?;
        }
        Ok(())
    }
}

/// A blob on its way; gone when it is dropped.
pub(super) struct Ingest {
    file: NamedTempFile,
    hash: Sha256,
    /// Bytes so far.
    pub offset: u64,
}

impl Ingest {
    /// Adds bytes at the end.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what was written.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.as_file().set_len(0)?;
        self.file.rewind()?;
        (self.hash, self.offset) = (Sha256::new(), 0);
        Ok(())
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn folder(at: impl std::os::fd::AsFd, path: &Path, more: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
    Ok(openat(at, path, flags, Mode::empty())?)
}

/// A folder in another one, which is no link.
fn folder_in(at: &OwnedFd, name: &str, path: &Path) -> io::Result<OwnedFd> {
    folder(at, Path::new(name), OFlags::NOFOLLOW).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{} is no folder: {error}", path.display()),
        )
    })
}

/// A file that is neither a link nor a device or pipe.
fn plain_file(at: &OwnedFd, name: &str, path: &str) -> io::Result<Option<File>> {
    // Without the last flag a pipe would wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let odd = || invalid(format!("{path} is no file"));
    match openat(at, name, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            let plain = file.metadata()?.is_file();
            plain.then_some(Some(file)).ok_or_else(odd)
        }
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(rustix::io::Errno::LOOP) => Err(odd()),
        Err(error) => Err(io::Error::new(
            io::Error::from(error).kind(),
            format!("cannot read {path}: {error}"),
        )),
    }
}

/// Reads a document of limited size.
fn document<T: serde::de::DeserializeOwned>(file: &File, path: &str) -> io::Result<T> {
    let wrong = |reason: String| invalid(format!("{path} is {reason}"));
    let mut bytes = Vec::new();
    file.take(DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT {
        return Err(wrong("too large".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not as it should be: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(layout: &Layout, bytes: &[u8]) -> Digest {
        let mut ingest = layout.begin().unwrap();
        ingest.write(bytes).unwrap();
        layout.commit(ingest, None).unwrap()
    }

    fn descriptor(digest: &Digest, size: usize) -> Descriptor {
        let json = serde_json::json!({ "mediaType": "a/b", "digest": digest, "size": size });
        serde_json::from_value(json).unwrap()
    }

    /// A folder with a manifest, its config and one layer.
    fn filled(home: &Path) -> (Layout, Digest, Digest) {
        let layout = Layout::make(home).unwrap();
        let (config, layer) = (put(&layout, b"{}"), put(&layout, b"layer"));
        let manifest = serde_json::json!({ "config": descriptor(&config, 2), "layers": [descriptor(&layer, 5)] });
        let manifest = manifest.to_string();
        let digest = put(&layout, manifest.as_bytes());
        let entry = descriptor(&digest, manifest.len());
        layout.tag("latest", entry).unwrap();
        (layout, digest, layer)
    }

    #[test]
    fn names_are_digests_and_nothing_else() {
        let hex = "a".repeat(64);
        assert!(Digest::parse(&format!("sha256:{hex}")).is_some());
        let upper = hex.to_uppercase();
        let short = &hex[1..];
        let traversal = format!("sha256:../../{}", &hex[6..]);
        let slash = format!("sha256:/{}", &hex[1..]);
        for wrong in [
            hex.clone(),
            format!("sha512:{hex}"),
            format!("sha256:{upper}"),
            format!("sha256:{short}"),
            format!("sha256:{hex}a"),
            traversal,
            slash,
        ] {
            assert_eq!(Digest::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_blob_has_its_name_when_it_is_whole_and_nothing_is_left_of_others() {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::make(home.path()).unwrap();
        let mut ingest = layout.begin().unwrap();
        ingest.write(b"wrong").unwrap();
        ingest.restart().unwrap();
        ingest.write(b"ri").unwrap();
        ingest.write(b"ght").unwrap();
        assert_eq!(ingest.offset, 5);
        let digest = layout.commit(ingest, None).unwrap();
        let mut text = String::new();
        let mut file = layout.blob(&digest).unwrap().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "right");
        let mut liar = layout.begin().unwrap();
        liar.write(b"other").unwrap();
        let refused = layout.commit(liar, Some(&digest)).unwrap_err();
        assert!(refused.to_string().contains("should be"), "{refused}");
        let left = layout.begin().unwrap();
        layout.close();
        assert!(layout.begin().is_err() && layout.commit(left, None).is_err());
        let count = |name: &str| fs::read_dir(home.path().join(name)).unwrap().count();
        assert_eq!((count("ingest"), count("blobs/sha256")), (0, 1));
    }

    #[test]
    fn a_folder_that_is_only_read_takes_nothing() {
        let home = tempfile::tempdir().unwrap();
        drop(Layout::make(home.path()).unwrap());
        let layout = Layout::open(home.path()).unwrap();
        assert!(layout.begin().is_err());
    }

    #[test]
    fn a_tag_is_of_its_newest_manifest_and_others_stay() {
        let home = tempfile::tempdir().unwrap();
        let (layout, first, _) = filled(home.path());
        let second = put(&layout, b"second");
        let entry = descriptor(&second, 6);
        layout.tag("other", entry.clone()).unwrap();
        let found = |tag: &str| layout.tagged(tag).unwrap().map(|entry| entry.digest);
        assert_eq!(found("latest"), Some(first));
        layout.tag("latest", entry).unwrap();
        assert_eq!(found("latest"), Some(second.clone()));
        assert_eq!(found("other"), Some(second));
        assert_eq!(found("none"), None);
        let index: Value =
            serde_json::from_slice(&fs::read(home.path().join("index.json")).unwrap()).unwrap();
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["manifests"][0]["mediaType"], "a/b");
        assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn an_image_of_the_same_tag_hides_no_steps_and_nothing_that_a_daemon_adds_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let (layout, manifest, layer) = filled(home.path());
        let path = home.path().join("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let image = serde_json::json!({
            "digest": layer, "size": 5, "annotations": { TAG: "latest", NAME: "docker.test/a:latest" }
        });
        let entries = index["manifests"].as_array_mut().unwrap();
        entries.insert(0, image);
        fs::write(&path, index.to_string()).unwrap();
        assert_eq!(layout.tagged("latest").unwrap().unwrap().digest, manifest);
        let mut entry = descriptor(&layer, 5);
        entry
            .annotations
            .insert(NAME.to_owned(), "x".repeat(1 << 20));
        entry.rest.insert("data".to_owned(), "x".into());
        layout.tag("latest", entry).unwrap();
        let entry = layout.tagged("latest").unwrap().unwrap();
        assert_eq!(
            (entry.digest, entry.annotations.len(), entry.rest.len()),
            (layer, 1, 1)
        );
    }

    #[test]
    fn a_manifest_without_end_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        let (layout, manifest, _) = filled(home.path());
        let file = File::create(layout.blob_path(&manifest)).unwrap();
        file.set_len(1 << 42).unwrap();
        let fresh = Layout::open(home.path()).unwrap();
        let refused = fresh.examine(&manifest).unwrap_err();
        assert!(refused.to_string().contains("too large"), "{refused}");
    }

    #[test]
    fn what_is_missing_or_lies_is_found() {
        let home = tempfile::tempdir().unwrap();
        let (layout, manifest, layer) = filled(home.path());
        layout.examine(&manifest).unwrap();
        let told = |manifest: &Digest| {
            let layout = Layout::open(home.path()).unwrap();
            layout.examine(manifest).unwrap_err().to_string()
        };
        let path = |digest: &Digest| PathBuf::from(layout.blob_path(digest));
        fs::write(path(&layer), "long layer").unwrap();
        assert!(told(&manifest).contains("has 10 bytes instead of 5"));
        fs::write(path(&layer), "LAYER").unwrap();
        let fresh = Layout::open(home.path()).unwrap();
        fresh.examine(&manifest).unwrap();
        let refused = fresh.blob(&layer).unwrap_err();
        assert!(refused.to_string().contains("not what its name says"));
        fs::remove_file(path(&layer)).unwrap();
        assert!(told(&manifest).contains("is missing"));
        fs::write(path(&manifest), "{}").unwrap();
        assert!(told(&manifest).contains("not what its name says"));
        // A whole blob takes the place of one that lies.
        fs::write(path(&layer), "LAYER").unwrap();
        assert_eq!(put(&layout, b"layer"), layer);
        let fresh = Layout::open(home.path()).unwrap();
        assert!(fresh.blob(&layer).unwrap().is_some());
    }

    #[test]
    fn a_broken_index_is_told() {
        let home = tempfile::tempdir().unwrap();
        drop(filled(home.path()));
        for text in [
            "{",
            "[]",
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:../x","size":1}]}"#,
        ] {
            fs::write(home.path().join("index.json"), text).unwrap();
            let layout = Layout::open(home.path()).unwrap();
            let told = layout.tagged("latest").unwrap_err().to_string();
            assert!(told.contains("index.json is not as it should be"), "{told}");
            assert!(Layout::make(home.path()).is_err());
        }
    }

    #[test]
    fn links_and_pipes_are_not_followed() {
        use std::os::unix::fs::symlink;
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("cache");
        let (layout, _, layer) = filled(&inside);
        let path = PathBuf::from(layout.blob_path(&layer));
        fs::rename(&path, home.path().join("outside")).unwrap();
        symlink(home.path().join("outside"), &path).unwrap();
        let layout = Layout::open(&inside).unwrap();
        assert!(layout.blob(&layer).is_err());
        let index = inside.join("index.json");
        fs::remove_file(&index).unwrap();
        rustix::fs::mkfifoat(CWD, &index, Mode::RUSR | Mode::WUSR).unwrap();
        assert!(layout.tagged("latest").is_err());
        fs::rename(inside.join("blobs"), home.path().join("blobs")).unwrap();
        symlink(home.path().join("blobs"), inside.join("blobs")).unwrap();
        assert!(Layout::open(&inside).is_err());
        assert!(Layout::make(&inside).is_err());
    }
}
