//! The documents of an image: what is asked for, and the JSON that says it.
//!
//! The structures are our own because their bytes must not vary: fields in a fixed order, maps
//! sorted. Where documents are kept is the store's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::layer::LayerDescriptor;

/// The time that every image bears.
const CREATED: &str = "1970-01-01T00:00:01Z";
/// Media types.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer of an image and what its history says.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The layer.
    pub descriptor: LayerDescriptor,
    /// What it holds, for `docker history`.
    pub comment: String,
}

/// An image to be written.
#[derive(Debug, Clone, Default)]
pub struct ImageSpec {
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// The program that runs `cmd`.
    pub entrypoint: Vec<String>,
    /// What is run.
    pub cmd: Vec<String>,
    /// Absolute.
    pub working_dir: String,
    /// Sorted.
    pub labels: BTreeMap<String, String>,
    /// `user`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Docker's extension of the configuration.
    pub healthcheck: Option<Healthcheck>,
}

/// How a running container is asked whether it works; durations in nanoseconds, 0 for Docker's
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["CMD-SHELL", command]`, or `["NONE"]`.
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: u64,
    /// For one check.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// After the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: u64,
    /// Failures in a row that mean unhealthy.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub retries: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero_count(value: &u32) -> bool {
    *value == 0
}

/// An image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenImage {
    /// `sha256:` and the manifest's hash.
    pub manifest_digest: String,
    /// Bytes of layers, configuration and manifest.
    pub size: u64,
    /// Bytes of the layers' archives.
    pub unpacked_size: u64,
}

/// What `images ls` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredImage {
    /// `name:tag`.
    pub name: String,
    /// `sha256:...`.
    pub digest: String,
    /// Bytes of layers, configuration and manifest.
    pub size: u64,
    /// Number of layers.
    pub layers: usize,
    /// Its manifest cannot be read.
    pub damaged: bool,
}

/// What is needed to start an image.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Bottom first.
    pub layers: Vec<LayerDescriptor>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The program that runs `cmd`.
    pub entrypoint: Vec<String>,
    /// What is run.
    pub cmd: Vec<String>,
    /// Absolute.
    pub working_dir: String,
    /// `user`, `uid` or `uid:gid`; empty for root.
    pub user: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Platform {
    pub architecture: String,
    pub os: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub schema_version: u32,
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub schema_version: u32,
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: Vec::new(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ImageConfig {
    pub architecture: String,
    pub config: Settings,
    pub created: String,
    pub history: Vec<History>,
    pub os: String,
    pub rootfs: RootFs,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    pub working_dir: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct History {
    #[serde(default)]
    pub created: String,
    #[serde(default)]
    pub created_by: String,
    #[serde(default)]
    pub comment: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RootFs {
    pub r#type: String,
    pub diff_ids: Vec<String>,
}

pub(super) fn descriptor(layer: &LayerDescriptor) -> Descriptor {
    Descriptor {
        media_type: layer.media_type.clone(),
        digest: layer.digest.clone(),
        size: layer.size,
        annotations: BTreeMap::new(),
        platform: None,
    }
}

/// This machine's architecture in OCI's words.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

pub(super) fn configuration(spec: &ImageSpec) -> ImageConfig {
    let ports = spec.exposed_ports.iter().map(|port| {
        let port = if port.contains('/') {
            port.clone()
        } else {
            format!("{port}/tcp")
        };
        (port, BTreeMap::new())
    });
    ImageConfig {
        architecture: architecture().to_owned(),
        config: Settings {
            cmd: spec.cmd.clone(),
            entrypoint: spec.entrypoint.clone(),
            env: spec.env.clone(),
            exposed_ports: ports.collect(),
            healthcheck: spec.healthcheck.clone(),
            labels: spec.labels.clone(),
            stop_signal: spec.stop_signal.clone().unwrap_or_default(),
            user: spec.user.clone().unwrap_or_default(),
            working_dir: spec.working_dir.clone(),
        },
        created: CREATED.to_owned(),
        history: spec
            .layers
            .iter()
            .map(|layer| History {
                created: CREATED.to_owned(),
                created_by: "packwright".to_owned(),
                comment: layer.comment.clone(),
            })
            .collect(),
        os: "linux".to_owned(),
        rootfs: RootFs {
            r#type: "layers".to_owned(),
            diff_ids: spec
                .layers
                .iter()
                .map(|layer| layer.descriptor.diff_id.clone())
                .collect(),
        },
    }
}
