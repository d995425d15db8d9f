//! A shell in the environment of a plan: the root that phases stand on, with the source over it.
//!
//! What is changed there is gone when the shell ends; cache mounts are not there.

use super::source::APP;
use super::{Build, PipelineError, authorities, phases};
use crate::engine::{EngineError, Exit, Job, Network, Streams};

impl Build<'_> {
    /// Runs a shell, or a command in it, with the caller's own streams.
    pub fn shell(&self, command: &[String]) -> Result<Exit, PipelineError> {
        let prepared = self.prepare(None)?;
        let plan = &prepared.plan;
        let context = self.environment_of(&prepared)?;
        let roots = crate::environment::realise(&prepared.lock, &context, self)?;
        let source = self.read_source(&prepared.repo)?;
        let files = source.select(None)?;
        let mut lowers = roots.build.clone();
        lowers.push(source.snapshot(&files, self.cache)?.0);
        let mut path = roots.around.build_path.clone();
        for name in plan.phases_in_order()? {
            for entry in plan.phases[name].paths.iter().flatten() {
                path.insert(0, entry.clone());
            }
        }
        let mut env = phases::variables(plan, &roots, &path);
        if let Ok(terminal) = std::env::var("TERM") {
            env.insert("TERM".to_owned(), terminal);
        }
        let (workspace, scratch) = (self.cache.staging()?, self.cache.staging()?);
        let mut binds = super::store::binds(&roots.around.build_store);
        binds.extend(authorities::network_binds(
            &mut env,
            &lowers,
            scratch.path(),
        )?);
        let mut argv = vec!["/bin/bash".to_owned()];
        if !command.is_empty() {
            argv.extend(["-c", "exec \"$@\"", "bash"].map(str::to_owned));
            argv.extend(command.iter().cloned());
        }
        let job = Job {
            lowers,
            workspace: workspace.path().to_owned(),
            binds,
            argv,
            env,
            directory: format!("/{APP}"),
            network: Network::Host,
            streams: Streams::Inherited,
            user: (0, 0),
        };
        match self.engine.run(&job, self.interrupt, &mut |_, _| {}) {
            Ok(outcome) => Ok(outcome.exit),
            Err(EngineError::Interrupted) => Ok(Exit::Signal(self.interrupt.signal())),
            Err(error) => Err(error.into()),
        }
    }
}
