//! What Nix says when it fails, as an error for a person.

use std::path::Path;

use super::log::{Log, name_of};
use crate::environment::EnvironmentError;

/// What to do when an expression of the app's reads what it may not.
const FORBIDDEN: &str = "expressions of an app read the app's files, the nixpkgs and what these build; \
    --nix-option restrict-eval=false lets them read yours";

/// A command that ended badly.
pub(super) struct Failed {
    log: Box<Log>,
    status: String,
}

impl Failed {
    /// With what it said, and how it ended.
    pub(super) fn new(log: Log, status: String) -> Self {
        Self {
            log: Box::new(log),
            status,
        }
    }

    /// The error for a person. `what` is what was tried; `place` names a file of the user's, and the
    /// lines before the user's own, by its path.
    pub(super) fn explain(
        &self,
        what: &str,
        store: &Path,
        place: &dyn Fn(&str) -> Option<(String, u64)>,
    ) -> EnvironmentError {
        let text = self.log.errors();
        if let Some(error) = known(&text, store) {
            return error;
        }
        if let Some(error) = self.of_builder(&text) {
            return error;
        }
        let text = if text.is_empty() {
            self.status.clone()
        } else {
            text
        };
        // Newer releases tell the way to the error first.
        let text = text
            .rsplit_once("error:")
            .map_or(text.as_str(), |(_, last)| last);
        // Older ones tell it after the error, from step to step.
        let mut lines = text
            .lines()
            .map(str::trim_end)
            .take_while(|line| !line.trim_start().starts_with('…'))
            .filter(|line| !line.trim().is_empty());
        let reason = lines.next().unwrap_or_default().trim().to_owned();
        let mut places = self.log.places().iter();
        let at = places.find_map(|(file, line)| {
            let (name, before) = place(file)?;
            Some(format!(
                "{name}, line {}",
                line.saturating_sub(before).max(1)
            ))
        });
        EnvironmentError::Nix {
            what: at.map_or_else(|| what.to_owned(), |at| format!("evaluate {at}")),
            reason,
            details: lines.map(str::to_owned).collect(),
            hint: text.contains("in restricted mode").then_some(FORBIDDEN),
        }
    }

    fn of_builder(&self, text: &str) -> Option<EnvironmentError> {
        let at = ["builder for '", "Cannot build '", "build of '"]
            .iter()
            .find_map(|start| text.find(start).map(|at| &text[at + start.len()..]))?;
        let (drv, rest) = at.split_once('\'')?;
        let name = name_of(drv);
        // In newer releases the reason has a line of its own.
        let rest = rest
            .split_once("Reason: builder ")
            .map_or(rest, |(_, reason)| reason);
        let reason = rest
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .trim_end_matches([';', '.', ':']);
        let killed = text.contains("due to signal 9") || text.contains("signal 9 (");
        Some(EnvironmentError::Nix {
            what: format!("build {name}"),
            reason: if killed {
                "its builder was killed by signal 9, likely out of memory".to_owned()
            } else if reason.is_empty() {
                "its builder failed".to_owned()
            } else {
                format!("its builder {reason}")
            },
            details: self.log.tail(name),
            hint: killed.then_some("give the machine more memory, or build fewer packages at once: --nix-option max-jobs 1"),
        })
    }
}

/// Failures that have an error of their own here.
fn known(text: &str, store: &Path) -> Option<EnvironmentError> {
    let full = ["No space left on device", "database or disk is full"];
    if full.iter().any(|reason| text.contains(reason)) {
        return Some(EnvironmentError::Io {
            action: "write to the store in",
            path: store.join("nix/store"),
            source: std::io::ErrorKind::StorageFull.into(),
        });
    }
    let quoted = |after: &str| {
        let rest = &text[text.find(after)? + after.len()..];
        Some(rest.split_once('\'')?.0.to_owned())
    };
    if text.contains("hash mismatch in") {
        let value = |name: &str| {
            let line = text.lines().find(|line| line.trim().starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let what = quoted("downloaded from '").or_else(|| quoted("derivation '"))?;
        return Some(EnvironmentError::Mismatch {
            what,
            found: value("got")?,
            expected: value("specified").or_else(|| value("wanted"))?,
            authority: "the plan or the lock",
        });
    }
    let url = quoted("unable to download '")?;
    let reason = text
        .split_once(&format!("'{url}': "))
        .map_or("", |(_, rest)| rest);
    Some(EnvironmentError::Download {
        what: url,
        reason: reason.lines().next().unwrap_or_default().to_owned(),
        temporary: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> EnvironmentError {
        let mut log = Log::default();
        log.line("@nix {\"action\":\"start\",\"fields\":[\"/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv\"],\"id\":7,\"type\":105}");
        log.line("@nix {\"action\":\"result\",\"fields\":[\"last words\"],\"id\":7,\"type\":101}");
        for line in text.lines() {
            log.line(line);
        }
        let failed = Failed::new(log, "exit status: 1".to_owned());
        let place =
            |file: &str| (file == "/tmp/x/0.nix").then(|| ("phases.setup.nixExpr".to_owned(), 1));
        failed.explain("evaluate the environment", Path::new("/"), &place)
    }

    #[test]
    fn an_error_of_the_users_expression_names_its_line() {
        let message = |text: &str, file: &str, trace: &str| {
            format!(
                r#"@nix {{"action":"msg","level":0,"msg":"{text}","file":{file},"line":3,"column":17,"trace":{trace}}}"#
            )
        };
        for text in [
            message(
                "error: undefined variable 'nope'\\n\\n       at /tmp/x/0.nix:3:17:\\n\\n            3| nope",
                "\"/tmp/x/0.nix\"",
                "[]",
            ),
            // Since 2.14 or so the steps come first, and the file's name has the line too.
            message(
                "error:\\n       … while calling the 'import' builtin\\n         at /tmp/env.nix:9:1:\\n\\n       error: undefined variable 'nope'\\n       at /tmp/x/0.nix:3:17:",
                "\"/tmp/x/0.nix:3:17\"",
                r#"[{"file":"/tmp/env.nix:9:1","line":9,"column":1}]"#,
            ),
            // It may be in a function of the set's, which the text calls.
            message(
                "error: undefined variable 'nope'\\n\\n       … while evaluating 'f'\\n\\n       at /tmp/set.nix:3:17:",
                "null",
                r#"[{"file":"/tmp/set.nix","line":9,"column":1},{"file":"/tmp/x/0.nix","line":3,"column":1}]"#,
            ),
        ] {
            let EnvironmentError::Nix { what, reason, .. } = explained(&text) else {
                panic!("{text}")
            };
            assert_eq!(what, "evaluate phases.setup.nixExpr, line 2");
            assert_eq!(reason, "undefined variable 'nope'");
        }
    }

    #[test]
    fn a_wrong_hash_is_told_with_both() {
        let text = "error: hash mismatch in file downloaded from 'file:///tmp/s.tgz':\n         specified: sha256:0kk\n         got:       sha256:1ln";
        let error = explained(text).to_string();
        assert!(
            error.starts_with("file:///tmp/s.tgz has sha256:1ln, but sha256:0kk was promised"),
            "{error}"
        );
    }

    #[test]
    fn a_builders_end_is_told_with_its_last_words() {
        for failed in [
            "error: builder for '/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv' failed with exit code 3",
            "error: Cannot build '/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv'.\n       Reason: builder failed with exit code 3.\n       Output paths:",
        ] {
            let EnvironmentError::Nix {
                what,
                reason,
                details,
                ..
            } = explained(failed)
            else {
                panic!()
            };
            assert_eq!(
                (what.as_str(), reason.as_str()),
                ("build tool-1", "its builder failed with exit code 3")
            );
            assert_eq!(details, ["last words"]);
        }
        let killed = "error: builder for '/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv' failed due to signal 9 (Killed)";
        let EnvironmentError::Nix { reason, hint, .. } = explained(killed) else {
            panic!()
        };
        assert!(reason.contains("out of memory") && hint.is_some());
    }

    #[test]
    fn a_full_disk_and_a_dead_network_are_what_they_are() {
        for full in [
            "error: writing to file: No space left on device",
            "error: setting journal mode: database or disk is full",
        ] {
            assert!(matches!(explained(full), EnvironmentError::Io { .. }));
        }
        let error = explained(
            "error: unable to download 'https://x.example/a': Couldn't resolve host name (6)",
        );
        assert!(
            matches!(
                error,
                EnvironmentError::Download {
                    temporary: true,
                    ..
                }
            ),
            "{error}"
        );
    }
}
