//! A plan and its environment as a Dockerfile.
//!
//! The first stage makes the environment, runs the phases and sets aside what the image gets; the
//! second one is the image. Pure: which files stand beside it is for [`super::context`], who builds
//! it for the engine. The rules that platforms hold such a file to are in ARCHITECTURE.md.

mod names;
mod quote;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use globset::Glob;
use minijinja::{Value, context};
use packwright_providers::{BuildPlan, Healthcheck};
use serde::Serialize;

use super::source::SourceTree;
use super::store::{Archives, Group};
use super::{PipelineError, assemble, phases};
use crate::cache::Key;
use crate::engine::docker::Commands;
use crate::environment::{Kit, KitPart, KitScript, RunTree};
pub use names::{cache_id, mount_id, scope_of_key, secrets_argument};
use quote::{can_be_quoted, is_name, quoted};

/// Where everything lies that the build context has besides the app.
pub const FOLDER: &str = ".nixpacks";

/// The secret mount that brings the host's certificate authorities.
pub const AUTHORITIES: &str = "packwright-authorities";

/// What builders understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `RUN` takes mounts: BuildKit, Buildah.
    Mounts,
    /// The builder that Docker had before BuildKit: no caches, no secrets.
    Classic,
}

/// What a Dockerfile is made from.
pub struct Recipe<'a> {
    /// What to do.
    pub plan: &'a BuildPlan,
    /// On what.
    pub kit: &'a Kit,
    /// The app's files.
    pub source: &'a SourceTree,
    /// Begins the names of cache mounts.
    pub scope: String,
    /// Labels beyond the plan's.
    pub labels: &'a BTreeMap<String, String>,
    /// For whom.
    pub dialect: Dialect,
}

/// A Dockerfile, and what it cannot say itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// The file.
    pub text: String,
    /// The commands of phases in it.
    pub commands: Commands,
    /// Build arguments that it needs: values with line breaks.
    pub arguments: BTreeMap<String, String>,
    /// Labels that the builder has to set.
    pub labels: BTreeMap<String, String>,
    /// Names of secrets that phases ask for, and the argument whose change runs each phase again.
    pub secrets: BTreeMap<String, Vec<String>>,
}

impl Recipe<'_> {
    /// Writes the file.
    pub fn dockerfile(&self) -> Result<Dockerfile, PipelineError> {
        let mut file = Dockerfile::default();
        let mut all = self.kit.around.variables.clone();
        super::lay_over(&mut all, &self.plan.variables);
        all.retain(|name, _| self.plan.variables.contains_key(name));
        let variables = variables(&all, &mut file)?;
        let (steps, path) = self.steps(&mut file)?;
        let mut parts: Vec<Value> = self
            .kit
            .parts
            .iter()
            .map(part)
            .collect::<Result<_, PipelineError>>()?;
        let store = Archives::of(self.plan, self.kit)?;
        parts.extend(
            store
                .for_phases()
                .map(|group| context! { title => group.title(), archive => store_path(group) }),
        );
        let system = self
            .kit
            .parts
            .iter()
            .any(|part| matches!(part, KitPart::Script(script) if script.stays.is_some()));
        let image: Vec<String> = self
            .kit
            .run
            .iter()
            .map(archive_path)
            .chain(store.image.iter().map(store_path))
            .collect();
        let values = context! {
            parts,
            system_variables => self.system_variables(),
            variables,
            path => super::search_path(&self.kit.around.build_path),
            assets => !self.plan.static_assets.is_empty(),
            authorities_file => self.dialect == Dialect::Classic,
            steps,
            left_out => self.left_out(),
            only => self.only()?,
            image,
            system,
            settings => self.settings(&path, &mut file)?,
        };
        file.text = render(include_str!("../../templates/Dockerfile"), values)?;
        Ok(file)
    }

    /// Variables of phases below those of the plan.
    fn system_variables(&self) -> Vec<Value> {
        let mut variables = phases::system_variables();
        variables.extend(self.kit.around.variables.clone());
        variables
            .into_iter()
            .map(|(name, value)| context! { name, value })
            .collect()
    }

    /// A pattern of what phases leave that is no part of the image.
    fn left_out(&self) -> String {
        let plan = self.plan;
        let mounts: Vec<String> = plan
            .phases
            .values()
            .flat_map(|phase| phase.cache_directories.iter().flatten())
            .map(|path| phases::absolute(path).trim_start_matches('/').to_owned())
            .collect();
        // Folders on the way to a mount, which builders make, and to notes; with something else in it, one comes back.
        let leading = mounts
            .iter()
            .chain(&self.kit.around.notes)
            .flat_map(|mount| Path::new(mount).ancestors().skip(1))
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| regex::escape(&path.to_string_lossy()));
        let leading: BTreeSet<String> = leading.collect();
        let leading: Vec<String> = leading.into_iter().collect();
        // In the sandbox it cannot be written to.
        let nix = !self.kit.around.build_store.is_empty();
        let store = nix.then(|| "nix/store".to_owned());
        let volatile = assemble::VOLATILE.iter().map(ToString::to_string);
        let all: Vec<String> = volatile
            .chain(self.kit.around.notes.iter().cloned())
            .chain(store)
            .chain(mounts)
            .map(|path| regex::escape(&path))
            .collect();
        format!(
            "(?s)\\A(?:{})(?:/.*)?\\z|\\A(?:{})/\\z",
            all.join("|"),
            leading.join("|")
        )
    }

    /// A pattern of what `start.onlyIncludeFiles` keeps; empty for everything.
    fn only(&self) -> Result<String, PipelineError> {
        let start = self.plan.start.as_ref();
        let Some(files) = start.and_then(|start| start.only_include_files.as_ref()) else {
            return Ok(String::new());
        };
        let mut patterns = Vec::new();
        for file in files {
            let file = file.trim_start_matches("./").trim_end_matches('/');
            patterns.push(regex::escape(file));
            patterns.push(pattern(file)?);
        }
        Ok(format!(
            "(?s)\\A(?!app/.)|\\Aapp/(?:{})(?:/.*)?\\z",
            patterns.join("|")
        ))
    }

    /// The image's configuration.
    fn settings(
        &self,
        path: &[String],
        file: &mut Dockerfile,
    ) -> Result<Vec<String>, PipelineError> {
        let plan = self.plan;
        let start = plan.start.clone().unwrap_or_default();
        let image = plan.image.clone().unwrap_or_default();
        let path = assemble::run_path(path, &self.kit.around.build_path, &self.kit.around.run_path);
        let mut lines = vec![
            format!("ENV PATH={}", quoted(&super::search_path(&path))),
            "WORKDIR /app".to_owned(),
        ];
        let run = assemble::run_variables(&self.kit.around, plan);
        lines.extend(variables(&run, file)?);
        let mut labels = image.labels;
        labels.extend(self.labels.clone());
        for (name, value) in labels {
            if can_be_quoted(&name) && can_be_quoted(&value) {
                lines.push(format!("LABEL {}={}", quoted(&name), quoted(&value)));
            } else {
                file.labels.insert(name, value);
            }
        }
        for port in image.exposed_ports.iter().flatten() {
            lines.push(format!("EXPOSE {}", quoted(port)));
        }
        lines.extend(
            image
                .stop_signal
                .map(|signal| format!("STOPSIGNAL {}", quoted(&signal))),
        );
        lines.extend(image.healthcheck.as_ref().map(healthcheck));
        let user = start.user.or(image.user);
        lines.extend(user.map(|user| format!("USER {}", quoted(&user))));
        let entrypoint = image
            .entrypoint
            .unwrap_or_else(|| ["/bin/bash", "-l", "-c"].map(str::to_owned).to_vec());
        lines.push(format!("ENTRYPOINT {}", json(&entrypoint)));
        lines.extend(start.cmd.map(|command| format!("CMD {}", json(&[command]))));
        if let Some(line) = lines.iter().find(|line| line.contains('\n')) {
            return Err(PipelineError::Setting {
                key: "image",
                value: line.clone(),
                reason: "has a line break, which a Dockerfile cannot hold here",
            });
        }
        Ok(lines)
    }
}

/// Variables as instructions: an argument with the plan's value, and a variable that
/// takes the argument's, so that platforms may pass another value.
fn variables(
    variables: &BTreeMap<String, String>,
    file: &mut Dockerfile,
) -> Result<Vec<String>, PipelineError> {
    let mut lines = Vec::new();
    for (name, value) in variables {
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c == '"') {
            return Err(PipelineError::Setting {
                key: "variables",
                value: name.clone(),
                reason: "is not a name that a Dockerfile can have",
            });
        }
        match (is_name(name), can_be_quoted(value)) {
            (true, true) => lines.push(format!("ARG {name}={}", quoted(value))),
            (true, false) => {
                lines.push(format!("ARG {name}"));
                file.arguments.insert(name.clone(), value.clone());
            }
            (false, true) => {
                lines.push(format!("ENV {name}={}", quoted(value)));
                continue;
            }
            (false, false) => {
                return Err(PipelineError::Setting {
                    key: "variables",
                    value: name.clone(),
                    reason: "has a value with line breaks, for which its name must consist of letters, digits and underscores",
                });
            }
        }
        lines.push(format!("ENV {name}=\"${name}\""));
    }
    Ok(lines)
}

/// JSON in one line.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn healthcheck(check: &Healthcheck) -> String {
    let Some(command) = &check.cmd else {
        return "HEALTHCHECK NONE".to_owned();
    };
    let mut line = "HEALTHCHECK".to_owned();
    let options = [
        ("interval", check.interval.clone()),
        ("timeout", check.timeout.clone()),
        ("start-period", check.start_period.clone()),
        ("retries", check.retries.map(|count| count.to_string())),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            for part in [" --", name, "=", &value] {
                line.push_str(part);
            }
        }
    }
    let plain = !command.contains('\n')
        && !command.starts_with(['[', ' ', '\t'])
        && !command.ends_with(['\\', ' ', '\t']);
    // The shell's form is what the native engine writes; some commands cannot be written so.
    if plain {
        line + " CMD " + command
    } else {
        line + " CMD " + &json(&["/bin/sh", "-c", command])
    }
}

/// The file of a tree beside the Dockerfile, relative to the build context.
pub fn archive_path(tree: &RunTree) -> String {
    archive_name(&tree.title, &tree.key)
}

/// The file of some store paths beside the Dockerfile, relative to the build context.
pub fn store_path(group: &Group<'_>) -> String {
    archive_name(&group.title(), &group.key())
}

fn archive_name(title: &str, key: &Key) -> String {
    format!(
        "{FOLDER}/environment/{}-{}.tar.gz",
        slug(title),
        &key.as_str()[..12]
    )
}

/// The folder with a script's packages, relative to the build context.
pub fn packages_path(script: &KitScript) -> String {
    format!("{FOLDER}/environment/{}/", slug(&script.title))
}

fn slug(title: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
    let slug: String = title
        .chars()
        .map(|letter| {
            if plain(letter) {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    slug.trim_matches('-').to_owned()
}

fn part(part: &KitPart) -> Result<Value, PipelineError> {
    let script = match part {
        KitPart::Tree(tree) => {
            return Ok(context! { title => tree.title.as_str(), archive => archive_path(tree) });
        }
        KitPart::Script(script) => script,
    };
    let at = script.packages_at;
    let mut command = vec!["/usr/bin/env".to_owned(), "-i".to_owned()];
    command.extend(
        script
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    let clean = format!("{}; rm -f {at}/*.deb", script.script);
    let text = if script.packages.is_empty() {
        script.script
    } else {
        &clean
    };
    command.extend(["/bin/sh", "-e", "-c", text].map(str::to_owned));
    let folder = (!script.packages.is_empty()).then(|| packages_path(script));
    let left_out = match &script.stays {
        None => String::new(),
        Some(leavings) => {
            let mut all = Vec::new();
            for glob in &leavings.excluded {
                all.push(format!("(?:{})(?:/.*)?", pattern(glob)?));
            }
            let escaped = |names: &[&str]| {
                let names: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
                names.join("|")
            };
            all.push(format!("(?:{})/.*[^/]", escaped(&leavings.emptied)));
            all.push(escaped(&leavings.removed));
            format!("(?s)\\A(?:{})\\z", all.join("|"))
        }
    };
    Ok(context! {
        title => script.title.as_str(),
        folder,
        folder_at => format!("{at}/"),
        command,
        stays => script.stays.is_some(),
        left_out,
    })
}

/// A glob as a regular expression without its anchors, as the native engine understands the glob.
fn pattern(glob: &str) -> Result<String, PipelineError> {
    let glob = Glob::new(glob).map_err(super::source::SourceError::Pattern)?;
    let regex = glob.regex().trim_start_matches("(?-u)");
    Ok(regex
        .trim_start_matches('^')
        .trim_end_matches('$')
        .to_owned())
}

/// Fills in a template of this program.
pub fn render(template: &str, values: Value) -> Result<String, PipelineError> {
    let fill = || {
        let mut environment = packwright_providers::template_environment()?;
        environment.add_filter("json", |value: Value| json(&value));
        environment.add_filter("quote", |value: String| quoted(&value));
        environment.render_str(template, values)
    };
    fill().map_err(|error: minijinja::Error| PipelineError::Template(error.to_string()))
}

#[cfg(test)]
mod tests;
