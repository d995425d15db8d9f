//! Packwright: from a repository to an OCI image.

pub mod cache;
pub mod report;
pub mod unpack;
