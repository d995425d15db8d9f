//! From tool requests to a lock, and from a lock to root file systems.
//!
//! Owns where tools come from (Nix, Debian's signed archive, toolchains from the language registries),
//! which exact versions a request means, and the trees that phases and images are made of. Knows
//! no language and runs nothing itself: scripts of packages run through [`RootRunner`], which the
//! pipeline implements.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use packwright_providers::{BuildPlan, Start};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cache::{Cache, CacheError, Key};
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::unpack::UnpackError;

mod catalog;
mod debian;
mod endpoint;
mod examine;
mod http;
mod lock;
mod lock_file;
mod machine;
mod nix;
mod realise;
mod toolchain;

pub use catalog::{Need, needs};
pub use endpoint::{Endpoint, Registry, Sources};
pub use examine::{Finding, catalog_attributes, examine, nix_usage, sweep_nix};
pub use lock::{Artifact, DebianPackage, LockedDebian, LockedToolchain};
pub use lock_file::LockFile;
pub use machine::Machine;
pub use nix::{Closure, LockedNix, NixRequest, NixSettings, StorePath};

/// What went wrong between a request and its root file systems.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// Nothing on this machine says where a registry is.
    #[error("no {registry} is configured: set {variable}, or configure {client}")]
    NoEndpoint {
        /// `npm registry`, `Debian mirror`.
        registry: &'static str,
        /// The variable of ours that names it.
        variable: &'static str,
        /// The client whose configuration would be used.
        client: &'static str,
    },
    /// A configured address cannot be used.
    #[error("the {registry} address from {provenance} cannot be used: {reason}")]
    BadEndpoint {
        /// Which registry.
        registry: &'static str,
        /// Where the address was found.
        provenance: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A download failed after all retries.
    #[error("download {what}: {reason}")]
    Download {
        /// What was wanted, in the registry's words, without credentials.
        what: String,
        /// Why it failed.
        reason: String,
        /// True when trying again later may help.
        temporary: bool,
    },
    /// Downloaded bytes are not those that were promised; they were thrown away.
    #[error("{what} has {found}, but {expected} was promised by {authority}; it was not kept")]
    Mismatch {
        /// The artifact.
        what: String,
        /// The hash or size that was promised.
        expected: String,
        /// What came instead.
        found: String,
        /// Who promised: `the signed index`, `the lock`.
        authority: &'static str,
    },
    /// A registry's answer does not have the expected form.
    #[error("cannot read {what}: {reason}")]
    Malformed {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The archive's signature could not be verified.
    #[error("the signature of {what} is not valid: {reason}")]
    Signature {
        /// Which document.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The archive's index is too old or from the future.
    #[error("{what} {reason}")]
    Expired {
        /// Which document.
        what: String,
        /// By how much, and what to do.
        reason: String,
    },
    /// The keyring of the distribution is missing.
    #[error(
        "no Debian archive keyring at {path}: install debian-archive-keyring or set PACKWRIGHT_DEBIAN_KEYRING"
    )]
    NoKeyring {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A name that no source knows.
    #[error("no {kind} is called {name}{}", nearest_text(.nearest))]
    Unknown {
        /// `tool or package`, `Debian package in trixie`.
        kind: String,
        /// The name asked for.
        name: String,
        /// Existing names that look alike.
        nearest: Vec<String>,
    },
    /// A known tool that can be had from none of the sources here.
    #[error("{tool} is in neither Debian nor a language registry")]
    Elsewhere {
        /// The tool.
        tool: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A version that no source has.
    #[error("no {tool} matches {range}; {available}")]
    NoVersion {
        /// The tool.
        tool: String,
        /// The range asked for.
        range: String,
        /// What there is, with the nearest first.
        available: String,
    },
    /// A version that no nixpkgs has which is named or known here.
    #[error("no {tool} matches {range}; {available}")]
    NotInNixpkgs {
        /// The tool.
        tool: String,
        /// The range asked for.
        range: String,
        /// What there is, with the nearest first, and how to get another.
        available: String,
    },
    /// Nix is asked for, and this machine has none that can be used.
    #[error("nix cannot be used: {0}")]
    NoNix(String),
    /// Nix is asked for, and nothing says which packages.
    #[error("no nixpkgs is named, and this program was built without one")]
    NoNixpkgs,
    /// Nix could not do what was asked of it.
    #[error("{what}: {reason}")]
    Nix {
        /// `evaluate phases.setup.nixExpr, line 3`, `build nodejs-22.20.0`.
        what: String,
        /// Why not, in Nix's words.
        reason: String,
        /// What the builder wrote last.
        details: Vec<String>,
        /// What to do.
        hint: Option<&'static str>,
    },
    /// A plan or a lock of the app's names files of this machine that are not the app's.
    #[error("{place} names {what}, which is no part of the app")]
    Outside {
        /// Where: `nixOverlays`, `packwright.lock`.
        place: String,
        /// The path or the reference.
        what: String,
    },
    /// A lock is asked for, and the one that there is, if any, is not for this build.
    #[error("packwright.lock cannot be used: {0}")]
    NotLocked(&'static str),
    /// Two requests that cannot hold together.
    #[error("{0}")]
    Conflict(String),
    /// A dependency that the archive cannot satisfy.
    #[error("{package} needs {relation}, which {suite} does not have")]
    Unsatisfied {
        /// The package with the dependency.
        package: String,
        /// The relation as the index has it.
        relation: String,
        /// The suite.
        suite: String,
    },
    /// A script of a package failed.
    #[error("{title} failed: {reason}")]
    Script {
        /// What ran.
        title: String,
        /// What the runner said.
        reason: String,
    },
    /// This machine's architecture has no source.
    #[error("no toolchains for the {0} architecture")]
    Architecture(String),
    /// Nix is asked for packages of another kind of machine.
    #[error("packages of Nix for {0} cannot be made on this machine")]
    ForeignNix(&'static str),
    /// A file system call failed.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// An archive could not be unpacked.
    #[error("unpack {what}")]
    Unpack {
        /// Which archive.
        what: String,
        /// Why not.
        source: UnpackError,
    },
    /// The cache folder failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

fn nearest_text(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(", ")),
    }
}

pub(crate) fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> EnvironmentError {
    move |source| EnvironmentError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// What a plan asks of its environment, as the plan says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentRequest {
    /// Tools and attributes that phases need: `nodejs@22`, `ffmpeg`.
    pub build_tools: Vec<String>,
    /// Tools and attributes that the started app needs.
    pub run_tools: Vec<String>,
    /// Debian packages that phases need.
    pub build_apt: Vec<String>,
    /// Debian packages that the started app needs.
    pub run_apt: Vec<String>,
    /// The plan does not say what stays, so everything does.
    pub run_everything: bool,
    /// The same, and more, as Nix needs it.
    pub nix: NixRequest,
}

impl EnvironmentRequest {
    /// The union of what the phases ask for, and what `start` says stays. A `start` that says
    /// nothing of packages, as in a plan that nixpacks wrote, keeps everything.
    pub fn from_plan(plan: &BuildPlan) -> Self {
        let mut request = Self::default();
        for phase in plan.phases.values() {
            request.build_tools.extend(
                phase
                    .nix_pkgs
                    .iter()
                    .chain(&phase.nix_libs)
                    .flatten()
                    .cloned(),
            );
            request
                .build_apt
                .extend(phase.apt_pkgs.iter().flatten().cloned());
        }
        match &plan.start {
            Some(Start {
                nix_pkgs, apt_pkgs, ..
            }) if nix_pkgs.is_some() || apt_pkgs.is_some() => {
                request.run_tools.extend(nix_pkgs.iter().flatten().cloned());
                request.run_apt.extend(apt_pkgs.iter().flatten().cloned());
                request.keep_health_checks();
            }
            _ => request.run_everything = true,
        }
        request.nix = NixRequest::from_plan(plan);
        let lists = [
            &mut request.build_tools,
            &mut request.run_tools,
            &mut request.build_apt,
            &mut request.run_apt,
        ];
        for list in lists {
            list.sort();
            list.dedup();
        }
        request
    }

    /// Platforms add these to the packages of the finished plan's setup, to ask the running app
    /// with. No phase needs them alone.
    fn keep_health_checks(&mut self) {
        const HEALTH_CHECKS: [&str; 2] = ["curl", "wget"];
        let asked = self.build_apt.iter();
        let kept = asked.filter(|name| HEALTH_CHECKS.contains(&name.as_str()));
        self.run_apt.extend(kept.cloned());
    }
}

/// Runs the scripts of packages in a root file system.
pub trait RootRunner {
    /// Runs one job to its end; the error is what a person should read.
    fn run(&self, job: &RootJob<'_>) -> Result<(), String>;
}

/// A script to run over stacked trees.
pub struct RootJob<'a> {
    /// For progress and errors.
    pub title: &'a str,
    /// Read-only trees, bottom first.
    pub lowers: &'a [PathBuf],
    /// An empty folder on the same file system; receives the changes as an overlayfs upper folder
    /// (deletions as character devices 0:0, `user.overlay.*` attributes).
    pub upper: &'a Path,
    /// Read-only binds: a host path, and an absolute target whose folder exists in a lower tree.
    pub binds: Vec<(PathBuf, String)>,
    /// The whole environment of the script.
    pub env: BTreeMap<String, String>,
    /// Run by `/bin/sh -e -c` as root of the container.
    pub script: &'a str,
}

/// Every package of an environment, exactly, from one source of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "packages", rename_all = "lowercase")]
pub enum LockedEnvironment {
    /// Debian's packages and the registries' toolchains.
    Debian(LockedDebian),
    /// Packages of Nix, and Debian's where the plan asks for those by name.
    Nix(Box<LockedNix>),
}

/// The trees of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// Trees that phases run on, bottom first.
    pub build: Vec<PathBuf>,
    /// Trees that the image is made of, bottom first.
    pub run: Vec<RunTree>,
    /// What there is beside the trees.
    pub around: Surroundings,
    /// Identifies the build trees.
    pub key: Key,
}

/// What phases and the started app have of an environment beside its trees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Store paths that phases see over the trees; none without Nix.
    pub build_store: Closure,
    /// Store paths that the image has over the trees; none without Nix.
    pub run_store: Closure,
    /// `PATH` entries of phases beyond the system's own, first wins.
    pub build_path: Vec<String>,
    /// `PATH` entries of the started app beyond the system's own, first wins.
    pub run_path: Vec<String>,
    /// Variables that the toolchains need in phases.
    pub variables: BTreeMap<String, String>,
    /// Variables that the started app needs.
    pub run_variables: BTreeMap<String, String>,
    /// Paths, relative to the root, where toolchains keep notes of their own runs: they differ
    /// from run to run and are no part of an image.
    pub notes: Vec<String>,
}

/// A tree of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTree {
    /// The tree's folder.
    pub dir: PathBuf,
    /// Identifies its content, with what is excluded.
    pub key: Key,
    /// Why it is there; layers are grouped by it.
    pub cause: Cause,
    /// For the layer's history: `nodejs 22.21.1`.
    pub title: String,
    /// Globs of paths, relative to the tree, that do not go into the image.
    pub excluded: Vec<String>,
    /// The tree is an overlayfs upper folder: deletions are character devices.
    pub overlay: bool,
}

/// What a builder elsewhere makes an environment from, without this machine's sandbox.
#[derive(Debug, Clone, Default)]
pub struct Kit {
    /// What phases stand on, in the order in which it is put into one root.
    pub parts: Vec<KitPart>,
    /// Trees that the image is made of, bottom first; what scripts of packages make comes beside.
    pub run: Vec<RunTree>,
    /// What there is beside the trees.
    pub around: Surroundings,
}

/// One step of making an environment.
#[derive(Debug, Clone)]
pub enum KitPart {
    /// Files to put over those that are there.
    Tree(RunTree),
    /// A script to run on those that are there.
    Script(KitScript),
}

/// A script of the environment and the packages that it installs.
#[derive(Debug, Clone)]
pub struct KitScript {
    /// For file names and comments.
    pub title: String,
    /// File name and place on this machine of each package.
    pub packages: Vec<(String, PathBuf)>,
    /// The folder of the root where the script looks for them.
    pub packages_at: &'static str,
    /// The whole environment of the script.
    pub env: BTreeMap<String, String>,
    /// Run by `/bin/sh -e -c` as root of the container.
    pub script: &'static str,
    /// What it changes is part of the image, but for this.
    pub stays: Option<Leavings>,
}

/// What scripts of packages leave that is no part of an image; paths relative to the root.
#[derive(Debug, Clone)]
pub struct Leavings {
    /// Globs.
    pub excluded: Vec<&'static str>,
    /// Folders whose files are left out, though not their folders.
    pub emptied: Vec<&'static str>,
    /// Files.
    pub removed: Vec<&'static str>,
}

/// Why a tree is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The C library, a shell, certificates: the same for every app of a suite.
    Base,
    /// Debian packages that the app asks for.
    System,
    /// A language's toolchain.
    Toolchain,
}

/// Which packages an environment is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Packages {
    /// Nix where it can be used at once, else Debian.
    #[default]
    Auto,
    /// Nix, or an error.
    Nix,
    /// Debian and the registries of languages.
    Debian,
}

/// What making an environment needs beside the request.
pub struct Context<'a> {
    /// The app's folder: where files of the plan are.
    pub folder: &'a Path,
    /// Which packages.
    pub packages: Packages,
    /// For which machine; none is this one.
    pub machine: Option<Machine>,
    /// How Nix is used.
    pub nix: &'a NixSettings,
    /// Where registries are.
    pub sources: &'a Sources,
    /// The cache folder.
    pub cache: &'a Cache,
    /// Hears what happens.
    pub report: &'a dyn Report,
    /// Signals that ask for the end.
    pub interrupt: &'a Interrupt,
}

impl Context<'_> {
    /// The machine that packages are for.
    fn machine(&self) -> Result<Machine, EnvironmentError> {
        let machine = self.machine.or_else(Machine::own);
        machine.ok_or_else(|| EnvironmentError::Architecture(std::env::consts::ARCH.to_owned()))
    }
}

/// Chooses exact versions for a request. Uses the network unless the same request was resolved
/// within the last day.
pub fn resolve_lock(
    request: &EnvironmentRequest,
    context: &Context<'_>,
) -> Result<LockedEnvironment, EnvironmentError> {
    let machine = context.machine()?;
    let foreign = Some(machine) != Machine::own();
    let nix = match context.packages {
        Packages::Nix if foreign => return Err(EnvironmentError::ForeignNix(machine.nix())),
        Packages::Nix => Some(nix::find(context)?),
        Packages::Auto if !foreign => nix::offered(context),
        Packages::Debian | Packages::Auto => None,
    };
    match nix {
        Some(nix) => Ok(LockedEnvironment::Nix(Box::new(nix.resolve(request)?))),
        None => lock::resolve(request, context).map(LockedEnvironment::Debian),
    }
}

/// Whether a lock that was kept with the app may be used: nothing in it reaches what is not the app's.
pub fn admit(lock: &LockedEnvironment, context: &Context<'_>) -> Result<(), EnvironmentError> {
    match lock {
        // All of it comes by hash from the archives that this machine names.
        LockedEnvironment::Debian(_) => Ok(()),
        LockedEnvironment::Nix(lock) => nix::find(context)?.admit(lock, LockFile::NAME),
    }
}

/// Makes the trees of a lock, or finds them in the cache. Uses the network only for artifacts that
/// the cache does not have; nothing that is not named by hash in the lock enters a tree.
pub fn realise(
    lock: &LockedEnvironment,
    context: &Context<'_>,
    runner: &dyn RootRunner,
) -> Result<Roots, EnvironmentError> {
    match lock {
        LockedEnvironment::Debian(lock) => {
            realise::realise(lock, context.sources, context.cache, runner, context.report)
        }
        LockedEnvironment::Nix(lock) => nix::find(context)?.realise(lock, runner),
    }
}

/// Makes what a builder elsewhere needs to make the trees of a lock. Uses the network as
/// [`realise`] does, and runs nothing but Nix.
pub fn kit(lock: &LockedEnvironment, context: &Context<'_>) -> Result<Kit, EnvironmentError> {
    match lock {
        LockedEnvironment::Debian(lock) => {
            realise::kit(lock, context.sources, context.cache, context.report)
        }
        LockedEnvironment::Nix(lock) => nix::find(context)?.kit(lock),
    }
}

#[cfg(test)]
mod tests {
    use packwright_providers::Phase;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as the plan's lists are")]
    fn list(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn plan(start: Start) -> BuildPlan {
        let setup = Phase {
            nix_pkgs: list(&["nodejs@22", "ffmpeg"]),
            apt_pkgs: list(&["jq"]),
            ..Phase::default()
        };
        let install = Phase {
            nix_pkgs: list(&["ffmpeg"]),
            nix_libs: list(&["zlib"]),
            ..Phase::default()
        };
        BuildPlan {
            phases: [("setup".to_owned(), setup), ("install".to_owned(), install)].into(),
            start: Some(start),
            ..BuildPlan::default()
        }
    }

    #[test]
    fn phases_are_joined_and_start_says_what_stays() {
        let start = Start {
            nix_pkgs: list(&["nodejs@22"]),
            ..Start::default()
        };
        let request = EnvironmentRequest::from_plan(&plan(start));
        assert_eq!(request.build_tools, ["ffmpeg", "nodejs@22", "zlib"]);
        assert_eq!(request.build_apt, ["jq"]);
        assert_eq!(request.run_tools, ["nodejs@22"]);
        assert!(request.run_apt.is_empty() && !request.run_everything);
    }

    #[test]
    fn a_start_that_is_silent_about_packages_keeps_everything() {
        assert!(EnvironmentRequest::from_plan(&plan(Start::default())).run_everything);
        let nothing = Start {
            nix_pkgs: Some(Vec::new()),
            ..Start::default()
        };
        assert!(!EnvironmentRequest::from_plan(&plan(nothing)).run_everything);
    }
}
