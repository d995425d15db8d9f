//! The store below the cache folder, and what keeps it from Nix's garbage collector.
//!
//! Each environment is held by a link of the cache, as long as the cache has it; the rest is Nix's to remove.

use std::path::{Path, PathBuf};

use super::{LockedNix, Nix, NixSettings, find};
use crate::cache::{Cache, Key, Kind, remove_tree, tree_bytes};
use crate::environment::{Context, EnvironmentError, Packages, Sources, io_error};
use crate::interrupt::Interrupt;
use crate::report::{Event, Silent, Step};

/// Where this machine's own store is, when it has no other.
pub(super) fn own_store(cache: &Cache) -> PathBuf {
    cache.root().join("nix-store")
}

/// Store paths in the store below the cache folder, and their bytes.
pub(in crate::environment) fn usage(cache: &Cache) -> (usize, u64) {
    let folder = own_store(cache).join("nix/store");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    paths.fold((0, 0), |(count, bytes), entry| {
        (count + 1, bytes + tree_bytes(&entry.path()))
    })
}

/// Has Nix remove what nothing holds of the store below the cache folder; how many, and their bytes.
pub(in crate::environment) fn sweep(
    cache: &Cache,
    interrupt: &Interrupt,
) -> Result<(usize, u64), EnvironmentError> {
    let before = usage(cache);
    if before.0 == 0 {
        return Ok((0, 0));
    }
    let settings = NixSettings {
        store: Some(own_store(cache).display().to_string()),
        ..NixSettings::default()
    };
    let context = Context {
        folder: Path::new("/"),
        packages: Packages::Nix,
        machine: None,
        nix: &settings,
        sources: &Sources::discover(cache),
        cache,
        report: &Silent,
        interrupt,
    };
    let held = std::fs::read_dir(cache.root().join(Kind::Nix.folder()))
        .is_ok_and(|mut entries| entries.next().is_some());
    let nix = match find(&context) {
        Ok(nix) => nix,
        // Nix is gone, and so is everything that its store was kept for.
        Err(EnvironmentError::NoNix(_)) if !held => {
            let store = own_store(cache);
            remove_tree(&store).map_err(io_error("remove", &store))?;
            return Ok(before);
        }
        Err(error) => return Err(error),
    };
    let step = Step::start(context.report, "nix", "remove what nothing holds");
    let swept = nix.commands.collect_garbage(&step);
    swept.map_err(|failed| nix.failure(&failed, "remove what nothing holds"))?;
    let after = usage(cache);
    Ok((
        before.0.saturating_sub(after.0),
        before.1.saturating_sub(after.1),
    ))
}

impl Nix<'_> {
    /// Keeps what a build uses from Nix's garbage collector, until `cache prune` forgets it.
    pub(super) fn hold(&self, lock: &LockedNix, step: &Step<'_>) -> Result<(), EnvironmentError> {
        let commands = self.commands.here();
        for path in [&lock.build, &lock.run] {
            let key = Key::build("nix hold")
                .field("path", path)
                .field("store", commands.physical().display().to_string())
                .finish();
            let folder = match self.context.cache.find(Kind::Nix, &key) {
                Some(folder) => folder,
                None => {
                    self.context
                        .cache
                        .commit(self.context.cache.staging()?, Kind::Nix, &key)?
                }
            };
            let link = folder.join("store-path");
            if link.symlink_metadata().is_err()
                && let Err(failed) = commands.hold(path, &link, step)
            {
                let error = self.failure(&failed, &format!("keep {path}"));
                let message =
                    format!("{error}; Nix's garbage collector may remove what this build uses");
                self.context.report.event(Event::Warning { message });
            }
        }
        Ok(())
    }
}
