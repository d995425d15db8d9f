//! Procfile: `name: command`, one a line, as Heroku defines it.
//!
//! Owns the format and which process starts. Not YAML: a colon, a hash or a quote in a command means nothing here.

use crate::plan::{BuildPlan, PlanError, Start};
use crate::provider::{Decision, Evidence};
use crate::repo::Repo;

/// The processes of a Procfile, in file order, with their lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Procfile {
    processes: Vec<(String, String, usize)>,
    pub(crate) warnings: Vec<String>,
}

impl Procfile {
    fn parse(text: &str) -> Self {
        let mut procfile = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((name, command)) if valid(name.trim()) && !command.trim().is_empty() => {
                    procfile.processes.push((
                        name.trim().to_owned(),
                        command.trim().to_owned(),
                        index + 1,
                    ));
                }
                _ => procfile.warnings.push(format!(
                    "Procfile:{}: not \"name: command\"; the line is ignored",
                    index + 1
                )),
            }
        }
        procfile
    }

    fn find(&self, name: &str) -> Option<&(String, String, usize)> {
        // The last one wins, as in Heroku's own parser.
        self.processes
            .iter()
            .rev()
            .find(|process| process.0 == name)
    }

    /// `web`, else `worker`, else the first by name; never `release`.
    fn started(&self) -> Option<&(String, String, usize)> {
        let first = || {
            self.processes
                .iter()
                .filter(|process| process.0 != "release")
                .map(|process| &process.0)
                .min()
        };
        self.find("web")
            .or_else(|| self.find("worker"))
            .or_else(|| self.find(first()?))
    }
}

fn valid(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

/// A plan, its decisions and its warnings.
pub(crate) type Layer = (BuildPlan, Vec<Decision>, Vec<String>);

/// The layer of plan that a Procfile adds, with its decisions and warnings; `None` when there is none.
pub(crate) fn layer(repo: &Repo) -> Result<Option<Layer>, PlanError> {
    let Some(text) = repo.text("Procfile")? else {
        return Ok(None);
    };
    let procfile = Procfile::parse(&text);
    let mut plan = BuildPlan::default();
    let mut decisions = Vec::new();
    if let Some((_, command, line)) = procfile.find("release") {
        let phase = plan.phase("release");
        phase.depends_on = Some(["setup", "install", "build"].map(str::to_owned).to_vec());
        phase.cmds = Some(vec![command.clone()]);
        let evidence = Evidence::key("Procfile", "release", Some(*line), command);
        decisions.push(
            Decision::new(
                "release",
                command.clone(),
                "Procfile's release runs after the build, once",
            )
            .from(evidence),
        );
    }
    if let Some((name, command, line)) = procfile.started() {
        plan.start = Some(Start {
            cmd: Some(command.clone()),
            ..Start::default()
        });
        let evidence = Evidence::key("Procfile", name, Some(*line), command);
        let mut others: Vec<String> = procfile
            .processes
            .iter()
            .map(|process| process.0.clone())
            .collect();
        others.retain(|other| other != name && other != "release");
        decisions.push(
            Decision::new("start", command.clone(), format!("Procfile's {name}"))
                .from(evidence)
                .over(others),
        );
    }
    Ok(Some((plan, decisions, procfile.warnings)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriage_returns_tabs_comments_and_colons_in_commands_are_fine() {
        let text = "# what runs\r\nweb:\tgunicorn a:app --bind 0.0.0.0:$PORT # no comment\r\n\r\nworker : node w.js";
        let procfile = Procfile::parse(text);
        assert_eq!(
            procfile.find("web").unwrap().1,
            "gunicorn a:app --bind 0.0.0.0:$PORT # no comment"
        );
        assert_eq!(procfile.find("worker").unwrap().2, 4);
        assert!(procfile.warnings.is_empty());
    }

    #[test]
    fn web_then_worker_then_the_first_name_and_never_release() {
        let started = |text: &str| {
            Procfile::parse(text)
                .started()
                .map(|process| process.0.clone())
        };
        assert_eq!(started("worker: a\nweb: b").as_deref(), Some("web"));
        assert_eq!(started("zap: a\nworker: b").as_deref(), Some("worker"));
        assert_eq!(started("zap: a\nbot: b").as_deref(), Some("bot"));
        assert_eq!(started("release: a"), None);
    }

    #[test]
    fn a_line_that_is_no_process_is_a_warning_with_its_number() {
        assert_eq!(
            Procfile::parse("web: a\nnode server.js\n").warnings,
            ["Procfile:2: not \"name: command\"; the line is ignored"]
        );
    }
}
