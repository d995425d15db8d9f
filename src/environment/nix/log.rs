//! Nix's own log, a JSON object a line, as progress and as errors.
//!
//! The form is that of `--log-format internal-json`, which has been the same since Nix 2.0.

use std::collections::BTreeMap;

use serde_json::Value;

/// Kinds of activity and of result that matter here.
const COPY_PATHS: u64 = 103;
const BUILDS: u64 = 104;
const BUILD: u64 = 105;
const BUILD_LINE: u64 = 101;
const PROGRESS: u64 = 105;

/// Of a builder's output, so many lines are kept.
const TAIL: usize = 30;

/// What a line means to the one who waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A line of a builder: the package's name, the line.
    Output(String, String),
    /// So many of so many store paths are there.
    Progress(u64, u64),
    /// Something that Nix warns of.
    Warning(String),
}

/// Reads the lines of one run of Nix.
#[derive(Debug, Default)]
pub(super) struct Log {
    builds: BTreeMap<u64, String>,
    /// Activities that count paths, each with what is done and expected.
    counts: BTreeMap<u64, (u64, u64)>,
    /// What was told last: Nix says the same again and again.
    told: (u64, u64),
    /// Messages of errors, without colours.
    errors: Vec<String>,
    /// Where in expressions they are, the innermost first.
    places: Vec<(String, u64)>,
    /// The last lines of each builder.
    tails: BTreeMap<String, Vec<String>>,
}

impl Log {
    /// Takes a line.
    pub(super) fn line(&mut self, line: &str) -> Option<Told> {
        let Some(object) = line.strip_prefix("@nix ") else {
            let text = without_colours(line);
            if text.starts_with("error") || !self.errors.is_empty() {
                self.errors.push(text);
            }
            return None;
        };
        let object: Value = serde_json::from_str(object).ok()?;
        let id = object["id"].as_u64().unwrap_or_default();
        let kind = object["type"].as_u64().unwrap_or_default();
        match object["action"].as_str()? {
            "start" => self.start(id, kind, &object["fields"]),
            "result" => return self.result(id, kind, &object["fields"]),
            "stop" => {
                self.builds.remove(&id);
            }
            "msg" => return self.message(&object),
            _ => {}
        }
        None
    }

    fn start(&mut self, id: u64, kind: u64, fields: &Value) {
        match kind {
            BUILD => {
                let path = fields[0].as_str().unwrap_or_default();
                self.builds.insert(id, name_of(path).to_owned());
            }
            BUILDS | COPY_PATHS => {
                self.counts.insert(id, (0, 0));
            }
            _ => {}
        }
    }

    fn result(&mut self, id: u64, kind: u64, fields: &Value) -> Option<Told> {
        if kind == PROGRESS {
            let count = self.counts.get_mut(&id)?;
            *count = (fields[0].as_u64()?, fields[1].as_u64()?);
            let sum = |part: fn(&(u64, u64)) -> u64| self.counts.values().map(part).sum();
            let (done, expected) = (sum(|count| count.0), sum(|count| count.1));
            let new = expected > 0 && self.told != (done, expected);
            self.told = (done, expected);
            return new.then_some(Told::Progress(done, expected));
        }
        if kind != BUILD_LINE {
            return None;
        }
        let name = self.builds.get(&id)?.clone();
        let line = without_colours(fields[0].as_str()?);
        let tail = self.tails.entry(name.clone()).or_default();
        if tail.len() == TAIL {
            tail.remove(0);
        }
        tail.push(line.clone());
        Some(Told::Output(name, line))
    }

    fn message(&mut self, object: &Value) -> Option<Told> {
        let text = without_colours(object["msg"].as_str()?);
        match object["level"].as_u64()? {
            0 => {
                self.errors.push(text);
                let outer = object["trace"].as_array();
                let places = std::iter::once(object).chain(outer.into_iter().flatten());
                self.places.extend(places.filter_map(place));
            }
            // The path is held as soon as it is there.
            1 if text.contains("--add-root") => {}
            1 => return Some(Told::Warning(text)),
            _ => {}
        }
        None
    }

    /// The messages of errors, the first first.
    pub(super) fn errors(&self) -> String {
        self.errors.join("\n")
    }

    /// Files and lines of the errors, each error's innermost first.
    pub(super) fn places(&self) -> &[(String, u64)] {
        &self.places
    }

    /// The last lines of the builder of a package.
    pub(super) fn tail(&self, name: &str) -> Vec<String> {
        self.tails.get(name).cloned().unwrap_or_default()
    }
}

/// The file and line of an error or of a step to it. Newer releases repeat line and column in the file's name.
fn place(object: &Value) -> Option<(String, u64)> {
    let (file, line) = (object["file"].as_str()?, object["line"].as_u64()?);
    let repeated = match object["column"].as_u64() {
        Some(column) if column > 0 => format!(":{line}:{column}"),
        _ => format!(":{line}"),
    };
    let file = file.strip_suffix(&repeated).unwrap_or(file);
    Some((file.to_owned(), line))
}

/// `nodejs-22.20.0` of `/nix/store/<hash>-nodejs-22.20.0.drv`.
pub(super) fn name_of(path: &str) -> &str {
    let base = path.rsplit('/').next().unwrap_or(path);
    let name = base.split_once('-').map_or(base, |(_, name)| name);
    name.strip_suffix(".drv").unwrap_or(name)
}

/// Text without the sequences that colour it.
pub(super) fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            for letter in letters.by_ref() {
                if letter.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if letter != '\r' {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_told_by_name_and_their_last_lines_kept() {
        let mut log = Log::default();
        let start = r#"@nix {"action":"start","fields":["/nix/store/ijvmg2hvp02lg97q6wqv655vdm6vx2qg-tool-1.drv","",1,1],"id":7,"level":3,"text":"building","type":105}"#;
        assert_eq!(log.line(start), None);
        let told =
            log.line(r#"@nix {"action":"result","fields":["\u001b[31mred"],"id":7,"type":101}"#);
        assert_eq!(
            told,
            Some(Told::Output("tool-1".to_owned(), "red".to_owned()))
        );
        for number in 0..100 {
            log.line(&format!(
                r#"@nix {{"action":"result","fields":["{number}"],"id":7,"type":101}}"#
            ));
        }
        assert_eq!(log.tail("tool-1").len(), TAIL);
        assert_eq!(log.tail("tool-1").last().unwrap(), "99");
    }

    #[test]
    fn paths_to_build_and_to_copy_are_counted_together() {
        let mut log = Log::default();
        log.line(r#"@nix {"action":"start","id":1,"level":0,"text":"","type":104}"#);
        log.line(r#"@nix {"action":"start","id":2,"level":0,"text":"","type":103}"#);
        log.line(r#"@nix {"action":"result","fields":[1,4,0,0],"id":1,"type":105}"#);
        let told = log.line(r#"@nix {"action":"result","fields":[2,6,0,0],"id":2,"type":105}"#);
        assert_eq!(told, Some(Told::Progress(3, 10)));
    }

    #[test]
    fn an_errors_places_are_read_in_both_forms() {
        let mut log = Log::default();
        log.line(r#"@nix {"action":"msg","level":0,"msg":"error: no","file":"/a.nix","line":3,"column":7,"trace":[{"file":"/b.nix:4:12","line":4,"column":12,"raw_msg":""},{"file":null,"line":null,"column":null}]}"#);
        assert_eq!(
            log.places(),
            [("/a.nix".to_owned(), 3), ("/b.nix".to_owned(), 4)]
        );
    }

    #[test]
    fn errors_are_kept_and_nonsense_is_no_panic() {
        let mut log = Log::default();
        for line in [
            "@nix {",
            "@nix []",
            "@nix {\"action\":1}",
            "",
            "@nix {\"action\":\"result\"}",
        ] {
            assert_eq!(log.line(line), None, "{line}");
        }
        log.line(r#"@nix {"action":"msg","level":0,"msg":"\u001b[31;1merror:\u001b[0m no"}"#);
        assert_eq!(log.errors(), "error: no");
        assert!(log.places().is_empty());
        let mut plain = Log::default();
        plain.line("error: one");
        plain.line("  at two");
        assert_eq!(plain.errors(), "error: one\n  at two");
    }
}
