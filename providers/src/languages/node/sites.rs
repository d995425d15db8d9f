//! Frameworks whose build makes files to serve.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::plan::PlanError;
use crate::provider::Request;
use crate::read;
use crate::repo::Repo;

use super::framework::{
    Config, Framework, PAGES, Program, SINGLE, Verdict, all_words, folder, literal,
};
use super::package::Package;

/// angular.json, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, expecting = "an object")]
struct Workspace {
    projects: BTreeMap<String, Value>,
}

impl Workspace {
    /// The application that is asked for, or the only one.
    fn application(&self, asked: Option<&str>) -> Option<(&String, &Value)> {
        if let Some(name) = asked {
            return self.projects.get_key_value(name);
        }
        let of_library =
            |project: &Value| project.get("projectType").and_then(Value::as_str) == Some("library");
        let mut applications = self
            .projects
            .iter()
            .filter(|(_, project)| !of_library(project));
        match (applications.next(), applications.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }
}

pub(super) fn angular(request: &Request, package: &Package) -> Result<Verdict, PlanError> {
    if !package.uses("@angular/core") {
        return Ok(Verdict::Not);
    }
    let file = "angular.json";
    let parsed = request
        .repo
        .parsed(file, |text| read::jsonc::<Workspace>(file, text))?;
    let Some(workspace) = parsed else {
        return Ok(Verdict::Not);
    };
    let asked = request.setting("ANGULAR_PROJECT");
    let found = workspace.application(asked.as_deref());
    let made = found.and_then(|(name, project)| output_of_angular(name, project));
    Ok(made.map_or(Verdict::Unsure, Verdict::Is))
}

fn output_of_angular(name: &str, project: &Value) -> Option<Framework> {
    let targets = ["architect", "targets"];
    let build = targets
        .into_iter()
        .find_map(|key| project.get(key)?.get("build"));
    let builder = build.and_then(|build| build.get("builder")?.as_str());
    let application = builder.is_some_and(|builder| builder.ends_with(":application"));
    let options = build.and_then(|build| build.get("options"));
    let option = |key: &str| options.and_then(|options| options.get(key));
    let path = option("outputPath");
    let base = path
        .and_then(|path| path.as_str().or_else(|| path.get("base")?.as_str()))
        .map_or_else(|| format!("dist/{name}"), str::to_owned);
    let base = folder(&base)?;
    let mode = option("outputMode").and_then(Value::as_str);
    let rendered = option("ssr").is_some_and(|ssr| *ssr != Value::Bool(false));
    if mode == Some("server") || (rendered && mode != Some("static")) {
        let program = Program {
            file: format!("{base}/server/server.mjs"),
            only: vec![base],
            bundled: true,
            ..Program::default()
        };
        let reason = "angular.json: the server is bundled";
        return application.then(|| Framework::program("angular", program, reason));
    }
    let below = path
        .and_then(|path| path.get("browser")?.as_str())
        .unwrap_or("browser");
    let folder = match (application, below) {
        (false, _) | (_, "") => base,
        (true, below) => format!("{base}/{below}"),
    };
    // The first one is made when the page at `/` is rendered ahead of time.
    let fallbacks = &["index.csr.html", "index.html"];
    Some(Framework::files(
        "angular",
        &folder,
        fallbacks,
        "angular.json",
    ))
}

/// A tool that makes files.
struct Site {
    package: &'static str,
    /// The program of the build script.
    program: &'static str,
    folder: &'static str,
    fallbacks: &'static [&'static str],
    /// Where its configuration names another folder: the file without its ending, and the key.
    config: Option<(&'static str, &'static [&'static str])>,
}

const fn site(
    package: &'static str,
    program: &'static str,
    folder: &'static str,
    fallbacks: &'static [&'static str],
) -> Site {
    Site {
        package,
        program,
        folder,
        fallbacks,
        config: None,
    }
}

/// Source: the manuals of these, 2026-11-25.
#[rustfmt::skip]
const SITES: [Site; 11] = [
    site("react-scripts", "react-scripts", "build", SINGLE),
    Site { config: Some(("vue.config", &["outputDir"])), ..site("@vue/cli-service", "vue-cli-service", "dist", SINGLE) },
    site("gatsby", "gatsby", "public", PAGES),
    site("@docusaurus/core", "docusaurus", "build", PAGES),
    site("@11ty/eleventy", "eleventy", "_site", PAGES),
    site("parcel", "parcel", "dist", SINGLE),
    site("ember-cli", "ember", "dist", SINGLE),
    Site { config: Some(("rsbuild.config", &["output", "distPath"])), ..site("@rsbuild/core", "rsbuild", "dist", SINGLE) },
    site("expo", "expo", "dist", SINGLE),
    site("@quasar/app-vite", "quasar", "dist/spa", SINGLE),
    site("hexo", "hexo", "public", PAGES),
];

pub(super) fn others(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    let words = all_words(package, package.script("build").unwrap_or_default());
    let built = |site: &&Site| words.contains(&site.program);
    let Some(site) = SITES
        .iter()
        .filter(built)
        .find(|site| package.uses(site.package))
    else {
        return Ok(Verdict::Not);
    };
    let mut folder = Some(site.folder.to_owned());
    if let Some((stem, key)) = site.config {
        let config = Config::read(repo, stem)?;
        folder = literal(config.as_ref(), key, site.folder).map(str::to_owned);
    }
    let reason = format!("{} builds it", site.package);
    Ok(folder.map_or(Verdict::Unsure, |folder| {
        Verdict::Is(Framework::files(
            site.program,
            &folder,
            site.fallbacks,
            &reason,
        ))
    }))
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

pub(super) fn vite(repo: &Repo, package: &Package) -> Result<Verdict, PlanError> {
    let words = all_words(package, package.script("build").unwrap_or_default());
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
            Verdict::Is(Framework::files("vite", &folder, SINGLE, &reason))
        }
        _ => Verdict::Unsure,
    })
}
