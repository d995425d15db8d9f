//! What happens during a build, as data: events, and the trait that receives them.
//!
//! Everything below `cli` tells its progress through [`Report`]; how an event looks on a
//! terminal, in a pipe or as JSON is decided in `cli` alone.

use serde::Serialize;

/// One thing that happened. Serialised as JSON with its kind under `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A decision that the user may want to know, with its reason.
    Decided {
        /// What was decided, such as `packages`.
        subject: String,
        /// The choice.
        choice: String,
        /// Why.
        reason: String,
    },
    /// Something that is not an error and should still be read.
    Warning {
        /// What was found and what to do.
        message: String,
    },
    /// A unit of work began: a download, a root, a phase, a layer.
    StepStarted {
        /// Names the step in later events; unique within a build.
        step: String,
        /// What it does, for a person.
        title: String,
    },
    /// How far a step is, in units of `unit`; sent several times a second at most.
    StepProgress {
        /// The step.
        step: String,
        /// Units done.
        done: u64,
        /// Units in all, when known.
        total: Option<u64>,
        /// `bytes`, `files`, `packages`.
        unit: &'static str,
    },
    /// A line that a phase's command wrote, without its line end.
    Output {
        /// The step that wrote it.
        step: String,
        /// `stdout` or `stderr`.
        stream: Stream,
        /// The text; bytes that are not UTF-8 are replaced.
        line: String,
    },
    /// A step ended well.
    StepFinished {
        /// The step.
        step: String,
        /// True when an earlier build's result was used.
        cached: bool,
        /// How long it took, in milliseconds.
        milliseconds: u64,
        /// One line of result, such as a size; may be empty.
        note: String,
    },
    /// A step ended badly; the error itself follows as the build's result.
    StepFailed {
        /// The step.
        step: String,
    },
    /// The image is written.
    Finished {
        /// `sha256:...` of the image manifest.
        digest: String,
        /// Bytes of the compressed layers, config and manifest.
        size: u64,
        /// Bytes of the layers unpacked.
        unpacked_size: u64,
        /// Names under which the local store knows it.
        names: Vec<String>,
        /// Phases that ran.
        phases_run: usize,
        /// Layers that had to be written.
        layers_written: usize,
    },
}

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Receives events; called from several threads.
pub trait Report: Send + Sync {
    /// Takes one event. Must not block for long.
    fn event(&self, event: Event);
}

/// Drops every event.
pub struct Silent;

impl Report for Silent {
    fn event(&self, _: Event) {}
}

/// Starts a step and ends it: `StepFinished` by [`Step::finish`], `StepFailed` when dropped before.
pub struct Step<'a> {
    report: &'a dyn Report,
    name: String,
    started: std::time::Instant,
    ended: bool,
}

impl<'a> Step<'a> {
    /// Announces a step.
    pub fn start(
        report: &'a dyn Report,
        name: impl Into<String>,
        title: impl Into<String>,
    ) -> Self {
        let name = name.into();
        report.event(Event::StepStarted {
            step: name.clone(),
            title: title.into(),
        });
        Self {
            report,
            name,
            started: std::time::Instant::now(),
            ended: false,
        }
    }

    /// The step's name, for events of its own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who hears of it.
    pub fn report(&self) -> &'a dyn Report {
        self.report
    }

    /// Tells how far the step is.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: &'static str) {
        self.report.event(Event::StepProgress {
            step: self.name.clone(),
            done,
            total,
            unit,
        });
    }

    /// Ends the step well.
    pub fn finish(mut self, cached: bool, note: impl Into<String>) {
        self.ended = true;
        self.report.event(Event::StepFinished {
            step: self.name.clone(),
            cached,
            milliseconds: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            note: note.into(),
        });
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.report.event(Event::StepFailed {
                step: self.name.clone(),
            });
        }
    }
}
