//! What a builder elsewhere makes the trees of a lock from: trees that are only unpacked, and
//! packages with the scripts that install them.
//!
//! Nothing is run here, so a kit can be made where no sandbox can. The scripts are those that
//! [`super::realise`] runs itself.

use super::{Context, Keys, packages_key, root};
use crate::cache::{Cache, Key};
use crate::environment::lock::{DebianPackage, LockedDebian};
use crate::environment::{
    Cause, EnvironmentError, Kit, KitPart, KitScript, Leavings, RunTree, Sources,
};
use crate::report::Report;

/// Makes the kit of a lock.
pub(in crate::environment) fn kit(
    lock: &LockedDebian,
    sources: &Sources,
    cache: &Cache,
    report: &dyn Report,
) -> Result<Kit, EnvironmentError> {
    let context = Context::new(lock, sources, cache, report);
    let mut keys = Keys::of(lock);
    let base = packages_key("unpacked build root", &lock.architecture, &lock.base).finish();
    context.download_for_kit(&keys, &base)?;
    context.make_unpacked(&keys)?;
    let title = format!("unpack the {} build root", lock.suite);
    context.once(&base, &title, |staging| {
        root::unpack_base(&staging.join("fs"), &context.downloaded(&lock.base)?)
    })?;
    let mut parts = vec![
        KitPart::Tree(context.part(&base, format!("Debian {} build root", lock.suite))),
        KitPart::Script(context.script("configure", root::CONFIGURE, &[], false)?),
    ];
    for (packages, title, stays) in [
        (&lock.run, "run time packages", true),
        (&lock.build, "build packages", false),
    ] {
        if !packages.is_empty() {
            parts.push(KitPart::Script(context.script(
                title,
                root::INSTALL,
                packages,
                stays,
            )?));
        }
    }
    let toolchains = lock.toolchains.iter().zip(&keys.toolchains);
    for (toolchain, key) in toolchains.filter(|(toolchain, _)| toolchain.build) {
        let title = format!("{} {}", toolchain.tool, toolchain.version);
        parts.push(KitPart::Tree(context.part(key, title)));
    }
    let around = context.roots(&keys).around;
    // Installed by the builder, so no tree of ours.
    keys.run = None;
    Ok(Kit {
        parts,
        run: context.run_trees(&keys),
        around,
    })
}

impl Context<'_> {
    fn download_for_kit(&self, keys: &Keys, base: &Key) -> Result<(), EnvironmentError> {
        let lock = self.lock;
        let sets = [
            (Some(base), &lock.base),
            (Some(&keys.run_base), &lock.run_base),
            (keys.run_from_base.as_ref(), &lock.run_from_base),
            (None, &lock.run),
            (None, &lock.build),
        ];
        let missing = sets
            .into_iter()
            .filter(|(key, _)| key.is_none_or(|key| !self.has(key)));
        self.download_sets(missing.map(|(_, packages)| packages.as_slice()), keys)
    }

    /// A whole tree, for the build.
    fn part(&self, key: &Key, title: String) -> RunTree {
        RunTree {
            dir: self.tree(key),
            // As a tree of the image from which nothing is left out, so that both are one archive.
            key: Key::build("run tree")
                .field("tree", key.as_str())
                .list("excluded", [] as [&str; 0])
                .finish(),
            cause: Cause::Toolchain,
            title,
            excluded: Vec::new(),
            overlay: false,
        }
    }

    fn script(
        &self,
        title: &str,
        script: &'static str,
        packages: &[DebianPackage],
        stays: bool,
    ) -> Result<KitScript, EnvironmentError> {
        let downloaded = self.downloaded(packages)?;
        let named = downloaded
            .into_iter()
            .map(|one| (format!("{}.deb", one.package.name), one.file));
        Ok(KitScript {
            title: title.to_owned(),
            packages: named.collect(),
            packages_at: root::PACKAGES_AT,
            env: root::variables(),
            script,
            stays: stays.then(|| Leavings {
                excluded: root::NOT_IN_IMAGES.to_vec(),
                emptied: root::EMPTIED.to_vec(),
                removed: root::REMOVED.to_vec(),
            }),
        })
    }
}
