//! Builds of sbt: what `build.sbt`, its neighbours and `project/` say, as far as their text tells.
//!
//! They are programs in Scala, read word by word. What only running them would tell stays unknown.

use std::collections::{BTreeMap, BTreeSet};

use crate::jvm;
use crate::plan::PlanError;
use crate::provider::Evidence;
use crate::repo::{self, Repo};
use crate::tokens::{Style, Token, calls, tokens};
use crate::version::Candidate;

use super::words::{
    Settings, Value, definition, enabled, is_project, release, settings, statements, text_of,
};

pub(super) const BUILD: &str = "build.sbt";
pub(super) const PROPERTIES: &str = "project/build.properties";

/// Plugins of a project by which `stage` makes a folder of it.
/// Source: the archetypes of sbt-native-packager, and the plugins of Play and Lagom that enable them.
const STAGING: [&str; 12] = [
    "AkkaAppPackaging",
    "AshScriptPlugin",
    "JavaAppPackaging",
    "JavaServerAppPackaging",
    "LagomJava",
    "LagomPlay",
    "LagomScala",
    "PlayJava",
    "PlayMinimalJava",
    "PlayMinimalScala",
    "PlayScala",
    "PlayService",
];

/// A build.
#[derive(Default)]
pub(super) struct Build {
    /// The version of sbt.
    pub(super) sbt: Option<String>,
    /// The root's project first.
    pub(super) projects: Vec<Project>,
    /// Artifacts of sbt's plugins.
    plugins: BTreeSet<String>,
    /// Texts that have a name.
    values: BTreeMap<String, String>,
    /// Settings that have a name.
    shared: BTreeMap<String, Settings>,
    /// Settings of all projects.
    common: Settings,
    /// The JDK that compilers are told to write for.
    release: Option<String>,
}

/// A project of a build.
#[derive(Default, Clone)]
pub(super) struct Project {
    /// As sbt's commands name it; unknown of a root that nothing defines.
    pub(super) id: Option<String>,
    /// Empty for the root.
    pub(super) folder: String,
    plugins: BTreeSet<String>,
    own: Settings,
}

impl Build {
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let mut build = Self::default();
        if let Some(text) = repo.text(PROPERTIES)? {
            build.sbt = jvm::properties(&text).remove("sbt.version");
        }
        for file in repo.glob("project/*.sbt")? {
            build.read_plugins(&repo.text(&file)?.unwrap_or_default());
        }
        let mut root = Project::default();
        for file in repo.glob("*.sbt")? {
            build.read_definitions(&repo.text(&file)?.unwrap_or_default(), &mut root);
        }
        build.place(root);
        let folders: Vec<String> = build
            .projects
            .iter()
            .map(|project| project.folder.clone())
            .collect();
        for (index, folder) in folders
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.is_empty())
        {
            let text = repo.text(&repo::join(folder, BUILD))?;
            let mut project = build.projects[index].clone();
            build.read_definitions(&text.unwrap_or_default(), &mut project);
            build.projects[index] = project;
        }
        Ok(build)
    }

    fn read_plugins(&mut self, text: &str) {
        let all = tokens(text, Style::Scala);
        for (_, arguments) in calls(&all)
            .into_iter()
            .filter(|(name, _)| *name == "addSbtPlugin")
        {
            let mut texts = arguments.iter().filter_map(Token::text);
            if let (Some(group), Some(artifact)) = (texts.next(), texts.next()) {
                self.plugins.insert(format!("{group}:{artifact}"));
            }
        }
    }

    /// Reads a file of definitions; what stands alone in it belongs to `own`.
    fn read_definitions(&mut self, text: &str, own: &mut Project) {
        let all = tokens(text, Style::Scala);
        self.release = self.release.take().or_else(|| release(&all));
        for statement in statements(&all) {
            let Some((name, value)) = definition(&statement) else {
                self.read_bare(&statement, own);
                continue;
            };
            if let Some(text) = text_of(value, &self.values) {
                self.values.insert(name.to_owned(), text);
            } else if is_project(value) {
                let project = self.project(name, value);
                self.projects.push(project);
            } else {
                let settings = settings(value, &self.values);
                self.shared.insert(name.to_owned(), settings);
            }
        }
    }

    fn read_bare(&mut self, statement: &[Token], own: &mut Project) {
        let found = settings(statement, &self.values);
        let first = statement.first().and_then(Token::word);
        if matches!(first, Some("ThisBuild" | "inThisBuild" | "Global"))
            || statement
                .iter()
                .take(6)
                .any(|token| token.word() == Some("ThisBuild"))
        {
            self.common.extend(found);
        } else {
            own.plugins.extend(enabled(statement));
            own.own.extend(found);
        }
    }

    fn project(&self, name: &str, value: &[Token]) -> Project {
        let called = |wanted: &str| calls(value).into_iter().find(|(name, _)| *name == wanted);
        let words: BTreeSet<&str> = value.iter().filter_map(Token::word).collect();
        let text = |(_, arguments): (&str, &[Token])| {
            arguments.iter().find_map(Token::text).map(str::to_owned)
        };
        let mut folder = called("file")
            .and_then(text)
            .unwrap_or_else(|| name.to_owned());
        let mut id = called("Project")
            .and_then(text)
            .unwrap_or_else(|| name.to_owned());
        if words.contains("crossProject") {
            let platform = if words.contains("Pure") {
                ".jvm"
            } else {
                "jvm"
            };
            folder = repo::join(&folder, platform);
            id.push_str("JVM");
        }
        let mut own = Settings::new();
        for name in &words {
            own.extend(self.shared.get(*name).cloned().unwrap_or_default());
        }
        own.extend(settings(value, &self.values));
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        Project {
            id: Some(id),
            folder: if folder == "." { "" } else { folder }.to_owned(),
            plugins: enabled(value),
            own,
        }
    }

    /// Puts what belongs to the root in front.
    fn place(&mut self, bare: Project) {
        let root = self
            .projects
            .iter()
            .position(|project| project.folder.is_empty());
        let mut first = root.map_or_else(Project::default, |root| self.projects.remove(root));
        first.plugins.extend(bare.plugins);
        first.own.extend(bare.own);
        self.projects.insert(0, first);
    }

    /// Whether a plugin of sbt is there, by its artifact.
    pub(super) fn has(&self, artifact: &str) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.rsplit(':').next() == Some(artifact))
    }

    /// Whether Play is there, which brings sbt-native-packager.
    pub(super) fn has_play(&self) -> bool {
        self.plugins.iter().any(|plugin| {
            matches!(
                plugin.as_str(),
                "com.typesafe.play:sbt-plugin" | "org.playframework:sbt-plugin"
            )
        })
    }

    /// The value of a setting that something sets.
    fn setting<'a>(&'a self, project: &'a Project, key: &str) -> Option<&'a Value> {
        project.own.get(key).or_else(|| self.common.get(key))
    }

    /// The project's name, as artifacts have it.
    fn name(&self, project: &Project) -> Option<String> {
        match self.setting(project, "name") {
            Some(value) => value.text(),
            None => project.id.clone(),
        }
    }

    /// The script that `stage` makes.
    pub(super) fn script(&self, project: &Project) -> Option<String> {
        match self.setting(project, "executableScriptName") {
            Some(value) => value.text(),
            None => self.name(project).map(|name| normalized(&name)),
        }
    }

    /// The jar that `assembly` makes.
    pub(super) fn assembled(&self, project: &Project) -> Option<String> {
        if let Some(value) = self.setting(project, "assemblyJarName") {
            return value.text();
        }
        let version = match self.setting(project, "version") {
            Some(value) => value.text()?,
            None => "0.1.0-SNAPSHOT".to_owned(),
        };
        Some(format!("{}-assembly-{version}.jar", self.name(project)?))
    }

    /// The folder below `target/` that has what a version of Scala makes, where sbt is older than 2.
    pub(super) fn scala_folder(&self, project: &Project) -> Option<String> {
        let version = self.setting(project, "scalaVersion")?.text()?;
        let mut parts = version.splitn(3, '.');
        let (major, minor) = (parts.next()?, parts.next()?);
        Some(match major {
            "2" => format!("scala-2.{minor}"),
            _ => format!("scala-{version}"),
        })
    }

    /// The JDKs that the compilers of the build and the program run on, as a wish.
    pub(super) fn jdk(&self) -> Option<Candidate> {
        let scala = self
            .projects
            .iter()
            .find_map(|project| self.setting(project, "scalaVersion")?.text());
        let of_scala = scala
            .as_deref()
            .and_then(|version| newest(SCALA_RUNS_ON, version));
        let of_sbt = self
            .sbt
            .as_deref()
            .and_then(|version| newest(SBT_RUNS_ON, version));
        let least = self
            .release
            .as_deref()
            .and_then(jvm::compiles_for)
            .unwrap_or_default();
        let (most, evidence) = match (of_scala, of_sbt) {
            (Some(scala_s), Some(sbt_s)) if scala_s > sbt_s => (of_sbt, self.sbt_evidence()),
            (Some(_), _) => (
                of_scala,
                Evidence::key(BUILD, "scalaVersion", None, &scala.unwrap_or_default()),
            ),
            (None, _) => (of_sbt, self.sbt_evidence()),
        };
        let most = most.map_or_else(String::new, |most| format!(" <{}", most + 1));
        let wish = format!("{least}{most}");
        (!wish.is_empty()).then(|| Candidate::new(&wish, evidence))
    }

    fn sbt_evidence(&self) -> Evidence {
        Evidence::key(
            PROPERTIES,
            "sbt.version",
            None,
            self.sbt.as_deref().unwrap_or_default(),
        )
    }
}

impl Project {
    /// Whether the build says which of its classes starts.
    pub(super) fn starts(&self) -> bool {
        self.own.contains_key("mainClass")
    }

    /// Whether `stage` makes a folder of it.
    pub(super) fn stages(&self) -> bool {
        STAGING.iter().any(|plugin| self.plugins.contains(*plugin))
    }

    /// Whether it is a server of Play.
    pub(super) fn plays(&self) -> bool {
        self.plugins
            .iter()
            .any(|plugin| STAGING.contains(&plugin.as_str()) && plugin.starts_with("Play"))
    }
}

/// The newest JDK that runs a version: from which version on, within its line, and the JDK.
type RunsOn = &'static [((u32, u32, u32), u32)];

/// Source: the release notes of sbt, whose own Scala decides.
const SBT_RUNS_ON: RunsOn = &[
    ((2, 0, 0), 25),
    ((1, 12, 0), 25),
    ((1, 9, 0), 21),
    ((1, 6, 0), 17),
    ((1, 1, 0), 11),
    ((0, 0, 0), 8),
];

/// Source: the page of Scala's documentation on the compatibility of JDKs.
const SCALA_RUNS_ON: RunsOn = &[
    ((3, 7, 1), 25),
    ((3, 4, 0), 21),
    ((3, 3, 6), 25),
    ((3, 3, 1), 21),
    ((3, 0, 0), 17),
    ((2, 13, 17), 25),
    ((2, 13, 11), 21),
    ((2, 13, 6), 17),
    ((2, 13, 0), 11),
    ((2, 12, 21), 25),
    ((2, 12, 18), 21),
    ((2, 12, 15), 17),
    ((2, 12, 4), 11),
    ((2, 11, 12), 11),
    ((0, 0, 0), 8),
];

fn newest(table: RunsOn, version: &str) -> Option<u32> {
    let mut numbers = version
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().ok());
    let version = (
        numbers.next()??,
        numbers.next()??,
        numbers.next().flatten().unwrap_or(0),
    );
    let row = table.iter().find(|(from, _)| version >= *from);
    row.map(|(_, jdk)| *jdk)
}

/// A name as sbt makes it fit for files.
fn normalized(name: &str) -> String {
    let mut text = String::new();
    for letter in name.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            text.push(letter);
        } else if !text.ends_with('-') {
            text.push('-');
        }
    }
    text
}
