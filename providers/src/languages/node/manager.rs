//! Package managers: their commands, caches and files.
//!
//! Owns everything that differs between npm, pnpm, yarn 1, yarn Berry and bun. Which one it is, is for `choice.rs`.

use std::collections::BTreeMap;

use nodejs_semver::Range;

use crate::provider::Decision;
use crate::version::Tool;

/// What installs the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Npm,
    Pnpm,
    Yarn,
    /// Yarn 2 and newer; whether packages stay in archives instead of `node_modules`.
    Berry {
        archives: bool,
    },
    Bun,
}

/// The chosen manager.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    pub(super) kind: Kind,
    /// A range of versions; `None` is the npm that Node.js has.
    pub(super) version: Option<String>,
    pub(super) lock: Option<&'static str>,
    /// Packages that run something when they are installed, where the lock says so.
    pub(super) native: Vec<String>,
    pub(super) decision: Option<Decision>,
    pub(super) warnings: Vec<String>,
}

impl Manager {
    /// As in a plan: `pnpm@9`.
    pub(super) fn entry(&self) -> Option<String> {
        let version = self.version.as_ref()?;
        Some(format!("{}@{version}", self.name()))
    }

    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Npm => "npm",
            Kind::Pnpm => "pnpm",
            Kind::Yarn | Kind::Berry { .. } => "yarn",
            Kind::Bun => "bun",
        }
    }

    /// Whether packages are in `node_modules`, where Node.js finds them without the manager's help.
    pub(super) fn has_modules(&self) -> bool {
        self.kind != Kind::Berry { archives: true }
    }

    pub(super) fn install(&self) -> &'static str {
        match (self.kind, self.lock.is_some()) {
            (Kind::Npm, true) => "npm ci",
            (Kind::Npm, false) => "npm i",
            (Kind::Pnpm, true) => "pnpm i --frozen-lockfile",
            (Kind::Pnpm, false) => "pnpm i",
            (Kind::Yarn, true) => "yarn install --frozen-lockfile",
            (Kind::Yarn, false) => "yarn install",
            (Kind::Berry { .. }, true) => "yarn install --check-cache",
            // With CI set, yarn refuses to write a lock file.
            (Kind::Berry { .. }, false) => "yarn install --no-immutable",
            (Kind::Bun, _) => "bun i --no-save",
        }
    }

    /// Takes development dependencies away; `None` when the manager cannot do it in place.
    pub(super) fn prune(&self, node: &Tool) -> Option<&'static str> {
        match self.kind {
            Kind::Npm if !self.includes(node) => Some("npm prune --production --ignore-scripts"),
            // What npm is told to include beats what it is told to omit.
            Kind::Npm => Some("npm prune --omit=dev --include=prod --ignore-scripts"),
            Kind::Pnpm => Some("pnpm prune --prod --ignore-scripts"),
            Kind::Yarn => Some(
                "yarn install --production --ignore-scripts --frozen-lockfile --prefer-offline",
            ),
            Kind::Bun => Some("rm -rf node_modules && bun i --production --no-save"),
            // Before version 4 this is a plugin.
            Kind::Berry { .. } if self.is_below(4) => None,
            Kind::Berry { archives: false } => Some("yarn workspaces focus --production"),
            // It takes no archive away, and has all of them in its cache.
            Kind::Berry { archives: true } => {
                Some("rm -rf .yarn/cache && yarn workspaces focus --production")
            }
        }
    }

    pub(super) fn run(&self, script: &str) -> String {
        format!("{} run {script}", self.name())
    }

    /// What runs a program of a package: the one that is installed, else one that is fetched.
    pub(super) fn program(&self, installed: bool, name: &str, package: &str) -> String {
        match self.kind {
            Kind::Npm | Kind::Bun => format!("npx {package}"),
            Kind::Pnpm if installed => format!("pnpm exec {name}"),
            Kind::Pnpm => format!("pnpx {package}"),
            Kind::Yarn if !installed => format!("npx {package}"),
            Kind::Berry { .. } if !installed => format!("yarn dlx {package}"),
            Kind::Yarn | Kind::Berry { .. } => format!("yarn {name}"),
        }
    }

    /// Runs a script of a package of the workspace.
    pub(super) fn run_in(&self, package: &str, script: &str) -> String {
        match self.kind {
            Kind::Npm => format!("npm --workspace {package} run {script}"),
            Kind::Pnpm => format!("pnpm --filter {package} run {script}"),
            Kind::Yarn | Kind::Berry { .. } => format!("yarn workspace {package} run {script}"),
            Kind::Bun => format!("bun --filter {package} run {script}"),
        }
    }

    /// Runs a file of the application.
    pub(super) fn file(&self, file: &str) -> String {
        match self.kind {
            Kind::Bun => format!("bun {file}"),
            _ => self.node(file),
        }
    }

    /// Runs a file that was made for Node.js.
    pub(super) fn node(&self, file: &str) -> String {
        match self.kind {
            Kind::Berry { archives: true } => format!("yarn node {file}"),
            _ => format!("node {file}"),
        }
    }

    pub(super) fn cache(&self) -> &'static str {
        match self.kind {
            Kind::Npm => "/root/.npm",
            Kind::Pnpm => "/root/.local/share/pnpm/store",
            Kind::Yarn => "/usr/local/share/.cache/yarn/v6",
            Kind::Berry { .. } => "/root/.yarn/berry/cache",
            Kind::Bun => "/root/.bun",
        }
    }

    /// Whether its version may lie below a major one.
    fn is_below(&self, major: u64) -> bool {
        let version = self.version.as_deref();
        version.is_some_and(|version| may_be_below(version, major))
    }

    /// Whether it takes the words `include` and `omit`: npm from 7 on. Node.js 14 has npm 6.
    fn includes(&self, node: &Tool) -> bool {
        match self.version {
            Some(_) => !self.is_below(7),
            None => !may_be_below(&node.range, 15),
        }
    }

    /// What it is told for all phases, beside what the user says.
    pub(super) fn variables(
        &self,
        node: &Tool,
        given: &BTreeMap<String, String>,
    ) -> Vec<(&'static str, &'static str)> {
        // NODE_ENV is production, which would leave out what only the build needs. From 7 on npm warns at each call of
        // the word that nixpacks uses; what the user omits must not come back by it.
        let given = |name: &str| given.contains_key(name);
        let npm = self.kind == Kind::Npm && self.includes(node);
        let mut variables = Vec::new();
        if !npm || given("NPM_CONFIG_PRODUCTION") {
            variables.push(("NPM_CONFIG_PRODUCTION", "false"));
        } else if !given("NPM_CONFIG_OMIT") {
            variables.push(("NPM_CONFIG_INCLUDE", "dev"));
        }
        match self.kind {
            // Exact versions with hashes: what is in the cache needs no question whether it is fresh.
            Kind::Npm if self.lock.is_some() => {
                variables.push(("NPM_CONFIG_PREFER_OFFLINE", "true"));
            }
            Kind::Npm | Kind::Bun | Kind::Pnpm | Kind::Yarn => {}
            Kind::Berry { archives } => {
                let global = if archives { "false" } else { "true" };
                variables.extend([
                    ("YARN_ENABLE_TELEMETRY", "0"),
                    ("YARN_ENABLE_GLOBAL_CACHE", global),
                ]);
            }
        }
        variables
    }

    /// Files that installing reads beside package.json.
    pub(super) fn manifests(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Npm => &["package-lock.json", "npm-shrinkwrap.json", ".npmrc"],
            Kind::Pnpm => &[
                "pnpm-lock.yaml",
                "pnpm-workspace.yaml",
                ".npmrc",
                ".pnpmfile.cjs",
                ".pnpmfile.mjs",
            ],
            Kind::Yarn => &["yarn.lock", ".npmrc", ".yarnrc"],
            Kind::Berry { .. } => &["yarn.lock", ".yarnrc.yml"],
            Kind::Bun => &["bun.lock", "bun.lockb", "bunfig.toml", ".npmrc"],
        }
    }
}

fn may_be_below(range: &str, major: u64) -> bool {
    let lowest = Range::parse(range).ok().and_then(|one| one.min_version());
    lowest.is_some_and(|lowest| lowest.major() < major)
}
