//! What the parent and the sandbox's processes say to each other, over one socket.
//!
//! Parent: the job, `Go` once the id maps are written, then signals to pass on.
//! Sandbox: `Ready` once it has left the host's namespaces, then one `Ended` or `Failed`.
//! A message is its length (32 bits, little endian) and JSON.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::engine::{Job, Outcome};

/// From the parent.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// What to run.
    Run(Box<Job>),
    /// The id maps are in place.
    Go,
    /// Send this signal to the command.
    Signal(i32),
}

/// From the sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Namespaces are left; the id maps can be written.
    Ready,
    /// The command ended.
    Ended(Outcome),
    /// It was never started.
    Failed(Failure),
}

/// Why the command was never started.
#[derive(Debug, Serialize, Deserialize)]
pub enum Failure {
    /// The kernel refused namespaces.
    Namespaces(String),
    /// A step of making the root failed.
    Sandbox {
        /// The step.
        action: String,
        /// The system's reason.
        reason: String,
    },
    /// The program could not be executed.
    Execute {
        /// The program.
        program: String,
        /// The system's reason.
        reason: String,
    },
}

/// The largest message: a job with megabytes of variables fits.
const LIMIT: u32 = 64 << 20;

/// Sends one message.
pub fn send(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut packet = length.to_le_bytes().to_vec();
    packet.extend(body);
    to.write_all(&packet)
}

/// Receives one message; `None` when the other side is gone.
pub fn receive<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length > LIMIT {
        return Err(io::Error::other(format!("a message of {length} bytes")));
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}
