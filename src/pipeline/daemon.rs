//! Builds in a daemon instead of the sandbox of this machine, and hands finished images to one.
//!
//! The seam between the two ways to build is here and not at [`crate::engine::Engine`]: that one
//! runs a phase at a time, a daemon takes the whole plan as a Dockerfile and gives back an image.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use packwright_providers::BuildPlan;

use super::context::source_files;
use super::dockerfile::{Dialect, FOLDER};
use super::kept::Kept;
use super::secrets::{Secret, fingerprint};
use super::{Build, Built, PipelineError, SourceError, authorities, phases};
use crate::engine::Exit;
use crate::engine::docker::{
    BuildKit, DaemonError, DaemonOptions, Engine, Exported, ImageBuild, Loaded, Message,
};
use crate::environment::Machine;
use crate::image::WrittenImage;
use crate::report::{Event, Step, Stream};

/// The daemon that builds.
pub enum Builder {
    /// Docker Engine with BuildKit inside.
    Engine(Engine),
    /// Docker Engine's classic builder.
    Classic(Engine),
    /// buildkitd.
    BuildKit(BuildKit),
}

impl Builder {
    /// The kind of its machine.
    fn architecture(&self) -> &str {
        match self {
            Self::Engine(engine) | Self::Classic(engine) => &engine.architecture,
            Self::BuildKit(daemon) => &daemon.architecture,
        }
    }

    /// Docker Engine, when it is one.
    fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Engine(engine) | Self::Classic(engine) => Some(engine),
            Self::BuildKit(_) => None,
        }
    }
}

impl Build<'_> {
    /// Builds in a daemon; `folder` gets `.nixpacks/` as well.
    pub fn run_in(
        &self,
        builder: &Builder,
        options: &DaemonOptions,
        folder: Option<&Path>,
    ) -> Result<Built, PipelineError> {
        let dialect = match builder {
            Builder::Classic(_) => Dialect::Classic,
            Builder::Engine(_) | Builder::BuildKit(_) => Dialect::Mounts,
        };
        let prepared = self.prepare(machine(builder, options)?)?;
        let plan = &prepared.plan;
        self.refuse(builder, options, plan)?;
        let source = self.read_source(&prepared.repo)?;
        let context = self.context(&prepared, &source, dialect)?;
        if let Some(folder) = folder {
            self.write_context(&context, &prepared, &source, folder)?;
        }
        let kept = Kept::of(self, builder, options, plan, &context);
        if let Some(kept) = &kept {
            kept.restore()?;
        }
        let mut files = source_files(&source)?;
        files.extend(context.files);
        let mut arguments = context.dockerfile.arguments;
        let mut secrets = self.secrets_of(plan, &mut arguments)?;
        if let Some(pem) = authorities::of_host().and_then(|path| std::fs::read(path).ok()) {
            secrets.insert(super::dockerfile::AUTHORITIES.to_owned(), pem);
        }
        let pushing = builder
            .engine()
            .filter(|_| options.export == Exported::Registry);
        let mut options = options.clone();
        if pushing.is_some() {
            // An engine's BuildKit pushes nothing without containerd's store; its images the engine pushes itself.
            options.export = Exported::Engine;
        }
        let request = ImageBuild {
            files,
            dockerfile: Path::new(FOLDER).join("Dockerfile"),
            commands: context.dockerfile.commands,
            names: self.options.names.clone(),
            arguments,
            // Those of this build that a file can hold are in it.
            labels: context.dockerfile.labels,
            secrets,
            no_cache: self.options.no_cache,
            options: options.clone(),
            shared_key: self.mount_scope(),
        };
        let built = self.build_there(builder, request);
        let (digest, phases_run) = built.map_err(|error| emulated(error, builder, &options))?;
        if let Some(kept) = &kept {
            kept.keep(phases_run)?;
        }
        let mut image = describe(builder, &options, digest)?;
        self.smoke_test_there(builder, &image, &options, plan)?;
        if let Some(engine) = pushing {
            image.manifest_digest = self.push_from(engine, &image.manifest_digest)?;
        }
        let built = Built {
            image,
            names: self.options.names.clone(),
            phases_run,
            layers_written: 0,
        };
        Ok(self.finished(built))
    }

    /// What a builder cannot do is said before it works for minutes.
    fn refuse(
        &self,
        builder: &Builder,
        options: &DaemonOptions,
        plan: &BuildPlan,
    ) -> Result<(), PipelineError> {
        let unable = |what: &str| Err(DaemonError::Unable(what.to_owned()).into());
        let asks = plan
            .phases
            .values()
            .any(|phase| !self.options.secrets.of_phase(phase).is_empty());
        let limits = options.memory.is_some() || options.cpu_quota.is_some();
        let hooks = plan
            .hooks
            .as_ref()
            .and_then(|hooks| hooks.post_package.as_ref());
        let hooked = hooks.is_some_and(|hooks| !hooks.is_empty());
        if !self.options.destinations.is_empty() {
            return unable("write --output; say --docker-output, or build with --engine native");
        }
        let alone = plan
            .phases
            .values()
            .any(|phase| phase.network == Some(false));
        match builder {
            Builder::Classic(_) if alone => unable(
                "keep a phase from the network, as network = false asks: it is the classic one, without BuildKit",
            ),
            Builder::Classic(_) if asks => {
                unable("keep secrets from layers: it is the classic one, without BuildKit")
            }
            Builder::Classic(_) if matches!(options.export, Exported::File { .. }) => unable(
                "write files: it is the classic one, without BuildKit; leave out --docker-output, and say docker save",
            ),
            Builder::BuildKit(_) if hooked => unable(
                "run postPackage hooks: it keeps no images; leave out --buildkit-host, or the hooks",
            ),
            Builder::Engine(_) if hooked && matches!(options.export, Exported::File { .. }) => {
                unable(
                    "run postPackage hooks: with --docker-output the image is not among Docker's own; \
                 leave out --docker-output, and say docker save",
                )
            }
            Builder::Engine(_) | Builder::BuildKit(_) if limits => {
                self.report.event(Event::Warning {
                    message: "--memory and --cpu-quota have no effect: BuildKit leaves limits to its daemon".to_owned(),
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The secrets that phases ask for, and for each phase the argument that stands for their values.
    fn secrets_of(
        &self,
        plan: &BuildPlan,
        arguments: &mut BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Vec<u8>>, PipelineError> {
        let mut all = BTreeMap::new();
        for (name, phase) in &plan.phases {
            let secrets: BTreeMap<&str, &Secret> = self.options.secrets.of_phase(phase);
            if !secrets.is_empty() {
                let print = fingerprint(self.cache, &secrets)?;
                arguments.insert(super::dockerfile::secrets_argument(name), print);
            }
            all.extend(
                secrets
                    .into_iter()
                    .map(|(name, secret)| (name.to_owned(), secret.reveal().as_bytes().to_vec())),
            );
        }
        Ok(all)
    }

    /// Builds and tells; the image's digest, and the number of phases' commands that ran.
    pub(super) fn build_there(
        &self,
        builder: &Builder,
        request: ImageBuild,
    ) -> Result<(String, usize), PipelineError> {
        let mut started: BTreeMap<String, (Instant, bool)> = BTreeMap::new();
        let mut ran = 0;
        let mask = |text: &str| self.options.secrets.mask(text).into_owned();
        let mut tell = |message: Message| {
            let event = match message {
                Message::Started { step, title, phase } => {
                    started.insert(step.clone(), (Instant::now(), phase));
                    let title = mask(&title);
                    Event::StepStarted { step, title }
                }
                Message::Output { step, stream, line } => {
                    let line = mask(&line);
                    Event::Output { step, stream, line }
                }
                Message::Finished { step, cached } => {
                    let (since, phase) = started.remove(&step).unwrap_or((Instant::now(), false));
                    ran += usize::from(phase && !cached);
                    let milliseconds =
                        u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                    Event::StepFinished {
                        step,
                        cached,
                        milliseconds,
                        note: String::new(),
                    }
                }
                Message::Failed { step } => Event::StepFailed { step },
                Message::Warning(message) => Event::Warning {
                    message: mask(&message),
                },
            };
            self.report.event(event);
        };
        let outcome = match builder {
            Builder::Engine(engine) => engine.build(request, self.interrupt, &mut tell),
            Builder::Classic(engine) => engine.build_classic(request, self.interrupt, &mut tell),
            Builder::BuildKit(daemon) => daemon.build(request, self.interrupt, &mut tell),
        };
        let digest = outcome.map_err(|error| self.masked(error))?;
        Ok((digest, ran))
    }

    /// A daemon's error in the words of the sandbox, where it has some, without secrets.
    fn masked(&self, error: DaemonError) -> PipelineError {
        let mask = |text: &str| self.options.secrets.mask(text).into_owned();
        match error {
            DaemonError::Phase {
                phase,
                command,
                code,
                tail,
            } => {
                let tail = self.options.secrets.mask_all(&tail);
                phases::phase_failed(&phase, &mask(&command), Exit::Code(code), tail)
            }
            DaemonError::Build { step, reason, tail } => DaemonError::Build {
                step: mask(&step),
                reason: mask(&reason),
                tail: self.options.secrets.mask_all(&tail),
            }
            .into(),
            DaemonError::Export(reason) => DaemonError::Export(mask(&reason)).into(),
            DaemonError::Protocol(reason) => DaemonError::Protocol(mask(&reason)).into(),
            DaemonError::Changed(path) => SourceError::Changed(path).into(),
            other => other.into(),
        }
    }

    /// Runs the `postPackage` hooks in containers of the daemon's.
    fn smoke_test_there(
        &self,
        builder: &Builder,
        image: &WrittenImage,
        options: &DaemonOptions,
        plan: &BuildPlan,
    ) -> Result<(), PipelineError> {
        let Some(engine) = builder.engine() else {
            return Ok(());
        };
        let network = options.network.as_deref();
        self.each_post_package(plan, |command, step| {
            let tell = &mut |stream, line: &str| {
                self.report.event(Event::Output {
                    step: step.to_owned(),
                    stream,
                    line: self.options.secrets.mask(line).into_owned(),
                });
            };
            let id = &image.manifest_digest;
            let (code, tail) = engine.run(id, command, network, self.interrupt, tell)?;
            if code == 0 {
                return Ok(());
            }
            let tail = self.options.secrets.mask_all(&tail);
            Err(phases::phase_failed(
                "postPackage",
                &self.options.secrets.mask(command),
                Exit::Code(code),
                tail,
            ))
        })
    }

    /// Has Docker Engine push the image by each of its names; the digest of the first. A name may have become another's
    /// since it was built, so it is given again.
    fn push_from(&self, engine: &Engine, id: &str) -> Result<String, PipelineError> {
        let mut digests = Vec::new();
        for name in &self.options.names {
            let step = Step::start(self.report, "push", format!("push {name}"));
            let tell = &mut |line: &str| {
                self.report.event(Event::Output {
                    step: step.name().to_owned(),
                    stream: Stream::Stdout,
                    line: line.to_owned(),
                });
            };
            digests.push(engine.push(id, name, self.interrupt, tell)?);
            step.finish(false, "");
        }
        Ok(digests.into_iter().next().unwrap_or_default())
    }

    /// Hands an image of the store to Docker Engine.
    pub fn load_into(&self, engine: &Engine, image: &WrittenImage) -> Result<(), PipelineError> {
        let step = Step::start(
            self.report,
            "load",
            format!("load into {}", engine.host().text),
        );
        let digest = image.manifest_digest.clone();
        let (id, diff_ids) = self.store.identity(&digest)?;
        let store = self.store.clone();
        let names = self.options.names.clone();
        let parsed = names.clone();
        let loaded = engine.load(&id, &diff_ids, &names, self.interrupt, move |known, to| {
            crate::image::write_for_docker(&store, &digest, &parsed, known, to)
                .map_err(std::io::Error::other)
        })?;
        let note = match loaded {
            Loaded::Known => "the daemon has it".to_owned(),
            Loaded::Sent { known: 0 } => String::new(),
            Loaded::Sent { known } => format!("without {known} layers that it has"),
        };
        step.finish(loaded == Loaded::Known, note);
        Ok(())
    }
}

/// The image as the daemon knows it. It is asked by what it built: a name may be another's by now.
fn describe(
    builder: &Builder,
    options: &DaemonOptions,
    digest: String,
) -> Result<WrittenImage, PipelineError> {
    let (id, size) = match builder.engine() {
        Some(engine) if options.export == Exported::Engine => engine.describe(&digest)?,
        _ => (digest, 0),
    };
    Ok(WrittenImage {
        manifest_digest: id,
        size,
        unpacked_size: size,
    })
}

/// The machine that the image is for: the one that is asked for, else the daemon's own; none where it does not say.
fn machine(builder: &Builder, options: &DaemonOptions) -> Result<Option<Machine>, DaemonError> {
    let name = options.platform.as_deref();
    let name = name.unwrap_or_else(|| builder.architecture());
    let machine = Machine::named(name);
    if machine.is_none() && !name.is_empty() {
        let what = format!("be for {name}: there are packages for linux/amd64 and linux/arm64");
        return Err(DaemonError::Unable(what));
    }
    Ok(machine)
}

/// A builder runs programs of another kind of machine by emulation, or not at all.
fn emulated(error: PipelineError, builder: &Builder, options: &DaemonOptions) -> PipelineError {
    let PipelineError::Daemon(DaemonError::Build { tail, .. }) = &error else {
        return error;
    };
    let foreign = tail.iter().any(|line| line.ends_with("exec format error"));
    match &options.platform {
        Some(platform) if foreign => {
            let what = format!(
                "run programs of {platform}: its machine is {}, without emulation; name a builder of that kind, or install \
                 qemu-user-static there",
                builder.architecture()
            );
            DaemonError::Unable(what).into()
        }
        _ => error,
    }
}
