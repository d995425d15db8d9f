//! Frameworks: what their build makes, and how that is served.
//!
//! Owns names of packages, configuration files and output folders. Commands of package managers are for `manager.rs`.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::javascript::{self, Setting};
use crate::plan::PlanError;
use crate::read;
use crate::repo::Repo;

use super::package::Package;

/// What a build makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// Files to serve from a folder; whether any path is answered by `index.html`.
    Files { folder: String, single: bool },
    /// A program.
    Program(Program),
}

/// A server that a build makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// The file to run.
    pub(super) file: String,
    /// The only folders of the application that it reads; empty for all.
    pub(super) only: Vec<String>,
    /// Whether everything that only development needs is bundled or unused.
    pub(super) bundled: bool,
    /// Commands after the build script.
    pub(super) after_build: Vec<String>,
    /// Variables in front of the command.
    pub(super) variables: &'static str,
}

/// A framework and its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framework {
    pub(super) name: &'static str,
    pub(super) output: Output,
    /// What says so.
    pub(super) reason: String,
}

impl Framework {
    fn files(name: &'static str, folder: &str, single: bool, reason: &str) -> Self {
        Self {
            name,
            output: Output::Files {
                folder: folder.to_owned(),
                single,
            },
            reason: reason.to_owned(),
        }
    }

    fn program(name: &'static str, program: Program, reason: &str) -> Self {
        Self {
            name,
            output: Output::Program(program),
            reason: reason.to_owned(),
        }
    }
}

const ENDINGS: [&str; 6] = ["ts", "mts", "cts", "js", "mjs", "cjs"];

/// A configuration file that is a program: `vite.config.ts`.
struct Config {
    file: String,
    text: std::sync::Arc<str>,
}

impl Config {
    fn read(repo: &Repo, stem: &str) -> Result<Option<Self>, PlanError> {
        for ending in ENDINGS {
            let file = format!("{stem}.{ending}");
            if let Some(text) = repo.text(&file)? {
                return Ok(Some(Self { file, text }));
            }
        }
        Ok(None)
    }

    fn get(&self, path: &[&str]) -> Setting<'_> {
        javascript::setting(&javascript::tokens(&self.text), path)
    }

    fn imports(&self, name: &str) -> bool {
        let tokens = javascript::tokens(&self.text);
        javascript::imports(&tokens).contains(&name)
            || javascript::requires(&tokens).contains(&name)
    }
}

/// A literal of a file that may not be there; `None` when it is computed.
fn literal<'a>(config: Option<&'a Config>, path: &[&str], default: &'a str) -> Option<&'a str> {
    match config.map_or(Setting::Absent, |config| config.get(path)) {
        Setting::Absent => Some(default),
        Setting::Literal(value) => Some(value),
        Setting::Computed => None,
    }
}

/// A folder below the root, without `.` and `..`.
pub(super) fn folder(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let plain = |letter: char| letter.is_alphanumeric() || "._-+@ /".contains(letter);
    let path = parts.join("/");
    (!path.is_empty() && path.chars().all(plain)).then_some(path)
}

/// The framework whose output is served, when the files say surely what that is.
pub(super) fn read(repo: &Repo, package: &Package) -> Result<Option<Framework>, PlanError> {
    type Asked = fn(&Repo, &Package) -> Result<Verdict, PlanError>;
    let frameworks: [Asked; 9] = [
        next,
        nuxt,
        svelte_kit,
        react_router,
        astro,
        |_, package| Ok(tanstack(package)),
        angular,
        |_, package| Ok(others(package)),
        vite,
    ];
    for of in frameworks {
        match of(repo, package)? {
            Verdict::Not => {}
            Verdict::Unsure => return Ok(None),
            Verdict::Is(framework) => return Ok(Some(framework)),
        }
    }
    Ok(None)
}

/// What one framework says.
enum Verdict {
    /// The package uses another one.
    Not,
    /// It uses this one, in a way that only running it tells.
    Unsure,
    Is(Framework),
}

fn next(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("next") {
        return Ok(Verdict::Not);
    }
    let config = Config::read(repo, "next.config")?;
    let Some(config) = config.as_ref() else {
        return Ok(Verdict::Unsure);
    };
    let folder_of_build = literal(Some(config), &["distDir"], ".next");
    let plain = config.get(&["outputFileTracingRoot"]) == Setting::Absent
        && package.workspaces.is_none()
        && !repo.is_file("pnpm-workspace.yaml");
    Ok(match (config.get(&["output"]), folder_of_build) {
        (Setting::Literal("export"), Some(dist)) => {
            let out = if dist == ".next" { "out" } else { dist };
            Verdict::Is(Framework::files(
                "next",
                out,
                false,
                &format!("{}: output is export", config.file),
            ))
        }
        (Setting::Literal("standalone"), Some(".next")) if plain => {
            let mut after = vec!["cp -r .next/static .next/standalone/.next/static".to_owned()];
            if repo.is_dir("public") {
                after.push("cp -r public .next/standalone/public".to_owned());
            }
            let program = Program {
                file: ".next/standalone/server.js".to_owned(),
                only: vec![".next/standalone".to_owned()],
                bundled: true,
                after_build: after,
                variables: "HOSTNAME=0.0.0.0 ",
            };
            Verdict::Is(Framework::program(
                "next",
                program,
                &format!("{}: output is standalone", config.file),
            ))
        }
        _ => Verdict::Unsure,
    })
}

fn nitro(name: &'static str, reason: &str) -> Verdict {
    let program = Program {
        file: ".output/server/index.mjs".to_owned(),
        only: vec![".output".to_owned()],
        bundled: true,
        ..Program::default()
    };
    Verdict::Is(Framework::program(name, program, reason))
}

fn nuxt(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("nuxt") {
        return Ok(Verdict::Not);
    }
    let build = package.script("build").unwrap_or_default();
    let config = Config::read(repo, "nuxt.config")?;
    let preset = literal(config.as_ref(), &["nitro", "preset"], "node-server");
    if build.split_whitespace().any(|word| word == "generate") || preset == Some("static") {
        return Ok(Verdict::Is(Framework::files(
            "nuxt",
            ".output/public",
            false,
            "the build generates pages",
        )));
    }
    Ok(match preset {
        Some("node-server" | "node_server" | "node") => {
            nitro("nuxt", "nuxt's build is a server of its own")
        }
        _ => Verdict::Unsure,
    })
}

fn svelte_kit(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("@sveltejs/kit") {
        return Ok(Verdict::Not);
    }
    // From SvelteKit 3 on the settings may be in Vite's file.
    let mut found = None;
    for stem in ["svelte.config", "vite.config"] {
        let config = Config::read(repo, stem)?;
        let adapter = ["@sveltejs/adapter-node", "@sveltejs/adapter-static"]
            .into_iter()
            .find(|adapter| {
                config
                    .as_ref()
                    .is_some_and(|config| config.imports(adapter))
            });
        found = found.or(config.zip(adapter));
    }
    let Some((config, adapter)) = found else {
        return Ok(Verdict::Unsure);
    };
    let reason = format!("{} uses {adapter}", config.file);
    // The options are the argument of a call: in `kit`, among Vite's plugins, or alone.
    let option = |name| {
        [&["kit", name][..], &["plugins", name], &[name]]
            .into_iter()
            .map(|path| config.get(path))
            .find(|setting| *setting != Setting::Absent)
            .unwrap_or(Setting::Absent)
    };
    let folder_of = |name| match option(name) {
        Setting::Absent => Some("build".to_owned()),
        Setting::Literal(path) => folder(path),
        Setting::Computed => None,
    };
    if adapter == "@sveltejs/adapter-node" {
        let Some(out) = folder_of("out") else {
            return Ok(Verdict::Unsure);
        };
        let program = Program {
            file: out,
            bundled: true,
            ..Program::default()
        };
        return Ok(Verdict::Is(Framework::program(
            "sveltekit",
            program,
            &reason,
        )));
    }
    let single = option("fallback") != Setting::Absent;
    Ok(folder_of("pages").map_or(Verdict::Unsure, |pages| {
        Verdict::Is(Framework::files("sveltekit", &pages, single, &reason))
    }))
}

fn react_router(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    let remix = package.uses("@remix-run/dev");
    if !remix && !package.uses("@react-router/dev") {
        return Ok(Verdict::Not);
    }
    let config = Config::read(
        repo,
        if remix {
            "vite.config"
        } else {
            "react-router.config"
        },
    )?;
    let text = config
        .as_ref()
        .map(|config| javascript::tokens(&config.text));
    let ssr = text.as_ref().map_or(Setting::Absent, |tokens| {
        let own = javascript::setting(tokens, &["ssr"]);
        match own {
            Setting::Absent => javascript::setting(tokens, &["plugins", "ssr"]),
            own => own,
        }
    });
    if ssr != Setting::Literal("false") {
        return Ok(Verdict::Unsure);
    }
    let name = if remix { "remix" } else { "react-router" };
    let build = literal(config.as_ref(), &["buildDirectory"], "build");
    Ok(build.map_or(Verdict::Unsure, |build| {
        Verdict::Is(Framework::files(
            name,
            &format!("{build}/client"),
            true,
            "ssr is false",
        ))
    }))
}

fn astro(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("astro") {
        return Ok(Verdict::Not);
    }
    let config = Config::read(repo, "astro.config")?;
    let Some(out) = literal(config.as_ref(), &["outDir"], "dist").and_then(folder) else {
        return Ok(Verdict::Unsure);
    };
    let adapter = config
        .as_ref()
        .map_or(Setting::Absent, |config| config.get(&["adapter"]));
    let node = config
        .as_ref()
        .is_some_and(|config| config.imports("@astrojs/node"));
    if adapter == Setting::Absent {
        return Ok(match literal(config.as_ref(), &["output"], "static") {
            Some("static") => Verdict::Is(Framework::files(
                "astro",
                &out,
                false,
                "astro without an adapter makes pages",
            )),
            _ => Verdict::Unsure,
        });
    }
    let mode = config
        .as_ref()
        .map_or(Setting::Absent, |config| config.get(&["mode"]));
    if !node || mode != Setting::Literal("standalone") {
        return Ok(Verdict::Unsure);
    }
    let program = Program {
        file: format!("{out}/server/entry.mjs"),
        bundled: false,
        variables: "HOST=0.0.0.0 ",
        ..Program::default()
    };
    Ok(Verdict::Is(Framework::program(
        "astro",
        program,
        "the adapter @astrojs/node, standalone",
    )))
}

fn tanstack(package: &Package) -> Verdict {
    if !package.uses_any(&[
        "@tanstack/react-start",
        "@tanstack/solid-start",
        "@tanstack/start",
    ]) {
        return Verdict::Not;
    }
    if package.uses_any(&["nitro", "nitropack", "vinxi"]) {
        return nitro("tanstack-start", "Nitro's build is a server of its own");
    }
    Verdict::Unsure
}

/// angular.json, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Workspace {
    projects: BTreeMap<String, Value>,
}

fn angular(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("@angular/core") {
        return Ok(Verdict::Not);
    }
    let file = "angular.json";
    let parsed = repo.parsed(file, |text| read::jsonc::<Workspace>(file, text))?;
    let Some(workspace) = parsed else {
        return Ok(Verdict::Not);
    };
    let mut applications = workspace.projects.iter().filter(|(_, project)| {
        project.get("projectType").and_then(Value::as_str) != Some("library")
    });
    let (Some((name, project)), None) = (applications.next(), applications.next()) else {
        return Ok(Verdict::Unsure);
    };
    let build = ["architect", "targets"]
        .into_iter()
        .find_map(|key| project.get(key)?.get("build"));
    let builder = build
        .and_then(|build| build.get("builder")?.as_str())
        .unwrap_or_default();
    let options = build.and_then(|build| build.get("options"));
    let option = |key: &str| options.and_then(|options| options.get(key));
    let path = option("outputPath");
    let base = path
        .and_then(|path| path.as_str().or_else(|| path.get("base")?.as_str()))
        .map_or_else(|| format!("dist/{name}"), str::to_owned);
    let below = path
        .and_then(|path| path.get("browser")?.as_str())
        .unwrap_or("browser");
    let Some(base) = folder(&base) else {
        return Ok(Verdict::Unsure);
    };
    let application = builder.ends_with(":application");
    let server = option("outputMode").and_then(Value::as_str) == Some("server")
        || option("ssr").is_some_and(|ssr| *ssr != Value::Bool(false));
    if server {
        if !application {
            return Ok(Verdict::Unsure);
        }
        let program = Program {
            file: format!("{base}/server/server.mjs"),
            only: vec![base],
            bundled: true,
            ..Program::default()
        };
        return Ok(Verdict::Is(Framework::program(
            "angular",
            program,
            "angular.json: the server is bundled",
        )));
    }
    let folder = match (application, below) {
        (false, _) | (_, "") => base,
        (true, below) => format!("{base}/{below}"),
    };
    Ok(Verdict::Is(Framework::files(
        "angular",
        &folder,
        true,
        "angular.json",
    )))
}

/// Package, folder, whether it is one page.
const SITES: [(&str, &str, bool, &str); 6] = [
    ("react-scripts", "build", true, "create-react-app"),
    ("@vue/cli-service", "dist", true, "vue-cli"),
    ("gatsby", "public", false, "gatsby"),
    ("@docusaurus/core", "build", false, "docusaurus"),
    ("@11ty/eleventy", "_site", false, "eleventy"),
    ("parcel", "dist", true, "parcel"),
];

fn others(package: &Package) -> Verdict {
    for (dependency, folder, single, name) in SITES {
        let built = package.script("build").is_some_and(|script| {
            let program = match dependency {
                "@vue/cli-service" => "vue-cli-service",
                "@docusaurus/core" => "docusaurus",
                "@11ty/eleventy" => "eleventy",
                other => other,
            };
            words(script).any(|word| word == program)
        });
        if built && package.uses(dependency) {
            return Verdict::Is(Framework::files(
                name,
                folder,
                single,
                &format!("{dependency} builds it"),
            ));
        }
    }
    Verdict::Not
}

/// Frameworks on Vite that have servers of their own.
const SERVERS_ON_VITE: [&str; 7] = [
    "@analogjs/platform",
    "@builder.io/qwik-city",
    "@qwik.dev/router",
    "@solidjs/start",
    "solid-start",
    "vike",
    "vite-plugin-ssr",
];

fn vite(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    let build = package.script("build").unwrap_or_default();
    let words: Vec<&str> = words(build).collect();
    let runs = words.windows(2).any(|pair| pair == ["vite", "build"]) || words.contains(&"vite");
    if !package.uses_any(&["vite", "rolldown-vite"]) || package.uses_any(&SERVERS_ON_VITE) || !runs
    {
        return Ok(Verdict::Not);
    }
    if words.contains(&"--ssr") {
        return Ok(Verdict::Unsure);
    }
    let config = Config::read(repo, "vite.config")?;
    let flag = words
        .windows(2)
        .find(|pair| pair[0] == "--outDir")
        .map(|pair| pair[1])
        .or_else(|| words.iter().find_map(|word| word.strip_prefix("--outDir=")));
    let root = literal(config.as_ref(), &["root"], "");
    let out = flag.or_else(|| literal(config.as_ref(), &["build", "outDir"], "dist"));
    let (Some(root), Some(out)) = (root, out) else {
        return Ok(Verdict::Unsure);
    };
    let reason = match &config {
        Some(config) => format!("{} says where to", config.file),
        None => "vite builds it".to_owned(),
    };
    let page = folder(&format!("{root}/index.html")).is_some_and(|page| repo.is_file(&page));
    let named = package.uses_any(&[
        "react",
        "vue",
        "svelte",
        "preact",
        "lit",
        "solid-js",
        "@builder.io/qwik",
    ]);
    Ok(match folder(&format!("{root}/{out}")) {
        Some(folder) if page || named => {
            Verdict::Is(Framework::files("vite", &folder, true, &reason))
        }
        _ => Verdict::Unsure,
    })
}

/// The words of a script, without quotes.
pub(super) fn words(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(|letter: char| {
            letter.is_whitespace() || matches!(letter, ';' | '&' | '|' | '(' | ')')
        })
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
}

/// Programs that serve while one develops or looks at a build; none is for production.
const PREVIEWS: [&str; 11] = [
    "vite",
    "react-scripts",
    "ng",
    "astro",
    "vue-cli-service",
    "gatsby",
    "docusaurus",
    "eleventy",
    "parcel",
    "serve",
    "http-server",
];

/// Whether a start script is nothing but such a program.
pub(super) fn is_preview(script: &str) -> bool {
    let mut words = words(script).skip_while(|word| {
        matches!(*word, "npx" | "exec" | "cross-env" | "env") || word.contains('=')
    });
    !script.contains("&&") && words.next().is_some_and(|word| PREVIEWS.contains(&word))
}
