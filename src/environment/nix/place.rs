//! Which store Nix uses, and where the files of that store are.

use std::path::{Path, PathBuf};

use crate::environment::Context;

/// Where a store's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Below `/`.
    Machine,
    /// Below a folder, which Nix sees as the root.
    Folder(PathBuf),
    /// On another machine; closures are copied into the store of this folder.
    Elsewhere(PathBuf),
}

impl Place {
    /// Whether builders are started by this process' Nix, and not by a daemon's or another machine's.
    pub(super) fn has_our_builders(&self) -> bool {
        match self {
            Self::Machine => is_writable(),
            Self::Folder(_) | Self::Elsewhere(_) => true,
        }
    }
}

/// Whether the machine's own store can be written without a daemon.
fn is_writable() -> bool {
    rustix::fs::access("/nix/store", rustix::fs::Access::WRITE_OK).is_ok()
}

/// The store to use: the one that the user names, the machine's, or one of ours, so that nothing is
/// written outside the cache's folder on a machine that has no store.
pub(super) fn store_of(context: &Context<'_>, own: &Path) -> (Place, Option<String>) {
    let named = context.nix.store.clone().or_else(|| {
        std::env::var("NIX_REMOTE")
            .ok()
            .filter(|store| !store.is_empty())
    });
    let Some(store) = named else {
        let usable = is_writable() || Path::new("/nix/var/nix/daemon-socket/socket").exists();
        return if usable {
            (Place::Machine, None)
        } else {
            (
                Place::Folder(own.to_owned()),
                Some(own.display().to_string()),
            )
        };
    };
    let parameters = store.split_once('?').map_or("", |(_, rest)| rest);
    let root = parameters
        .split('&')
        .find_map(|pair| pair.strip_prefix("root="));
    let place = match root {
        Some(root) => Place::Folder(PathBuf::from(root)),
        None if store.starts_with('/') => Place::Folder(PathBuf::from(&store)),
        None if ["auto", "daemon", "local"].contains(&store.as_str()) => Place::Machine,
        None if store.starts_with("unix://") => Place::Machine,
        None => Place::Elsewhere(own.to_owned()),
    };
    (place, Some(store))
}
