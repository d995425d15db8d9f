//! Which Node.js an application asks for.

use crate::plan::PlanError;
use crate::provider::{Evidence, Request};
use crate::read;
use crate::version::{self, Candidate, Tool};

use super::package::Package;

/// The version: what the user says, `engines`, then what developers use.
pub(super) fn node(request: &Request, package: &Package, text: &str) -> Result<Tool, PlanError> {
    let repo = request.repo;
    let of_package = |key: &str, line: Option<usize>, wish: &str| {
        let evidence = Evidence::key("package.json", key, line, wish);
        Candidate::new(wish, evidence)
    };
    let asked = request
        .setting_with_evidence("NODE_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence));
    let engines = package.engine("node").map(|wish| {
        let line = read::line_of(text, "\"node\"");
        of_package("engines.node", line, wish)
    });
    let mut others = Vec::new();
    if let Some(("node", Some(wish))) = package.dev_engine("runtime") {
        others.push(of_package("devEngines.runtime", None, wish));
    }
    for file in [".nvmrc", ".node-version"] {
        others.extend(version::version_file(repo, file)?);
    }
    others.extend(version::tool_managers(repo, &["nodejs", "node"])?);
    if let Some(wish) = package.volta("node") {
        others.push(of_package("volta.node", None, wish));
    }
    // `engines` says what works, the others what is used: one of these that works is the better choice.
    let used = engines.as_ref().and_then(|range| {
        others
            .iter()
            .position(|one| version::is_part_of(one, range))
    });
    let used = used.map(|index| others.remove(index));
    let candidates: Vec<Candidate> = asked
        .into_iter()
        .chain(used)
        .chain(engines)
        .chain(others)
        .collect();
    version::node(&candidates)
}
