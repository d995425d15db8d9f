//! The builder that Docker had before BuildKit: what it is told, and its text taken apart into steps.

use std::collections::BTreeMap;

use super::lines::Lines;
use super::news::Fault;
use super::progress::{Names, Title};
use super::request::{Commands, ImageBuild};
use super::{DaemonError, Message, Teller};
use crate::engine::Tail;
use crate::report::Stream;

const PATH: &str = "/build?";

/// The path and query of the call that builds, as `docker build` has them; what the builder cannot do is refused.
pub(super) fn target(build: &ImageBuild) -> Result<String, DaemonError> {
    let options = &build.options;
    let unable = |what: String| {
        let why = "it is the classic one, without BuildKit";
        Err(DaemonError::Unable(format!("{what}: {why}")))
    };
    if !options.cache_to.is_empty() {
        return unable("keep steps for others, as --cache-to and --inline-cache ask".to_owned());
    }
    if let Some((kind, _)) = options
        .cache_from
        .iter()
        .find(|(kind, _)| kind != "registry")
    {
        return unable(format!("find steps in type={kind}, as --cache-from asks"));
    }
    let caches = options.cache_from.iter();
    let caches: Vec<&String> = caches.filter_map(|(_, with)| with.get("ref")).collect();
    let json = |map: &BTreeMap<String, String>| serde_json::to_string(map).unwrap_or_default();
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let mut query = form_urlencoded::Serializer::for_suffix(PATH.to_owned(), PATH.len());
    query
        .append_pair("dockerfile", &build.dockerfile.to_string_lossy())
        .append_pair("buildargs", &json(&build.arguments))
        .append_pair("labels", &json(&build.labels))
        .append_pair("rm", "1")
        .append_pair("forcerm", "1");
    // Each is a parameter of its own: the daemon takes no lists in one.
    query.extend_pairs(build.names.iter().map(|name| ("t", name)));
    query.extend_pairs(options.add_hosts.iter().map(|host| ("extrahosts", host)));
    let optional = [
        ("nocache", build.no_cache.then(|| "1".to_owned())),
        (
            "cachefrom",
            (!caches.is_empty()).then(|| serde_json::json!(caches).to_string()),
        ),
        ("memory", number(options.memory)),
        ("cpuquota", number(options.cpu_quota)),
        ("networkmode", options.network.clone()),
        ("platform", options.platform.clone()),
    ];
    query.extend_pairs(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Ok(query.finish())
}

/// Begins lines that are the builder's own.
const OWN: [&str; 2] = [" ---> ", "Removing intermediate container "];

/// The classic builder's text, taken apart into steps.
#[derive(Default)]
pub(super) struct Classic {
    commands: Commands,
    step: Option<String>,
    title: Title,
    cached: bool,
    tail: Tail,
    /// The number of the last step, and of all.
    place: (u32, u32),
    names: Names,
    lines: Lines,
}

impl Classic {
    pub(super) fn of(commands: Commands) -> Self {
        Self {
            commands,
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, text: &str, tell: &mut Teller<'_>) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.take(Stream::Stdout, text.as_bytes(), &mut |line| {
            self.line(line, tell);
        });
        self.lines = lines;
    }

    fn line(&mut self, line: &str, tell: &mut Teller<'_>) {
        let line = line.trim_end();
        if let Some((number, instruction)) = line
            .strip_prefix("Step ")
            .and_then(|line| line.split_once(" : "))
            .filter(|(number, _)| self.is_next(number))
        {
            self.finish_step(tell);
            self.title = Title::of(instruction, &self.commands);
            let step = self.names.of(&self.title, &format!("step {number}"));
            self.cached = false;
            self.tail = Tail::default();
            tell(self.title.started(&step));
            self.step = Some(step);
        } else if line == " ---> Using cache" {
            self.cached = true;
        } else if let Some(step) = &self.step
            && !OWN.iter().any(|own| line.starts_with(own))
            && !line.is_empty()
        {
            self.tail.push(line);
            tell(Message::Output {
                step: step.clone(),
                stream: Stream::Stdout,
                line: line.to_owned(),
            });
        }
    }

    /// Whether `3/12` is the place of the step after the last one. Commands may write lines that look like the builder's.
    fn is_next(&mut self, place: &str) -> bool {
        let numbers = place.split_once('/');
        let numbers = numbers.and_then(|(at, of)| Some((at.parse().ok()?, of.parse().ok()?)));
        let Some((at, of)) = numbers else {
            return false;
        };
        let next = at == self.place.0 + 1 && (self.place.0 == 0 || of == self.place.1);
        if next {
            self.place = (at, of);
        }
        next
    }

    fn finish_step(&mut self, tell: &mut Teller<'_>) {
        if let Some(step) = self.step.take() {
            tell(Message::Finished {
                step,
                cached: self.cached,
            });
        }
    }

    /// Tells what has no end of a line.
    fn rest(&mut self, tell: &mut Teller<'_>) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.end(&mut |_, line| self.line(line, tell));
    }

    pub(super) fn end(&mut self, tell: &mut Teller<'_>) {
        self.rest(tell);
        self.finish_step(tell);
    }

    /// Why the build failed; a code other than 0 is that of the step's command.
    pub(super) fn failure(mut self, fault: &Fault, tell: &mut Teller<'_>) -> DaemonError {
        self.rest(tell);
        if let Some(step) = self.step.take() {
            tell(Message::Failed { step });
        }
        let code = Some(fault.code).filter(|code| *code != 0);
        self.title.failure(code, &fault.message, self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::docker::request::parse_typed;

    #[test]
    fn each_host_and_name_is_a_parameter_of_its_own() {
        let mut build = ImageBuild {
            dockerfile: "a/Dockerfile".into(),
            names: vec!["one".to_owned(), "two:2".to_owned()],
            ..ImageBuild::default()
        };
        build.options.add_hosts = vec!["a:10.0.0.1".to_owned(), "b:::1".to_owned()];
        build.options.memory = Some(4 << 30);
        let target = target(&build).unwrap();
        for part in [
            "/build?dockerfile=a%2FDockerfile&",
            "&t=one&t=two%3A2&extrahosts=a%3A10.0.0.1&extrahosts=b%3A%3A%3A1&",
            "memory=4294967296",
        ] {
            assert!(target.contains(part), "{target}");
        }
    }

    #[test]
    fn caches_that_the_builder_does_not_know_are_refused() {
        let mut build = ImageBuild::default();
        build.options.cache_from = vec![parse_typed("--cache-from", "a.test/b").unwrap()];
        assert!(
            target(&build)
                .unwrap()
                .contains("cachefrom=%5B%22a.test%2Fb%22%5D")
        );
        build.options.cache_from = vec![parse_typed("--cache-from", "type=local,src=x").unwrap()];
        assert!(
            target(&build)
                .unwrap_err()
                .to_string()
                .contains("type=local")
        );
        build.options = crate::engine::docker::DaemonOptions {
            cache_to: vec![("inline".to_owned(), BTreeMap::new())],
            ..Default::default()
        };
        let refused = target(&build).unwrap_err().to_string();
        assert!(refused.contains("--inline-cache"), "{refused}");
    }

    /// What is told of a build phase's command that writes this and ends with 3, in the first of so many steps.
    fn failed(command: &str, steps: u32, written: &str) -> (DaemonError, Vec<Message>) {
        let commands = Commands::from([("build".to_owned(), vec![command.to_owned()])]);
        let mut classic = Classic::of(commands);
        let mut told = Vec::new();
        let text = format!(
            "Step 1/{steps} : RUN [\"/bin/bash\", \"/packwright/run.sh\", \"build\", \"0\", \"{command}\"]\n ---> Running in 0\n{written}"
        );
        classic.take(&text, &mut |message| told.push(message));
        let fault = Fault {
            code: 3,
            message: "returned a non-zero code: 3".to_owned(),
        };
        let failed = classic.failure(&fault, &mut |message| told.push(message));
        (failed, told)
    }

    #[test]
    fn a_failed_command_is_told_with_its_phase_and_code() {
        let (failed, told) = failed("make all", 1, "no");
        assert!(matches!(
            failed,
            DaemonError::Phase { phase, command, code: 3, tail } if phase == "build" && command == "make all" && tail == ["no"]
        ));
        assert!(
            matches!(&told[0], Message::Started { title, phase: true, .. } if title == "build: make all")
        );
        assert!(matches!(&told[2], Message::Failed { .. }), "{told:?}");
    }

    #[test]
    fn what_a_command_writes_is_no_step() {
        let (failed, told) = failed("make", 2, "Step 1/3 : compile\nStep 2/3 : link\n");
        let outputs = told
            .iter()
            .filter(|message| matches!(message, Message::Output { .. }));
        assert_eq!(outputs.count(), 2, "{told:?}");
        assert!(
            matches!(failed, DaemonError::Phase { code: 3, .. }),
            "{failed}"
        );
    }

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
                    step: step("root:step 2/2"),
                    title: step("RUN x"),
                    phase: false
                },
                Message::Output {
                    step: step("root:step 2/2"),
                    stream: Stream::Stdout,
                    line: step("hello")
                },
                Message::Finished {
                    step: step("root:step 2/2"),
                    cached: true
                },
            ]
        );
    }
}
