//! Store paths of Nix's: how phases see them, and how they become layers of an image or archives for a builder.

use std::path::Path;

use packwright_providers::BuildPlan;

use super::assemble::{self, LAYER_FORMAT, Layers};
use super::{Build, PipelineError};
use crate::cache::Key;
use crate::engine::Bind;
use crate::environment::{Closure, Kit, StorePath, Surroundings};
use crate::image::{Compression, LayerContent, LayerDescriptor, Node, group};

/// Layers of an image when the plan does not say how many there may be. Registries and engines
/// take 127 at most.
const LAYER_BUDGET: usize = 64;

/// The mounts that show store paths, read-only, and nothing else of their store.
pub fn binds(closure: &Closure) -> Vec<Bind> {
    let of_link = |path: &&StorePath| {
        let meta = path.source.symlink_metadata();
        meta.is_ok_and(|meta| meta.is_symlink())
    };
    closure
        .paths()
        // The root has the same link.
        .filter(|path| !of_link(path))
        .map(|path| Bind {
            source: path.source.clone(),
            target: path.path.clone(),
            read_only: true,
        })
        .collect()
}

/// Store paths that are one layer.
pub struct Group<'a>(Vec<&'a StorePath>);

impl Group<'_> {
    /// Names what is in it.
    pub fn key(&self) -> Key {
        Key::build("layer")
            .field("format", LAYER_FORMAT)
            .list(
                "store paths",
                self.0.iter().flat_map(|path| [&path.path, &path.nar_hash]),
            )
            .finish()
    }

    /// At most four names of packages, the largest first.
    pub fn title(&self) -> String {
        let mut paths = self.0.clone();
        paths.sort_by(|a, b| b.nar_size.cmp(&a.nar_size).then(a.path.cmp(&b.path)));
        let shown: Vec<&str> = paths.iter().take(4).map(|path| path.name()).collect();
        match paths.len().saturating_sub(shown.len()) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }

    /// Whether all of it is in a closure.
    fn is_in(&self, closure: &Closure) -> bool {
        self.0.iter().all(|path| closure.contains(&path.path))
    }

    fn write(
        &self,
        build: &Build<'_>,
        compression: Compression,
        done: &mut Layers,
    ) -> Result<(), PipelineError> {
        let content = || {
            let mut content = LayerContent::new();
            for path in &self.0 {
                content.add_store_path(&path.source, Path::new(&path.path))?;
            }
            Ok(content)
        };
        let (key, title) = (self.key(), self.title());
        assemble::layer(build, &key, &title, false, compression, done, content)
    }

    /// Writes it as an archive of the image store, unless it is there.
    pub fn archive(&self, build: &Build<'_>) -> Result<Option<LayerDescriptor>, PipelineError> {
        let mut done = Layers::default();
        self.write(build, Compression::THOROUGH, &mut done)?;
        Ok(done.layers.pop().map(|layer| layer.descriptor))
    }
}

/// Store paths in at most `budget` groups by what refers to what: a changed package changes the groups
/// that hold it.
fn groups<'a>(paths: &[&'a StorePath], budget: usize) -> Vec<Group<'a>> {
    let nodes: Vec<Node> = paths
        .iter()
        .map(|path| Node {
            path: path.path.clone(),
            size: path.nar_size,
            references: path.references.clone(),
        })
        .collect();
    group(&nodes, budget)
        .into_iter()
        .map(|group| Group(group.iter().map(|number| paths[*number]).collect()))
        .collect()
}

/// The layers of an image's store paths, where it has `others` too.
fn of_image<'a>(
    plan: &BuildPlan,
    closure: &'a Closure,
    others: usize,
) -> Result<Vec<Group<'a>>, PipelineError> {
    let budget = layer_budget(plan)?.saturating_sub(others).max(1);
    Ok(groups(&closure.paths().collect::<Vec<_>>(), budget))
}

/// The store paths of a kit, each group of which is an archive.
pub struct Archives<'a> {
    /// What the image is made of.
    pub image: Vec<Group<'a>>,
    /// What phases see and no group of the image brings them.
    beside: Vec<Group<'a>>,
    build: &'a Closure,
}

impl<'a> Archives<'a> {
    /// Those of a kit.
    pub fn of(plan: &BuildPlan, kit: &'a Kit) -> Result<Self, PipelineError> {
        /// A builder unpacks each of them, and nobody downloads them again.
        const BESIDE: usize = 8;
        let Surroundings {
            build_store: build,
            run_store,
            ..
        } = &kit.around;
        let image = of_image(plan, run_store, kit.run.len() + plan.phases.len() + 1)?;
        let brought = |path: &&StorePath| {
            let mut whole = image.iter().filter(|group| group.is_in(build));
            whole.any(|group| group.0.iter().any(|other| other.path == path.path))
        };
        let missing: Vec<_> = build.paths().filter(|path| !brought(path)).collect();
        Ok(Self {
            beside: groups(&missing, BESIDE),
            image,
            build,
        })
    }

    /// What phases stand on.
    pub fn for_phases(&self) -> impl Iterator<Item = &Group<'a>> {
        let shared = self.image.iter().filter(|group| group.is_in(self.build));
        shared.chain(&self.beside)
    }

    /// All of them, each once.
    pub fn all(&self) -> impl Iterator<Item = &Group<'a>> {
        self.image.iter().chain(&self.beside)
    }
}

/// Writes what the image store lacks of the layers of an image's store paths. `others` are to come.
pub fn layers(
    build: &Build<'_>,
    plan: &BuildPlan,
    closure: &Closure,
    others: usize,
    done: &mut Layers,
) -> Result<(), PipelineError> {
    let compression = assemble::compression(plan)?.unwrap_or(Compression::THOROUGH);
    for group in of_image(plan, closure, done.layers.len() + others)? {
        group.write(build, compression, done)?;
    }
    Ok(())
}

/// How many layers the image may have.
fn layer_budget(plan: &BuildPlan) -> Result<usize, PipelineError> {
    let image = plan.image.as_ref();
    match image.and_then(|image| image.layer_budget) {
        None => Ok(LAYER_BUDGET),
        Some(count @ 1..=127) => Ok(usize::try_from(count).unwrap_or(LAYER_BUDGET)),
        Some(count) => Err(PipelineError::Setting {
            key: "image.layerBudget",
            value: count.to_string(),
            reason: "is not a number from 1 to 127",
        }),
    }
}
