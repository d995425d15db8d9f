//! Builds of Gradle: what settings, scripts and the wrapper say.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::jvm::{self, found_jar, java};
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence, Request};
use crate::read;
use crate::repo::{self, Repo};
use crate::tokens::{Style, Token, tokens};
use crate::version::Candidate;

use super::{Program, Wrapper, framework, quote};

const WRAPPER: &str = "gradle/wrapper/gradle-wrapper.properties";

/// The Gradle that nixpacks takes for a build that names none.
const DEFAULT: &str = "8";

/// The newest JDK that runs each Gradle, from a version on.
/// Source: Gradle's compatibility matrix.
const RUNS_ON: &[((u32, u32), u32)] = &[
    ((9, 1), 25),
    ((8, 5), 21),
    ((7, 3), 17),
    ((5, 0), 11),
    ((0, 0), 8),
];

/// A build.
pub(super) struct Gradle {
    wrapper: Wrapper,
    /// The major version, and the minor one where it is known.
    version: String,
    /// The build's name: of the root project.
    name: Option<String>,
    projects: Vec<Project>,
}

/// One project's script.
#[derive(Default)]
struct Project {
    folder: String,
    file: String,
    plugins: Vec<String>,
    /// Coordinates of dependencies.
    dependencies: Vec<String>,
    /// The line of a toolchain.
    toolchain: Option<String>,
    /// What the compiler writes for.
    target: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Catalog {
    plugins: BTreeMap<String, toml::Value>,
    libraries: BTreeMap<String, toml::Value>,
}

impl Catalog {
    fn read(repo: &Repo) -> Result<Self, PlanError> {
        let file = "gradle/libs.versions.toml";
        let text = repo.text(file)?;
        text.map_or_else(|| Ok(Self::default()), |text| read::toml(file, &text))
    }

    /// The plugin of an alias as scripts write it: `spring.boot` for `spring-boot`.
    fn plugin(&self, alias: &str) -> Option<String> {
        let (_, value) = self
            .plugins
            .iter()
            .find(|(name, _)| name.replace(['-', '_'], ".") == alias)?;
        let id = value
            .as_str()
            .map(|text| text.split(':').next().unwrap_or_default());
        id.or_else(|| value.get("id")?.as_str()).map(str::to_owned)
    }

    /// Coordinates of all libraries.
    fn libraries(&self) -> Vec<String> {
        let module = |value: &toml::Value| {
            let text = value.as_str().or_else(|| value.get("module")?.as_str());
            text.map(str::to_owned).or_else(|| {
                let (group, name) = (value.get("group")?.as_str()?, value.get("name")?.as_str()?);
                Some(format!("{group}:{name}"))
            })
        };
        self.libraries.values().filter_map(module).collect()
    }
}

impl Gradle {
    pub(super) fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let wrapper = Wrapper::read(repo, "gradlew", WRAPPER)?;
        let asked = request.setting("GRADLE_VERSION");
        let fetched = repo.text(WRAPPER)?.and_then(|text| of_wrapper(&text));
        let version = asked.or(fetched).unwrap_or_else(|| DEFAULT.to_owned());
        let (name, folders) = settings(repo)?;
        let catalog = Catalog::read(repo)?;
        let mut projects = Vec::new();
        for folder in std::iter::once(String::new()).chain(folders) {
            for file in ["build.gradle.kts", "build.gradle"] {
                let file = repo::join(&folder, file);
                if let Some(text) = repo.text(&file)? {
                    projects.push(Project::read(&folder, &file, &text, &catalog));
                    break;
                }
            }
        }
        Ok(Self {
            wrapper,
            version,
            name,
            projects,
        })
    }

    /// What the scripts say of the JDK: a toolchain, or the least that compiles and the most that Gradle runs on.
    pub(super) fn jdk(&self) -> Option<Candidate> {
        for project in &self.projects {
            if let Some(line) = &project.toolchain {
                let evidence = Evidence::key(&project.file, "toolchain", None, line);
                return Some(Candidate::new(line, evidence));
            }
        }
        let most = format!("<{}", self.newest_jdk() + 1);
        let target = self
            .projects
            .iter()
            .find_map(|project| Some((project, project.target.as_ref()?)));
        if let Some((project, target)) = target
            && let Some(least) = jvm::compiles_for(target)
        {
            let evidence = Evidence::key(&project.file, "sourceCompatibility", None, target);
            return Some(Candidate::new(&format!("{least} {most}"), evidence));
        }
        let evidence = Evidence::key(WRAPPER, "distributionUrl", None, &self.version);
        (self.wrapper != Wrapper::None).then(|| Candidate::new(&most, evidence))
    }

    fn newest_jdk(&self) -> u32 {
        let mut parts = self.version.split('.').map(|part| part.parse().ok());
        let major: u32 = parts.next().flatten().unwrap_or(8);
        // A major version alone means its newest release.
        let minor: u32 = parts.next().flatten().unwrap_or(99);
        let row = RUNS_ON.iter().find(|(from, _)| (major, minor) >= *from);
        row.map_or(21, |(_, jdk)| *jdk)
    }

    /// The tool, when no wrapper brings it.
    pub(super) fn tool(&self) -> Option<String> {
        let major = self.version.split('.').next().unwrap_or(DEFAULT);
        (self.wrapper == Wrapper::None).then(|| format!("gradle@{major}"))
    }

    fn call(&self) -> String {
        self.wrapper.command("gradlew", "gradle")
    }

    pub(super) fn commands(&self) -> Vec<String> {
        let install = if self.installed().is_some() {
            " installDist"
        } else {
            ""
        };
        vec![format!(
            "{} clean build{install} -x check -x test",
            self.call()
        )]
    }

    pub(super) fn test(&self) -> String {
        format!("{} test", self.call())
    }

    /// The project that makes a program, else the root.
    fn main(&self) -> Option<&Project> {
        let maker = |project: &&Project| project.packs() || project.has("application");
        self.projects
            .iter()
            .find(maker)
            .or_else(|| self.projects.first())
    }

    /// The project that Gradle's own plugin installs, and its program's name.
    fn installed(&self) -> Option<(&Project, String)> {
        let project = self.main()?;
        let own = project.has("application") && !project.packs();
        let last = project.folder.rsplit('/').next().unwrap_or_default();
        let name = if last.is_empty() {
            self.name.clone()?
        } else {
            last.to_owned()
        };
        own.then_some((project, name))
    }

    pub(super) fn program(&self) -> Program {
        let folder = self
            .main()
            .map_or(String::new(), |project| project.folder.clone());
        let known = framework(|prefix| self.projects.iter().any(|one| one.mentions(prefix)));
        let metadata = known.map(|(name, _)| name.to_owned()).into_iter().collect();
        let option = known.map(|(_, option)| option);
        if let Some((_, name)) = self.installed() {
            let files = repo::join(&folder, &format!("build/install/{name}"));
            let script = quote(&format!("./{files}/bin/{name}"));
            let environment = option.map_or(String::new(), |option| {
                format!("JAVA_OPTS=\"{option} $JAVA_OPTS\" ")
            });
            return Program {
                decision: Decision::new("start", script.clone(), "made by the plugin application"),
                command: environment + &script,
                files: vec![files],
                metadata,
                warning: None,
            };
        }
        let (libraries, pattern) = match self.main() {
            Some(project) if project.has("io.quarkus") => ("build/quarkus-app", "quarkus-run.jar"),
            Some(project) if project.shadows() => ("build/libs", "*-all.jar"),
            _ => ("build/libs", "*.jar"),
        };
        let libraries = repo::join(&folder, libraries);
        let jar = found_jar(&format!("{libraries}/{pattern}"));
        let quarkus = libraries.ends_with("quarkus-app");
        Program {
            decision: Decision::new("start", jar.clone(), "the jar of the project"),
            command: java(option, &jar),
            files: vec![if quarkus {
                libraries
            } else {
                format!("{libraries}/{pattern}")
            }],
            metadata,
            warning: None,
        }
    }
}

impl Project {
    fn read(folder: &str, file: &str, text: &str, catalog: &Catalog) -> Self {
        let mut project = Self {
            folder: folder.to_owned(),
            file: file.to_owned(),
            ..Self::default()
        };
        let all = tokens(text, Style::Groovy);
        for (index, token) in all.iter().enumerate() {
            let rest = all.get(index + 1..).unwrap_or_default();
            let after_dot = index
                .checked_sub(1)
                .and_then(|before| all.get(before))
                .is_some_and(|before| *before == Token::Sign('.'));
            match token {
                Token::Word(word) if !after_dot => project.word(word, rest, catalog),
                Token::Text(text) if text.split(':').count() >= 2 && !text.contains(' ') => {
                    project.dependencies.push(text.clone());
                }
                _ => {}
            }
        }
        if all.iter().any(|token| token.word() == Some("libs")) {
            project.dependencies.extend(catalog.libraries());
        }
        project
    }

    /// What a word of the script says with what follows it.
    fn word(&mut self, word: &str, rest: &[Token], catalog: &Catalog) {
        match word {
            // id 'x', apply plugin: 'x', apply(plugin = "x")
            "id" | "plugin" => self.plugins.extend(argument(rest)),
            "application" => self.plugins.push(word.to_owned()),
            "alias" => {
                let path = path(rest.get(1..).unwrap_or_default());
                let alias = path.strip_prefix("libs.plugins.");
                self.plugins
                    .extend(alias.and_then(|alias| catalog.plugin(alias)));
            }
            "JavaLanguageVersion" => {
                self.toolchain = self.toolchain.take().or_else(|| number(rest.get(2..)?));
            }
            "jvmToolchain" => self.toolchain = self.toolchain.take().or_else(|| number(rest)),
            "sourceCompatibility" | "targetCompatibility" => {
                self.target = self.target.take().or_else(|| number(rest));
            }
            _ => {}
        }
    }

    fn has(&self, plugin: &str) -> bool {
        self.plugins.iter().any(|name| name == plugin)
    }

    fn shadows(&self) -> bool {
        [
            "com.github.johnrengelman.shadow",
            "com.gradleup.shadow",
            "io.ktor.plugin",
        ]
        .iter()
        .any(|plugin| self.has(plugin))
    }

    /// Whether a plugin puts the whole program into one jar or folder.
    fn packs(&self) -> bool {
        self.shadows() || self.has("org.springframework.boot") || self.has("io.quarkus")
    }

    fn mentions(&self, prefix: &str) -> bool {
        let group = prefix.split(':').next().unwrap_or_default();
        self.plugins.iter().any(|plugin| plugin.starts_with(group))
            || self
                .dependencies
                .iter()
                .any(|name| name.starts_with(prefix))
    }
}

/// The first string among the signs that follow a name.
fn argument(rest: &[Token]) -> Option<String> {
    rest.iter().take(3).find_map(Token::text).map(str::to_owned)
}

/// Names with dots between them.
fn path(rest: &[Token]) -> String {
    let words = rest.iter().map_while(|token| match token {
        Token::Word(word) => Some(word.clone()),
        Token::Sign('.') => Some(".".to_owned()),
        _ => None,
    });
    words.collect()
}

/// A line of Java: `17`, `'1.8'`, `JavaVersion.VERSION_17`, behind `=` or a bracket.
fn number(rest: &[Token]) -> Option<String> {
    let near = rest.get(..rest.len().min(7))?;
    let at = near.iter().position(|token| match token {
        Token::Word(word) | Token::Text(word) => {
            word.contains(|letter: char| letter.is_ascii_digit())
        }
        Token::Sign(_) => false,
    })?;
    let passed = near.get(..at)?.iter().all(|token| {
        matches!(token, Token::Sign('=' | '(' | '.'))
            || matches!(
                token.word(),
                Some("JavaVersion" | "toVersion" | "set" | "of")
            )
    });
    let word = match near.get(at)? {
        // 1.8 is three words.
        Token::Word(one) if one == "1" => near.get(at + 2)?.word()?.to_owned(),
        Token::Word(word) | Token::Text(word) => word.clone(),
        Token::Sign(_) => return None,
    };
    passed.then(|| jvm::line(&word))
}

/// The version in the name of the wrapper's distribution.
fn of_wrapper(text: &str) -> Option<String> {
    let properties = jvm::properties(text);
    let file = properties.get("distributionUrl")?.rsplit('/').next()?;
    let version = file.strip_prefix("gradle-")?.split('-').next()?;
    version
        .starts_with(|letter: char| letter.is_ascii_digit())
        .then(|| version.trim_end_matches(".zip").to_owned())
}

/// The root project's name and the folders of the others.
fn settings(repo: &Repo) -> Result<(Option<String>, Vec<String>), PlanError> {
    let (mut name, mut folders) = (None, Vec::new());
    for file in ["settings.gradle.kts", "settings.gradle"] {
        let Some(text) = repo.text(file)? else {
            continue;
        };
        let all = tokens(&text, Style::Groovy);
        for (index, token) in all.iter().enumerate() {
            let rest = all.get(index + 1..).unwrap_or_default();
            match token.word() {
                Some("rootProject") => {
                    let words = rest.get(..4).unwrap_or_default();
                    let named = words.get(1).and_then(Token::word) == Some("name");
                    name = name.or_else(|| named.then(|| argument(words.get(2..)?)).flatten());
                }
                Some("include") => {
                    let texts = rest
                        .iter()
                        .take_while(|token| {
                            matches!(token, Token::Text(_) | Token::Sign('(' | ','))
                        })
                        .filter_map(Token::text);
                    folders
                        .extend(texts.map(|text| text.trim_start_matches(':').replace(':', "/")));
                }
                _ => {}
            }
        }
        break;
    }
    Ok((name, folders))
}
