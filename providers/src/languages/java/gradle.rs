//! Builds of Gradle: what settings, scripts and the wrapper say.

use crate::jvm::{self, found_jar, java};
use crate::plan::PlanError;
use crate::provider::{Decision, Evidence, Request};
use crate::repo::{self, Repo};
use crate::tokens::{Style, Token, tokens};
use crate::version::Candidate;

use super::script::{Known, Project, argument};
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

impl Gradle {
    pub(super) fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let wrapper = Wrapper::read(repo, "gradlew", WRAPPER)?;
        let asked = request.setting("GRADLE_VERSION");
        let fetched = repo.text(WRAPPER)?.and_then(|text| of_wrapper(&text));
        let version = asked.or(fetched).unwrap_or_else(|| DEFAULT.to_owned());
        let (name, folders) = settings(repo)?;
        let known = Known::read(repo)?;
        let mut projects = Vec::new();
        for folder in std::iter::once(String::new()).chain(folders) {
            for file in ["build.gradle.kts", "build.gradle"] {
                let file = repo::join(&folder, file);
                if let Some(text) = repo.text(&file)? {
                    projects.push(Project::read(&folder, &file, &text, &known));
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
        // Not every version of these plugins makes them with the build.
        let more = match self.main() {
            Some(project) if project.shadows() => " shadowJar",
            _ if self.installed().is_some() => " installDist",
            _ => "",
        };
        vec![format!(
            "{} clean build{more} -x check -x test",
            self.call()
        )]
    }

    pub(super) fn test(&self) -> String {
        format!("{} test", self.call())
    }

    /// The project that makes a program, else the root.
    fn main(&self) -> Option<&Project> {
        let maker = |project: &&Project| project.packs() || project.installs();
        self.projects
            .iter()
            .find(maker)
            .or_else(|| self.projects.first())
    }

    /// The project that Gradle's own plugin installs, and its program's name.
    fn installed(&self) -> Option<(&Project, String)> {
        let project = self.main().filter(|one| one.installs() && !one.packs())?;
        let last = project.folder.rsplit('/').next().unwrap_or_default();
        let name = match (&project.application, last) {
            (Some(name), _) => name.clone(),
            // A root without a name has that of its folder, which is /app.
            (None, "") => self.name.clone().unwrap_or_else(|| "app".to_owned()),
            (None, last) => last.to_owned(),
        };
        Some((project, name))
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
        let quarkus = self.main().is_some_and(|project| project.has("io.quarkus"));
        let pattern = match self.main() {
            Some(_) if quarkus => "build/quarkus-app/quarkus-run.jar".to_owned(),
            Some(project) => format!("build/libs/{}", project.jar()),
            None => "build/libs/*.jar".to_owned(),
        };
        let path = repo::join(&folder, &pattern);
        let jar = if path.contains('*') {
            found_jar(&path)
        } else {
            quote(&path)
        };
        let kept = path.trim_end_matches("/quarkus-run.jar");
        Program {
            decision: Decision::new("start", jar.clone(), "the jar of the project"),
            command: java(option, &jar),
            files: vec![kept.to_owned()],
            metadata,
            warning: None,
        }
    }
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
