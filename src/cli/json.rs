//! Events for machines: one JSON object a line, on standard output or in a build's log.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::report::{Event, Report};

/// Writes each event as a line.
pub struct Lines<W>(Mutex<W>);

impl<W: Write + Send> Lines<W> {
    /// Writes to `sink`, which should be buffered by lines at most.
    pub fn new(sink: W) -> Self {
        Self(Mutex::new(sink))
    }
}

impl Lines<io::Stdout> {
    /// Writes to standard output.
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }
}

impl<W: Write + Send> Report for Lines<W> {
    fn event(&self, event: Event) {
        let Ok(mut line) = serde_json::to_vec(&event) else {
            return;
        };
        line.push(b'\n');
        // A reader that went away, or a full disk under a log, must not end the build.
        let _ = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&line);
    }
}
