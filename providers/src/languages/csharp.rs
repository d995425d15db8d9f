//! C# programs of .NET.
//!
//! - Claims: `*.csproj` at the root, or a solution there that names one
//! - Version from: `NIXPACKS_CSHARP_SDK_VERSION`, global.json `sdk.version`, `.tool-versions`, mise.toml, `TargetFramework` of the project
//! - Installs with: `dotnet restore`
//! - Builds with: `dotnet publish` on the project: a server before a program before a library, tests last
//! - Starts with: the program in `out/`

use crate::dotnet::Language;
use crate::plan::PlanError;
use crate::provider::{Claim, Proposal, Provider, Request};
use crate::repo::Repo;

/// The C# provider.
pub struct CSharp;

const LANGUAGE: Language = Language {
    name: "c#",
    ending: "csproj",
    setting: "CSHARP_SDK_VERSION",
};

impl Provider for CSharp {
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
        &["*.csproj"]
    }
}
