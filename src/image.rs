//! From trees and bytes to an OCI image: layers, the local store, archives.
//!
//! Image bytes depend on what is put in and on nothing else: paths are sorted, times and names
//! fixed, compression is in blocks of a fixed size. Knows no language and runs nothing.

mod archive;
mod compress;
mod document;
mod grouping;
mod layer;
mod reference;
mod store;
mod tar;
mod unpack;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use archive::{Destination, export, write_for_docker};
pub use compress::Compression;
pub use document::{Healthcheck, ImageSpec, Layer, RuntimeConfig, StoredImage, WrittenImage};
pub use grouping::{Node, group};
pub use layer::{LayerContent, LayerDescriptor, OPAQUE, is_opaque, write_layer};
pub use reference::Reference;
pub use store::ImageStore;
pub use unpack::unpack_layer;

use crate::unpack::UnpackError;

/// Why an image could not be written, read or delivered.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A file system call failed.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file changed while it went into a layer.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// OCI layers cannot hold a file of this name.
    #[error("{0} cannot be in an image: names that begin with .wh. mean deletions in OCI layers")]
    WhiteoutName(PathBuf),
    /// A blob is not what its digest or size says.
    #[error("blob {digest} is damaged: {reason}")]
    Damaged {
        /// The blob's name.
        digest: String,
        /// What differs.
        reason: String,
    },
    /// A manifest, configuration or index does not have the expected form.
    #[error("cannot read {what}: {reason}")]
    Malformed {
        /// The document.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A name is not an image reference.
    #[error("{name:?} is not an image name: {reason}")]
    Reference {
        /// The name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No image has that name or digest.
    #[error("no image is called {0}")]
    NotFound(String),
    /// Several images match a digest's beginning.
    #[error("{0} is the beginning of several digests")]
    Ambiguous(String),
    /// A destination's text does not say where.
    #[error("{text:?} is not an output: {reason}")]
    Destination {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A layer could not be unpacked.
    #[error("unpack layer {digest}")]
    Unpack {
        /// The layer's blob.
        digest: String,
        /// Why not.
        source: UnpackError,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    move |source| ImageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
