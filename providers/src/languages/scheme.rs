//! Sites of Haunt, which is written in Guile Scheme.
//!
//! - Claims: `haunt.scm`
//! - Version from: nothing; what the package source has
//! - Installs with: nothing
//! - Builds with: `haunt build`
//! - Starts with: `guile init.scm`, the program of the repository that serves the site

use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;

use super::strings;

/// The Scheme provider.
pub struct Scheme;

const MANIFEST: &str = "haunt.scm";
const PROGRAM: &str = "init.scm";

impl Provider for Scheme {
    fn name(&self) -> &'static str {
        "scheme"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, &[MANIFEST]);
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Ok(decide(&Facts::read(request.repo)))
    }

    fn markers(&self) -> &'static [&'static str] {
        &[MANIFEST]
    }
}

/// Everything that the decisions rest on.
struct Facts {
    /// Whether there is a program to start.
    program: bool,
}

impl Facts {
    fn read(repo: &Repo) -> Self {
        Self {
            program: repo.is_file(PROGRAM) && repo.in_image(PROGRAM),
        }
    }
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["scheme"]),
        ..Proposal::default()
    };
    let plan = &mut proposal.plan;
    plan.phase("setup").nix_pkgs = Some(strings(&["haunt", "guile"]));
    let build = plan.phase("build");
    build.depends_on = Some(strings(&["setup"]));
    build.cmds = Some(strings(&["haunt build"]));
    let command = format!("guile {PROGRAM} --auto-compile");
    if facts.program {
        proposal.decisions.push(
            Decision::new("start", command.clone(), "found").from(Evidence::file(PROGRAM, "found")),
        );
    } else {
        proposal.without_start = Some(format!(
            "add {PROGRAM}, a program that serves the folder site/"
        ));
    }
    proposal.plan.start = Some(Start {
        cmd: facts.program.then_some(command),
        nix_pkgs: Some(strings(&["guile"])),
        ..Start::default()
    });
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn propose(files: &[(&str, &str)]) -> Proposal {
        Scheme
            .propose(&Request {
                repo: &Repo::in_memory(files),
                variables: &BTreeMap::new(),
                test: false,
                assisting: false,
            })
            .unwrap()
    }

    #[test]
    fn the_site_is_built_and_the_program_serves_it() {
        let proposal = propose(&[(MANIFEST, ""), (PROGRAM, "")]);
        assert_eq!(
            proposal.plan.phases["build"].cmds.as_deref(),
            Some(&["haunt build".to_owned()][..])
        );
        let start = proposal.plan.start.unwrap();
        assert_eq!(start.cmd.unwrap(), "guile init.scm --auto-compile");
        assert_eq!(start.nix_pkgs.unwrap(), ["guile"]);
    }

    #[test]
    fn without_a_program_the_user_is_told() {
        let proposal = propose(&[(MANIFEST, "")]);
        assert!(proposal.without_start.is_some());
        assert!(proposal.plan.start.unwrap().cmd.is_none());
    }
}
