//! Signals that ask for the end, for whatever waits or has others work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the signals that ask for the end; shared by everything that waits.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    count: Arc<AtomicUsize>,
    last: Arc<AtomicUsize>,
    listeners: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Notes a signal.
    pub fn raise(&self, signal: i32) {
        self.last
            .store(usize::try_from(signal).unwrap_or(0), Ordering::SeqCst);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// Says that somebody acts on signals, until the result is dropped.
    #[must_use]
    pub fn listen(&self) -> Listening {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listening(Arc::clone(&self.listeners))
    }

    /// Whether somebody acts on signals now.
    pub fn is_heard(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// The last signal's number, 0 when there was none.
    pub fn signal(&self) -> i32 {
        i32::try_from(self.last.load(Ordering::SeqCst)).unwrap_or(0)
    }
}

/// Held by whoever acts on signals.
#[derive(Debug)]
pub struct Listening(Arc<AtomicUsize>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
