//! Rust programs that lunatic runs.
//!
//! - Claims: `Cargo.toml` whose `.cargo/config.toml` has the runner `lunatic`
//! - Version from: as Rust
//! - Installs with: nothing; `cargo build` downloads into its cache
//! - Builds with: `cargo build --release --target wasm32-wasi`
//! - Starts with: `lunatic ./bin/NAME.wasm`

use crate::plan::PlanError;
use crate::provider::{Claim, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;

use super::rust::{Runtime, manifest::Configuration, propose_for};

/// The lunatic provider.
pub struct Lunatic;

impl Provider for Lunatic {
    fn name(&self) -> &'static str {
        "lunatic"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        if Evidence::first_file(repo, &["Cargo.toml"]).is_none()
            || !Configuration::read(repo)?.runs_in_lunatic()
        {
            return Ok(None);
        }
        let evidence = Evidence::key(
            ".cargo/config.toml",
            "runner",
            None,
            "programs run in lunatic",
        );
        Ok(Some(Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        propose_for(request, Runtime::Lunatic)
    }

    fn markers(&self) -> &'static [&'static str] {
        &["Cargo.toml"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_decides_and_runs_the_module() {
        let manifest = ("Cargo.toml", "[package]\nname = \"x\"\n");
        let main = ("src/main.rs", "");
        let runner = (
            ".cargo/config.toml",
            "[target.wasm32-wasi]\nrunner = \"lunatic run\"\n",
        );
        let other = (
            ".cargo/config.toml",
            "[target.wasm32-wasi]\nrunner = \"wasmtime\" # not lunatic\n",
        );
        assert!(
            Lunatic
                .detect(&Repo::in_memory(&[manifest, main, other]))
                .unwrap()
                .is_none()
        );
        let repo = Repo::in_memory(&[manifest, main, runner]);
        assert!(Lunatic.detect(&repo).unwrap().is_some());
        let variables = std::collections::BTreeMap::new();
        let proposal = Lunatic
            .propose(&Request {
                repo: &repo,
                variables: &variables,
                test: false,
                assisting: false,
            })
            .unwrap();
        assert_eq!(
            proposal.plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["rust@1.96", "lunatic"]
        );
        let start = proposal.plan.start.unwrap();
        assert_eq!(start.cmd.as_deref(), Some("lunatic ./bin/x.wasm"));
        assert_eq!(start.nix_pkgs.as_deref().unwrap(), ["lunatic"]);
        assert_eq!(proposal.metadata, ["lunatic"]);
    }
}
