//! Frameworks that render on a server, or ahead of time when their configuration says so.

use crate::javascript::Setting;
use crate::plan::PlanError;
use crate::repo::Repo;

use super::framework::{Config, Framework, PAGES, Program, SINGLE, Verdict, folder, literal};
use super::package::{Lock, Package};

pub(super) fn next(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
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
                PAGES,
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
                ..Program::default()
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

fn nitro(name: &'static str, reason: &str) -> Framework {
    let program = Program {
        file: ".output/server/index.mjs".to_owned(),
        only: vec![".output".to_owned()],
        bundled: true,
        ..Program::default()
    };
    Framework::program(name, program, reason)
}

pub(super) fn nuxt(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
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
            PAGES,
            "the build generates pages",
        )));
    }
    Ok(match preset {
        Some("node-server" | "node_server" | "node") => {
            Verdict::Is(nitro("nuxt", "nuxt's build is a server of its own"))
        }
        _ => Verdict::Unsure,
    })
}

const NODE: &str = "@sveltejs/adapter-node";
const STATIC: &str = "@sveltejs/adapter-static";
const AUTO: &str = "@sveltejs/adapter-auto";

pub(super) fn svelte_kit(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("@sveltejs/kit") {
        return Ok(Verdict::Not);
    }
    // From SvelteKit 3 on the settings may be in Vite's file.
    let mut found = None;
    for stem in ["svelte.config", "vite.config"] {
        let config = Config::read(repo, stem)?;
        let adapter = [NODE, STATIC, AUTO].into_iter().find(|adapter| {
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
    let folder_of = |name| match adapter_option(&config, name) {
        Setting::Absent => Some("build".to_owned()),
        Setting::Literal(path) => folder(path),
        Setting::Computed => None,
    };
    if adapter == STATIC {
        let fallbacks = match adapter_option(&config, "fallback") {
            Setting::Absent | Setting::Literal("404.html") => PAGES,
            Setting::Literal("index.html") => SINGLE,
            _ => &["200.html", "index.html"],
        };
        return Ok(folder_of("pages").map_or(Verdict::Unsure, |pages| {
            Verdict::Is(Framework::files("sveltekit", &pages, fallbacks, &reason))
        }));
    }
    let Some(out) = folder_of("out") else {
        return Ok(Verdict::Unsure);
    };
    // The adapter that looks for its platform takes the one for Node.js where this is set, and fetches it when need be.
    let (build_variables, warning) = match adapter == AUTO {
        true if package.uses(NODE) => ("GCP_BUILDPACKS=true ", None),
        true => ("GCP_BUILDPACKS=true ", Some(FETCHED)),
        false => ("", None),
    };
    let program = Program {
        file: out,
        bundled: true,
        build_variables,
        ..Program::default()
    };
    let framework = Framework::program("sveltekit", program, &reason);
    Ok(Verdict::Is(Framework {
        warning,
        ..framework
    }))
}

const FETCHED: &str = "@sveltejs/adapter-auto fetches @sveltejs/adapter-node while building, in no locked version: \
                       add it to package.json and to the configuration of SvelteKit";

/// An option of the adapter: the argument of a call in `kit`, among Vite's plugins, or alone.
fn adapter_option<'a>(config: &'a Config, name: &str) -> Setting<'a> {
    [&["kit", name][..], &["plugins", name], &[name]]
        .into_iter()
        .map(|path| config.get(path))
        .find(|setting| *setting != Setting::Absent)
        .unwrap_or(Setting::Absent)
}

pub(super) fn react_router(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
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
    let setting = |path: &[&str]| {
        config
            .as_ref()
            .map_or(Setting::Absent, |config| config.get(path))
    };
    let ssr = match setting(&["ssr"]) {
        Setting::Absent => setting(&["plugins", "ssr"]),
        own => own,
    };
    if ssr != Setting::Literal("false") {
        return Ok(Verdict::Unsure);
    }
    let name = if remix { "remix" } else { "react-router" };
    let build = literal(config.as_ref(), &["buildDirectory"], "build");
    Ok(build.map_or(Verdict::Unsure, |build| {
        // The first one is made when the page at `/` is rendered ahead of time.
        let fallbacks = &["__spa-fallback.html", "index.html"];
        let folder = format!("{build}/client");
        Verdict::Is(Framework::files(name, &folder, fallbacks, "ssr is false"))
    }))
}

pub(super) fn astro(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
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
                PAGES,
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

/// What it makes is a function that answers requests; Nitro or srvx calls it.
pub(super) fn tanstack(repo: &Repo, package: &Package, lock: &Lock) -> Result<Verdict, PlanError> {
    let packages = [
        "@tanstack/react-start",
        "@tanstack/solid-start",
        "@tanstack/start",
    ];
    if !package.uses_any(&packages) {
        return Ok(Verdict::Not);
    }
    if package.uses_any(&["nitro", "nitropack", "vinxi"]) {
        let reason = "Nitro's build is a server of its own";
        return Ok(Verdict::Is(nitro("tanstack-start", reason)));
    }
    let config = Config::read(repo, "vite.config")?;
    let out = literal(config.as_ref(), &["build", "outDir"], "dist").and_then(folder);
    let calls = package.needs("srvx") || lock.programs().contains("srvx");
    Ok(out.filter(|_| calls).map_or(Verdict::Unsure, |out| {
        let program = Program {
            with: Some("srvx --prod --static ../client".to_owned()),
            file: format!("{out}/server/server.js"),
            ..Program::default()
        };
        let reason = "srvx is installed";
        Verdict::Is(Framework::program("tanstack-start", program, reason))
    }))
}
