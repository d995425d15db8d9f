//! Flags that say where packages come from, on every verb that makes an environment.

use clap::Args;

use crate::environment::{NixSettings, Packages};
use crate::error::Failure;

/// Where packages come from.
#[derive(Debug, Clone, Default, Args)]
pub struct PackageFlags {
    /// Where packages come from: nix, debian, or auto for nix where it is ready
    #[arg(
        long,
        value_name = "SOURCE",
        env = "PACKWRIGHT_PACKAGES",
        hide_env_values = true
    )]
    packages: Option<Source>,
    /// A nixpkgs instead of the default: a path, a flake reference, or an archive with # and its hash
    #[arg(
        long,
        value_name = "NIXPKGS",
        env = "PACKWRIGHT_NIXPKGS",
        hide_env_values = true
    )]
    nixpkgs: Option<String>,
    /// The Nix store to build in, as Nix's own --store
    #[arg(
        long,
        value_name = "STORE",
        env = "PACKWRIGHT_NIX_STORE",
        hide_env_values = true
    )]
    store: Option<String>,
    /// The machines that Nix builds on, as Nix's own --builders
    #[arg(
        long,
        value_name = "BUILDERS",
        env = "PACKWRIGHT_NIX_BUILDERS",
        hide_env_values = true
    )]
    builders: Option<String>,
    /// A setting of Nix's; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    nix_option: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    Auto,
    Nix,
    Debian,
}

impl PackageFlags {
    /// What the flags say; without one the plan has a say.
    pub(super) fn packages(&self) -> Option<Packages> {
        self.packages.map(|source| match source {
            Source::Auto => Packages::Auto,
            Source::Nix => Packages::Nix,
            Source::Debian => Packages::Debian,
        })
    }

    /// How Nix is used.
    pub(super) fn nix(&self) -> Result<NixSettings, Failure> {
        let options = self
            .nix_option
            .iter()
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
                _ => Err(Failure::usage(format!(
                    "--nix-option {pair}: it must be NAME=VALUE"
                ))),
            });
        Ok(NixSettings {
            nixpkgs: self.nixpkgs.clone(),
            store: self.store.clone(),
            builders: self.builders.clone(),
            options: options.collect::<Result<_, _>>()?,
        })
    }
}
