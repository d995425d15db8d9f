//! Java and Kotlin applications, built by Maven or Gradle.
//!
//! - Claims: `pom.xml` and Maven's other models, `gradlew`, `build.gradle`, `settings.gradle`, with `.kts` too
//! - Version from: `NIXPACKS_JDK_VERSION`, `.java-version`, `.jdk-version`, `.sdkmanrc`, system.properties, `.tool-versions`, mise.toml, a toolchain; what the compiler writes for is the least
//! - Installs with: nothing; Maven and Gradle download into their caches
//! - Builds with: `mvn install` or `gradle build` without tests, by the wrapper where there is one
//! - Starts with: `java -jar` on the jar of the module that makes a program, or the script of Gradle's `application` plugin

mod catalog;
mod gradle;
mod maven;
mod script;

use crate::jvm::{self, found_jar, java};
use crate::leftovers;
use crate::plan::{PlanError, Start};
use crate::provider::{Claim, Decision, Evidence, Proposal, Provider, Request, Strength};
use crate::repo::{self, Repo};
use crate::version::Tool;

use self::gradle::Gradle;
use self::maven::Pom;
use super::{quote, strings};

/// The Java provider.
pub struct Java;

const MAVEN: &[&str] = &[
    "pom.xml",
    "pom.groovy",
    "pom.rb",
    "pom.scala",
    "pom.yaml",
    "pom.yml",
];

const MARKERS: &[&str] = &[
    "pom.xml",
    "gradlew",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "settings.gradle.kts",
    "pom.groovy",
    "pom.rb",
    "pom.scala",
    "pom.yaml",
    "pom.yml",
];

impl Provider for Java {
    fn name(&self) -> &'static str {
        "java"
    }

    fn detect(&self, repo: &Repo) -> Result<Option<Claim>, PlanError> {
        let evidence = Evidence::first_file(repo, MARKERS);
        Ok(evidence.map(|evidence| Claim::new(Strength::Definite, evidence)))
    }

    fn propose(&self, request: &Request) -> Result<Proposal, PlanError> {
        Facts::read(request).map(|facts| decide(&facts))
    }

    fn markers(&self) -> &'static [&'static str] {
        MARKERS
    }
}

/// Everything that Java decisions rest on, read once.
struct Facts {
    jdk: Tool,
    build: Build,
    leftovers: Vec<String>,
    tests: bool,
}

/// What builds.
enum Build {
    Maven { models: Vec<Pom>, wrapper: Wrapper },
    Gradle(Gradle),
}

/// The script that fetches the build tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapper {
    None,
    Plain,
    /// Its lines end as on Windows, which no shell reads.
    Windows,
}

impl Wrapper {
    fn read(repo: &Repo, script: &str, properties: &str) -> Result<Self, PlanError> {
        let Some(text) = repo.text(script)?.filter(|_| repo.is_file(properties)) else {
            return Ok(Self::None);
        };
        let windows = text.lines().count() > 0 && text.contains("\r\n");
        Ok(if windows { Self::Windows } else { Self::Plain })
    }

    /// The command that calls it, or the tool itself.
    fn command(self, script: &str, tool: &str) -> String {
        match self {
            Self::None => tool.to_owned(),
            Self::Plain => format!("chmod +x ./{script} && ./{script}"),
            Self::Windows => {
                format!("sed -i 's/\\r$//' {script} && chmod +x ./{script} && ./{script}")
            }
        }
    }
}

impl Facts {
    fn read(request: &Request) -> Result<Self, PlanError> {
        let repo = request.repo;
        let mut wishes = jvm::asked(request)?;
        // nixpacks asks for the wrapper of Gradle first as well.
        let maven = MAVEN.iter().any(|file| repo.is_file(file));
        let build = if maven && !repo.is_file("gradlew") {
            let models = Pom::all(repo)?;
            let program = models.iter().find(|pom| pom.makes_program());
            let said = program
                .and_then(Pom::jdk)
                .or_else(|| models.first().and_then(Pom::jdk));
            wishes.extend(said);
            let properties = ".mvn/wrapper/maven-wrapper.properties";
            Build::Maven {
                models,
                wrapper: Wrapper::read(repo, "mvnw", properties)?,
            }
        } else {
            let gradle = Gradle::read(request)?;
            wishes.extend(gradle.jdk());
            Build::Gradle(gradle)
        };
        let leftovers = leftovers::beside_program(repo)?;
        Ok(Self {
            jdk: jvm::jdk(&wishes)?,
            build,
            leftovers: leftovers
                .into_iter()
                .filter(|path| !path.split('/').any(|part| part == "src"))
                .collect(),
            tests: request.test,
        })
    }
}

/// Frameworks by the names of their libraries: group and artifact, the framework, the option of its port.
const FRAMEWORKS: &[(&str, &str, &str)] = &[
    (
        "org.springframework.boot:spring-boot",
        "spring-boot",
        "-Dserver.port=$PORT",
    ),
    (
        "org.wildfly.swarm:",
        "wildfly-swarm",
        "-Dswarm.http.port=$PORT",
    ),
    ("io.quarkus:", "quarkus", "-Dquarkus.http.port=$PORT"),
    (
        "io.quarkus.platform:",
        "quarkus",
        "-Dquarkus.http.port=$PORT",
    ),
    ("io.micronaut", "micronaut", "-Dmicronaut.server.port=$PORT"),
    ("io.helidon", "helidon", "-Dserver.port=$PORT"),
    ("org.grails:grails-", "grails", "-Dserver.port=$PORT"),
];

/// A framework, and the option by which its server learns the port.
fn framework(mentions: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    FRAMEWORKS
        .iter()
        .find(|(prefix, ..)| mentions(prefix))
        .map(|(_, name, option)| (*name, *option))
}

/// What to start and what of it the image keeps.
struct Program {
    command: String,
    files: Vec<String>,
    decision: Decision,
    metadata: Vec<String>,
    warning: Option<String>,
}

fn decide(facts: &Facts) -> Proposal {
    let mut proposal = Proposal::default();
    proposal.decisions.push(facts.jdk.decision.clone());
    proposal.warnings.extend(facts.jdk.warnings.clone());
    let (program, tool, commands, cache, test) = match &facts.build {
        Build::Maven { models, wrapper } => {
            let call = wrapper.command("mvnw", "mvn");
            let build = format!(
                "{call} -DoutputFile=target/mvn-dependency-list.log -B -DskipTests clean dependency:list install"
            );
            let tool = (*wrapper == Wrapper::None).then(|| "maven".to_owned());
            let test = format!("{call} -B test");
            (maven_program(models), tool, vec![build], "/root/.m2", test)
        }
        Build::Gradle(gradle) => (
            gradle.program(),
            gradle.tool(),
            gradle.commands(),
            "/root/.gradle",
            gradle.test(),
        ),
    };
    let mut tools = vec![facts.jdk.entry(), jvm::jre(&facts.jdk)];
    tools.extend(tool);
    proposal.plan.phase("setup").nix_pkgs = Some(tools);
    let build = proposal.plan.phase("build");
    build.depends_on = Some(strings(&["install", "setup"]));
    build.cmds = Some(commands);
    build.cache_directories = Some(strings(&[cache]));
    if facts.tests {
        let phase = proposal.plan.phase("test");
        phase.depends_on = Some(strings(&["build"]));
        phase.cmds = Some(vec![test]);
        phase.cache_directories = Some(strings(&[cache]));
    }
    proposal.metadata = strings(&["java"]);
    proposal.metadata.extend(program.metadata);
    proposal.decisions.push(program.decision);
    proposal.warnings.extend(program.warning);
    let mut files = program.files;
    files.extend(facts.leftovers.clone());
    proposal.plan.start = Some(Start {
        cmd: Some(program.command),
        nix_pkgs: Some(vec![jvm::jre(&facts.jdk)]),
        only_include_files: Some(files),
        ..Start::default()
    });
    proposal
}

/// The module that makes a program, else the first that makes a jar.
fn maven_program(models: &[Pom]) -> Program {
    let unknown = Pom::default();
    let module = models
        .iter()
        .find(|pom| pom.makes_program())
        .or_else(|| models.iter().find(|pom| pom.packaging != "pom"))
        .unwrap_or(&unknown);
    let known = framework(|prefix| models.iter().any(|pom| pom.mentions(prefix)));
    let option = known.map(|(_, option)| option);
    let name = known.map(|(name, _)| name.to_owned());
    let below = |path: &str| repo::join(&module.folder, path);
    let mut files: Vec<String> = Vec::new();
    let jar;
    let reason;
    if module.mentions("io.quarkus") && module.ending() == "jar" {
        jar = quote(&below("target/quarkus-app/quarkus-run.jar"));
        files.push(below("target/quarkus-app"));
        reason = "what Quarkus makes";
    } else if let Some(archive) = module.archive() {
        jar = quote(&below(&archive));
        files.push(below(&archive));
        reason = "the archive of the module that makes a program";
    } else {
        let pattern = format!("*.{}", module.ending());
        let path = below(&format!("target/{pattern}"));
        jar = found_jar(&path);
        files.push(path);
        reason = "the only archive that is a program; its name is known after the build";
    }
    files.extend(module.libraries.iter().map(|folder| below(folder)));
    if files.len() == 1 && name.is_none() {
        files.extend(["target/lib", "target/libs", "target/dependency"].map(below));
    }
    let silent = !models.is_empty() && !module.makes_program() && module.parent.is_none();
    let warning = silent.then(|| {
        let reason = if module.ending() == "war" {
            "pom.xml makes a war, which wants a servlet container: use a plugin that makes an executable war, such as Spring Boot's, or \
             add a container to the app and say the start command that runs it"
        } else {
            "pom.xml says of no class that it is the program: set mainClass in the manifest of maven-jar-plugin, or use a plugin that makes an executable jar"
        };
        reason.to_owned()
    });
    Program {
        decision: Decision::new("start", jar.clone(), reason),
        command: java(option, &jar),
        files,
        metadata: name.into_iter().collect(),
        warning,
    }
}

#[cfg(test)]
mod tests;
