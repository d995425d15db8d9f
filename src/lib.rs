//! Packwright: from a repository to an OCI image.

pub mod cache;
pub mod environment;
pub mod report;
pub mod unpack;
