//! Starts an image in the native sandbox.
//!
//! Layers are unpacked below the cache once, each under its diff ID; the container's own changes
//! are gone when it ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::PipelineError;
use super::phases::phase_failed;
use crate::cache::{Cache, Key, Kind};
use crate::engine::{Bind, Engine, EngineError, Exit, Job, Network, Streams, Tail};
use crate::image::{ImageStore, RuntimeConfig};
use crate::interrupt::Interrupt;
use crate::report::{Report, Step};

/// What is needed to start containers.
pub struct Container<'a> {
    /// The cache folder.
    pub cache: &'a Cache,
    /// The local images.
    pub store: &'a ImageStore,
    /// Runs commands.
    pub engine: &'a dyn Engine,
    /// Hears what happens.
    pub report: &'a dyn Report,
    /// Signals are passed on to the command.
    pub interrupt: &'a Interrupt,
}

impl Container<'_> {
    /// Runs the image's start command, or `command` if it is not empty, with variables on top of
    /// the image's. Streams are the caller's own.
    pub fn start(
        &self,
        digest: &str,
        variables: &BTreeMap<String, String>,
        command: &[String],
    ) -> Result<Exit, PipelineError> {
        let (lowers, config) = self.unpack(digest)?;
        let staging = self.cache.staging()?;
        let mut job = Self::job(lowers, &config, staging.path().to_owned());
        job.user = user_of(&config.user, &job.lowers)?;
        job.streams = Streams::Inherited;
        job.env.extend(variables.clone());
        if !command.is_empty() {
            let shell = ["/bin/bash", "-l", "-c", "exec \"$@\"", "bash"].map(str::to_owned);
            job.argv = shell.into_iter().chain(command.iter().cloned()).collect();
        }
        match self.engine.run(&job, self.interrupt, &mut |_, _| {}) {
            Ok(outcome) => Ok(outcome.exit),
            Err(EngineError::Interrupted) => Ok(Exit::Signal(self.interrupt.signal())),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs one command in the image; its failure is an error.
    pub fn smoke_test(
        &self,
        digest: &str,
        command: &str,
        secrets: &super::Secrets,
        step: &str,
    ) -> Result<(), PipelineError> {
        let (lowers, config) = self.unpack(digest)?;
        let staging = self.cache.staging()?;
        let mut job = Self::job(lowers, &config, staging.path().to_owned());
        job.user = user_of(&config.user, &job.lowers)?;
        job.argv = ["/bin/bash", "-l", "-c", command]
            .map(str::to_owned)
            .to_vec();
        let (outcome, tail) = super::run_told(
            self.engine,
            &job,
            self.interrupt,
            self.report,
            secrets,
            step,
        );
        let outcome = outcome?;
        if outcome.exit.success() {
            return Ok(());
        }
        Err(phase_failed(
            "postPackage",
            &secrets.mask(command),
            outcome.exit,
            tail.last(Tail::LINES),
        ))
    }

    /// The image's layers as trees, bottom first, and its configuration.
    fn unpack(&self, digest: &str) -> Result<(Vec<PathBuf>, RuntimeConfig), PipelineError> {
        let config = self.store.runtime_config(digest)?;
        let mut lowers = Vec::new();
        for layer in &config.layers {
            let key = Key::build("unpacked with times")
                .field("diff id", &layer.diff_id)
                .finish();
            let path = match self.cache.find(Kind::Unpacked, &key) {
                Some(path) => path,
                None => {
                    let step = Step::start(
                        self.report,
                        format!("unpack:{}", layer.digest),
                        "unpack a layer",
                    );
                    let staging = self.cache.staging()?;
                    let tree = staging.path().join("fs");
                    fs::create_dir(&tree).map_err(|e| PipelineError::io("create", &tree, e))?;
                    crate::image::unpack_layer(self.store, layer, &tree)?;
                    step.finish(false, super::size(layer.size));
                    self.cache.commit(staging, Kind::Unpacked, &key)?
                }
            };
            lowers.push(path.join("fs"));
        }
        Ok((lowers, config))
    }

    fn job(lowers: Vec<PathBuf>, config: &RuntimeConfig, workspace: PathBuf) -> Job {
        let mut env: BTreeMap<String, String> = [("HOME", "/root"), ("TERM", "xterm")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        env.extend(config.env.iter().filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        }));
        let binds = ["/etc/resolv.conf", "/etc/hosts"]
            .into_iter()
            .filter_map(|file| {
                let source = fs::canonicalize(file).ok()?;
                Some(Bind {
                    source,
                    target: file.to_owned(),
                    read_only: true,
                })
            })
            .collect();
        Job {
            lowers,
            workspace,
            binds,
            argv: config
                .entrypoint
                .iter()
                .chain(&config.cmd)
                .cloned()
                .collect(),
            env,
            directory: config.working_dir.clone(),
            network: Network::Host,
            streams: Streams::Captured,
            user: (0, 0),
        }
    }
}

/// The numeric user and group of `user`, `uid`, `user:group` or `uid:gid`; names are looked up in
/// the topmost `/etc/passwd` and `/etc/group` of the trees.
fn user_of(text: &str, lowers: &[PathBuf]) -> Result<(u32, u32), PipelineError> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group)));
    if user.is_empty() {
        return Ok((0, 0));
    }
    let unknown = || PipelineError::UnknownUser(text.to_owned());
    let accounts = lines_of(lowers, "etc/passwd");
    let account = accounts
        .iter()
        .find(|fields| fields.first().is_some_and(|name| name == user));
    // The largest number means "leave it as it is" to the kernel: root, here.
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let field = |fields: &Vec<String>, at: usize| fields.get(at).and_then(|text| number(text));
    let uid = number(user)
        .or_else(|| account.and_then(|fields| field(fields, 2)))
        .ok_or_else(unknown)?;
    let gid = match group {
        None => account.and_then(|fields| field(fields, 3)).unwrap_or(0),
        Some(group) => {
            let groups = lines_of(lowers, "etc/group");
            let named = groups
                .iter()
                .find(|fields| fields.first().is_some_and(|name| name == group));
            number(group)
                .or_else(|| named.and_then(|fields| field(fields, 2)))
                .ok_or_else(unknown)?
        }
    };
    Ok((uid, gid))
}

/// The lines of the topmost version of an account file, split at colons. A link is not followed.
fn lines_of(lowers: &[PathBuf], file: &str) -> Vec<Vec<String>> {
    let is_file = |path: &PathBuf| {
        path.symlink_metadata()
            .is_ok_and(|meta| meta.is_file() && meta.len() < 1 << 20)
    };
    let found = lowers
        .iter()
        .rev()
        .map(|lower| lower.join(file))
        .find(is_file);
    let text = found
        .and_then(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    text.lines()
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names_and_never_the_number_that_changes_nothing() {
        let lower = tempfile::tempdir().unwrap();
        fs::create_dir(lower.path().join("etc")).unwrap();
        let accounts = "app:x:1000:1001::/:/bin/sh\nbad:x:4294967295:0::/:/bin/sh\n";
        fs::write(lower.path().join("etc/passwd"), accounts).unwrap();
        fs::write(lower.path().join("etc/group"), "web:x:33:\n").unwrap();
        let user = |text: &str| user_of(text, &[lower.path().to_owned()]).ok();
        assert_eq!(user(""), Some((0, 0)));
        assert_eq!(user("app"), Some((1000, 1001)));
        assert_eq!(user("app:web"), Some((1000, 33)));
        assert_eq!(user("7:8"), Some((7, 8)));
        for wrong in ["nobody", "bad", "4294967295", "0:4294967295", "-1"] {
            assert_eq!(user(wrong), None, "{wrong}");
        }
    }
}
