//! Nix as the source of packages: an expression from the plan, realised by the `nix` of this machine.
//!
//! `request.rs` says what a plan asks of Nix, `wanted.rs` of which set, `catalog.rs` which attribute a tool is,
//! `php.rs` PHP with its extensions, `pin.rs` which nixpkgs, `origin.rs` where that is here and what its expressions may read. `resolve.rs` makes the lock, with `revisions.rs` for what a nixpkgs lacks, and `render.rs`
//! the expression. `command.rs` runs Nix, `ask.rs` says what it is asked, `log.rs` what it tells meanwhile,
//! `failure.rs` why it failed; `place.rs` where its store is, `keep.rs` what stays there.
//! `closure.rs` knows store paths, `realise.rs` makes the roots. What builds and what is fetched is Nix's business;
//! nothing here builds a package.

mod ask;
mod base;
pub(super) mod catalog;
mod closure;
mod command;
mod failure;
pub(super) mod keep;
mod log;
mod origin;
mod php;
mod pin;
mod place;
mod realise;
mod render;
mod request;
mod resolve;
mod revisions;
mod wanted;

use std::cell::RefCell;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use closure::{Closure, StorePath};
pub use pin::LockedSource;
pub use request::NixRequest;

use self::command::Commands;
use self::origin::Origins;
use super::lock::LockedDebian;
use super::{Context, EnvironmentError, Finding};
use crate::report::Event;

/// How the Nix of this machine is used; passed on to it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NixSettings {
    /// A path, a flake reference, or an archive with `#` and its hash, instead of the default nixpkgs.
    pub nixpkgs: Option<String>,
    /// Nix's `--store`.
    pub store: Option<String>,
    /// Nix's `--builders`.
    pub builders: Option<String>,
    /// Nix's `--option`s.
    pub options: Vec<(String, String)>,
}

/// Every package of an environment that Nix makes, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedNix {
    /// The form of this lock, and of the expression that is made from it.
    pub format: u32,
    /// Nix's name of the machine: `x86_64-linux`.
    pub system: String,
    /// The sets of packages, the first one for the shell and the C library.
    pub sets: Vec<LockedSet>,
    /// The store path that phases stand on.
    pub build: String,
    /// The store path that the image is made of.
    pub run: String,
    /// Packages of Debian's, which the plan names besides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub debian: Option<LockedDebian>,
}

/// One nixpkgs with its overlays, and what is taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedSet {
    /// Where its expressions come from.
    pub nixpkgs: LockedSource,
    /// In the order in which they are applied.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub overlays: Vec<LockedSource>,
    /// Sorted by what was asked.
    pub packages: Vec<LockedAttribute>,
}

impl LockedNix {
    /// Of its form, and of the expression that is made from it.
    pub const FORMAT: u32 = 2;

    /// Whether nothing that it rests on is on this machine, where it may change at any time.
    fn is_elsewhere(&self) -> bool {
        let packages = self.sets.iter().flat_map(|set| &set.packages);
        let mut sources = self.sets.iter().flat_map(LockedSet::sources);
        sources.all(LockedSource::is_elsewhere)
            && !packages
                .map(|package| &package.source)
                .any(|source| matches!(source, Attribute::File(_)))
    }
}

impl LockedSet {
    /// Where it and its overlays come from.
    pub fn sources(&self) -> impl Iterator<Item = &LockedSource> {
        std::iter::once(&self.nixpkgs).chain(&self.overlays)
    }
}

/// One package of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedAttribute {
    /// As the plan has it: `nodejs@22`.
    pub asked: String,
    /// What it is.
    pub source: Attribute,
    /// Its version, when it says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    /// Phases have it.
    pub build: bool,
    /// The image has it.
    pub run: bool,
    /// Its libraries are on the loader's path.
    pub library: bool,
}

/// What a package is in its set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Attribute {
    /// An attribute: `nodejs_22`, `stdenv.cc.cc.lib`.
    Path(String),
    /// A PHP with extensions beside its own, or a tool of it.
    Php {
        /// Its attribute: `php84`.
        path: String,
        /// Names of extensions, sorted; those that the set lacks are passed over.
        extensions: Vec<String>,
        /// The tool: `packages.composer`.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        member: Option<String>,
    },
    /// Text of the plan, an expression in which `pkgs` is the set.
    Text(String),
    /// A file below the app's folder, a function of the set.
    File(String),
}

/// The Nix of this machine, with what an environment is made for.
pub(super) struct Nix<'a> {
    context: &'a Context<'a>,
    commands: Commands,
    /// The app's folder, without links on the way.
    app: PathBuf,
    /// What was fetched for this build.
    origins: RefCell<Origins>,
}

/// The Nix of this machine, or why there is none.
pub(super) fn find<'a>(context: &'a Context<'a>) -> Result<Nix<'a>, EnvironmentError> {
    Ok(Nix {
        commands: Commands::find(context)?,
        context,
        app: std::fs::canonicalize(context.folder).unwrap_or_else(|_| context.folder.to_owned()),
        origins: RefCell::default(),
    })
}

/// What there is of Nix on this machine.
pub(super) fn examine(context: &Context<'_>) -> [Finding; 2] {
    let finding = |what: &str, state| Finding {
        what: what.to_owned(),
        state,
    };
    let nix = match find(context) {
        Ok(nix) => nix,
        Err(error) => {
            let state = Err(error.to_string());
            return [finding("nix", state.clone()), finding("nixpkgs", state)];
        }
    };
    let store = nix.commands.physical().join("nix/store");
    let version = format!(
        "{}, with the store in {}",
        nix.commands.version,
        store.display()
    );
    let nixpkgs = nix.at_hand().map(str::to_owned);
    [finding("nix", Ok(version)), finding("nixpkgs", nixpkgs)]
}

/// The Nix of this machine when it can be used without surprises: it is set up, and nixpkgs is at
/// hand or named. No network is asked.
pub(super) fn offered<'a>(context: &'a Context<'a>) -> Option<Nix<'a>> {
    let told = |choice: &str, reason: &str| {
        context.report.event(Event::Decided {
            subject: "packages".to_owned(),
            choice: choice.to_owned(),
            reason: reason.to_owned(),
        });
    };
    let nix = match find(context) {
        Ok(nix) => nix,
        Err(error) => {
            told("debian", &error.to_string());
            return None;
        }
    };
    let (choice, reason) = match nix.at_hand() {
        Ok(nixpkgs) => ("nix", format!("it is installed, and {nixpkgs} is at hand")),
        Err(reason) => ("debian", format!("nix is installed, but {reason}")),
    };
    told(choice, &reason);
    (choice == "nix").then_some(nix)
}
