//! The script of a project of Gradle, in Groovy or Kotlin, read word by word.

use std::collections::{BTreeMap, BTreeSet};

use crate::jvm;
use crate::plan::PlanError;
use crate::repo::Repo;
use crate::tokens::{Style, Token, tokens};

use super::catalog::Catalog;

/// One project's script.
#[derive(Default)]
pub(super) struct Project {
    pub(super) folder: String,
    pub(super) file: String,
    plugins: BTreeSet<String>,
    /// Coordinates of dependencies.
    dependencies: Vec<String>,
    /// The line of a toolchain.
    pub(super) toolchain: Option<String>,
    /// What the compiler writes for.
    pub(super) target: Option<String>,
    /// The program's name, where the plugin `application` is told another one.
    pub(super) application: Option<String>,
    /// The end of the jar's name that tells it from others.
    classifier: Option<String>,
    /// The name of the jar.
    archive: Option<String>,
}

/// Plugins that put a program with its libraries into one jar.
const SHADOWS: [&str; 3] = [
    "com.github.johnrengelman.shadow",
    "com.gradleup.shadow",
    "io.ktor.plugin",
];

/// Plugins that install a program with its libraries and a script.
const INSTALLS: [&str; 3] = [
    "application",
    "io.micronaut.application",
    "io.micronaut.minimal.application",
];

/// What a script may name: the version catalog, and plugins that are scripts of the repository themselves.
pub(super) struct Known {
    pub(super) catalog: Catalog,
    conventions: BTreeMap<String, Vec<Token>>,
}

impl Known {
    pub(super) fn read(repo: &Repo) -> Result<Self, PlanError> {
        let mut conventions = BTreeMap::new();
        let mut scripts = repo.glob("**/src/main/*/*.gradle.kts")?;
        scripts.extend(repo.glob("**/src/main/*/*.gradle")?);
        for file in scripts {
            let name = file.rsplit('/').next().unwrap_or_default();
            let name = name.trim_end_matches(".kts").trim_end_matches(".gradle");
            let text = repo.text(&file)?.unwrap_or_default();
            conventions.insert(name.to_owned(), tokens(&text, Style::Groovy));
        }
        Ok(Self {
            catalog: Catalog::read(repo)?,
            conventions,
        })
    }
}

impl Project {
    pub(super) fn read(folder: &str, file: &str, text: &str, known: &Known) -> Self {
        let mut project = Self {
            folder: folder.to_owned(),
            file: file.to_owned(),
            ..Self::default()
        };
        project.take(&tokens(text, Style::Groovy), known);
        // What a script says comes before what its plugins say.
        let mut seen = BTreeSet::new();
        while let Some((name, script)) = project
            .plugins
            .iter()
            .filter(|name| !seen.contains(*name))
            .find_map(|name| Some((name.clone(), known.conventions.get(name)?)))
        {
            seen.insert(name);
            project.take(script, known);
        }
        project
    }

    fn take(&mut self, all: &[Token], known: &Known) {
        for (index, token) in all.iter().enumerate() {
            let rest = all.get(index + 1..).unwrap_or_default();
            let before = index.checked_sub(1).and_then(|before| all.get(before));
            match token {
                Token::Word(word) if before != Some(&Token::Sign('.')) => {
                    self.word(word, rest, &known.catalog);
                }
                // options.release = 17
                Token::Word(word) if word == "release" => {
                    self.target = self.target.take().or_else(|| number(rest, &known.catalog));
                }
                Token::Text(text) if text.split(':').count() >= 2 && !text.contains(' ') => {
                    self.dependencies.push(text.clone());
                }
                _ => {}
            }
        }
        if all.iter().any(|token| token.word() == Some("libs")) {
            self.dependencies.extend(known.catalog.libraries());
        }
    }

    /// What a word of the script says with what follows it.
    fn word(&mut self, word: &str, rest: &[Token], catalog: &Catalog) {
        let number = || number(rest, catalog);
        match word {
            // id 'x', apply plugin: 'x', apply(plugin = "x")
            "id" | "plugin" if !is_for_others(rest) => self.plugins.extend(argument(rest)),
            "application" => {
                self.plugins.insert(word.to_owned());
            }
            "alias" if !is_for_others(rest) => {
                let path = path(rest.get(1..).unwrap_or_default());
                let alias = path.strip_prefix("libs.plugins.");
                self.plugins
                    .extend(alias.and_then(|alias| catalog.plugin(alias)));
            }
            "JavaLanguageVersion" => {
                let version = || self::number(rest.get(2..)?, catalog);
                self.toolchain = self.toolchain.take().or_else(version);
            }
            "jvmToolchain" => self.toolchain = self.toolchain.take().or_else(number),
            "sourceCompatibility" | "targetCompatibility" | "jvmTarget" => {
                self.target = self.target.take().or_else(number);
            }
            "applicationName" => self.application = self.application.take().or_else(|| set(rest)),
            "archiveClassifier" => self.classifier = self.classifier.take().or_else(|| set(rest)),
            "archiveFileName" => self.archive = self.archive.take().or_else(|| set(rest)),
            _ => {}
        }
    }

    pub(super) fn has(&self, plugin: &str) -> bool {
        self.plugins.contains(plugin)
    }

    /// Whether a plugin makes a jar with all libraries beside the project's own.
    pub(super) fn shadows(&self) -> bool {
        SHADOWS.iter().any(|plugin| self.has(plugin))
    }

    /// Whether a plugin puts the whole program into one jar or folder.
    pub(super) fn packs(&self) -> bool {
        self.shadows() || self.has("org.springframework.boot") || self.has("io.quarkus")
    }

    /// Whether a plugin installs it with a script.
    pub(super) fn installs(&self) -> bool {
        INSTALLS.iter().any(|plugin| self.has(plugin))
    }

    /// The program's jar below `build/libs`, as a pattern.
    pub(super) fn jar(&self) -> String {
        match (&self.archive, &self.classifier) {
            (Some(name), _) if self.packs() => name.clone(),
            (_, Some(end)) if self.shadows() && !end.is_empty() => format!("*-{end}.jar"),
            (_, None) if self.shadows() => "*-all.jar".to_owned(),
            _ => "*.jar".to_owned(),
        }
    }

    pub(super) fn mentions(&self, prefix: &str) -> bool {
        let group = prefix.split(':').next().unwrap_or_default();
        self.plugins.iter().any(|plugin| plugin.starts_with(group))
            || self
                .dependencies
                .iter()
                .any(|name| name.starts_with(prefix))
    }
}

/// Whether a plugin is only made known, for other projects: `id("x") version "1" apply false`.
fn is_for_others(rest: &[Token]) -> bool {
    let mut words = rest
        .iter()
        .filter(|token| !matches!(token, Token::Sign('(' | ')')));
    let starts =
        |token: &&Token| matches!(token.word(), Some("id" | "alias" | "kotlin" | "plugin"));
    let own: Vec<&Token> = words
        .by_ref()
        .take(12)
        .take_while(|token| !starts(token))
        .collect();
    own.windows(2)
        .any(|pair| pair[0].word() == Some("apply") && pair[1].word() == Some("false"))
}

/// The first string among the signs that follow a name.
pub(super) fn argument(rest: &[Token]) -> Option<String> {
    rest.iter().take(3).find_map(Token::text).map(str::to_owned)
}

/// The text that a property is set to: `= 'x'`, `.set("x")`, `("x")`. One with values in it is not known.
fn set(rest: &[Token]) -> Option<String> {
    let at = rest
        .iter()
        .take(4)
        .position(|token| token.text().is_some())?;
    let passed = rest
        .get(..at)?
        .iter()
        .all(|token| matches!(token, Token::Sign('=' | '(' | '.')) || token.word() == Some("set"));
    let text = rest.get(at)?.text()?;
    (passed && !text.contains(['$', '/'])).then(|| text.to_owned())
}

/// Names with dots between them.
fn path(rest: &[Token]) -> String {
    let words = rest.iter().map_while(|token| match token {
        Token::Word(word) => Some(word.as_str()),
        Token::Sign('.') => Some("."),
        _ => None,
    });
    words.collect()
}

/// A line of Java behind `=` or a bracket: `17`, `'1.8'`, `JavaVersion.VERSION_17`, `JvmTarget.JVM_17`, a version of the catalog.
fn number(rest: &[Token], catalog: &Catalog) -> Option<String> {
    const WORDS: [&str; 5] = ["JavaVersion", "JvmTarget", "toVersion", "set", "of"];
    let named = rest
        .iter()
        .take(7)
        .position(|token| token.word() == Some("libs"));
    let near = rest.get(..rest.len().min(7))?;
    let digits = near.iter().position(|token| match token {
        Token::Word(word) | Token::Text(word) => {
            word.contains(|letter: char| letter.is_ascii_digit())
        }
        Token::Sign(_) => false,
    });
    let at = named.or(digits)?;
    let passed = near.get(..at)?.iter().all(|token| {
        matches!(token, Token::Sign('=' | '(' | '.'))
            || token.word().is_some_and(|word| WORDS.contains(&word))
    });
    if named.is_some() {
        let path = path(rest.get(at..)?);
        let alias = path.strip_prefix("libs.versions.")?;
        let version = catalog.version(alias.split(".get").next().unwrap_or(alias))?;
        return passed.then(|| jvm::line(version));
    }
    let word = match near.get(at)? {
        // 1.8 is three words.
        Token::Word(one) if one == "1" => near.get(at + 2)?.word()?.to_owned(),
        Token::Word(word) | Token::Text(word) => word.clone(),
        Token::Sign(_) => return None,
    };
    passed.then(|| jvm::line(&word))
}
