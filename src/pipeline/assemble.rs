//! From trees and source files to the image's layers, one for each cause of change.
//!
//! Order: base, system packages, toolchains, what phases made of manifests alone (dependencies),
//! the source, what phases made of the source. A layer whose content key is known and whose blob
//! is in the store is not written again.

use std::collections::BTreeMap;
use std::path::Path;

use globset::{Glob, GlobSet, GlobSetBuilder};
use packwright_providers::BuildPlan;

use super::phases::{Results, StepResult, overrides};
use super::removals::Removals;
use super::source::{APP, SourceFile, SourceKind, SourceTree};
use super::{Build, PipelineError, store};
use crate::cache::{Key, Kind};
use crate::environment::{Roots, RunTree, Surroundings};
use crate::image::{
    Compression, Healthcheck, ImageSpec, Layer, LayerContent, LayerDescriptor, OPAQUE, write_layer,
};
use crate::report::Step;

/// Raised when the bytes of a layer change for the same content.
pub const LAYER_FORMAT: &str = "4";

/// What phases may leave there belongs to the machine that builds, not to the image.
pub const VOLATILE: [&str; 15] = [
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/tmp",
    "var/cache",
    "var/log",
    "var/lib/apt",
    "var/lib/dpkg",
    "etc/hostname",
    "etc/hosts",
    "etc/ld.so.cache",
    "etc/resolv.conf",
    "root/.bash_history",
];

/// The layers of an image and how many had to be written.
#[derive(Default)]
pub struct Layers {
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// How many were not in the store.
    pub written: usize,
}

/// Writes what the store lacks of the image's layers.
pub fn layers(
    build: &Build<'_>,
    plan: &BuildPlan,
    source: &SourceTree,
    roots: &Roots,
    results: &Results,
) -> Result<Layers, PipelineError> {
    let mut done = Layers::default();
    let chosen = compression(plan)?;
    for tree in &roots.run {
        run_tree_layer(
            build,
            tree,
            chosen.unwrap_or(Compression::THOROUGH),
            &mut done,
        )?;
    }
    let others = results.steps.len() + 1;
    store::layers(build, plan, &roots.around.run_store, others, &mut done)?;
    let compression = chosen.unwrap_or_default();
    let late = results
        .steps
        .iter()
        .position(|step| !step.before_source)
        .unwrap_or(results.steps.len());
    for index in 0..late {
        step_layer(build, roots, results, index, plan, compression, &mut done)?;
    }
    source_layer(build, plan, source, results, compression, &mut done)?;
    for index in late..results.steps.len() {
        step_layer(build, roots, results, index, plan, compression, &mut done)?;
    }
    Ok(done)
}

/// The image's configuration.
pub fn spec(
    build: &Build<'_>,
    plan: &BuildPlan,
    roots: &Roots,
    path: &[String],
    layers: Vec<Layer>,
) -> Result<ImageSpec, PipelineError> {
    let start = plan.start.as_ref();
    let path = run_path(path, &roots.around.build_path, &roots.around.run_path);
    let mut env = vec![format!("PATH={}", super::search_path(&path))];
    env.extend(
        run_variables(&roots.around, plan)
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    let image = plan.image.clone().unwrap_or_default();
    let mut labels: BTreeMap<String, String> = image.labels;
    labels.extend(build.options.labels.clone());
    Ok(ImageSpec {
        layers,
        env,
        entrypoint: image
            .entrypoint
            .unwrap_or_else(|| ["/bin/bash", "-l", "-c"].map(str::to_owned).to_vec()),
        cmd: start
            .and_then(|start| start.cmd.clone())
            .into_iter()
            .collect(),
        working_dir: format!("/{APP}"),
        labels,
        user: start.and_then(|start| start.user.clone()).or(image.user),
        exposed_ports: image.exposed_ports.unwrap_or_default(),
        stop_signal: image.stop_signal,
        healthcheck: image.healthcheck.map(healthcheck).transpose()?,
    })
}

/// Variables of the started app: those of the environment, and the plan's over them.
pub fn run_variables(around: &Surroundings, plan: &BuildPlan) -> BTreeMap<String, String> {
    let mut variables = around.run_variables.clone();
    super::lay_over(&mut variables, &plan.run_variables());
    variables
}

/// `PATH` entries of the started app: what phases added, then the toolchains that stay.
pub fn run_path(last: &[String], build_path: &[String], run_path: &[String]) -> Vec<String> {
    let of_phases = last.iter().filter(|entry| !build_path.contains(entry));
    of_phases.chain(run_path).cloned().collect()
}

/// Writes a tree as an archive of the store, unless it is there.
pub fn tree_archive(
    build: &Build<'_>,
    tree: &RunTree,
    compression: Compression,
) -> Result<Option<LayerDescriptor>, PipelineError> {
    let mut done = Layers::default();
    run_tree_layer(build, tree, compression, &mut done)?;
    Ok(done.layers.pop().map(|layer| layer.descriptor))
}

fn healthcheck(check: packwright_providers::Healthcheck) -> Result<Healthcheck, PipelineError> {
    Ok(Healthcheck {
        test: check.cmd.map_or_else(
            || vec!["NONE".to_owned()],
            |cmd| vec!["CMD-SHELL".to_owned(), cmd],
        ),
        interval: nanoseconds("image.healthcheck.interval", check.interval)?,
        timeout: nanoseconds("image.healthcheck.timeout", check.timeout)?,
        start_period: nanoseconds("image.healthcheck.startPeriod", check.start_period)?,
        retries: check.retries.unwrap_or(0),
    })
}

/// A duration such as `1m30s` or `500ms`.
fn nanoseconds(key: &'static str, text: Option<String>) -> Result<u64, PipelineError> {
    let Some(text) = text else { return Ok(0) };
    let wrong = || PipelineError::Setting {
        key,
        value: text.clone(),
        reason: "is not a duration such as 30s, 500ms or 1m30s",
    };
    let mut total: u64 = 0;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| digits + at);
        let factor: u64 = match &rest[digits..unit_end] {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(wrong()),
        };
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// How the plan wants its layers compressed.
pub fn compression(plan: &BuildPlan) -> Result<Option<Compression>, PipelineError> {
    let Some(text) = plan
        .image
        .as_ref()
        .and_then(|image| image.compression.clone())
    else {
        return Ok(None);
    };
    let (kind, level) = text
        .split_once(':')
        .map_or((text.as_str(), None), |(kind, level)| (kind, Some(level)));
    match (kind, level.map(str::parse::<i32>)) {
        ("none", None) => Ok(Some(Compression::None)),
        ("gzip", None) => Ok(Some(Compression::default())),
        ("gzip", Some(Ok(level @ 1..=12))) => Ok(Some(Compression::Gzip(level))),
        _ => Err(PipelineError::Setting {
            key: "image.compression",
            value: text,
            reason: "is not none, gzip or gzip:1 to gzip:12",
        }),
    }
}

fn run_tree_layer(
    build: &Build<'_>,
    tree: &RunTree,
    compression: Compression,
    done: &mut Layers,
) -> Result<(), PipelineError> {
    let key = Key::build("layer")
        .field("format", LAYER_FORMAT)
        .field("tree", tree.key.as_str())
        .finish();
    layer(build, &key, &tree.title, false, compression, done, || {
        let excluded = globs(&tree.excluded)?;
        let keep = |path: &Path| !excluded.is_match(path);
        Ok(LayerContent::from_tree(&tree.dir, &keep, tree.overlay)?)
    })
}

/// What the phases after some removed.
fn removed_after(results: &Results, index: usize) -> Removals {
    let mut removed = Removals::default();
    for step in results.steps.iter().skip(index) {
        removed.extend(&step.removed);
    }
    removed
}

/// What a phase changed, without mount points, the machine's files, what later phases removed, and what `start` leaves out.
fn step_layer(
    build: &Build<'_>,
    roots: &Roots,
    results: &Results,
    index: usize,
    plan: &BuildPlan,
    compression: Compression,
    done: &mut Layers,
) -> Result<(), PipelineError> {
    let step = &results.steps[index];
    let removed = removed_after(results, index + 1)
        .among(|path| step.dir.join(path).symlink_metadata().is_ok());
    let only = only_files(plan);
    let key = Key::build("layer")
        .field("format", LAYER_FORMAT)
        .list("removed", removed.fields())
        .list("notes", &roots.around.notes)
        .field("step", step.key.as_str())
        .field("all", [u8::from(only.is_none())])
        .list("only", only.unwrap_or_default())
        .list("run", roots.run.iter().map(|tree| tree.key.as_str()))
        .finish();
    layer(
        build,
        &key,
        &step.phase,
        step.ran,
        compression,
        done,
        || {
            let stays = stays(plan, roots, results, index)?;
            let notes = &roots.around.notes;
            let keep = |path: &Path| {
                stays(path)
                    && !leads_to_notes_alone(&step.dir, path, notes)
                    && !deletes_nothing(roots, step, path)
            };
            Ok(LayerContent::from_tree(&step.dir, &keep, true)?)
        },
    )
}

/// Which of the paths that a phase changed the image has.
pub fn stays<'a>(
    plan: &'a BuildPlan,
    roots: &'a Roots,
    results: &'a Results,
    index: usize,
) -> Result<impl Fn(&Path) -> bool + 'a, PipelineError> {
    let step = &results.steps[index];
    let removed = removed_after(results, index + 1);
    let only = only_files(plan);
    let selection = super::source::Selection::new(only.unwrap_or_default())?;
    Ok(move |path: &Path| {
        let absolute = Path::new("/").join(path);
        let notes = roots.around.notes.iter().map(String::as_str);
        let volatile = VOLATILE
            .into_iter()
            .chain(notes)
            .any(|prefix| path.starts_with(prefix));
        let mounted = step.mounts.iter().any(|mount| absolute.starts_with(mount));
        let left_out = only.is_some()
            && path
                .strip_prefix(APP)
                .is_ok_and(|inside| !selection.contains_or_leads_to(inside));
        !volatile && !mounted && !left_out && !removed.contain(path)
    })
}

/// A folder on the way to a toolchain's notes with nothing else in it. Go writes its notes behind a command's back, so
/// whether the folder is there is a matter of luck.
fn leads_to_notes_alone(tree: &Path, path: &Path, notes: &[String]) -> bool {
    let leads = |path: &Path| notes.iter().any(|note| Path::new(note).starts_with(path));
    let folder = tree.join(path);
    if !leads(path) || !folder.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return false;
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().all(|entry| {
        let inside = path.join(entry.file_name());
        notes.iter().any(|note| inside.starts_with(note))
            || leads_to_notes_alone(tree, &inside, notes)
    })
}

/// A deletion of something that only the build's root, the source or earlier phases had needs no trace in the image:
/// their layers are without it.
fn deletes_nothing(roots: &Roots, step: &StepResult, path: &Path) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let in_image = |path: &Path| {
        roots
            .run
            .iter()
            .any(|tree| tree.dir.join(path).symlink_metadata().is_ok())
    };
    if path.file_name().is_some_and(|name| name == OPAQUE) {
        return !path.parent().is_some_and(in_image);
    }
    let deletion = step
        .dir
        .join(path)
        .symlink_metadata()
        .is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0);
    deletion && !in_image(path)
}

/// The source files, straight from the user's tree, and the plan's assets.
fn source_layer(
    build: &Build<'_>,
    plan: &BuildPlan,
    source: &SourceTree,
    results: &Results,
    compression: Compression,
    done: &mut Layers,
) -> Result<(), PipelineError> {
    let early: Vec<&StepResult> = results
        .steps
        .iter()
        .filter(|step| step.before_source)
        .collect();
    let superseded = |file: &SourceFile| {
        file.kind != SourceKind::Directory
            && results.placed_early.contains(&file.path)
            && early.iter().any(|step| overrides(step, &file.path))
    };
    let removed = removed_after(results, early.len());
    let files: Vec<&SourceFile> = source
        .select(only_files(plan))?
        .into_iter()
        .filter(|file| !superseded(file) && !removed.contain(&Path::new(APP).join(&file.path)))
        .collect();
    let assets = &plan.static_assets;
    let key = Key::build("layer")
        .field("format", LAYER_FORMAT)
        .field("source", super::source::key(&files).as_str())
        .map("assets", assets)
        .finish();
    layer(build, &key, "app", false, compression, done, || {
        let mut content = LayerContent::new();
        content.add_directory(Path::new(APP), 0o755)?;
        for file in &files {
            let inside = Path::new(APP).join(&file.path);
            match &file.kind {
                SourceKind::Directory => content.add_directory(&inside, file.mode)?,
                SourceKind::Symlink(target) => content.add_symlink(&inside, target)?,
                SourceKind::File { hash, .. } => content.add_source_file(
                    source.folder(),
                    &file.path,
                    *hash,
                    &inside,
                    file.mode,
                )?,
            }
        }
        for (name, text) in assets {
            content.add_bytes(
                &super::asset_path(Path::new("assets"), name)?,
                0o644,
                text.clone().into_bytes(),
            )?;
        }
        Ok(content)
    })
}

/// Adds a layer: from the store when its key is known there, else written.
pub fn layer(
    build: &Build<'_>,
    key: &Key,
    title: &str,
    remade: bool,
    compression: Compression,
    done: &mut Layers,
    content: impl FnOnce() -> Result<LayerContent, PipelineError>,
) -> Result<(), PipelineError> {
    let key = &Key::build("layer")
        .field("content", key.as_str())
        .field("compression", format!("{compression:?}"))
        .finish();
    // What was made anew may differ from what an earlier build made under the same key.
    if let Some(descriptor) = known(build, key).filter(|_| !remade) {
        done.layers.push(Layer {
            descriptor,
            comment: title.to_owned(),
        });
        return Ok(());
    }
    let content = content()?;
    if content.is_empty() {
        return Ok(());
    }
    let step = Step::start(
        build.report,
        format!("layer:{title}"),
        format!("layer {title}"),
    );
    let descriptor = write_layer(&content, build.store, compression)?;
    build.cache.write(
        Kind::Layer,
        key,
        &serde_json::to_vec(&descriptor).map_err(PipelineError::json)?,
    )?;
    let note = format!(
        "{} unpacked, {} compressed",
        super::size(descriptor.unpacked_size),
        super::size(descriptor.size)
    );
    step.finish(false, note);
    done.written += 1;
    done.layers.push(Layer {
        descriptor,
        comment: title.to_owned(),
    });
    Ok(())
}

/// A layer of that key whose blob the store still has.
fn known(build: &Build<'_>, key: &Key) -> Option<LayerDescriptor> {
    let path = build.cache.find(Kind::Layer, key)?;
    let descriptor: LayerDescriptor = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    build.store.has_layer(&descriptor).then_some(descriptor)
}

/// What of the app the plan wants in the image; `None` is all of it.
fn only_files(plan: &BuildPlan) -> Option<&[String]> {
    plan.start
        .as_ref()
        .and_then(|start| start.only_include_files.as_deref())
}

fn globs(patterns: &[String]) -> Result<GlobSet, PipelineError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(super::source::SourceError::Pattern)?);
    }
    Ok(set.build().map_err(super::source::SourceError::Pattern)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_lead_to_notes_alone_are_told_from_others() {
        let tree = tempfile::tempdir().unwrap();
        for path in [
            "root/.config/go/telemetry/local",
            "root/.npm/x",
            "root/.other",
        ] {
            std::fs::create_dir_all(tree.path().join(path)).unwrap();
        }
        let notes = ["root/.config/go/telemetry", "root/.npm", "gone/x"].map(str::to_owned);
        let alone = |path: &str| leads_to_notes_alone(tree.path(), Path::new(path), &notes);
        assert!(alone("root/.config") && alone("root/.config/go"));
        assert!(!alone("root") && !alone("root/.other") && !alone("root/.npm/x"));
        std::fs::write(tree.path().join("root/.config/mine"), "").unwrap();
        assert!(!alone("root/.config") && alone("root/.config/go"));
        // A deletion of such a folder is no folder.
        std::fs::write(tree.path().join("gone"), "").unwrap();
        assert!(!alone("gone"));
    }
}
