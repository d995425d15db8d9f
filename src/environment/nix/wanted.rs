//! What is asked of each set of packages, by whom and for what.

use std::collections::BTreeSet;

use nodejs_semver::Range;

use super::Attribute;
use super::catalog::{self, Tool, Want, split_output};
use super::pin::is_nix_file;
use super::request::{NixRequest, Wish};
use crate::environment::EnvironmentError;

/// Names one set: `nixpkgsArchive` and `nixOverlays` as the plan has them.
pub(super) type SetName = (Option<String>, Vec<String>);

/// An entry of the plan, where it is asked for and by whom.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) set: usize,
    pub(super) place: String,
    pub(super) entry: String,
    pub(super) want: Want,
    pub(super) build: bool,
    pub(super) run: bool,
    pub(super) library: bool,
}

/// What is asked, by set.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) sets: Vec<SetName>,
    pub(super) asked: Vec<Asked>,
}

impl Wanted {
    pub(super) fn read(request: &NixRequest) -> Result<Self, EnvironmentError> {
        let mut wanted = Self {
            sets: vec![(None, Vec::new())],
            asked: Vec::new(),
        };
        let stays = request.start.is_none();
        for wish in &request.phases {
            let set = wanted.set(wish);
            for entry in &wish.packages {
                wanted.ask(set, wish, entry, (true, stays), false)?;
            }
            // Programs load libraries when they run, and only the user asks for them.
            for entry in &wish.libraries {
                wanted.ask(set, wish, entry, (true, true), true)?;
            }
            let kept = request
                .start
                .as_ref()
                .is_none_or(|start| start.expression.is_none());
            if let Some(text) = &wish.expression {
                wanted.give(set, wish, text, (true, kept));
            }
        }
        if let Some(start) = &request.start {
            for entry in &start.packages {
                let set = wanted.set_of(entry);
                wanted.ask(set, start, entry, (false, true), false)?;
            }
            if let Some(text) = &start.expression {
                wanted.give(wanted.usual_set(), start, text, (false, true));
            }
        }
        Ok(wanted)
    }

    /// The number of a wish's set, made when it is new.
    fn set(&mut self, wish: &Wish) -> usize {
        let name = (wish.archive.clone(), wish.overlays.clone());
        match self.sets.iter().position(|set| *set == name) {
            Some(number) => number,
            None => {
                self.sets.push(name);
                self.sets.len() - 1
            }
        }
    }

    /// The set that a phase takes an entry from, for the app that needs it too.
    fn set_of(&self, entry: &str) -> usize {
        let same = self.asked.iter().find(|asked| asked.entry == entry);
        same.map_or_else(|| self.usual_set(), |asked| asked.set)
    }

    fn usual_set(&self) -> usize {
        self.asked.first().map_or(0, |asked| asked.set)
    }

    fn ask(
        &mut self,
        set: usize,
        wish: &Wish,
        entry: &str,
        (build, run): (bool, bool),
        library: bool,
    ) -> Result<(), EnvironmentError> {
        let want = catalog::want(entry)?;
        // `openssl.out` is asked for because a program links it.
        let library = library
            || matches!(&want, Want::Exactly(Attribute::Path(path)) if split_output(path).1.is_some_and(|output| output != "bin"));
        self.push(Asked {
            set,
            place: format!("{}.nixPkgs, {entry}", wish.place),
            entry: entry.to_owned(),
            want,
            build,
            run,
            library,
        });
        Ok(())
    }

    fn give(&mut self, set: usize, wish: &Wish, text: &str, (build, run): (bool, bool)) {
        let source = if is_nix_file(text) {
            Attribute::File(text.to_owned())
        } else {
            Attribute::Text(text.to_owned())
        };
        self.push(Asked {
            set,
            place: format!("{}.nixExpr", wish.place),
            entry: text.to_owned(),
            want: Want::Exactly(source),
            build,
            run,
            library: false,
        });
    }

    fn push(&mut self, asked: Asked) {
        let same = self.asked.iter_mut().find(|other| {
            (other.set, &other.want, other.library) == (asked.set, &asked.want, asked.library)
        });
        match same {
            Some(other) => {
                other.build |= asked.build;
                other.run |= asked.run;
            }
            None => self.asked.push(asked),
        }
    }

    /// The ranges that all askers of a tool in one set have of it.
    pub(super) fn ranges(
        &self,
        set: usize,
        tool: &'static Tool,
    ) -> Result<Vec<Range>, EnvironmentError> {
        let asked = self.asked.iter().filter(|asked| asked.set == set);
        asked
            .filter_map(|asked| match &asked.want {
                Want::Tool(other, range) if *other == tool => Some(catalog::range(tool, range)),
                _ => None,
            })
            .collect()
    }

    /// What a set is asked about, sorted.
    pub(super) fn attributes(&self, set: usize) -> Vec<String> {
        let mut names = BTreeSet::new();
        for asked in self.asked.iter().filter(|asked| asked.set == set) {
            match &asked.want {
                Want::Tool(tool, _) => {
                    names.extend(tool.attributes.iter().map(|name| (*name).to_owned()));
                }
                Want::Exactly(Attribute::Path(path)) => {
                    names.insert(split_output(path).0.to_owned());
                }
                Want::Exactly(_) | Want::OfPhp(_) | Want::Nothing => {}
            }
        }
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(place: &str, packages: &[&str]) -> Wish {
        Wish {
            place: place.to_owned(),
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            ..Wish::default()
        }
    }

    #[test]
    fn what_start_names_stays_from_the_set_of_its_phase() {
        let mut old = wish("phases.setup", &["nodejs@22", "gcc"]);
        old.archive = Some("0".repeat(40));
        let request = NixRequest {
            phases: vec![old, wish("phases.test", &["jq"])],
            start: Some(wish("start", &["nodejs@22"])),
        };
        let wanted = Wanted::read(&request).unwrap();
        assert_eq!(wanted.sets.len(), 2);
        let flags: Vec<_> = wanted
            .asked
            .iter()
            .map(|asked| (asked.entry.as_str(), asked.set, asked.build, asked.run))
            .collect();
        assert_eq!(
            flags,
            [
                ("nodejs@22", 1, true, true),
                ("gcc", 1, true, false),
                ("jq", 0, true, false)
            ]
        );
    }

    #[test]
    fn a_plan_that_does_not_say_what_stays_keeps_everything() {
        let request = NixRequest {
            phases: vec![wish("phases.setup", &["nodejs", "gcc"])],
            start: None,
        };
        let wanted = Wanted::read(&request).unwrap();
        assert!(wanted.asked.iter().all(|asked| asked.build && asked.run));
    }

    #[test]
    fn libraries_and_outputs_are_on_the_loaders_path_and_libraries_stay() {
        let mut setup = wish("phases.setup", &["openssl.dev", "jq"]);
        setup.libraries = vec!["zlib".to_owned()];
        let request = NixRequest {
            phases: vec![setup],
            start: Some(wish("start", &["openssl.out"])),
        };
        let wanted = Wanted::read(&request).unwrap();
        let flags: Vec<_> = wanted
            .asked
            .iter()
            .map(|asked| (asked.entry.as_str(), asked.library, asked.run))
            .collect();
        assert_eq!(
            flags,
            [
                ("openssl.dev", true, false),
                ("jq", false, false),
                ("zlib", true, true),
                ("openssl.out", true, true)
            ]
        );
    }
}
