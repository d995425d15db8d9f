//! From errors to exit codes and hints: one place that says how each failure is told.
//!
//! Bands: 1 general, 2 usage, 20s detect and plan, 30s environment, 50s a phase failed, 60s image,
//! 70s destination, 75 temporary, 128 + n a signal.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use packwright_providers::PlanError;

use crate::cache::CacheError;
use crate::engine::docker::DaemonError;
use crate::engine::{EngineError, Tail};
use crate::environment::EnvironmentError;
use crate::image::ImageError;
use crate::pipeline::{PipelineError, SourceError};

/// What helps when a file changed under a build.
const STILL: &str = "build again when nothing writes to the folder";

/// How a failure is told: an exit code, a hint, lines of detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The process's exit code.
    pub code: u8,
    /// The message; its cause is the wrapped error where there is one.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Lines to show below the message.
    pub details: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

impl Failure {
    /// Wrong arguments.
    pub fn usage(message: String) -> Self {
        Self {
            code: 2,
            message,
            hint: Some("packwright --help lists the verbs and flags".to_owned()),
            details: Vec::new(),
        }
    }

    /// A file that was asked for cannot be written.
    pub fn unwritable(path: &Path, error: &io::Error) -> Self {
        let mut failure = Self::new(70, error, None);
        failure.message = format!("write {}: {}", path.display(), failure.message);
        failure
    }

    /// The failure that an error of the command line was made from.
    pub fn of(error: &anyhow::Error) -> Option<Self> {
        error.downcast_ref::<Self>().cloned()
    }

    fn new(code: u8, error: &(dyn Error + 'static), hint: Option<String>) -> Self {
        let space = storage_hint(error);
        Self {
            code,
            message: chain(error),
            hint: space.or(hint),
            details: Vec::new(),
        }
    }
}

/// An error and its causes in one line each; a cause that its error already quotes is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A hint for errors of the disk, wherever in the chain they are.
fn storage_hint(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::StorageFull => Some(
                    "free some space, or let packwright: packwright cache prune --older-than 7"
                        .to_owned(),
                ),
                io::ErrorKind::QuotaExceeded => {
                    Some("your quota on this disk is used up".to_owned())
                }
                io::ErrorKind::ReadOnlyFilesystem => Some(
                    "choose a folder that can be written: --cache-dir or PACKWRIGHT_CACHE_DIR"
                        .to_owned(),
                ),
                _ => None,
            };
        }
        cause = error.source();
    }
    None
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let hint = error.hint();
        Self::new(21, &error, hint)
    }
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        let CacheError::Io { path, source, .. } = &error;
        let hint = foreign_hint(path, source);
        Self::new(34, &error, hint)
    }
}

/// A hint for a folder of caches that another user's build made, such as one with sudo.
fn foreign_hint(path: &Path, error: &io::Error) -> Option<String> {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    denied.then(|| {
        format!(
            "{} may belong to another user, as after a build with sudo: give it back with sudo chown -R \"$USER\", or choose another folder with --cache-dir",
            path.display()
        )
    })
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        let (code, hint) = match &error {
            ImageError::Reference { .. } | ImageError::Destination { .. } => (2, None),
            ImageError::NotFound(_) => (61, Some("packwright images ls lists the local images")),
            ImageError::Ambiguous(_) => (61, Some("give more of the digest")),
            ImageError::Damaged { .. } => (
                62,
                Some("remove the image with packwright images rm and build it again"),
            ),
            ImageError::Io { path, source, .. } if is_of_store(path) => {
                let hint = foreign_hint(path, source);
                return Self::new(60, &error, hint);
            }
            ImageError::Changed(_) => (24, Some(STILL)),
            ImageError::Io { .. }
            | ImageError::WhiteoutName(_)
            | ImageError::Malformed { .. }
            | ImageError::Unpack { .. } => (60, None),
        };
        Self::new(code, &error, hint.map(str::to_owned))
    }
}

/// Whether a path is one of the local store, and no destination of the user's.
fn is_of_store(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "images" || part.as_os_str() == "blobs")
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let (code, hint) = match &error {
            EngineError::Namespaces { hint, .. } => (35, Some(hint.clone())),
            EngineError::Execute { .. } => (127, None),
            EngineError::Interrupted => (130, None),
            EngineError::Sandbox { action, .. } if action == "mount the overlay" => (
                36,
                Some(
                    "the caches must be on a file system such as ext4, xfs or btrfs, not on a container's own: --cache-dir or PACKWRIGHT_CACHE_DIR"
                        .to_owned(),
                ),
            ),
            EngineError::Sandbox { .. } | EngineError::Lost(_) | EngineError::Io { .. } => {
                (36, None)
            }
        };
        Self::new(code, &error, hint)
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let (code, hint) = match &error {
            DaemonError::Address { .. } | DaemonError::Argument { .. } => (2, None),
            DaemonError::Unreachable { .. } => (
                37,
                Some(
                    "start it, name another with --docker-host, or build without it: --engine native",
                ),
            ),
            DaemonError::NoBuildKit(_) | DaemonError::Unable(_) => (38, None),
            DaemonError::Certificates { .. }
            | DaemonError::Protocol(_)
            | DaemonError::Io { .. } => (37, None),
            DaemonError::Phase { tail, .. } | DaemonError::Build { tail, .. } => {
                // What is no phase's makes the environment.
                let phase = matches!(error, DaemonError::Phase { .. });
                let mut failure = Self::new(if phase { 50 } else { 30 }, &error, None);
                failure.details.clone_from(tail);
                return failure;
            }
            DaemonError::Changed(_) => (24, Some(STILL)),
            DaemonError::Export(_) | DaemonError::Destination { .. } => (70, None),
            DaemonError::Push { .. } => (
                70,
                Some(
                    "passwords are those of Docker's own client: docker login REGISTRY; the name must begin with the registry",
                ),
            ),
            DaemonError::Interrupted => (130, None),
        };
        Self::new(code, &error, hint.map(str::to_owned))
    }
}

impl From<EnvironmentError> for Failure {
    fn from(error: EnvironmentError) -> Self {
        let (code, hint) = match &error {
            EnvironmentError::NoVersion { tool, .. } if tool == "python" => (
                31,
                Some(
                    "Python is Debian's: set NIXPACKS_PYTHON_VERSION to one of these, or widen the range in the file that \
                     `packwright explain` names",
                ),
            ),
            EnvironmentError::Unknown { .. }
            | EnvironmentError::NoVersion { .. }
            | EnvironmentError::NotInNixpkgs { .. } => (31, None),
            EnvironmentError::NoNixpkgs => (
                32,
                Some(
                    "say --nixpkgs, or set PACKWRIGHT_NIXPKGS: a folder, a flake such as github:NixOS/nixpkgs/nixos-26.05, or the \
                     address of an archive with # and its hash",
                ),
            ),
            EnvironmentError::Elsewhere { remedy, .. } => (31, Some(*remedy)),
            EnvironmentError::NoNix(_) => (
                30,
                Some(
                    "--packages debian needs none; --packages auto takes nix only where it is ready",
                ),
            ),
            EnvironmentError::ForeignNix(_) => (
                30,
                Some("leave out --platform, or take packages from Debian: --packages debian"),
            ),
            EnvironmentError::Outside { .. } => (
                30,
                Some(
                    "what an app brings reads its own files alone: copy it into the app's folder, give an archive's hash, or name a \
                     nixpkgs with --nixpkgs",
                ),
            ),
            EnvironmentError::NotLocked(_) => (
                30,
                Some(
                    "packwright lock makes one for this plan; without --locked the build chooses packages itself",
                ),
            ),
            EnvironmentError::Nix { details, hint, .. } => {
                let mut failure = Self::new(30, &error, hint.map(str::to_owned));
                failure.details.clone_from(details);
                return failure;
            }
            EnvironmentError::Download {
                temporary: true, ..
            } => (75, Some("try again; what was fetched is kept")),
            EnvironmentError::Download { .. }
            | EnvironmentError::NoEndpoint { .. }
            | EnvironmentError::BadEndpoint { .. } => (32, None),
            EnvironmentError::Signature { .. }
            | EnvironmentError::Expired { .. }
            | EnvironmentError::Mismatch { .. }
            | EnvironmentError::NoKeyring { .. } => (33, None),
            EnvironmentError::Cache(_) => (34, None),
            EnvironmentError::Malformed { .. }
            | EnvironmentError::Conflict(_)
            | EnvironmentError::Unsatisfied { .. }
            | EnvironmentError::Script { .. }
            | EnvironmentError::Architecture(_)
            | EnvironmentError::Io { .. }
            | EnvironmentError::Unpack { .. } => (30, None),
        };
        Self::new(code, &error, hint.map(str::to_owned))
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let plain = |code, hint: Option<&str>| Self::new(code, &error, hint.map(str::to_owned));
        match error {
            PipelineError::Plan(error) => error.into(),
            PipelineError::Daemon(error) => error.into(),
            PipelineError::Environment(error) => error.into(),
            PipelineError::Engine(error) => error.into(),
            PipelineError::Image(error) => error.into(),
            PipelineError::Cache(error) => error.into(),
            PipelineError::NothingDetected(_, ref advice) => {
                let mut failure = plain(
                    22,
                    Some("say how by a nixpacks.toml, or by --build-cmd and --start-cmd"),
                );
                failure.details.clone_from(advice);
                failure
            }
            PipelineError::NoStart(_) => plain(
                23,
                Some(
                    "set it: --start-cmd, [start] cmd in nixpacks.toml, or a Procfile; or --no-error-without-start",
                ),
            ),
            PipelineError::StartNotFound { .. } => plain(
                63,
                Some(
                    "correct the start command, or add its package: --apt or start.aptPkgs; --no-error-without-start builds all the same",
                ),
            ),
            PipelineError::Source(SourceError::Changed(_)) => plain(24, Some(STILL)),
            PipelineError::Source(_) => plain(24, None),
            PipelineError::PhaseFailed {
                ref tail,
                carriage_return,
                ..
            } => {
                let hint = if carriage_return {
                    Some(
                        "a script has Windows line ends (CR LF): convert it with sed -i 's/\\r$//'",
                    )
                } else {
                    let cut = tail.len() == Tail::LINES;
                    cut.then_some("these are the last lines; `packwright logs` prints all of them")
                };
                let mut failure = plain(50, hint);
                failure.details.clone_from(tail);
                failure
            }
            PipelineError::Interrupted(signal) => {
                plain(u8::try_from(128 + signal).unwrap_or(130), None)
            }
            PipelineError::Destination { .. } => plain(70, None),
            PipelineError::Folder(_) => plain(2, None),
            PipelineError::Template(_) => plain(1, None),
            PipelineError::UnknownUser(_) => {
                plain(63, Some("use a numeric user, or create it in a phase"))
            }
            PipelineError::AssetName(_) | PipelineError::Setting { .. } => plain(21, None),
            PipelineError::Io { .. } => plain(60, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_of_another_user_is_told_with_what_to_do() {
        let error = CacheError::Io {
            action: "create",
            path: "/home/me/.cache/packwright/v1".into(),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        let hint = Failure::from(error).hint.unwrap();
        assert!(
            hint.starts_with("/home/me/.cache/packwright/v1 may belong"),
            "{hint}"
        );
    }

    #[test]
    fn where_lines_of_a_failed_phase_are_left_out_it_is_told_where_they_are() {
        let failure = |lines: usize| {
            Failure::from(PipelineError::PhaseFailed {
                phase: "install".to_owned(),
                command: "npm ci".to_owned(),
                exit: crate::engine::Exit::Code(1),
                tail: vec!["npm error".to_owned(); lines],
                carriage_return: false,
            })
        };
        assert_eq!(failure(Tail::LINES - 1).hint, None);
        assert!(
            failure(Tail::LINES)
                .hint
                .unwrap()
                .contains("packwright logs")
        );
    }

    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = CacheError::Io {
            action: "write",
            path: "/x".into(),
            source,
        };
        let failure = Failure::from(error);
        assert_eq!(failure.code, 34);
        assert!(failure.hint.is_some_and(|hint| hint.contains("prune")));
    }
}
