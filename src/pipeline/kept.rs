//! Cache directories in an image of Docker Engine's, for `--incremental-cache-image`.
//!
//! A daemon's cache mounts are lost with the daemon, or when somebody prunes it; an image can be pushed, pulled and kept.
//! Before a build, mounts that are empty get what the image has; after one that ran something, all of them go into the
//! image. Both are small builds of their own, so that no layer or key of the app's image depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use minijinja::context;
use packwright_providers::BuildPlan;

use super::daemon::Builder;
use super::dockerfile::{FOLDER, cache_id, mount_id, render};
use super::phases::absolute;
use super::{Build, PipelineError, context::Context};
use crate::engine::docker::{
    ContextBody, ContextFile, DaemonError, DaemonOptions, Engine, Exported, ImageBuild,
};
use crate::report::Event;

/// Runs with the names of directories as arguments; the nth one is mounted at `/mounts/n`.
const RESTORE: &str = r#"n=0
for name; do
    if [ -d "/kept/$name" ] && [ -z "$(ls -A "/mounts/$n")" ]; then cp -a "/kept/$name/." "/mounts/$n/"; fi
    n=$((n + 1))
done"#;
const KEEP: &str = r#"mkdir /kept
n=0
for name; do
    cp -a "/mounts/$n" "/kept/$name"
    n=$((n + 1))
done"#;

/// The cache directories of a build and the image that keeps them.
pub struct Kept<'a> {
    build: &'a Build<'a>,
    builder: &'a Builder,
    engine: &'a Engine,
    options: &'a DaemonOptions,
    image: &'a str,
    /// Archives of the context that images begin with: they have a shell.
    archives: Vec<String>,
    files: Vec<ContextFile>,
    /// The directories.
    targets: BTreeSet<String>,
}

impl<'a> Kept<'a> {
    /// Finds out what is to be kept; nothing without an image, or where there are no mounts.
    pub fn of(
        build: &'a Build<'a>,
        builder: &'a Builder,
        options: &'a DaemonOptions,
        plan: &BuildPlan,
        context: &Context,
    ) -> Option<Self> {
        let image = options.cache_image.as_deref()?;
        let Builder::Engine(engine) = builder else {
            let message = format!(
                "--incremental-cache-image {image} has no effect: the builder has no images, or no cache directories"
            );
            build.report.event(Event::Warning { message });
            return None;
        };
        let phases = plan.phases.values();
        let targets: BTreeSet<String> = phases
            .flat_map(|phase| phase.cache_directories.iter().flatten())
            .map(|path| absolute(path))
            .collect();
        let wanted: BTreeSet<PathBuf> = context.archives.iter().map(PathBuf::from).collect();
        let files = context
            .files
            .iter()
            .filter(|file| wanted.contains(&file.path));
        (!targets.is_empty()).then(|| Self {
            build,
            builder,
            engine,
            options,
            image,
            archives: context.archives.clone(),
            files: files.cloned().collect(),
            targets,
        })
    }

    /// Fills mounts that are empty.
    pub fn restore(&self) -> Result<(), PipelineError> {
        if self.engine.describe(self.image).is_err() {
            // The first build of all has nothing to take.
            return Ok(());
        }
        self.run(RESTORE, false)
    }

    /// Writes the image anew. Without it the app's image is as good, so a failure is no error.
    pub fn keep(&self, phases_run: usize) -> Result<(), PipelineError> {
        if phases_run == 0 && self.engine.describe(self.image).is_ok() {
            return Ok(());
        }
        match self.run(KEEP, true) {
            Err(error) if self.build.interrupt.count() == 0 => {
                let message = format!("the image {} is not written: {error}", self.image);
                self.build.report.event(Event::Warning { message });
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn run(&self, script: &str, keeps: bool) -> Result<(), PipelineError> {
        let scope = self.build.mount_scope();
        let mut mounts: Vec<String> = self
            .targets
            .iter()
            .enumerate()
            .map(|(number, target)| {
                let id = mount_id(&scope, target);
                format!("--mount=type=cache,id={id},target=/mounts/{number},sharing=locked")
            })
            .collect();
        if !keeps {
            mounts.push(format!(
                "--mount=type=bind,from={},target=/kept",
                self.image
            ));
        }
        let mut command = ["/bin/bash", "-euc", script, "bash"]
            .map(str::to_owned)
            .to_vec();
        command.extend(self.targets.iter().map(|target| cache_id(target)));
        let image = &self.archives;
        let text = render(
            include_str!("../../templates/Dockerfile.kept"),
            context! { image, mounts, command, keeps },
        )?;
        let dockerfile = Path::new(FOLDER).join("Dockerfile.kept");
        let mut files = self.files.clone();
        files.push(ContextFile {
            path: dockerfile.clone(),
            mode: 0o644,
            body: ContextBody::Bytes(text.into_bytes()),
        });
        let mut turn = [0_u8; 16];
        rustix::rand::getrandom(&mut turn, rustix::rand::GetRandomFlags::empty()).map_err(
            |error| DaemonError::Io {
                action: "take randomness".to_owned(),
                source: error.into(),
            },
        )?;
        let request = ImageBuild {
            files,
            dockerfile,
            names: keeps.then(|| self.image.to_owned()).into_iter().collect(),
            arguments: BTreeMap::from([("TURN".to_owned(), hex::encode(turn))]),
            options: DaemonOptions {
                platform: self.options.platform.clone(),
                network: self.options.network.clone(),
                export: if keeps {
                    Exported::Engine
                } else {
                    Exported::Nowhere
                },
                ..DaemonOptions::default()
            },
            shared_key: format!("{scope}-kept"),
            ..ImageBuild::default()
        };
        self.build.build_there(self.builder, request).map(drop)
    }
}
