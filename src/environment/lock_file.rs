//! `packwright.lock`: a lock kept with the app, and the request that it answers.
//!
//! Owns the file's form and whether it is for a request. When it is used is the pipeline's business.

use serde::{Deserialize, Serialize};

use super::nix::{LockedNix, LockedSet, LockedSource};
use super::{EnvironmentError, EnvironmentRequest, LockedEnvironment, Machine, Packages};

/// Of the file's form.
const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    version: u32,
    /// What the plan asked for.
    request: EnvironmentRequest,
    /// The exact packages.
    environment: LockedEnvironment,
}

impl LockFile {
    /// The file's name, in the app's folder.
    pub const NAME: &str = "packwright.lock";

    /// A lock with its request.
    pub fn new(request: EnvironmentRequest, environment: LockedEnvironment) -> Self {
        Self {
            version: VERSION,
            request,
            environment,
        }
    }

    /// Reads a file's text.
    pub fn read(text: &str) -> Result<Self, EnvironmentError> {
        let malformed = |reason: String| EnvironmentError::Malformed {
            what: Self::NAME.to_owned(),
            reason,
        };
        let file: Self =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if file.version == VERSION {
            Ok(file)
        } else {
            Err(malformed(format!(
                "it has form {}, this packwright reads {VERSION}",
                file.version
            )))
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        // Strings, numbers and lists alone: there is nothing that cannot be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The packages, if they are those for a request and a machine, none being this one; else why they are not.
    pub fn fits(
        self,
        request: &EnvironmentRequest,
        packages: Packages,
        machine: Option<Machine>,
    ) -> Result<LockedEnvironment, &'static str> {
        if self.request != *request {
            return Err("it was made for another plan");
        }
        let (source, system) = match &self.environment {
            LockedEnvironment::Debian(lock) => (Packages::Debian, lock.architecture.as_str()),
            LockedEnvironment::Nix(lock) => (Packages::Nix, lock.system.as_str()),
        };
        if matches!(&self.environment, LockedEnvironment::Nix(lock) if lock.format != LockedNix::FORMAT)
        {
            return Err("it was made by another packwright");
        }
        if packages != Packages::Auto && packages != source {
            return Err("it has packages from another source");
        }
        let machine = machine.or_else(Machine::own);
        if machine.is_some_and(|machine| [machine.debian(), machine.nix()].contains(&system)) {
            Ok(self.environment)
        } else {
            Err("it was made for another kind of machine")
        }
    }

    /// Folders of this machine that the lock names: elsewhere it does not hold.
    pub fn folders(&self) -> Vec<String> {
        let LockedEnvironment::Nix(lock) = &self.environment else {
            return Vec::new();
        };
        let sources = lock.sets.iter().flat_map(LockedSet::sources);
        let mut folders: Vec<String> = sources
            .filter_map(|source| match source {
                LockedSource::Path(path) => Some(path.clone()),
                LockedSource::Archive { .. } | LockedSource::Flake(_) => None,
            })
            .collect();
        folders.dedup();
        folders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::LockedDebian;

    fn debian(architecture: &str) -> LockedEnvironment {
        LockedEnvironment::Debian(LockedDebian {
            format: 1,
            suite: "trixie".to_owned(),
            architecture: architecture.to_owned(),
            base: Vec::new(),
            run_base: Vec::new(),
            run_from_base: Vec::new(),
            run: Vec::new(),
            build: Vec::new(),
            toolchains: Vec::new(),
        })
    }

    fn request(tool: &str) -> EnvironmentRequest {
        EnvironmentRequest {
            build_tools: vec![tool.to_owned()],
            ..EnvironmentRequest::default()
        }
    }

    #[test]
    fn a_lock_comes_back_from_its_text_and_says_its_source() {
        let file = LockFile::new(request("nodejs@22"), debian("amd64"));
        let text = file.text();
        assert!(text.contains("\"packages\": \"debian\""), "{text}");
        assert_eq!(LockFile::read(&text).unwrap(), file);
        assert!(file.folders().is_empty());
    }

    #[test]
    fn a_lock_is_for_one_plan_one_source_and_one_kind_of_machine() {
        let here = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        let fits = |architecture: &str, asked: &str, packages| {
            LockFile::new(request("nodejs@22"), debian(architecture))
                .fits(&request(asked), packages, None)
                .map(|_| ())
        };
        assert_eq!(fits(here, "nodejs@22", Packages::Auto), Ok(()));
        assert_eq!(fits(here, "nodejs@22", Packages::Debian), Ok(()));
        assert!(fits(here, "nodejs@24", Packages::Auto).is_err_and(|why| why.contains("plan")));
        assert!(fits(here, "nodejs@22", Packages::Nix).is_err_and(|why| why.contains("source")));
        assert!(
            fits("s390x", "nodejs@22", Packages::Auto).is_err_and(|why| why.contains("machine"))
        );
    }

    #[test]
    fn what_is_no_lock_is_an_error() {
        for text in ["", "{}", "{\"version\":1,\"more\":2}"] {
            assert!(LockFile::read(text).is_err(), "{text}");
        }
        let newer = LockFile::new(request("x"), debian("amd64"))
            .text()
            .replace("\"version\": 1", "\"version\": 9");
        assert!(
            LockFile::read(&newer)
                .unwrap_err()
                .to_string()
                .contains("form 9")
        );
    }
}
