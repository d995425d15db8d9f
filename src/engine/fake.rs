//! An engine that runs nothing and remembers what it was asked, for tests of its callers.

use std::fs;
use std::sync::{Mutex, PoisonError};

use super::{Engine, EngineError, Exit, Job, Outcome, Output};
use crate::interrupt::Interrupt;
use crate::report::Stream;

/// Remembers each job; every command "succeeds" without a change.
#[derive(Default)]
pub struct Fake {
    jobs: Mutex<Vec<Job>>,
}

impl Fake {
    /// The jobs so far.
    pub fn jobs(&self) -> Vec<Job> {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Engine for Fake {
    fn run(
        &self,
        job: &Job,
        _: &Interrupt,
        output: &mut Output<'_>,
    ) -> Result<Outcome, EngineError> {
        let upper = job.workspace.join("upper");
        fs::create_dir_all(&upper).map_err(|source| EngineError::Io {
            action: format!("create {}", upper.display()),
            source,
        })?;
        output(
            Stream::Stdout,
            format!("would run {:?}", job.argv).as_bytes(),
        );
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(job.clone());
        Ok(Outcome {
            exit: Exit::Code(0),
            leftovers: Vec::new(),
        })
    }
}
