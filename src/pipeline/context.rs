//! What a builder is given: the Dockerfile, everything beside it in `.nixpacks/`, and the app's files.
//!
//! Written into a folder by [`super::out`], sent to a daemon by the docker engine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::context;
use packwright_providers::BuildPlan;

use super::dockerfile::{
    Dialect, Dockerfile, FOLDER, Recipe, archive_path, packages_path, render, scope_of_key,
    store_path,
};
use super::lock::Prepared;
use super::source::{SourceKind, SourceTree};
use super::store::Archives;
use super::{Build, PipelineError, assemble, authorities};
use crate::cache::Key;
use crate::engine::docker::{ContextBody, ContextFile};
use crate::environment::{Kit, KitPart, RunTree};
use crate::image::{Compression, LayerDescriptor};

/// A build for a builder elsewhere.
pub struct Context {
    /// The instructions.
    pub dockerfile: Dockerfile,
    /// Everything below `.nixpacks/`.
    pub files: Vec<ContextFile>,
    /// The archives that images begin with.
    pub archives: Vec<String>,
}

impl Build<'_> {
    /// Gathers; runs nothing.
    pub(super) fn context(
        &self,
        prepared: &Prepared,
        source: &SourceTree,
        dialect: Dialect,
    ) -> Result<Context, PipelineError> {
        let plan = &prepared.plan;
        let context = self.environment_of(prepared)?;
        let kit = crate::environment::kit(&prepared.lock, &context)?;
        let dockerfile = Recipe {
            plan,
            kit: &kit,
            source,
            scope: self.mount_scope(),
            labels: &self.options.labels,
            dialect,
        }
        .dockerfile()?;
        let mut files = self.kit_files(plan, &kit)?;
        for (name, text) in &plan.static_assets {
            files.push(bytes(
                super::asset_path(Path::new("assets"), name)?,
                0o644,
                text,
            ));
        }
        let run = context! { authorities => authorities::VARIABLES };
        files.extend([
            bytes("stage.sh", 0o644, include_str!("../../templates/stage.sh")),
            bytes(
                "run.sh",
                0o644,
                &render(include_str!("../../templates/run.sh"), run)?,
            ),
            bytes("Dockerfile", 0o644, &dockerfile.text),
        ]);
        if dialect == Dialect::Classic {
            let pem = authorities::of_host().and_then(|path| fs::read_to_string(path).ok());
            files.push(bytes("authorities.crt", 0o644, &pem.unwrap_or_default()));
        }
        for file in &mut files {
            file.path = Path::new(FOLDER).join(&file.path);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Context {
            dockerfile,
            files,
            archives: kit.run.iter().map(archive_path).collect(),
        })
    }

    /// Begins the names of an app's cache mounts in a daemon that many may share.
    pub(super) fn mount_scope(&self) -> String {
        if let Some(key) = &self.options.cache_key {
            return scope_of_key(key);
        }
        let key = Key::build("mount scope")
            .field("app", self.app_identity())
            .finish();
        key.as_str()[..16].to_owned()
    }

    /// The archives and packages of an environment.
    fn kit_files(&self, plan: &BuildPlan, kit: &Kit) -> Result<Vec<ContextFile>, PipelineError> {
        let mut files = Vec::new();
        for part in &kit.parts {
            match part {
                KitPart::Tree(tree) => files.push(self.archive(tree)?),
                KitPart::Script(script) => {
                    let folder = inside(&packages_path(script));
                    files.extend(script.packages.iter().map(|(name, file)| ContextFile {
                        path: folder.join(name),
                        mode: 0o644,
                        body: ContextBody::File(file.clone()),
                    }));
                }
            }
        }
        for tree in &kit.run {
            files.push(self.archive(tree)?);
        }
        for group in Archives::of(plan, kit)?.all() {
            files.push(self.archive_file(&store_path(group), group.archive(self)?)?);
        }
        // A toolchain that is used and stays as a whole is one archive.
        let mut seen = BTreeSet::new();
        files.retain(|file| seen.insert(file.path.clone()));
        Ok(files)
    }

    fn archive(&self, tree: &RunTree) -> Result<ContextFile, PipelineError> {
        let descriptor = assemble::tree_archive(self, tree, Compression::THOROUGH)?;
        self.archive_file(&archive_path(tree), descriptor)
    }

    fn archive_file(
        &self,
        path: &str,
        descriptor: Option<LayerDescriptor>,
    ) -> Result<ContextFile, PipelineError> {
        let body = match descriptor {
            Some(descriptor) => ContextBody::File(self.store.blob_path(&descriptor.digest)?),
            None => ContextBody::Bytes(EMPTY_ARCHIVE.to_vec()),
        };
        Ok(ContextFile {
            path: inside(path),
            mode: 0o644,
            body,
        })
    }
}

/// Two empty blocks: the end of a tar archive.
const EMPTY_ARCHIVE: &[u8] = &[0; 1024];

fn inside(path: &str) -> PathBuf {
    Path::new(path)
        .strip_prefix(FOLDER)
        .unwrap_or(Path::new(path))
        .to_owned()
}

pub(super) fn bytes(path: impl Into<PathBuf>, mode: u32, text: &str) -> ContextFile {
    ContextFile {
        path: path.into(),
        mode,
        body: ContextBody::Bytes(text.as_bytes().to_vec()),
    }
}

/// The app's files as a daemon gets them.
pub fn source_files(source: &SourceTree) -> Result<Vec<ContextFile>, PipelineError> {
    let files = source.select(None)?.into_iter().map(|file| ContextFile {
        path: file.path.clone(),
        mode: file.mode,
        body: match &file.kind {
            SourceKind::Directory => ContextBody::Directory,
            SourceKind::Symlink(target) => ContextBody::Symlink(target.clone()),
            SourceKind::File { stamp, .. } => ContextBody::Beneath {
                folder: Arc::clone(source.folder()),
                path: file.path.clone(),
                stamp: *stamp,
            },
        },
    });
    Ok(files.collect())
}
