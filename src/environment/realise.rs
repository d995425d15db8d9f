//! Makes the trees of a lock: downloads what is missing, unpacks, and lets dpkg configure.
//!
//! Each tree is named by the hashes of what it is made of, so that builds share them, and is made
//! by one process at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::debian::root::{self, Downloaded};
use super::http::{Client, Fetch, Promise};
use super::lock::{Artifact, DebianPackage, LockedDebian, LockedToolchain};
use super::toolchain::{Toolchain, named, pypi, tree};
use super::{
    Cause, EnvironmentError, Registry, RootRunner, Roots, RunTree, Sources, Surroundings, debian,
};
use crate::cache::{Cache, Key, KeyBuilder, Kind};
use crate::report::{Report, Step};

mod kit;

pub(super) use kit::kit;

/// Downloads at the same time.
const CONNECTIONS: usize = 6;
/// The most bytes of one artifact; the largest of the archive has 1.5 GB.
const ARTIFACT_LIMIT: u64 = 4 << 30;

/// What every making of a tree needs.
struct Context<'a> {
    lock: &'a LockedDebian,
    sources: &'a Sources,
    cache: &'a Cache,
    report: &'a dyn Report,
    client: Client,
}

/// The keys of a lock's trees; `None` where there is nothing to install.
struct Keys {
    base: Key,
    run_base: Key,
    run_from_base: Option<Key>,
    run: Option<Key>,
    build: Option<Key>,
    toolchains: Vec<Key>,
}

fn packages_key(domain: &str, architecture: &str, packages: &[DebianPackage]) -> KeyBuilder {
    Key::build(domain)
        .field("format", root::FORMAT)
        .field("architecture", architecture)
        .list("packages", packages.iter().map(|package| &package.sha256))
}

impl Keys {
    fn of(lock: &LockedDebian) -> Self {
        let some = |packages: &[DebianPackage], key: KeyBuilder| {
            (!packages.is_empty()).then(|| key.finish())
        };
        let key = |domain, packages| packages_key(domain, &lock.architecture, packages);
        let base = key("build root", &lock.base).finish();
        let run = some(
            &lock.run,
            key("installed", &lock.run).field("over", base.as_str()),
        );
        let below = run.as_ref().unwrap_or(&base).as_str();
        Self {
            run_base: key("run root 2", &lock.run_base).finish(),
            run_from_base: some(
                &lock.run_from_base,
                key("run packages", &lock.run_from_base),
            ),
            build: some(
                &lock.build,
                key("installed", &lock.build).field("over", below),
            ),
            toolchains: lock.toolchains.iter().map(toolchain_key).collect(),
            run,
            base,
        }
    }
}

fn toolchain_key(toolchain: &LockedToolchain) -> Key {
    Key::build("toolchain")
        .field("format", tree::FORMAT)
        .field("folder", tree::folder(toolchain))
        .list(
            "artifacts",
            toolchain.artifacts.iter().map(|artifact| &artifact.hash),
        )
        .finish()
}

pub(super) fn realise(
    lock: &LockedDebian,
    sources: &Sources,
    cache: &Cache,
    runner: &dyn RootRunner,
    report: &dyn Report,
) -> Result<Roots, EnvironmentError> {
    let context = Context::new(lock, sources, cache, report);
    let keys = Keys::of(lock);
    context.download_missing(&keys)?;
    // Unpacking toolchains and run roots needs no runner, so it goes beside the scripts.
    std::thread::scope(|scope| {
        let unpacking = scope.spawn(|| context.make_unpacked(&keys));
        let installed = context.make_installed(&keys, runner);
        let unpacked = unpacking
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        installed.and(unpacked)
    })?;
    Ok(context.roots(&keys))
}

impl<'a> Context<'a> {
    fn new(
        lock: &'a LockedDebian,
        sources: &'a Sources,
        cache: &'a Cache,
        report: &'a dyn Report,
    ) -> Self {
        Self {
            lock,
            sources,
            cache,
            report,
            client: Client::default(),
        }
    }
}

impl Context<'_> {
    fn has(&self, key: &Key) -> bool {
        self.cache.find(Kind::Root, key).is_some()
    }

    fn tree(&self, key: &Key) -> PathBuf {
        self.cache.path(Kind::Root, key).join("fs")
    }

    /// Makes a tree unless it is there; another process that makes it is waited for.
    fn once(
        &self,
        key: &Key,
        title: &str,
        make: impl FnOnce(&Path) -> Result<(), EnvironmentError>,
    ) -> Result<(), EnvironmentError> {
        if self.has(key) {
            return Ok(());
        }
        let step = Step::start(self.report, format!("root {}", &key.as_str()[..12]), title);
        let lock = self.cache.lock(key, || {})?;
        if self.has(key) {
            step.finish(true, "made by another build");
            return Ok(());
        }
        let staging = self.cache.staging()?;
        make(staging.path())?;
        self.cache.commit(staging, Kind::Root, key)?;
        drop(lock);
        step.finish(false, "");
        Ok(())
    }

    fn download_missing(&self, keys: &Keys) -> Result<(), EnvironmentError> {
        let lock = self.lock;
        let sets = [
            (Some(&keys.base), &lock.base),
            (Some(&keys.run_base), &lock.run_base),
            (keys.run_from_base.as_ref(), &lock.run_from_base),
            (keys.run.as_ref(), &lock.run),
            (keys.build.as_ref(), &lock.build),
        ];
        let missing = sets
            .into_iter()
            .filter(|(key, _)| key.is_some_and(|key| !self.has(key)));
        self.download_sets(missing.map(|(_, set)| set.as_slice()), keys)
    }

    /// Downloads what the cache does not have of sets of packages, and of toolchains that are not there.
    fn download_sets<'s>(
        &'s self,
        sets: impl Iterator<Item = &'s [DebianPackage]>,
        keys: &Keys,
    ) -> Result<(), EnvironmentError> {
        // A package may be in several sets.
        let packages: BTreeMap<&str, &DebianPackage> = sets
            .flatten()
            .map(|package| (package.sha256.as_str(), package))
            .collect();
        let mut wanted: Vec<Wanted<'_>> = packages.into_values().map(Wanted::Package).collect();
        for (toolchain, key) in self.lock.toolchains.iter().zip(&keys.toolchains) {
            if !self.has(key) {
                wanted.extend(toolchain.artifacts.iter().map(Wanted::Artifact));
            }
        }
        wanted.retain(|wanted| {
            wanted
                .promise()
                .is_none_or(|promise| self.cache.find(Kind::Download, &promise.key()).is_none())
        });
        if wanted.is_empty() {
            Ok(())
        } else {
            self.download(&wanted)
        }
    }

    fn download(&self, wanted: &[Wanted<'_>]) -> Result<(), EnvironmentError> {
        let step = Step::start(
            self.report,
            "download",
            format!("download {} files", wanted.len()),
        );
        let sizes: Option<u64> = wanted.iter().map(Wanted::size).sum();
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let told = Mutex::new(std::time::Instant::now());
        let progress = |bytes: u64| {
            let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if let Ok(mut told) = told.try_lock()
                && told.elapsed().as_millis() > 200
            {
                *told = std::time::Instant::now();
                step.progress(done, sizes, "bytes");
            }
        };
        let failure: Mutex<Option<EnvironmentError>> = Mutex::new(None);
        let work = || {
            while let Some(wanted) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.fetch(wanted, &progress) {
                    next.store(usize::MAX / 2, Ordering::Relaxed);
                    if let Ok(mut slot) = failure.lock() {
                        slot.get_or_insert(error);
                    }
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS.min(wanted.len()) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().unwrap_or_default() {
            return Err(error);
        }
        step.finish(
            false,
            format!("{} MB", done.load(Ordering::Relaxed) / 1_000_000),
        );
        Ok(())
    }

    fn fetch(
        &self,
        wanted: &Wanted<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<PathBuf, EnvironmentError> {
        let promise = wanted
            .promise()
            .ok_or_else(|| EnvironmentError::Malformed {
                what: "the lock".to_owned(),
                reason: format!("the hash of {} is not of a known kind", wanted.file()),
            })?;
        let (url, authorization) = self.address(wanted)?;
        self.client.artifact(
            self.cache,
            &Fetch {
                what: wanted.file(),
                url: &url,
                authorization: authorization.as_deref(),
                promise: &promise,
                authority: "the lock",
                size: wanted.size(),
                limit: ARTIFACT_LIMIT,
                progress,
            },
        )
    }

    /// Where an artifact is on this machine's mirrors, and the credentials for that host.
    fn address(&self, wanted: &Wanted<'_>) -> Result<(String, Option<String>), EnvironmentError> {
        let endpoint = match wanted {
            Wanted::Package(package) => debian::endpoint(&package.archive, self.sources)?,
            Wanted::Artifact(artifact) => match Registry::named(&artifact.registry) {
                Some(Registry::Pypi) => return self.address_in_index(artifact),
                Some(registry) => self.sources.endpoint(registry)?,
                None => {
                    return Err(EnvironmentError::Malformed {
                        what: "the lock".to_owned(),
                        reason: format!("there is no registry {}", artifact.registry),
                    });
                }
            },
        };
        Ok((
            endpoint.join(wanted.file()),
            endpoint.authorization().map(str::to_owned),
        ))
    }

    /// Where the Python package index says that a file is.
    fn address_in_index(
        &self,
        artifact: &Artifact,
    ) -> Result<(String, Option<String>), EnvironmentError> {
        let endpoint = self.sources.endpoint(Registry::Pypi)?;
        let files = pypi::files(&artifact.name, self.sources, &self.client)?;
        let file = files.into_iter().find(|file| file.name == artifact.file);
        let url = file
            .map(|file| file.url)
            .ok_or_else(|| EnvironmentError::Download {
                what: artifact.file.clone(),
                reason: "the index does not list it".to_owned(),
                temporary: false,
            })?;
        let authorization = endpoint.authorization_for(&url).map(str::to_owned);
        Ok((url, authorization))
    }

    /// The verified files of packages, all of which were downloaded before; fetched again when
    /// pruned meanwhile.
    fn downloaded<'a>(
        &'a self,
        packages: &'a [DebianPackage],
    ) -> Result<Vec<Downloaded<'a>>, EnvironmentError> {
        packages
            .iter()
            .map(|package| {
                Ok(Downloaded {
                    package,
                    file: self.fetch(&Wanted::Package(package), &|_| {})?,
                    architecture: &self.lock.architecture,
                })
            })
            .collect()
    }

    fn make_unpacked(&self, keys: &Keys) -> Result<(), EnvironmentError> {
        let lock = self.lock;
        for (toolchain, key) in lock.toolchains.iter().zip(&keys.toolchains) {
            let title = format!("unpack {} {}", toolchain.tool, toolchain.version);
            self.once(key, &title, |staging| {
                let files: Vec<PathBuf> = toolchain
                    .artifacts
                    .iter()
                    .map(|artifact| self.fetch(&Wanted::Artifact(artifact), &|_| {}))
                    .collect::<Result<_, _>>()?;
                tree::make(&staging.join("fs"), toolchain, &files)
            })?;
        }
        self.once(
            &keys.run_base,
            &format!("unpack the base of images ({})", lock.suite),
            |staging| root::make_run_base(staging, &self.downloaded(&lock.run_base)?),
        )?;
        if let Some(key) = &keys.run_from_base {
            self.once(
                key,
                &format!("unpack {}", names(&lock.run_from_base)),
                |staging| {
                    root::unpack_for_run(
                        &staging.join("fs"),
                        &self.downloaded(&lock.run_from_base)?,
                    )
                },
            )?;
        }
        Ok(())
    }

    fn make_installed(&self, keys: &Keys, runner: &dyn RootRunner) -> Result<(), EnvironmentError> {
        let lock = self.lock;
        let title = format!("make the {} build root", lock.suite);
        self.once(&keys.base, &title, |staging| {
            root::make_base(staging, &self.downloaded(&lock.base)?, &title, runner)
        })?;
        let mut lowers = vec![self.tree(&keys.base)];
        for (key, packages) in [(&keys.run, &lock.run), (&keys.build, &lock.build)] {
            let Some(key) = key else { continue };
            let title = format!("install {}", names(packages));
            self.once(key, &title, |staging| {
                root::install(
                    staging,
                    &lowers,
                    &self.downloaded(packages)?,
                    &title,
                    runner,
                )
            })?;
            lowers.push(self.tree(key));
        }
        Ok(())
    }

    fn roots(&self, keys: &Keys) -> Roots {
        let mut stacked = vec![&keys.base];
        stacked.extend([&keys.run, &keys.build].into_iter().flatten());
        let toolchains = self.lock.toolchains.iter().zip(&keys.toolchains);
        stacked.extend(
            toolchains
                .filter(|(toolchain, _)| toolchain.build)
                .map(|(_, key)| key),
        );
        let paths = |wanted: &dyn Fn(&LockedToolchain) -> bool| -> Vec<String> {
            let mut tools: Vec<&LockedToolchain> =
                self.lock.toolchains.iter().filter(|t| wanted(t)).collect();
            tools.sort_by_key(|tool| !named(&tool.tool).is_some_and(|tool| tool.first));
            tools
                .iter()
                .map(|tool| format!("/{}/bin", tree::folder(tool)))
                .collect()
        };
        Roots {
            build: stacked.iter().map(|key| self.tree(key)).collect(),
            key: Key::build("build roots")
                .list("trees", stacked.iter().map(|key| key.as_str()))
                .finish(),
            run: self.run_trees(keys),
            around: Surroundings {
                build_path: paths(&|tool| tool.build),
                run_path: paths(&|tool| tool.run),
                variables: self.variables(),
                notes: self.notes(),
                ..Surroundings::default()
            },
        }
    }

    fn run_trees(&self, keys: &Keys) -> Vec<RunTree> {
        let lock = self.lock;
        let excluded = || root::NOT_IN_IMAGES.map(str::to_owned).to_vec();
        let tree = |key: &Key, cause, title: String, excluded: Vec<String>, overlay| RunTree {
            dir: self.tree(key),
            key: Key::build("run tree")
                .field("tree", key.as_str())
                .list("excluded", &excluded)
                .finish(),
            cause,
            title,
            excluded,
            overlay,
        };
        let mut trees = vec![tree(
            &keys.run_base,
            Cause::Base,
            format!("Debian {} base", lock.suite),
            Vec::new(),
            false,
        )];
        if let Some(key) = &keys.run_from_base {
            trees.push(tree(
                key,
                Cause::System,
                names(&lock.run_from_base),
                Vec::new(),
                false,
            ));
        }
        if let Some(key) = &keys.run {
            trees.push(tree(key, Cause::System, names(&lock.run), excluded(), true));
        }
        for (toolchain, key) in lock
            .toolchains
            .iter()
            .zip(&keys.toolchains)
            .filter(|(toolchain, _)| toolchain.run)
        {
            let title = format!("{} {}", toolchain.tool, toolchain.version);
            trees.push(tree(
                key,
                Cause::Toolchain,
                title,
                tree::build_only(toolchain),
                false,
            ));
        }
        trees
    }

    /// Where the toolchains count and log their own runs.
    fn notes(&self) -> Vec<String> {
        let toolchains = self.lock.toolchains.iter();
        let notes: BTreeSet<&str> = toolchains
            .filter_map(|toolchain| named(&toolchain.tool))
            .flat_map(|tool| tool.notes.iter().copied())
            .collect();
        notes.into_iter().map(str::to_owned).collect()
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let packages = self.lock.build.iter().chain(&self.lock.run);
        let compiles = packages
            .map(|package| package.name.as_str())
            .any(|name| name == "build-essential");
        let toolchains = self.lock.toolchains.iter().filter(|locked| locked.build);
        let rows = toolchains.filter_map(|locked| Some((locked, named(&locked.tool)?)));
        let all = &self.lock.toolchains;
        rows.flat_map(|(locked, tool)| variables_of(tool, locked, all, compiles))
            .collect()
    }
}

fn variables_of(
    tool: &'static Toolchain,
    locked: &LockedToolchain,
    all: &[LockedToolchain],
    compiles: bool,
) -> impl Iterator<Item = (String, String)> {
    let folder = format!("/{}", tree::folder(locked));
    let wanted = tool.variables.iter();
    wanted
        .filter(move |variable| compiles || !variable.for_compiling)
        .map(move |variable| {
            let value = variable.value.replace("{folder}", &folder);
            let others = all.iter().map(|other| other.tool.as_str());
            let name = variable.name_beside(&locked.version, others);
            (name.to_owned(), value)
        })
}

/// At most four names, for titles.
fn names(packages: &[DebianPackage]) -> String {
    let shown: Vec<&str> = packages
        .iter()
        .take(4)
        .map(|package| package.name.as_str())
        .collect();
    match packages.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

enum Wanted<'a> {
    Package(&'a DebianPackage),
    Artifact(&'a Artifact),
}

impl Wanted<'_> {
    fn file(&self) -> &str {
        match self {
            Self::Package(package) => &package.filename,
            Self::Artifact(artifact) => &artifact.file,
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Self::Package(package) => Some(package.size),
            Self::Artifact(artifact) => artifact.size,
        }
    }

    fn promise(&self) -> Option<Promise> {
        match self {
            Self::Package(package) => Promise::parse(&format!("sha256:{}", package.sha256)),
            Self::Artifact(artifact) => Promise::parse(&artifact.hash),
        }
    }
}
