//! The shape of `railpack.json`, and the short forms that it allows. What it means is for `railpack.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::List;

#[derive(Debug, Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    default,
    expecting = "Railpack's configuration (a table)"
)]
pub(super) struct File {
    #[serde(rename = "$schema")]
    pub(super) _schema: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) build_apt_packages: Vec<String>,
    pub(super) packages: BTreeMap<String, String>,
    pub(super) caches: BTreeMap<String, Cache>,
    pub(super) secrets: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) steps: BTreeMap<String, Step>,
    pub(super) deploy: Deploy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cache {
    pub(super) directory: String,
    /// Mounts are locked here, whatever this says.
    #[serde(rename = "type")]
    pub(super) _kind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "a step (a table)")]
pub(super) struct Step {
    #[serde(rename = "name")]
    pub(super) _name: Option<String>,
    pub(super) inputs: Option<Vec<Layer>>,
    pub(super) commands: Option<Vec<Command>>,
    pub(super) secrets: List,
    pub(super) assets: BTreeMap<String, String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) caches: List,
    pub(super) deploy_outputs: Vec<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Deploy {
    pub(super) base: Option<serde_json::Value>,
    pub(super) inputs: Option<Vec<Layer>>,
    pub(super) start_command: Option<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) paths: Vec<String>,
    pub(super) apt_packages: List,
}

/// Where files of a step or of the image come from: `"."`, `"..."`, `"$step"`, or a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Layer {
    Short(String),
    Long(LongLayer),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LongLayer {
    pub(super) step: Option<String>,
    pub(super) image: Option<String>,
    pub(super) local: bool,
    pub(super) spread: bool,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Command {
    Text(String),
    Exec {
        cmd: String,
    },
    File {
        path: String,
        name: String,
        mode: Option<u32>,
    },
    Path {
        path: String,
    },
    Copy {
        src: String,
        dest: String,
        image: Option<String>,
    },
}

impl Layer {
    /// With all that it means.
    pub(super) fn long(self) -> LongLayer {
        match self {
            Self::Long(long) => long,
            Self::Short(text) if text == "..." => LongLayer {
                spread: true,
                ..LongLayer::default()
            },
            Self::Short(text) if text == "." => LongLayer {
                local: true,
                include: vec![text],
                ..LongLayer::default()
            },
            Self::Short(text) => LongLayer {
                step: Some(text.trim_start_matches('$').to_owned()),
                include: vec![".".to_owned()],
                ..LongLayer::default()
            },
        }
    }
}

impl Command {
    /// A command that was written as text, taken apart: `PATH:/x`, `COPY:a b`, `RUN#name:make`.
    pub(super) fn plain(self) -> Self {
        let Self::Text(text) = &self else { return self };
        let Some((kind, rest)) = text.split_once(':') else {
            return self;
        };
        let pair = || {
            rest.trim()
                .split_once(char::is_whitespace)
                .map(|(a, b)| (a.to_owned(), b.trim().to_owned()))
        };
        let kind = kind.split('#').next().unwrap_or_default();
        match (kind, pair()) {
            ("RUN", _) => Self::Exec {
                cmd: rest.trim().to_owned(),
            },
            ("PATH", _) => Self::Path {
                path: rest.trim().to_owned(),
            },
            ("COPY", Some((src, dest))) => Self::Copy {
                src,
                dest,
                image: None,
            },
            ("FILE", Some((path, name))) => Self::File {
                path,
                name,
                mode: None,
            },
            _ => self,
        }
    }
}
