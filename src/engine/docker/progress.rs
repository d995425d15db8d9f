//! What BuildKit tells of a build, as messages.

use std::collections::{BTreeMap, BTreeSet};

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use super::failure::Details;
use super::lines::Lines;
use super::request::Commands;
use super::{DaemonError, Message, Teller};
use crate::engine::Tail;
use crate::report::Stream;

#[derive(Default)]
struct Known {
    /// What the step is called in messages.
    step: String,
    name: String,
    started: bool,
    ended: bool,
    failed: bool,
    tail: Tail,
    lines: Lines,
}

/// The steps of a build so far.
pub(super) struct Progress {
    commands: Commands,
    steps: BTreeMap<String, Known>,
    names: Names,
}

impl Progress {
    pub(super) fn of(commands: Commands) -> Self {
        Self {
            commands,
            steps: BTreeMap::new(),
            names: Names::default(),
        }
    }

    pub(super) fn take(&mut self, news: StatusResponse, tell: &mut Teller<'_>) {
        for vertex in news.vertexes {
            self.vertex(&vertex, tell);
        }
        for log in news.logs {
            let stream = if log.stream == 2 {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            let Known {
                lines, tail, step, ..
            } = self.steps.entry(log.vertex).or_default();
            lines.take(stream, &log.msg, &mut |line| {
                tail.push(line);
                tell(output(step, stream, line));
            });
        }
        for warning in news.warnings {
            tell(Message::Warning(
                String::from_utf8_lossy(&warning.short).into_owned(),
            ));
        }
    }

    fn vertex(&mut self, vertex: &Vertex, tell: &mut Teller<'_>) {
        let known = self.steps.entry(vertex.digest.clone()).or_default();
        known.name.clone_from(&vertex.name);
        let title = Title::of(&vertex.name, &self.commands);
        if known.step.is_empty() {
            known.step = self.names.of(&title, place(&vertex.name));
        }
        // BuildKit's own errands are nobody's news.
        if vertex.name.starts_with("[internal]") {
            return;
        }
        let completed = vertex.completed.is_some();
        if (vertex.started.is_some() || completed) && !known.started {
            known.started = true;
            tell(title.started(&known.step));
        }
        if completed && !known.ended {
            known.ended = true;
            known.failed = !vertex.error.is_empty();
            let Known {
                lines, tail, step, ..
            } = known;
            lines.end(&mut |stream, line| {
                tail.push(line);
                tell(output(step, stream, line));
            });
            if known.failed && is_import(&vertex.name) {
                let message = format!(
                    "no steps of other builds: {}: {}",
                    vertex.name, vertex.error
                );
                tell(Message::Warning(message));
            }
            let (step, cached) = (step.clone(), vertex.cached);
            tell(if known.failed {
                Message::Failed { step }
            } else {
                Message::Finished { step, cached }
            });
        }
    }

    /// What failed: the step that the details name, else the one that the daemon said has an error, else what is done with
    /// the result, when that was begun.
    pub(super) fn failure(mut self, details: &Details, message: &str) -> DaemonError {
        let named = details.vertex.as_ref();
        let named = named.and_then(|digest| self.steps.remove(digest));
        let exporting = |step: &Known| step.name.starts_with(EXPORTING);
        let exported = self.steps.values().any(exporting);
        let mut others = self.steps.into_values();
        let of_build = |step: &Known| step.failed && !exporting(step) && !is_import(&step.name);
        match named.or_else(|| others.find(of_build)) {
            Some(step) => {
                Title::of(&step.name, &self.commands).failure(details.code, message, step.tail)
            }
            None if exported => DaemonError::Export(message.to_owned()),
            None => DaemonError::Protocol(message.to_owned()),
        }
    }
}

/// Whether a step looks for the steps of other builds, without which the build goes on.
fn is_import(name: &str) -> bool {
    name.starts_with("importing cache manifest ")
}

/// Begins the names of what BuildKit does with a result, to an image or to a cache. No instruction of ours has such a name,
/// and no error about one names a step.
const EXPORTING: &str = "exporting ";

/// Where a step is in its Dockerfile: `stage-0 3/9`.
fn place(name: &str) -> &str {
    let inside = name.strip_prefix('[').and_then(|name| name.split_once(']'));
    inside.map_or(name, |(place, _)| place)
}

/// What steps are called in messages, as the sandbox calls its own: phases by their names, and what makes the environment
/// for them as a part of the root.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// A name that no other step has.
    pub(super) fn of(&mut self, title: &Title, place: &str) -> String {
        let plain = match title {
            Title::Phase { phase, .. } => format!("phase:{phase}"),
            _ => format!("root:{place}"),
        };
        let further = (2..).map(|number| format!("{plain} {number}"));
        let mut all = std::iter::once(plain.clone()).chain(further);
        let free = all.find(|name| !self.0.contains(name)).unwrap_or(plain);
        self.0.insert(free.clone());
        free
    }
}

fn output(step: &str, stream: Stream, line: &str) -> Message {
    Message::Output {
        step: step.to_owned(),
        stream,
        line: line.to_owned(),
    }
}

/// Begins the arguments of a phase's commands: then come the phase, the command's number and the command.
const RUN: &str = "[\"/bin/bash\"";

/// What a step is to a person.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Title {
    /// A command of a phase.
    Phase {
        /// The phase.
        phase: String,
        /// The command.
        command: String,
    },
    /// Whatever else a Dockerfile has.
    Step(String),
    /// Nothing was begun.
    #[default]
    None,
}

impl Title {
    /// Reads a step's name, which ends with its instruction.
    pub(super) fn of(name: &str, commands: &Commands) -> Self {
        let at = name.find(RUN);
        match at.and_then(|at| phase(&name[at..], commands)) {
            Some((phase, command)) => Self::Phase { phase, command },
            None => Self::Step(shortened(name)),
        }
    }

    /// That it began.
    pub(super) fn started(&self, step: &str) -> Message {
        Message::Started {
            step: step.to_owned(),
            title: self.to_string(),
            phase: matches!(self, Self::Phase { .. }),
        }
    }

    /// That it failed; `code` is that of its command, where the daemon says it.
    pub(super) fn failure(self, code: Option<i32>, reason: &str, tail: Tail) -> DaemonError {
        let tail = tail.last(Tail::LINES);
        match (self, code.or_else(|| code_in(reason))) {
            (Self::Phase { phase, command }, Some(code)) => DaemonError::Phase {
                phase,
                command,
                code,
                tail,
            },
            (title, _) => DaemonError::Build {
                step: title.to_string(),
                reason: end_of(reason).to_owned(),
                tail,
            },
        }
    }
}

/// What happened, without the command that it happened to: the step says it.
fn end_of(message: &str) -> &str {
    let ends = ["did not complete successfully: ", "]: "];
    let mut ends = ends.iter().filter_map(|end| message.rsplit_once(end));
    ends.next().map_or(message, |(_, end)| end)
}

/// The code at the end of a message: Docker Engine 20.10's BuildKit says it there alone.
fn code_in(message: &str) -> Option<i32> {
    message.rsplit_once("exit code: ")?.1.parse().ok()
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Phase { phase, command } => write!(f, "{phase}: {command}"),
            Self::Step(name) => f.write_str(name),
            Self::None => Ok(()),
        }
    }
}

/// Phase and command of a step. BuildKit puts the values of variables into the names of steps, and old ones take backslashes
/// out of them, so the command itself is none of the name's.
fn phase(argv: &str, commands: &Commands) -> Option<(String, String)> {
    let mut rest = argv.strip_prefix('[')?;
    let mut word = || {
        rest = rest.trim_start_matches([',', ' ']);
        let mut words = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let word = words.next()?.ok()?;
        rest = &rest[words.byte_offset()..];
        Some(word)
    };
    let (_bash, _program, phase, number) = (word()?, word()?, word()?, word()?);
    let number: usize = number.parse().ok()?;
    let command = commands.get(&phase)?.get(number)?.clone();
    Some((phase, command))
}

/// Long patterns say nothing to a person.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(160).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASE: &str = r#"[stage-0 9/12] RUN --mount=type=cache,id=a,target=/b ["/bin/bash", "/packwright/run.sh", "install", "1", "npm ci"]"#;

    fn commands() -> Commands {
        let all = ["true", "npm ci"].map(str::to_owned);
        Commands::from([("install".to_owned(), all.to_vec())])
    }

    fn of(steps: &[(&str, &str)]) -> Progress {
        let known = |(digest, name): &(&str, &str)| {
            let known = Known {
                name: (*name).to_owned(),
                failed: true,
                ..Known::default()
            };
            ((*digest).to_owned(), known)
        };
        Progress {
            steps: steps.iter().map(known).collect(),
            ..Progress::of(commands())
        }
    }

    #[test]
    fn a_phase_is_told_by_its_name_and_command() {
        let title = |name: &str| Title::of(name, &commands()).to_string();
        assert_eq!(title(PHASE), "install: npm ci");
        // Whatever the daemon made of the command.
        let other = PHASE.replace("npm ci", "echo a\"b \\\\ c");
        assert_eq!(title(&other), "install: npm ci");
        assert_eq!(title("[1/2] COPY a b"), "[1/2] COPY a b");
        let foreign = PHASE.replace("install", "other");
        assert_eq!(title(&foreign), foreign);
        assert_eq!(title(&"ü".repeat(200)).chars().count(), 161);
    }

    #[test]
    fn each_step_has_a_name_of_its_own() {
        let mut names = Names::default();
        let title = Title::of(PHASE, &commands());
        let mut name = |title: &Title, name: &str| names.of(title, place(name));
        assert_eq!(name(&title, PHASE), "phase:install");
        assert_eq!(name(&title, PHASE), "phase:install 2");
        let copy = "[stage-0 3/9] COPY a b";
        assert_eq!(
            name(&Title::Step(copy.to_owned()), copy),
            "root:stage-0 3/9"
        );
        assert_eq!(
            name(&Title::None, "exporting to image"),
            "root:exporting to image"
        );
    }

    #[test]
    fn what_failed_is_told_by_what_the_details_name() {
        let steps = [("sha256:1", "exporting to image"), ("sha256:2", PHASE)];
        let named = Details {
            vertex: Some("sha256:2".to_owned()),
            code: Some(3),
        };
        let failed = of(&steps).failure(&named, "no");
        assert!(
            matches!(&failed, DaemonError::Phase { phase, code: 3, .. } if phase == "install"),
            "{failed:?}"
        );
        // A phase whose command could not even be started is none that failed.
        let unstarted = Details {
            code: None,
            ..named
        };
        let old = of(&steps).failure(&unstarted, "executor failed running [x]: exit code: 4");
        assert!(
            matches!(&old, DaemonError::Phase { code: 4, .. }),
            "{old:?}"
        );
        let failed = of(&steps).failure(&unstarted, "no");
        assert!(matches!(&failed, DaemonError::Build { step, .. } if step == "install: npm ci"));
        let reason = |message: &str| match of(&steps).failure(
            &Details {
                vertex: Some("sha256:2".to_owned()),
                code: None,
            },
            message,
        ) {
            DaemonError::Build { reason, .. } => reason,
            other => other.to_string(),
        };
        assert_eq!(
            reason("process \"x\" did not complete successfully: killed"),
            "killed"
        );
        assert_eq!(
            reason("executor failed running [/bin/x [y]]: killed"),
            "killed"
        );
        let imports = [("sha256:0", "importing cache manifest from a"), steps[0]];
        let exported = of(&imports).failure(&Details::default(), "denied");
        assert!(matches!(&exported, DaemonError::Export(_)), "{exported:?}");
        let exported = of(&steps[..1]).failure(&Details::default(), "denied");
        assert!(matches!(&exported, DaemonError::Export(reason) if reason == "denied"));
        let lost = of(&[]).failure(&Details::default(), "gone");
        assert!(matches!(&lost, DaemonError::Protocol(reason) if reason == "gone"));
    }
}
