//! Packwright: from a repository to an OCI image.

pub mod cache;
pub mod engine;
pub mod hash;
pub mod image;
pub mod report;
pub mod unpack;
