//! The application's files, seen through one confined, sorted and read-only view.
//!
//! Owns every file system access of this crate: opening, listing, reading, ignore rules, and the record of which files
//! were read. A path never leads out of the root (the kernel resolves it beneath the root), a manifest is a regular
//! file of bounded size or an error, and a directory is listed only when somebody asks for it. What the files mean is
//! the business of the other modules.

mod disk;
mod ignore_rules;

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::Disk;
use ignore_rules::{DirectoryRules, DockerIgnore, Verdict};

/// The largest manifest that is read, in bytes (64 MiB). The largest lock files seen in public repositories are about 10 MB.
pub const MANIFEST_LIMIT: u64 = 64 * 1024 * 1024;

/// Why a repository, or a file in it, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The root cannot be used at all.
    #[error("cannot open {path}: {reason}")]
    Root {
        /// The folder as the user gave it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused an operation.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: `read`, `list`, `open`.
        action: &'static str,
        /// Relative to the root.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The path leads out of the repository.
    #[error("{path} leads out of the repository")]
    Outside {
        /// Relative to the root.
        path: String,
    },
    /// A manifest is something else than a regular file.
    #[error("{path} is a {kind}, not a regular file")]
    NotAFile {
        /// Relative to the root.
        path: String,
        /// `FIFO`, `device`, `socket`, `directory`.
        kind: &'static str,
    },
    /// A manifest is larger than [`MANIFEST_LIMIT`].
    #[error("{path} has {size} bytes; a manifest may have {MANIFEST_LIMIT} at most")]
    TooLarge {
        /// Relative to the root.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A manifest is not UTF-8 text.
    #[error("{path} is not UTF-8 text (first bad byte at offset {offset})")]
    NotUtf8 {
        /// Relative to the root.
        path: String,
        /// Offset of the first byte that is not valid.
        offset: usize,
        /// Whether the file starts with a UTF-16 byte order mark.
        utf16: bool,
    },
    /// A glob is not valid.
    #[error("{pattern} is not a valid pattern: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What the matcher says.
        reason: String,
    },
}

impl RepoError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, path, .. }
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Some(format!(
                    "give the user that runs packwright the right to read {path}"
                ))
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Some(
                "the repository changed while it was read; try again when nothing writes to it"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::Root { .. } | Self::Pattern { .. } => None,
            Self::Outside { path } => Some(format!(
                "replace the link {path} by the file that it points to"
            )),
            Self::NotAFile { path, .. } => {
                Some(format!("make {path} a regular file, or remove it"))
            }
            Self::TooLarge { path, .. } => Some(format!(
                "a file this large is hardly a manifest; move {path} away"
            )),
            Self::NotUtf8 {
                path, utf16: true, ..
            } => Some(format!("{path} is UTF-16; save it as UTF-8")),
            Self::NotUtf8 { path, .. } => Some(format!("save {path} as UTF-8")),
        }
    }
}

/// What a name in a listing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Symlink,
    /// A socket, FIFO or device.
    Special,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name alone.
    pub name: String,
    /// The path relative to the root.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
}

/// One path that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root; may be something else than UTF-8.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits alone, without setuid and setgid.
    pub mode: u32,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes, when it was listed.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link, kept as it is.
    Symlink {
        /// Where it points, as written.
        target: PathBuf,
    },
}

/// A name in a directory before ignore rules; the name may be any bytes.
#[derive(Debug, Clone)]
pub(crate) struct RawEntry {
    name: OsString,
    kind: FileKind,
}

/// What listings that were made say of a path.
#[derive(PartialEq, Eq)]
enum Listed {
    Is(FileKind),
    Absent,
    /// A directory on the way was not listed, or is a link.
    Unknown,
}

/// What a path is, for a walk.
pub(crate) struct Stat {
    kind: FileKind,
    mode: u32,
    size: u64,
}

enum Source {
    Disk(Disk),
    Memory(BTreeMap<String, String>),
}

#[derive(Default)]
struct State {
    texts: BTreeMap<String, Option<Arc<str>>>,
    parsed: BTreeMap<(String, TypeId), Arc<dyn Any + Send + Sync>>,
    // By the text of the path: a comparison of paths takes them apart each time.
    listings: BTreeMap<OsString, Arc<[RawEntry]>>,
    kept: BTreeMap<String, Arc<[DirEntry]>>,
    rules: BTreeMap<OsString, Arc<DirectoryRules>>,
    docker: Option<Arc<DockerIgnore>>,
    read: BTreeSet<String>,
    skipped: BTreeSet<String>,
    trees: BTreeMap<String, Arc<[(String, FileKind)]>>,
    counts: Counts,
}

/// How much work a repository was: for the tests that say once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often each file was read.
    pub reads: BTreeMap<String, usize>,
    /// How often each file was parsed.
    pub parses: BTreeMap<String, usize>,
    /// How often each directory was listed, walks included.
    pub listings: BTreeMap<PathBuf, usize>,
    /// The directories below which everything was walked, once for each walk.
    pub walks: Vec<String>,
}

impl Counts {
    fn read(&mut self, path: &str) {
        *self.reads.entry(path.to_owned()).or_default() += 1;
    }

    fn parsed(&mut self, path: &str) {
        *self.parses.entry(path.to_owned()).or_default() += 1;
    }

    fn listed(&mut self, dir: &Path) {
        *self.listings.entry(dir.to_owned()).or_default() += 1;
    }
}

/// A repository: from disk, or in memory for tests.
pub struct Repo {
    source: Source,
    state: Mutex<State>,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Repo")
            .field("root", &self.root())
            .finish_non_exhaustive()
    }
}

impl Repo {
    /// Opens a folder. Refuses `/` and whatever is not a folder; a folder that cannot be listed is an error that names it.
    pub fn open(dir: &Path) -> Result<Repo, RepoError> {
        let disk = Disk::open(dir)?;
        let repo = Repo {
            source: Source::Disk(disk),
            state: Mutex::default(),
        };
        match repo.listing(Path::new("")) {
            Ok(_) => Ok(repo),
            Err(RepoError::Io { source, .. }) => Err(RepoError::Root {
                path: dir.to_owned(),
                reason: disk::sentence(&source),
            }),
            Err(other) => Err(other),
        }
    }

    /// A repository of text files that exist nowhere on disk.
    pub fn in_memory(files: &[(&str, &str)]) -> Repo {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Repo {
            source: Source::Memory(files),
            state: Mutex::default(),
        }
    }

    /// The folder on this machine, with links resolved; `None` in memory.
    pub fn root(&self) -> Option<&Path> {
        match &self.source {
            Source::Disk(disk) => Some(disk.root()),
            Source::Memory(_) => None,
        }
    }

    /// Whether something is there, ignored or not. A link counts as what it points to, inside the repository.
    pub fn exists(&self, path: &str) -> bool {
        self.kind(path).is_some()
    }

    /// Whether a regular file is there, ignored or not.
    pub fn is_file(&self, path: &str) -> bool {
        self.kind(path) == Some(FileKind::File)
    }

    /// Whether a directory is there, ignored or not.
    pub fn is_dir(&self, path: &str) -> bool {
        self.kind(path) == Some(FileKind::Directory)
    }

    /// Whether the path exists and goes into the image: no ignore rule leaves it out.
    pub fn in_image(&self, path: &str) -> bool {
        let Some(path) = normal(path) else {
            return false;
        };
        self.exists(&path) && !self.is_ignored(&path).unwrap_or(true)
    }

    /// The text of a manifest; `None` when it does not exist. Ignore rules do not apply: a plan may read what the image leaves out.
    ///
    /// A byte order mark is dropped. Whatever is not a regular UTF-8 file of at most [`MANIFEST_LIMIT`] bytes is an error, at once.
    pub fn read(&self, path: &str) -> Result<Option<String>, RepoError> {
        Ok(self.text(path)?.map(|text| text.to_string()))
    }

    /// As [`Repo::read`], shared instead of copied.
    pub fn text(&self, path: &str) -> Result<Option<Arc<str>>, RepoError> {
        let path = normal(path).ok_or_else(|| RepoError::Outside {
            path: path.to_owned(),
        })?;
        if let Some(known) = self.state().texts.get(path.as_ref()) {
            return Ok(known.clone());
        }
        let text: Option<Arc<str>> = match &self.source {
            Source::Disk(_) if self.listed(&path) == Listed::Absent => None,
            Source::Disk(disk) => disk
                .read(&path)?
                .map(|bytes| decode(&path, bytes))
                .transpose()?,
            Source::Memory(files) => files
                .get(path.as_ref())
                .map(|text| Arc::from(text.trim_start_matches('\u{feff}'))),
        };
        let path = path.into_owned();
        let mut state = self.state();
        if text.is_some() {
            state.read.insert(path.clone());
            state.counts.read(&path);
        }
        state.texts.insert(path, text.clone());
        Ok(text)
    }

    /// The text of a file that the user named on the command line: relative to the root, absolute, or above it.
    /// The user may point anywhere; what is there has to be a bounded regular text file all the same.
    pub(crate) fn text_given(&self, path: &Path) -> Result<Option<Arc<str>>, RepoError> {
        if let Some(inside) = path.to_str().and_then(normal) {
            return self.text(&inside);
        }
        let Source::Disk(disk) = &self.source else {
            return Ok(None);
        };
        let name = path.to_string_lossy();
        disk.read_given(path)?
            .map(|bytes| decode(&name, bytes))
            .transpose()
    }

    /// A manifest parsed into `T`, once for each path and type; `None` when the file does not exist.
    pub fn parsed<T, E>(
        &self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Arc<T>>, E>
    where
        T: Any + Send + Sync,
        E: From<RepoError>,
    {
        let key = (
            normal(path).unwrap_or_default().into_owned(),
            TypeId::of::<T>(),
        );
        if let Some(known) = self
            .state()
            .parsed
            .get(&key)
            .cloned()
            .and_then(|known| known.downcast::<T>().ok())
        {
            return Ok(Some(known));
        }
        let Some(text) = self.text(path)? else {
            return Ok(None);
        };
        self.state().counts.parsed(&key.0);
        let value = Arc::new(parse(&text)?);
        self.state().parsed.insert(key, value.clone());
        Ok(Some(value))
    }

    /// The names in one directory that go into the image, sorted; empty when it does not exist. Names that are not UTF-8 are left out.
    pub fn list(&self, dir: &str) -> Result<Vec<DirEntry>, RepoError> {
        let dir = normal(dir).ok_or_else(|| RepoError::Outside {
            path: dir.to_owned(),
        })?;
        Ok(self.kept(&dir)?.to_vec())
    }

    /// As [`Repo::list`], shared instead of copied.
    fn kept(&self, dir: &str) -> Result<Arc<[DirEntry]>, RepoError> {
        if let Some(known) = self.state().kept.get(dir) {
            return Ok(known.clone());
        }
        let kept: Arc<[DirEntry]> = self.kept_now(dir)?.into();
        self.state().kept.insert(dir.to_owned(), kept.clone());
        Ok(kept)
    }

    fn kept_now(&self, dir: &str) -> Result<Vec<DirEntry>, RepoError> {
        let rules = self.rules(Path::new(dir))?;
        let docker = self.docker()?;
        let mut entries = Vec::new();
        for raw in self.listing(Path::new(dir))?.iter() {
            let Some(name) = raw.name.to_str() else {
                continue;
            };
            let path = join(dir, name);
            let directory = raw.kind == FileKind::Directory;
            if verdict(&docker, &rules, Path::new(&path), directory) == Verdict::Kept {
                entries.push(DirEntry {
                    name: name.to_owned(),
                    path,
                    kind: raw.kind,
                });
            }
        }
        Ok(entries)
    }

    /// The paths that match a pattern and go into the image, sorted. Only directories that can match are listed.
    ///
    /// `*`, `?`, `[]` and `{}` stay within a component; `**` is any number of directories.
    pub fn glob(&self, pattern: &str) -> Result<Vec<String>, RepoError> {
        let components: Vec<&str> = pattern
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let mut found = BTreeSet::new();
        self.glob_below("", &components, &mut found)?;
        Ok(found.into_iter().collect())
    }

    fn glob_below(
        &self,
        dir: &str,
        components: &[&str],
        found: &mut BTreeSet<String>,
    ) -> Result<(), RepoError> {
        let Some((first, rest)) = components.split_first() else {
            return Ok(());
        };
        if *first == "**" {
            return self.glob_deep(dir, components, found);
        }
        let matcher = matcher(first, false)?;
        for entry in self
            .kept(dir)?
            .iter()
            .filter(|entry| matcher.is_match(&entry.name))
        {
            if rest.is_empty() {
                found.insert(entry.path.clone());
            } else if entry.kind == FileKind::Directory {
                self.glob_below(&entry.path, rest, found)?;
            }
        }
        Ok(())
    }

    /// A pattern that starts with `**`, against everything below a directory.
    fn glob_deep(
        &self,
        dir: &str,
        components: &[&str],
        found: &mut BTreeSet<String>,
    ) -> Result<(), RepoError> {
        let matcher = matcher(&components.join("/"), true)?;
        let prefix = if dir.is_empty() { 0 } else { dir.len() + 1 };
        let every = components == ["**"];
        for (path, kind) in self.tree(dir)?.iter() {
            if (!every || *kind != FileKind::Directory) && matcher.is_match(&path[prefix..]) {
                found.insert(path.clone());
            }
        }
        Ok(())
    }

    /// Everything below a directory that goes into the image, found by one walk however often it is asked for.
    fn tree(&self, dir: &str) -> Result<Arc<[(String, FileKind)]>, RepoError> {
        if let Some(known) = self.state().trees.get(dir) {
            return Ok(known.clone());
        }
        self.state().counts.walks.push(dir.to_owned());
        let mut paths = Vec::new();
        let mut pending = vec![dir.to_owned()];
        while let Some(dir) = pending.pop() {
            // Not through the cache of names: the whole tree is kept once, as the result.
            for entry in self.kept_now(&dir)? {
                if entry.kind == FileKind::Directory {
                    pending.push(entry.path.clone());
                }
                paths.push((entry.path, entry.kind));
            }
        }
        let tree: Arc<[(String, FileKind)]> = paths.into();
        self.state().trees.insert(dir.to_owned(), tree.clone());
        Ok(tree)
    }

    /// Everything that goes into the image, sorted by the bytes of the path. Walks the whole tree; only `build` needs it.
    pub fn entries(&self) -> Result<Vec<Entry>, RepoError> {
        let docker = self.docker()?;
        self.state().counts.walks.push(String::new());
        let mut walk = Walk {
            repo: self,
            docker,
            kept: BTreeMap::new(),
        };
        let mut pending = vec![PathBuf::new()];
        while let Some(dir) = pending.pop() {
            walk.directory(&dir, &mut pending)?;
        }
        Ok(walk
            .kept
            .into_iter()
            .map(|(path, (kind, mode))| Entry {
                path: PathBuf::from(OsString::from_vec(path)),
                kind,
                mode,
            })
            .collect())
    }

    /// The files that decisions rest on, sorted.
    pub fn files_read(&self) -> Vec<String> {
        self.state().read.iter().cloned().collect()
    }

    /// Sockets, FIFOs and devices that [`Repo::entries`] left out, sorted.
    pub fn skipped(&self) -> Vec<String> {
        self.state().skipped.iter().cloned().collect()
    }

    /// Patterns of `.dockerignore` and `.gitignore` that could not be understood, each with its file and line.
    pub fn warnings(&self) -> Vec<String> {
        let state = self.state();
        let docker = state
            .docker
            .iter()
            .flat_map(|rules| rules.warnings.iter().cloned());
        docker
            .chain(
                state
                    .rules
                    .values()
                    .flat_map(|rules| rules.warnings.iter().cloned()),
            )
            .collect()
    }

    /// How often files were read and parsed, directories listed and trees walked.
    pub fn counts(&self) -> Counts {
        self.state().counts.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a cache that each insertion leaves whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kind(&self, path: &str) -> Option<FileKind> {
        let path = normal(path)?;
        match &self.source {
            Source::Disk(disk) => match self.listed(&path) {
                Listed::Is(kind) => Some(kind),
                Listed::Absent => None,
                Listed::Unknown => disk.kind(&path),
            },
            Source::Memory(files) if files.contains_key(path.as_ref()) => Some(FileKind::File),
            Source::Memory(files) => {
                let prefix = if path.is_empty() {
                    String::new()
                } else {
                    format!("{path}/")
                };
                let below = files.range(prefix.clone()..).next()?.0;
                below.starts_with(&prefix).then_some(FileKind::Directory)
            }
        }
    }

    /// What listings that were made say of a path: most markers are looked for in vain, and need not ask the system.
    fn listed(&self, path: &str) -> Listed {
        let state = self.state();
        let mut dir = 0;
        let mut kind = FileKind::Directory;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if kind != FileKind::Directory {
                return Listed::Absent;
            }
            let Some(names) = state.listings.get(OsStr::new(&path[..dir])) else {
                return Listed::Unknown;
            };
            let found = names.binary_search_by(|entry| entry.name.as_bytes().cmp(part.as_bytes()));
            let Some(entry) = found.ok().and_then(|index| names.get(index)) else {
                return Listed::Absent;
            };
            kind = entry.kind;
            if kind == FileKind::Symlink {
                return Listed::Unknown;
            }
            dir += part.len() + usize::from(dir > 0);
        }
        Listed::Is(kind)
    }

    fn listing(&self, dir: &Path) -> Result<Arc<[RawEntry]>, RepoError> {
        if let Some(known) = self.state().listings.get(dir.as_os_str()) {
            return Ok(known.clone());
        }
        let listing: Arc<[RawEntry]> = self.list_now(dir)?.into();
        self.state().listings.insert(dir.into(), listing.clone());
        Ok(listing)
    }

    fn list_now(&self, dir: &Path) -> Result<Vec<RawEntry>, RepoError> {
        self.state().counts.listed(dir);
        let files = match &self.source {
            Source::Disk(disk) => return disk.list(dir),
            Source::Memory(files) => files,
        };
        let prefix = match dir.to_str() {
            Some("") => String::new(),
            Some(dir) => format!("{dir}/"),
            None => return Ok(Vec::new()),
        };
        let mut names = BTreeMap::new();
        for path in files
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
        {
            match path[prefix.len()..].split_once('/') {
                Some((name, _)) => names.insert(name, FileKind::Directory),
                None => names.insert(&path[prefix.len()..], FileKind::File),
            };
        }
        Ok(names
            .into_iter()
            .map(|(name, kind)| RawEntry {
                name: name.into(),
                kind,
            })
            .collect())
    }

    fn stat(&self, path: &Path) -> Result<Stat, RepoError> {
        match &self.source {
            Source::Disk(disk) => disk.stat(path),
            Source::Memory(files) => Ok(match path.to_str().and_then(|path| files.get(path)) {
                Some(text) => Stat {
                    kind: FileKind::File,
                    mode: 0o644,
                    size: text.len() as u64,
                },
                None => Stat {
                    kind: FileKind::Directory,
                    mode: 0o755,
                    size: 0,
                },
            }),
        }
    }

    fn is_ignored(&self, path: &str) -> Result<bool, RepoError> {
        let path = Path::new(path);
        let parent = path.parent().unwrap_or(Path::new(""));
        let rules = self.rules(parent)?;
        let docker = self.docker()?;
        let directory = path.to_str().is_some_and(|path| self.is_dir(path));
        Ok(verdict(docker.as_ref(), &rules, path, directory) == Verdict::Ignored)
    }

    fn docker(&self) -> Result<Arc<DockerIgnore>, RepoError> {
        if let Some(known) = &self.state().docker {
            return Ok(known.clone());
        }
        let text = self.text(".dockerignore")?;
        let rules = Arc::new(DockerIgnore::parse(text.as_deref().unwrap_or_default()));
        self.state().docker = Some(rules.clone());
        Ok(rules)
    }

    /// The .gitignore rules that hold in a directory: its own and those of every directory above.
    fn rules(&self, dir: &Path) -> Result<Arc<DirectoryRules>, RepoError> {
        if let Some(known) = self.state().rules.get(dir.as_os_str()) {
            return Ok(known.clone());
        }
        let names = self.listing(dir)?;
        self.rules_among(dir, &names)
    }

    /// As [`Repo::rules`], where the names in the directory are at hand.
    fn rules_among(
        &self,
        dir: &Path,
        names: &[RawEntry],
    ) -> Result<Arc<DirectoryRules>, RepoError> {
        if let Some(known) = self.state().rules.get(dir.as_os_str()) {
            return Ok(known.clone());
        }
        let above = match dir.parent() {
            Some(parent) => Some(self.rules(parent)?),
            None => None,
        };
        let file = dir.join(".gitignore");
        let text = match file.to_str() {
            Some(file)
                if names
                    .iter()
                    .any(|entry| entry.name == OsStr::new(".gitignore")) =>
            {
                self.text(file)?
            }
            _ => None,
        };
        let rules = Arc::new(DirectoryRules::new(above, dir, text.as_deref()));
        self.state().rules.insert(dir.into(), rules.clone());
        Ok(rules)
    }

    fn link_target(&self, path: &Path) -> Result<PathBuf, RepoError> {
        match &self.source {
            Source::Disk(disk) => disk.link_target(path),
            Source::Memory(_) => Ok(PathBuf::new()),
        }
    }
}

/// Folders at the root that are no part of the application: `build --out` writes the first, and the second is where
/// platforms have `prepare` write.
const GENERATED: [&str; 2] = [".nixpacks", ".railpack"];

fn is_generated(path: &Path) -> bool {
    GENERATED.iter().any(|folder| path.starts_with(folder))
}

fn verdict(docker: &DockerIgnore, rules: &DirectoryRules, path: &Path, directory: bool) -> Verdict {
    if path.file_name() == Some(OsStr::new(".git")) || is_generated(path) {
        return Verdict::Ignored;
    }
    match docker.verdict(path) {
        Some(verdict) => verdict,
        None => rules.verdict(path, directory),
    }
}

/// One pass over the tree.
struct Walk<'a> {
    repo: &'a Repo,
    docker: Arc<DockerIgnore>,
    kept: BTreeMap<Vec<u8>, (EntryKind, u32)>,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Path, pending: &mut Vec<PathBuf>) -> Result<(), RepoError> {
        // Not through the cache of listings: the whole tree is kept once, as the result.
        let names = self.repo.list_now(dir)?;
        let rules = self.repo.rules_among(dir, &names)?;
        for raw in names {
            let path = dir.join(&raw.name);
            let directory = raw.kind == FileKind::Directory;
            let kept = verdict(&self.docker, &rules, &path, directory) == Verdict::Kept;
            if directory
                && (kept || self.docker.may_keep_below(&path))
                && raw.name != OsStr::new(".git")
                && !is_generated(&path)
            {
                pending.push(path.clone());
            }
            if kept {
                self.keep(&path)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, path: &Path) -> Result<(), RepoError> {
        let stat = self.repo.stat(path)?;
        let kind = match stat.kind {
            FileKind::File => EntryKind::File { size: stat.size },
            FileKind::Directory => EntryKind::Directory,
            FileKind::Symlink => EntryKind::Symlink {
                target: self.repo.link_target(path)?,
            },
            FileKind::Special => {
                self.repo
                    .state()
                    .skipped
                    .insert(path.to_string_lossy().into_owned());
                return Ok(());
            }
        };
        self.kept
            .insert(path.as_os_str().as_bytes().to_vec(), (kind, stat.mode));
        // A path that is kept inside an ignored directory brings its parents with it.
        for parent in path
            .ancestors()
            .skip(1)
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            if self.kept.contains_key(parent.as_os_str().as_bytes()) {
                break;
            }
            let mode = self.repo.stat(parent)?.mode;
            self.kept.insert(
                parent.as_os_str().as_bytes().to_vec(),
                (EntryKind::Directory, mode),
            );
        }
        Ok(())
    }
}

/// A matcher of paths, or of names alone. A set of one pattern does without a regular expression for most, which takes
/// longer to compile than all the rest of a plan.
fn matcher(pattern: &str, paths: bool) -> Result<globset::GlobSet, RepoError> {
    let wrong = |error: globset::Error| RepoError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    };
    let glob = globset::GlobBuilder::new(pattern)
        .literal_separator(paths)
        .build()
        .map_err(wrong)?;
    globset::GlobSet::new([glob]).map_err(wrong)
}

/// The path without `.` and empty components; `None` when it is absolute or has `..`.
fn normal(path: &str) -> Option<Cow<'_, str>> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    // Most paths are the providers' own, and as they should be.
    let odd = |part| matches!(part, "" | "." | "..");
    if path.is_empty() || !path.split('/').any(odd) {
        return Some(Cow::Borrowed(path));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(Cow::Owned(parts.join("/")))
}

pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

fn decode(path: &str, bytes: Vec<u8>) -> Result<Arc<str>, RepoError> {
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(bytes).map_err(|error| RepoError::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
        utf16,
    })?;
    Ok(Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)))
}

#[cfg(test)]
mod tests;
