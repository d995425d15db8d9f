//! What BuildKit tells of a build, as messages.

use std::collections::BTreeMap;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

use super::lines::Lines;
use super::{DaemonError, Message, Teller};
use crate::engine::Tail;
use crate::report::Stream;

#[derive(Default)]
struct Known {
    name: String,
    started: bool,
    ended: bool,
    failed: bool,
    tail: Tail,
    lines: Lines,
}

/// The steps of a build so far.
#[derive(Default)]
pub(super) struct Progress {
    steps: BTreeMap<String, Known>,
}

impl Progress {
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
            let Known { lines, tail, .. } = self.steps.entry(log.vertex.clone()).or_default();
            lines.take(stream, &log.msg, &mut |line| {
                tail.push(line);
                tell(output(&log.vertex, stream, line));
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
        let step = vertex.digest.clone();
        // BuildKit's own errands are nobody's news.
        if vertex.name.starts_with("[internal]") {
            return;
        }
        if vertex.started.is_some() && !known.started {
            known.started = true;
            tell(started(&step, &vertex.name));
        }
        if vertex.completed.is_some() && !known.ended {
            known.ended = true;
            let Known { lines, tail, .. } = known;
            lines.end(&mut |stream, line| {
                tail.push(line);
                tell(output(&step, stream, line));
            });
            if vertex.error.is_empty() {
                if !known.started {
                    tell(started(&step, &vertex.name));
                }
                tell(Message::Finished {
                    step,
                    cached: vertex.cached,
                });
            } else {
                known.failed = true;
                tell(Message::Failed { step });
            }
        }
    }

    /// The failed step with its last lines, or the daemon's own words.
    pub(super) fn failure(self, message: &str) -> DaemonError {
        let failed = self.steps.into_values().find(|step| step.failed);
        let (title, tail) = failed
            .map(|step| (title(&step.name), step.tail.last(Tail::LINES)))
            .unwrap_or_default();
        DaemonError::Build {
            step: title,
            reason: reason(message),
            tail,
        }
    }
}

fn output(step: &str, stream: Stream, line: &str) -> Message {
    Message::Output {
        step: step.to_owned(),
        stream,
        line: line.to_owned(),
    }
}

fn started(step: &str, name: &str) -> Message {
    Message::Started {
        step: step.to_owned(),
        title: title(name),
        phase: command(name).is_some(),
    }
}

/// The command of a phase that a step runs.
pub(super) fn command(name: &str) -> Option<String> {
    let at = name.find("[\"/bin/bash\"")?;
    let argv: Vec<String> = serde_json::from_str(&name[at..]).ok()?;
    match argv.as_slice() {
        [_, program, command] if program == "/packwright/run.sh" => Some(command.clone()),
        _ => None,
    }
}

/// A step's name as a person knows it: the command of a phase alone.
fn title(name: &str) -> String {
    command(name).unwrap_or_else(|| {
        // Long patterns say nothing to a person.
        let mut short: String = name.chars().take(160).collect();
        if short.len() < name.len() {
            short.push('…');
        }
        short
    })
}

/// The end of a chain of causes is what happened.
fn reason(message: &str) -> String {
    let end = message
        .rsplit_once("did not complete successfully: ")
        .map(|(_, end)| end);
    end.unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_told_by_its_command() {
        let name = r#"[stage-0 9/12] RUN --mount=type=cache,id=a,target=/b ["/bin/bash", "/packwright/run.sh", "npm ci"]"#;
        assert_eq!(title(name), "npm ci");
        assert_eq!(title("[1/2] COPY a b"), "[1/2] COPY a b");
        assert_eq!(
            reason("a: process \"x\" did not complete successfully: exit code: 3"),
            "exit code: 3"
        );
    }
}
