//! Whether the start command can start: a misspelt program is found at build time.

use std::path::{Component, Path, PathBuf};

use packwright_providers::BuildPlan;

use super::phases::Results;
use super::source::{APP, SourceTree};
use super::{Build, PipelineError, SYSTEM_PATH};
use crate::environment::Roots;
use crate::image::ImageSpec;
use crate::report::Event;

/// Refuses a start command whose program is nowhere in the image, where that can be told.
pub fn check(
    build: &Build<'_>,
    plan: &BuildPlan,
    spec: &ImageSpec,
    roots: &Roots,
    source: &SourceTree,
    results: &Results,
) -> Result<(), PipelineError> {
    let Some(command) = plan.start.as_ref().and_then(|start| start.cmd.as_deref()) else {
        return Ok(());
    };
    let Some(program) = program_of(command) else {
        return Ok(());
    };
    let search = spec
        .env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(SYSTEM_PATH);
    let places: Vec<String> = if program.contains('/') {
        vec![absolute_program(program)]
    } else {
        search
            .split(':')
            .map(|folder| format!("{}/{program}", folder.trim_matches('/')))
            .collect()
    };
    let trees: Vec<&Path> = roots
        .run
        .iter()
        .map(|tree| tree.dir.as_path())
        .chain(results.steps.iter().map(|step| step.dir.as_path()))
        .collect();
    let found = places.iter().any(|place| {
        let in_source = Path::new(place).strip_prefix(APP);
        if roots.around.run_store.find(&format!("/{place}")).is_some() {
            return true;
        }
        trees
            .iter()
            .any(|tree| tree.join(place).symlink_metadata().is_ok())
            || in_source.is_ok_and(|inside| source.root().join(inside).symlink_metadata().is_ok())
    });
    if found {
        return Ok(());
    }
    let error = PipelineError::StartNotFound {
        program: program.to_owned(),
        command: command.to_owned(),
    };
    if build.options.allow_no_start {
        build.report.event(Event::Warning {
            message: error.to_string(),
        });
        return Ok(());
    }
    Err(error)
}

/// The program of a start command that is a plain call; `None` where a shell decides.
fn program_of(command: &str) -> Option<&str> {
    const BUILTINS: [&str; 14] = [
        ".", ":", "[", "[[", "cd", "echo", "eval", "exec", "export", "if", "source", "test",
        "ulimit", "while",
    ];
    let word = command.split_whitespace().next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./+@".contains(&byte);
    (word.bytes().all(plain) && !BUILTINS.contains(&word)).then_some(word)
}

/// A program's path in the root, without a leading slash; relative ones lie in the app.
fn absolute_program(program: &str) -> String {
    let path = if program.starts_with('/') {
        PathBuf::from(program)
    } else {
        Path::new("/app").join(program)
    };
    let parts: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_plain_start_command_is_known() {
        assert_eq!(program_of("npm run start"), Some("npm"));
        assert_eq!(program_of("./out --port $PORT"), Some("./out"));
        assert_eq!(program_of("PORT=3 node x"), None);
        assert_eq!(program_of("[[ -z $PORT ]] && x"), None);
        assert_eq!(program_of("$CMD"), None);
        assert_eq!(absolute_program("./out"), "app/out");
        assert_eq!(absolute_program("/usr/bin/env"), "usr/bin/env");
    }
}
