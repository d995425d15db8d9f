//! Packwright: from a repository to an OCI image.

pub mod attached;
pub mod cache;
pub mod cli;
pub mod engine;
pub mod environment;
pub mod error;
pub mod hash;
pub mod image;
pub mod interrupt;
pub mod pipeline;
pub mod report;
pub mod stamp;
pub mod unpack;
pub mod whole;
