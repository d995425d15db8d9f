//! What a builder is given: the Dockerfile, everything beside it in `.nixpacks/`, and the app's files.
//!
//! Written into a folder by `build --out`, sent to a daemon by the docker engine.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::context;
use packwright_providers::BuildPlan;

use super::dockerfile::{
    Dialect, Dockerfile, FOLDER, Recipe, archive_path, packages_path, render, scope_of_key,
    store_path,
};
use super::source::{SourceKind, SourceTree};
use super::store::Archives;
use super::{Build, PipelineError, assemble, authorities, hooks};
use crate::cache::Key;
use crate::engine::docker::{ContextBody, ContextFile};
use crate::environment::{Kit, KitPart, RunTree};
use crate::image::{Compression, LayerDescriptor};

/// A build for a builder elsewhere.
pub struct Context {
    /// What to build.
    pub plan: BuildPlan,
    /// The app's files.
    pub source: SourceTree,
    /// The instructions.
    pub dockerfile: Dockerfile,
    /// Everything below `.nixpacks/`.
    pub files: Vec<ContextFile>,
    /// The archives that images begin with.
    pub archives: Vec<String>,
}

impl Build<'_> {
    /// Plans, locks and gathers; runs nothing.
    pub fn context(&self, dialect: Dialect) -> Result<Context, PipelineError> {
        let (repo, planned) = self.plan()?;
        let plan = hooks::with_phases_for_hooks(planned.plan);
        let context = self.environment(&repo, &plan)?;
        let lock = self.lock(&repo, &plan, &context)?;
        let kit = crate::environment::kit(&lock, &context)?;
        let source = self.read_source(&repo)?;
        let dockerfile = Recipe {
            plan: &plan,
            kit: &kit,
            source: &source,
            scope: self.mount_scope(),
            labels: &self.options.labels,
            dialect,
        }
        .dockerfile()?;
        let mut files = self.kit_files(&plan, &kit)?;
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
            plan,
            source,
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

    /// The Dockerfile alone.
    pub fn dockerfile(&self) -> Result<String, PipelineError> {
        Ok(self.context(Dialect::Mounts)?.dockerfile.text)
    }

    /// Writes `.nixpacks/` into a folder, as `nixpacks build --out` does. The app's files are not copied: the folder of
    /// the app is what is built.
    pub fn write_out(&self, out: &Path) -> Result<PathBuf, PipelineError> {
        self.write_context(&self.context(Dialect::Mounts)?, out)
    }

    /// Writes what was gathered for a builder into a folder.
    pub(super) fn write_context(
        &self,
        context: &Context,
        out: &Path,
    ) -> Result<PathBuf, PipelineError> {
        for name in context.dockerfile.arguments.keys() {
            self.report.event(crate::report::Event::Warning {
                message: format!(
                    "the value of {name} has line breaks, which a Dockerfile cannot hold: pass it with --build-arg, as .nixpacks/build.sh does"
                ),
            });
        }
        let script = self.build_script(&context.dockerfile)?;
        let rules = ignore_rules(&context.source)?;
        let mut files = context.files.clone();
        for (name, mode, text) in [
            ("build.sh", 0o755, script),
            ("Dockerfile.dockerignore", 0o644, rules),
        ] {
            let mut file = bytes(name, mode, &text);
            file.path = Path::new(FOLDER).join(&file.path);
            files.push(file);
        }
        let folder = out.join(FOLDER);
        refuse_links(out, &files)?;
        forget_old(&folder.join("environment"), out, &files)?;
        forget_old(&folder.join("assets"), out, &files)?;
        for file in &files {
            write_file(out, file)?;
        }
        Ok(folder)
    }

    /// `build.sh`: the call that builds the folder, with what the Dockerfile cannot say.
    fn build_script(&self, dockerfile: &Dockerfile) -> Result<String, PipelineError> {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<String> {
            map.iter()
                .map(|(name, value)| quote(&format!("{name}={value}")))
                .collect()
        };
        let names: Vec<String> = self.options.names.iter().map(|name| quote(name)).collect();
        render(
            include_str!("../../templates/build.sh"),
            context! {
                names,
                arguments => pairs(&dockerfile.arguments),
                labels => pairs(&dockerfile.labels),
                secrets => dockerfile.secrets.keys().cloned().collect::<Vec<_>>(),
            },
        )
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

fn bytes(path: impl Into<PathBuf>, mode: u32, text: &str) -> ContextFile {
    ContextFile {
        path: path.into(),
        mode,
        body: ContextBody::Bytes(text.as_bytes().to_vec()),
    }
}

/// No folder on the way to a file may be a symbolic link: `out` is often the app's folder, which others wrote.
fn refuse_links(out: &Path, files: &[ContextFile]) -> Result<(), PipelineError> {
    let above = files.iter().flat_map(|file| file.path.ancestors().skip(1));
    let folders: BTreeSet<&Path> = above.filter(|path| !path.as_os_str().is_empty()).collect();
    for folder in folders {
        let path = out.join(folder);
        if path.is_symlink() {
            let reason =
                std::io::Error::other("it is a symbolic link, which may lead elsewhere; remove it");
            return Err(PipelineError::io("write into", &path, reason));
        }
    }
    Ok(())
}

/// Removes files of an earlier export that this one does not have.
fn forget_old(folder: &Path, out: &Path, files: &[ContextFile]) -> Result<(), PipelineError> {
    if folder.is_symlink() {
        return fs::remove_file(folder).map_err(|e| PipelineError::io("remove", folder, e));
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let wanted = files
            .iter()
            .any(|file| out.join(&file.path).starts_with(&path));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            forget_old(&path, out, files)?;
            // Goes only when nothing is left in it.
            let _ = fs::remove_dir(&path);
        } else if !wanted {
            fs::remove_file(&path).map_err(|e| PipelineError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn write_file(out: &Path, file: &ContextFile) -> Result<(), PipelineError> {
    let path = out.join(&file.path);
    let parent = path.parent().unwrap_or(out);
    fs::create_dir_all(parent).map_err(|e| PipelineError::io("create", parent, e))?;
    if let ContextBody::File(from) = &file.body {
        // Its name or the package's says its content, so one of the same length is the same.
        let length = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
        if !path.is_symlink() && length(&path).is_some() && length(&path) == length(from) {
            return Ok(());
        }
    }
    let staged = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(file.mode))
        .tempfile_in(parent)
        .map_err(|e| PipelineError::io("create a file in", parent, e))?;
    match &file.body {
        ContextBody::Bytes(bytes) => fs::write(staged.path(), bytes),
        ContextBody::File(from) => fs::File::open(from)
            .and_then(|mut from| std::io::copy(&mut from, &mut staged.as_file()).map(|_| ())),
        ContextBody::Directory | ContextBody::Symlink(_) | ContextBody::Beneath { .. } => Ok(()),
    }
    .map_err(|e| PipelineError::io("write", &path, e))?;
    staged
        .persist(&path)
        .map_err(|e| PipelineError::io("rename to", &path, e.error))?;
    Ok(())
}

/// `Dockerfile.dockerignore`: the app's own rules, then by name what is left out of images here, then `.nixpacks` back.
fn ignore_rules(source: &SourceTree) -> Result<String, PipelineError> {
    let mut text = "# What builds of this folder do not see. Written by packwright.\n".to_owned();
    if let Ok(own) = fs::read_to_string(source.root().join(".dockerignore")) {
        text += own.trim_end();
        text.push('\n');
    }
    for path in source.left_out()? {
        if let Some(path) = path.to_str().filter(|path| !path.contains(['\n', '\r'])) {
            // A name may begin as a comment or an exception does.
            text.push('/');
            for letter in path.chars() {
                if "*?[\\".contains(letter) {
                    text.push('\\');
                }
                text.push(letter);
            }
            text.push('\n');
        }
    }
    text += "!.nixpacks\n";
    Ok(text)
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
