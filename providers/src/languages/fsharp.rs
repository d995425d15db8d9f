//! F# programs of .NET.
//!
//! - Claims: `*.fsproj` at the root, or a solution there that names one
//! - Version from: `NIXPACKS_FSHARP_SDK_VERSION`, global.json `sdk.version`, `.tool-versions`, mise.toml, `TargetFramework` of the project
//! - Installs with: `dotnet restore`
//! - Builds with: `dotnet publish` on the project: a server before a program before a library, tests last
//! - Starts with: the program in `out/`

use crate::dotnet::Language;
use crate::plan::PlanError;
use crate::provider::{Claim, Proposal, Provider, Request};
use crate::repo::Repo;

/// The F# provider.
pub struct FSharp;

const LANGUAGE: Language = Language {
    name: "f#",
    ending: "fsproj",
    setting: "FSHARP_SDK_VERSION",
};

impl Provider for FSharp {
    fn name(&self) -> &'static str {
        LANGUAGE.name
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        LANGUAGE.detect(repo)
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        LANGUAGE.propose(request)
    }

    fn markers(&self) -> &'static [&'static str] {
        &["*.fsproj"]
    }
}
