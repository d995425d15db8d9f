//! What a plan asks of Nix: packages, libraries, overlays and expressions, each from which nixpkgs.

use packwright_providers::{BuildPlan, Phase, Start};
use serde::{Deserialize, Serialize};

/// What a plan asks of Nix, by where it asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NixRequest {
    /// The phases that ask for something, in the plan's order.
    pub phases: Vec<Wish>,
    /// What stays in the image; everything when the plan does not say.
    pub start: Option<Wish>,
}

/// What one table of a plan asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wish {
    /// `phases.setup`, `start`.
    pub place: String,
    /// `nixpkgsArchive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// `nixOverlays`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<String>,
    /// `nixPkgs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// `nixLibs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
    /// `nixExpr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

impl NixRequest {
    /// Reads a plan.
    pub fn from_plan(plan: &BuildPlan) -> Self {
        let phases = plan
            .phases
            .iter()
            .map(|(name, phase)| of_phase(name, phase));
        let asks = |wish: &Wish| {
            !wish.packages.is_empty() || !wish.libraries.is_empty() || wish.expression.is_some()
        };
        let says = |start: &&Start| {
            start.nix_pkgs.is_some() || start.apt_pkgs.is_some() || start.nix_expr.is_some()
        };
        Self {
            phases: phases.filter(asks).collect(),
            start: plan.start.as_ref().filter(says).map(of_start),
        }
    }
}

fn of_phase(name: &str, phase: &Phase) -> Wish {
    Wish {
        place: format!("phases.{name}"),
        archive: phase.nixpkgs_archive.clone(),
        overlays: phase.nix_overlays.clone().unwrap_or_default(),
        packages: phase.nix_pkgs.clone().unwrap_or_default(),
        libraries: phase.nix_libs.clone().unwrap_or_default(),
        expression: said(phase.nix_expr.as_deref()),
    }
}

fn of_start(start: &Start) -> Wish {
    Wish {
        place: "start".to_owned(),
        packages: start.nix_pkgs.clone().unwrap_or_default(),
        expression: said(start.nix_expr.as_deref()),
        ..Wish::default()
    }
}

/// An expression; empty text means that there is none.
fn said(text: Option<&str>) -> Option<String> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
