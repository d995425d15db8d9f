//! Layers of the store on their way to folders.

use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::ImageError;
use super::layer::LayerDescriptor;
use super::store::ImageStore;
use crate::hash::HashingReader;
use crate::unpack::{Root, UnpackOptions, Whiteouts, unpack_tar};

/// The media type of a layer without compression.
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

/// Unpacks a verified layer into a folder, keeping its deletions as overlayfs does, or, with
/// `apply`, carrying them out.
pub(super) fn unpack(
    store: &ImageStore,
    layer: &LayerDescriptor,
    into: &Path,
    whiteouts: Whiteouts,
) -> Result<(), ImageError> {
    let unpack = |source| ImageError::Unpack {
        digest: layer.digest.clone(),
        source,
    };
    let blob = store.verify_blob(&layer.digest, layer.size)?;
    let plain: Box<dyn Read> = match layer.media_type.rsplit('+').next() {
        Some("gzip") => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(
            1 << 16,
            blob,
        ))),
        Some(TAR) => Box::new(blob),
        _ => {
            let reason = format!("layers of type {} cannot be unpacked", layer.media_type);
            return Err(ImageError::Malformed {
                what: layer.digest.clone(),
                reason,
            });
        }
    };
    let mut hashing = HashingReader::new(plain);
    let root = Root::open(into).map_err(unpack)?;
    let options = UnpackOptions {
        whiteouts,
        owners: true,
        ..UnpackOptions::default()
    };
    unpack_tar(&mut hashing, &root, &options).map_err(unpack)?;
    io::copy(&mut hashing, &mut io::sink())
        .map_err(|error| unpack(crate::unpack::UnpackError::Read(error)))?;
    let found = format!("sha256:{}", hex::encode(hashing.finish()));
    if found == layer.diff_id {
        return Ok(());
    }
    Err(ImageError::Damaged {
        digest: layer.digest.clone(),
        reason: format!("its diff ID is {found}, not {}", layer.diff_id),
    })
}

/// Unpacks a verified layer into a folder as a lower tree for overlayfs.
pub fn unpack_layer(
    store: &ImageStore,
    layer: &LayerDescriptor,
    into: &Path,
) -> Result<(), ImageError> {
    unpack(store, layer, into, Whiteouts::Overlay)
}
