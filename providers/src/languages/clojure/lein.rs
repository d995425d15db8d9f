//! Projects of Leiningen: what `project.clj` says of the program that `lein uberjar` makes.

use crate::plan::PlanError;
use crate::repo::Repo;

use super::reader::{self, Form};

pub(super) const PROJECT: &str = "project.clj";

/// A project.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    name: String,
    /// None where only running the file would tell.
    version: Option<String>,
    /// The namespace that starts.
    pub(super) main: Option<String>,
    /// Whether that namespace is compiled, so that Java can start it.
    pub(super) compiled: bool,
    /// Whether `lein ring` makes the program.
    pub(super) ring: bool,
    target: String,
    uberjar: Option<String>,
}

impl Project {
    pub(super) fn read(repo: &Repo) -> Result<Option<Self>, PlanError> {
        let Some(text) = repo.text(PROJECT)? else {
            return Ok(None);
        };
        let forms = reader::read(PROJECT, &text)?;
        let definition = forms.iter().find_map(|form| form.call("defproject"));
        Ok(Some(definition.map(Self::of).unwrap_or_default()))
    }

    /// From what follows `defproject`: name, version, and options in turn.
    fn of(definition: &[Form]) -> Self {
        let name = definition
            .first()
            .and_then(Form::symbol)
            .unwrap_or_default();
        let options = definition.get(2..).unwrap_or_default();
        let profiles = reader::value(options, "profiles");
        let uberjar = profiles.and_then(|profiles| profiles.get("uberjar"));
        // A profile is a map, or names of profiles with maps among them.
        let maps: Vec<&Form> = uberjar
            .into_iter()
            .flat_map(|profile| std::iter::once(profile).chain(profile.inside()))
            .collect();
        let option = |key: &str| {
            let of_profile = maps.iter().find_map(|map| map.get(key));
            of_profile.or_else(|| reader::value(options, key))
        };
        let text = |key: &str| option(key).and_then(Form::text).map(str::to_owned);
        let main = option("main").filter(|form| form.symbol() != Some("nil"));
        let space = main.and_then(Form::symbol);
        let ahead = option("aot").is_some_and(|aot| {
            aot.keyword() == Some("all") || aot.inside().iter().any(|one| one.symbol() == space)
        });
        Self {
            name: name.rsplit('/').next().unwrap_or_default().to_owned(),
            version: definition.get(1).and_then(Form::text).map(str::to_owned),
            compiled: ahead || main.is_some_and(|form| !form.is_flagged("skip-aot")),
            main: space.map(str::to_owned),
            ring: has_ring(options, profiles),
            target: text("target-path").unwrap_or_else(|| "target".to_owned()),
            uberjar: text("uberjar-name"),
        }
    }

    /// The jar with everything in it, or a pattern where the version is not known.
    pub(super) fn jar(&self) -> String {
        let version = self.version.as_deref().unwrap_or("*");
        let file = match &self.uberjar {
            Some(name) => name.replace("%s", version),
            None if self.name.is_empty() => "*-standalone.jar".to_owned(),
            None => format!("{}-{version}-standalone.jar", self.name),
        };
        // Leiningen puts the names of profiles there, and uberjar's is the only one that counts.
        let folder = self.target.replace("%s", "uberjar");
        format!("{}/{file}", folder.trim_end_matches('/'))
    }

    pub(super) fn command(&self) -> &'static str {
        if self.ring {
            "lein ring uberjar"
        } else {
            "lein uberjar"
        }
    }
}

/// Whether the plugin lein-ring is among those of the project or of a profile.
fn has_ring(options: &[Form], profiles: Option<&Form>) -> bool {
    let of_profiles = profiles.into_iter().flat_map(Form::inside);
    let all = of_profiles.filter_map(|profile| profile.get("plugins"));
    let plugins = reader::value(options, "plugins").into_iter().chain(all);
    plugins.flat_map(Form::inside).any(|plugin| {
        let name = plugin.inside().first().and_then(Form::symbol);
        name == Some("lein-ring")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> Project {
        Project::read(&Repo::in_memory(&[(PROJECT, text)]))
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_standalone_jar_has_name_and_version() {
        let plain = project(
            "(def v 1)\n(defproject my.org/tide \"1.0\" :main ^:skip-aot tide.core :profiles {:uberjar {:aot :all}})",
        );
        assert_eq!(plain.jar(), "target/tide-1.0-standalone.jar");
        assert!(plain.compiled && !plain.ring);
        assert_eq!(plain.main.as_deref(), Some("tide.core"));
        let computed = project("(defproject tide ~(slurp \"VERSION\"))");
        assert_eq!(computed.jar(), "target/tide-*-standalone.jar");
        assert_eq!(computed.main, None);
    }

    #[test]
    fn the_profile_of_uberjar_counts_more() {
        let project = project(
            "(defproject a \"2\" :target-path \"target/%s/\" :uberjar-name \"no.jar\" :main ^:skip-aot a.core
               :profiles {:dev {:plugins [[lein-ring \"0.12.6\"]]} :uberjar [:x {:uberjar-name \"a-%s.jar\"}]})",
        );
        assert_eq!(project.jar(), "target/uberjar/a-2.jar");
        assert_eq!(project.command(), "lein ring uberjar");
        assert!(!project.compiled);
    }

    #[test]
    fn a_comment_is_no_plugin() {
        let project =
            project("(defproject a \"1\" :plugins [#_[lein-ring \"1\"]] ; [lein-ring \"1\"]\n)");
        assert_eq!(project.command(), "lein uberjar");
    }
}
