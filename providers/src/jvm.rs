//! What programs for the Java virtual machine share: which JDK builds them, which runs them.
//!
//! Owns the files that name a JDK, Java's properties files, and how versions of Java are written. Build tools are for the providers.

use std::collections::BTreeMap;

use crate::languages::quote;
use crate::plan::PlanError;
use crate::provider::{Evidence, Request};
use crate::read;
use crate::version::{self, Candidate, Grammar, Tool};

/// Names of Java in files of version managers.
const NAMES: &[&str] = &["java"];

/// What the repository's own files and variables say of the JDK, best first; the build tool's manifest comes after them.
pub(crate) fn asked(request: &Request) -> Result<Vec<Candidate>, PlanError> {
    let repo = request.repo;
    let mut found: Vec<Candidate> = request
        .setting_with_evidence("JDK_VERSION")
        .map(|(value, evidence)| Candidate::new(&value, evidence))
        .into_iter()
        .collect();
    for file in [".java-version", ".jdk-version"] {
        found.extend(version::version_file(repo, file)?);
    }
    for (file, key) in [
        (".sdkmanrc", "java"),
        ("system.properties", "java.runtime.version"),
    ] {
        let Some(text) = repo.text(file)? else {
            continue;
        };
        if let Some(value) = properties(&text).get(key) {
            let evidence = Evidence::key(file, key, read::line_of(&text, key), value);
            found.push(Candidate::new(value, evidence));
        }
    }
    found.extend(version::tool_managers(repo, NAMES)?);
    for candidate in &mut found {
        candidate.text = line(&candidate.text);
    }
    Ok(found)
}

/// The JDK of a list of wishes, each a line or a range of lines.
pub(crate) fn jdk(candidates: &[Candidate]) -> Result<Tool, PlanError> {
    version::tool("jdk", Grammar::Npm, candidates)
}

/// What runs the programs that a JDK makes, as in a plan.
pub(crate) fn jre(jdk: &Tool) -> String {
    format!("jre@{}", jdk.range)
}

/// The command that starts a jar, with an option for Java.
pub(crate) fn java(option: Option<&str>, jar: &str) -> String {
    let option = option.map_or(String::new(), |option| format!("{option} "));
    format!("java {option}$JAVA_OPTS -jar {jar}")
}

/// The shell finds the program's jar by a pattern: not the sources, the documentation, or what the program was made of.
pub(crate) fn found_jar(pattern: &str) -> String {
    let front = if pattern.starts_with('-') { "./" } else { "" };
    // What stands between the stars is quoted where it has to be; a dash is an option in front alone.
    let parts = pattern.split('*').map(|part| {
        let word = quote(&format!("_{part}"));
        word.strip_prefix('_')
            .map_or_else(|| word.replacen('_', "", 1), str::to_owned)
    });
    let pattern = parts.collect::<Vec<_>>().join("*");
    format!(
        "$(ls -1 {front}{pattern} | grep -vE '(-(sources|javadoc|tests|plain)\\.jar$)|/original-' | head -n 1)"
    )
}

/// The line of a version: `21` of `temurin-21.0.1+12`, `8` of `1.8.0_292`. Updates of a line fix its faults alone. What has no number stays.
pub(crate) fn line(text: &str) -> String {
    let start = text.find(|letter: char| letter.is_ascii_digit());
    let rest = start.map_or("", |start| &text[start..]);
    let rest = rest
        .strip_prefix("1.")
        .or_else(|| rest.strip_prefix("1_"))
        .unwrap_or(rest);
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    match &rest[..end] {
        "" => text.to_owned(),
        number => number.to_owned(),
    }
}

/// The lines of Java whose compilers write programs for an old one, as a range.
pub(crate) fn compiles_for(text: &str) -> Option<String> {
    let least: u32 = line(text).parse().ok()?;
    // Source: the release notes of JDK 12 and 20, which dropped these targets.
    Some(match least {
        ..=6 => "<12".to_owned(),
        7 => "<20".to_owned(),
        _ => format!(">={least}"),
    })
}

/// A properties file of Java: keys and values, without comments; the last of two equal keys counts.
pub(crate) fn properties(text: &str) -> BTreeMap<String, String> {
    let statements = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', '!']));
    statements
        .filter_map(|line| {
            let (key, value) = line.split_once(['=', ':'])?;
            Some((key.trim().to_owned(), value.trim().replace('\\', "")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn versions_of_java_become_lines() {
        for (text, expected) in [
            ("21", "21"),
            ("1.8", "8"),
            ("1.8.0_292", "8"),
            ("temurin-21.0.1+12", "21"),
            ("17.0.9-tem", "17"),
            ("VERSION_1_8", "8"),
            ("banana", "banana"),
            ("latest", "latest"),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
        assert_eq!(compiles_for("1.8").as_deref(), Some(">=8"));
        assert_eq!(compiles_for("1.6").as_deref(), Some("<12"));
        assert_eq!(compiles_for("${x}"), None);
    }

    #[test]
    fn files_of_version_managers_come_after_the_variable() {
        let repo = Repo::in_memory(&[
            (".sdkmanrc", "# tools\njava=17.0.9-tem\n"),
            ("system.properties", "java.runtime.version=11\n"),
            (".tool-versions", "java corretto-8.362.08.1\n"),
        ]);
        let variables = [("NIXPACKS_JDK_VERSION".to_owned(), "25".to_owned())].into();
        let request = Request {
            repo: &repo,
            variables: &variables,
            test: false,
            assisting: false,
        };
        let found: Vec<String> = asked(&request)
            .unwrap()
            .into_iter()
            .map(|one| one.text)
            .collect();
        assert_eq!(found, ["25", "17", "11", "8"]);
        assert_eq!(jdk(&asked(&request).unwrap()).unwrap().range, "25");
    }

    #[test]
    fn a_least_version_is_met_by_the_default() {
        let wish = |text: &str| {
            let evidence = Evidence::file("pom.xml", "");
            jdk(&[Candidate::new(&compiles_for(text).unwrap(), evidence)])
                .unwrap()
                .range
        };
        assert_eq!(wish("17"), "21");
        assert_eq!(wish("23"), "25");
        assert_eq!(wish("1.7"), "17");
    }

    #[test]
    fn patterns_are_quoted_between_their_stars() {
        let found = |pattern: &str| found_jar(pattern).split(" |").next().unwrap().to_owned();
        assert_eq!(found("a/target/*.jar"), "$(ls -1 a/target/*.jar");
        assert_eq!(found("scala-*/*-x y.jar"), "$(ls -1 scala-*/*'-x y.jar'");
        assert_eq!(found("-a/*.jar"), "$(ls -1 ./-a/*.jar");
    }

    #[test]
    fn properties_have_escapes_and_comments() {
        let all = properties("#a=b\ndistributionUrl=https\\://x/gradle-8.5-bin.zip\n x : y \n");
        assert_eq!(all["distributionUrl"], "https://x/gradle-8.5-bin.zip");
        assert_eq!(all["x"], "y");
        assert_eq!(all.len(), 2);
    }
}
