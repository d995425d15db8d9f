//! The builder that Docker had before BuildKit: what it is told, and its text taken apart into steps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::BuildImageOptions;

use super::request::ImageBuild;
use super::{DaemonError, Message, Teller, progress};
use crate::engine::Tail;
use crate::report;

/// A build as the classic builder is asked for it.
pub(super) fn options(build: &ImageBuild) -> Result<BuildImageOptions, DaemonError> {
    let small = |flag: &'static str, number: Option<i64>| match number.map(i32::try_from) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(DaemonError::Argument {
            flag,
            text: number.unwrap_or_default().to_string(),
            reason: "the classic builder takes less than 2 GiB".to_owned(),
        }),
    };
    let pairs = |map: &BTreeMap<String, String>| -> HashMap<String, String> {
        map.clone().into_iter().collect()
    };
    Ok(BuildImageOptions {
        dockerfile: build.dockerfile.to_string_lossy().into_owned(),
        t: build.names.first().cloned(),
        extrahosts: (!build.options.add_hosts.is_empty())
            .then(|| build.options.add_hosts.join(",")),
        nocache: build.no_cache,
        cachefrom: registries(build),
        memory: small("--memory", build.options.memory)?,
        cpuquota: small("--cpu-quota", build.options.cpu_quota)?,
        buildargs: Some(pairs(&build.arguments)),
        labels: Some(pairs(&build.labels)),
        networkmode: build.options.network.clone(),
        platform: build.options.platform.clone().unwrap_or_default(),
        forcerm: true,
        ..BuildImageOptions::default()
    })
}

fn registries(build: &ImageBuild) -> Option<Vec<String>> {
    let references = build
        .options
        .cache_from
        .iter()
        .filter_map(|(_, attributes)| attributes.get("ref").cloned());
    let references: Vec<String> = references.collect();
    (!references.is_empty()).then_some(references)
}

/// The classic builder's text, taken apart into steps.
#[derive(Default)]
pub(super) struct Classic {
    step: Option<String>,
    title: String,
    cached: bool,
    rest: String,
    tail: Tail,
    seen: BTreeSet<String>,
}

impl Classic {
    pub(super) fn take(&mut self, text: &str, tell: &mut Teller<'_>) {
        self.rest += text;
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            self.line(line.trim_end(), tell);
        }
    }

    fn line(&mut self, line: &str, tell: &mut Teller<'_>) {
        if let Some((number, instruction)) = line
            .strip_prefix("Step ")
            .and_then(|line| line.split_once(" : "))
        {
            self.end(tell);
            let step = format!("step {number}");
            if self.seen.insert(step.clone()) {
                let command = progress::command(instruction);
                let phase = command.is_some();
                self.title = command.unwrap_or_else(|| instruction.chars().take(160).collect());
                self.cached = false;
                self.tail = Tail::default();
                let title = self.title.clone();
                tell(Message::Started {
                    step: step.clone(),
                    title,
                    phase,
                });
                self.step = Some(step);
            }
        } else if line == " ---> Using cache" {
            self.cached = true;
        } else if let Some(step) = &self.step
            && !line.starts_with(" ---> ")
            && !line.is_empty()
        {
            self.tail.push(line);
            let stream = report::Stream::Stdout;
            tell(Message::Output {
                step: step.clone(),
                stream,
                line: line.to_owned(),
            });
        }
    }

    pub(super) fn end(&mut self, tell: &mut Teller<'_>) {
        if let Some(step) = self.step.take() {
            tell(Message::Finished {
                step,
                cached: self.cached,
            });
        }
    }

    pub(super) fn failure(
        &mut self,
        error: &bollard::errors::Error,
        tell: &mut Teller<'_>,
    ) -> DaemonError {
        if let Some(step) = self.step.take() {
            tell(Message::Failed { step });
        }
        DaemonError::Build {
            step: std::mem::take(&mut self.title),
            reason: error.to_string(),
            tail: std::mem::take(&mut self.tail).last(Tail::LINES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_builders_text_is_taken_apart() {
        let mut told = Vec::new();
        let mut classic = Classic::default();
        let text = "Step 1/2 : FROM scratch\n ---> \nStep 2/2 : RUN x\n ---> Using cache\nhel";
        classic.take(text, &mut |message| told.push(message));
        classic.take("lo\n", &mut |message| told.push(message));
        classic.end(&mut |message| told.push(message));
        let step = |name: &str| name.to_owned();
        assert_eq!(
            told[3..],
            [
                Message::Started {
                    step: step("step 2/2"),
                    title: step("RUN x"),
                    phase: false
                },
                Message::Output {
                    step: step("step 2/2"),
                    stream: report::Stream::Stdout,
                    line: step("hello")
                },
                Message::Finished {
                    step: step("step 2/2"),
                    cached: true
                },
            ]
        );
    }
}
