//! `packwright images`: what the local store has.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use crate::error::Failure;
use crate::pipeline::size;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub enum ImagesVerb {
    /// List the images: name, digest, compressed size, layers
    Ls,
    /// Remove images by name or digest, and the blobs that no other image needs
    Rm {
        /// Names, or beginnings of digests
        #[arg(required = true)]
        images: Vec<String>,
    },
}

/// Runs the verb.
pub fn run(verb: &ImagesVerb, global: &Global) -> anyhow::Result<ExitCode> {
    let store = global.store()?;
    match verb {
        ImagesVerb::Ls => {
            let images = store.list().map_err(Failure::from)?;
            if global.json {
                let lines: Vec<String> = images
                    .iter()
                    .map(serde_json::to_string)
                    .collect::<Result<_, _>>()?;
                return super::print((lines.join("\n") + "\n").as_bytes());
            }
            let widest = images
                .iter()
                .map(|image| image.name.len())
                .max()
                .unwrap_or(0);
            let lines = images.iter().map(|image| {
                let digest = image.digest.get(..19).unwrap_or(&image.digest);
                let state = if image.damaged { ", damaged" } else { "" };
                format!(
                    "{:widest$}  {digest}  {:>9}  {} layers{state}\n",
                    image.name,
                    size(image.size),
                    image.layers
                )
            });
            super::print(lines.collect::<String>().as_bytes())
        }
        ImagesVerb::Rm { images } => {
            let mut freed = 0;
            for image in images {
                freed += store.remove(image).map_err(Failure::from)?;
            }
            let text = if global.json {
                serde_json::json!({ "removed": images, "bytes": freed }).to_string()
            } else {
                format!("{} freed", size(freed))
            };
            super::print(format!("{text}\n").as_bytes())
        }
    }
}
