//! A shell script that is the program.
//!
//! - Claims: `start.sh`, or the only one of `run.sh` and `main.sh` that begins with a shebang
//! - Version from: nothing; bash is always there
//! - Installs with: nothing; the shell or language of the shebang is added where it is not bash
//! - Builds with: nothing
//! - Starts with: the interpreter that the shebang names, else `bash start.sh`

use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::version::{self, Grammar};

use super::strings;

/// The shell provider.
pub struct Shell;

/// Interpreters that every image has.
const ALWAYS: [&str; 3] = ["bash", "dash", "sh"];

/// Interpreters and the tools that have them.
const TOOLS: [(&str, &str); 9] = [
    ("bun", "bun"),
    ("deno", "deno"),
    ("fish", "fish"),
    ("ksh", "ksh"),
    ("node", "nodejs"),
    ("perl", "perl"),
    ("python", "python"),
    ("python3", "python"),
    ("zsh", "zsh"),
];

impl Provider for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let script = script(repo)?;
        Ok(script.map(|script| {
            Claim::new(
                Strength::Weak,
                Evidence::file(script, "a script at the root"),
            )
        }))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request.repo).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &["start.sh", "run.sh", "main.sh"]
    }
}

/// Everything that shell decisions rest on, read once.
struct Facts {
    script: Option<&'static str>,
    shebang: Option<String>,
    /// The tool that has the interpreter, where images do not have it anyway.
    tool: Option<String>,
    carriage_returns: bool,
}

impl Facts {
    fn read(repo: &Repo) -> Result<Self, PlanError> {
        let script = script(repo)?;
        let text = script
            .map(|script| repo.text(script))
            .transpose()?
            .flatten()
            .unwrap_or_default();
        let shebang = shebang(&text);
        let tool = shebang.as_deref().map(tool).transpose()?.flatten();
        Ok(Self {
            script,
            shebang,
            tool,
            carriage_returns: text.contains("\r\n"),
        })
    }
}

fn script(repo: &Repo) -> Result<Option<&'static str>, PlanError> {
    let there = |script: &str| repo.is_file(script) && repo.in_image(script);
    if there("start.sh") {
        return Ok(Some("start.sh"));
    }
    let mut scripts = Vec::new();
    for script in ["run.sh", "main.sh"]
        .into_iter()
        .filter(|script| there(script))
    {
        if repo
            .text(script)?
            .is_some_and(|text| text.starts_with("#!"))
        {
            scripts.push(script);
        }
    }
    Ok(match scripts[..] {
        [only] => Some(only),
        _ => None,
    })
}

/// The tool that has an interpreter, in its default version.
fn tool(interpreter: &str) -> Result<Option<String>, PlanError> {
    let Some((_, name)) = TOOLS.iter().find(|(name, _)| *name == interpreter) else {
        return Ok(None);
    };
    let tool = version::tool(name, Grammar::Npm, &[])?;
    Ok(Some(match tool.range.as_str() {
        "*" => tool.name.to_owned(),
        _ => tool.entry(),
    }))
}

/// The interpreter's name: `#!/usr/bin/env -S bash -eu` and `#!/bin/sh` alike.
fn shebang(text: &str) -> Option<String> {
    let line = text.lines().next()?.strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let first = words.next()?.rsplit('/').next()?;
    let name = if first == "env" {
        words.find(|word| !word.starts_with('-') && !word.contains('='))?
    } else {
        first
    };
    let name = name.rsplit('/').next()?;
    name.chars()
        .all(|letter| letter.is_ascii_alphanumeric() || ".-_+".contains(letter))
        .then(|| name.to_owned())
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["shell"]),
        ..Proposal::default()
    };
    let Some(script) = facts.script else {
        proposal.without_start = Some("write a start.sh, or set a start command".to_owned());
        return proposal;
    };
    let interpreter = facts.shebang.as_deref().unwrap_or("bash");
    let tools: Vec<String> = facts.tool.iter().cloned().collect();
    if let Some(tool) = &facts.tool {
        let reason = format!("{script} asks for {interpreter}");
        proposal
            .decisions
            .push(Decision::new("interpreter", tool.clone(), reason));
        proposal.plan.phase("setup").nix_pkgs = Some(tools.clone());
    } else if !ALWAYS.contains(&interpreter) {
        proposal.warnings.push(format!(
            "{script} asks for {interpreter}; add it with `--pkgs {interpreter}` or aptPkgs"
        ));
    }
    if facts.carriage_returns {
        proposal.warnings.push(format!("{script} has Windows line endings, at which {interpreter} stumbles; convert it with `dos2unix {script}`"));
    }
    let run = if interpreter == "deno" {
        "deno run --allow-all"
    } else {
        interpreter
    };
    let command = format!("{run} {script}");
    let reason = if facts.shebang.is_some() {
        "the interpreter of its first line"
    } else {
        "it names no interpreter"
    };
    proposal.decisions.push(
        Decision::new("start", command.clone(), reason).from(Evidence::file(script, "the script")),
    );
    proposal.plan.start = Some(Start {
        cmd: Some(command),
        nix_pkgs: Some(tools),
        ..Start::default()
    });
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn propose(files: &[(&str, &str)]) -> Proposal {
        let repo = Repo::in_memory(files);
        Shell
            .propose(&Request {
                repo: &repo,
                variables: &BTreeMap::new(),
                test: false,
                assisting: false,
            })
            .unwrap()
    }

    fn start(files: &[(&str, &str)]) -> Option<String> {
        propose(files).plan.start.and_then(|start| start.cmd)
    }

    #[test]
    fn the_shebang_names_the_interpreter() {
        assert_eq!(
            start(&[("start.sh", "echo")]).as_deref(),
            Some("bash start.sh")
        );
        assert_eq!(
            start(&[("start.sh", "#!/bin/sh -e\n")]).as_deref(),
            Some("sh start.sh")
        );
        assert_eq!(
            start(&[("start.sh", "#!/usr/bin/env -S A=1 zsh -e\r\n")]).as_deref(),
            Some("zsh start.sh")
        );
        assert_eq!(
            start(&[("run.sh", "#!/bin/bash\n")]).as_deref(),
            Some("bash run.sh")
        );
    }

    #[test]
    fn two_other_scripts_or_one_without_a_shebang_are_no_program() {
        assert_eq!(
            start(&[("run.sh", "#!/bin/sh"), ("main.sh", "#!/bin/sh")]),
            None
        );
        assert!(
            Shell
                .detect(&Repo::in_memory(&[("run.sh", "echo")]))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn another_shell_is_added_for_phases_and_start() {
        let plan = propose(&[("start.sh", "#!/usr/bin/env zsh\n")]).plan;
        assert_eq!(plan.phases["setup"].nix_pkgs.as_deref().unwrap(), ["zsh"]);
        assert_eq!(plan.start.unwrap().nix_pkgs.unwrap(), ["zsh"]);
        let plan = propose(&[("start.sh", "#!/usr/bin/env node\n")]).plan;
        assert_eq!(plan.start.unwrap().nix_pkgs.unwrap(), ["nodejs@24"]);
        let plan = propose(&[("start.sh", "#!/bin/bash\n")]).plan;
        assert!(plan.phases.is_empty());
    }

    #[test]
    fn windows_line_endings_and_strange_interpreters_warn() {
        assert_eq!(
            propose(&[("start.sh", "#!/bin/tcsh\r\necho\r\n")])
                .warnings
                .len(),
            2
        );
    }
}
