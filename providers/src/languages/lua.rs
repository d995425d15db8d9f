//! Lua programs, with `LuaRocks`.
//!
//! - Claims: `*.rockspec` with a program, or `main.lua`, `app.lua`, `server.lua`, `init.lua` at the root
//! - Version from: `NIXPACKS_LUA_VERSION`, `.lua-version`, `.tool-versions`, mise.toml, the rockspec's `lua` dependency
//! - Installs with: `luarocks install --only-deps` into `lua_modules`, nothing when the rockspec asks for Lua alone
//! - Builds with: nothing
//! - Starts with: `lua` on the program

use std::collections::BTreeMap;

use crate::plan::{Phase, PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};
use crate::version::{self, Candidate, Grammar, Tool};

use super::{quote, strings};

/// The Lua provider.
pub struct Lua;

const PROGRAMS: [&str; 4] = ["main.lua", "app.lua", "server.lua", "init.lua"];

impl Provider for Lua {
    fn name(&self) -> &'static str {
        "lua"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let program = Evidence::first_file(repo, &PROGRAMS);
        if let Some(file) = rockspec(repo)? {
            let strength = if program.is_some() {
                Strength::Definite
            } else {
                Strength::Likely
            };
            let evidence = Evidence::file(&file, "found at the root");
            return Ok(Some(Claim::new(strength, evidence)));
        }
        Ok(program.map(|evidence| {
            // The modules of editors and of libraries have an init.lua.
            let strength = if evidence.file == "init.lua" {
                Strength::Weak
            } else {
                Strength::Likely
            };
            Claim::new(strength, evidence)
        }))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        &PROGRAMS
    }
}

fn rockspec(repo: &Repo) -> Result<Option<String>, PlanError> {
    let mut files = repo.glob("*.rockspec")?;
    files.retain(|file| repo.in_image(file));
    Ok(files.into_iter().next_back())
}

/// The strings of `dependencies = { ... }` in a rockspec, which is a Lua program of assignments.
fn dependencies(text: &str) -> Vec<String> {
    let tokens = tokens(text, Style::Dashes);
    let start = tokens.windows(3).position(|window| {
        matches!(window, [Token::Word(name), Token::Sign('='), Token::Sign('{')] if name == "dependencies")
    });
    let list = start
        .and_then(|at| tokens.get(at + 3..))
        .unwrap_or_default();
    list.iter()
        .take_while(|token| **token != Token::Sign('}'))
        .filter_map(Token::text)
        .map(str::to_owned)
        .collect()
}

/// Everything that Lua decisions rest on, read once.
struct Facts {
    lua: Tool,
    /// The rockspec, when it asks for more than Lua.
    rocks: Option<String>,
    program: Option<&'static str>,
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let file = rockspec(repo)?;
        let text = match &file {
            Some(file) => repo.text(file)?.unwrap_or_default(),
            None => "".into(),
        };
        let (language, others): (Vec<String>, Vec<String>) = dependencies(&text)
            .into_iter()
            .partition(|one| one.split_whitespace().next() == Some("lua"));
        let mut candidates = Vec::new();
        candidates.extend(
            request
                .setting_with_evidence("LUA_VERSION")
                .map(|(value, evidence)| Candidate::new(&value, evidence)),
        );
        candidates.extend(version::version_file(repo, ".lua-version")?);
        candidates.extend(version::tool_managers(repo, &["lua"])?);
        if let Some(file) = &file {
            let wishes = language.iter().filter_map(|one| one.strip_prefix("lua "));
            candidates.extend(
                wishes.map(|wish| {
                    Candidate::new(wish, Evidence::key(file, "dependencies", None, wish))
                }),
            );
        }
        Ok(Self {
            lua: version::tool("lua", Grammar::Gem, &candidates)?,
            rocks: file.filter(|_| !others.is_empty()),
            program: PROGRAMS.into_iter().find(|file| repo.in_image(file)),
        })
    }

    /// The line of Lua, which is in the names of its folders and of its program.
    fn line(&self) -> String {
        let numbers = self.lua.range.trim_start_matches(['>', '=', '~', '^', ' ']);
        let line: Vec<&str> = numbers
            .split(|letter: char| !letter.is_ascii_digit())
            .take(2)
            .collect();
        line.join(".")
    }
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal {
        metadata: strings(&["lua"]),
        ..Proposal::default()
    };
    proposal.decisions.push(facts.lua.decision.clone());
    proposal.warnings.extend(facts.lua.warnings.clone());
    let plan = &mut proposal.plan;
    let line = facts.line();
    let mut tools = vec![facts.lua.entry()];
    if let Some(rockspec) = &facts.rocks {
        tools.extend(strings(&["luarocks", "gcc"]));
        plan.variables = paths(&line);
        let install = Phase {
            depends_on: Some(strings(&["setup"])),
            cmds: Some(vec![format!(
                "luarocks --lua-version={line} install --only-deps --tree lua_modules {}",
                quote(rockspec)
            )]),
            only_include_files: Some(vec![rockspec.clone()]),
            cache_directories: Some(strings(&["/root/.cache/luarocks"])),
            ..Phase::default()
        };
        plan.phases.insert("install".to_owned(), install);
    }
    plan.phase("setup").nix_pkgs = Some(tools);
    let mut start = Start {
        nix_pkgs: Some(vec![facts.lua.entry()]),
        ..Start::default()
    };
    if let Some(program) = facts.program {
        start.cmd = Some(format!("lua{line} {program}"));
        let decision = Decision::new("start", program, "a usual name of programs");
        let evidence = Evidence::file(program, "found at the root");
        proposal.decisions.push(decision.from(evidence));
    } else {
        proposal.without_start =
            Some("add main.lua, a Procfile, or start.cmd in nixpacks.toml".to_owned());
    }
    plan.start = Some(start);
    proposal
}

/// Where Lua looks for modules: the app, its rocks, and (by the empty entry) the usual places.
fn paths(line: &str) -> BTreeMap<String, String> {
    let share = format!("/app/lua_modules/share/lua/{line}");
    BTreeMap::from([
        (
            "LUA_PATH".to_owned(),
            format!("/app/?.lua;/app/?/init.lua;{share}/?.lua;{share}/?/init.lua;;"),
        ),
        (
            "LUA_CPATH".to_owned(),
            format!("/app/lua_modules/lib/lua/{line}/?.so;;"),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::languages::proposed;

    #[test]
    fn a_rockspec_asks_for_rocks_and_for_lua() {
        let spec = "package = \"a\"\n-- dependencies = { \"gone\" }\ndependencies = {\n  \"lua >= 5.1, < 5.4\", 'luasocket ~> 3'\n}\n";
        let plan = proposed(&Lua, &[("a-1.rockspec", spec), ("main.lua", "")], &[]).plan;
        assert_eq!(
            plan.phases["setup"].nix_pkgs.as_deref().unwrap(),
            ["lua@5.3", "luarocks", "gcc"]
        );
        assert_eq!(
            plan.phases["install"].cmds.as_deref().unwrap(),
            ["luarocks --lua-version=5.3 install --only-deps --tree lua_modules a-1.rockspec"]
        );
        assert_eq!(plan.start.unwrap().cmd.as_deref(), Some("lua5.3 main.lua"));
    }

    #[test]
    fn a_program_alone_needs_nothing() {
        let plan = proposed(&Lua, &[("main.lua", "")], &[]).plan;
        assert!(!plan.phases.contains_key("install"));
        assert_eq!(plan.start.unwrap().cmd.as_deref(), Some("lua5.4 main.lua"));
    }
}
