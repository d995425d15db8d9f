//! The words of sbt's definitions: statements, values that have a name, settings, texts.
//!
//! Owns the syntax that definitions share. Which of them count is for `build.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::Token;

/// The settings that decisions rest on.
const KEYS: [&str; 6] = [
    "assemblyJarName",
    "executableScriptName",
    "mainClass",
    "name",
    "scalaVersion",
    "version",
];

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// Only sbt can tell.
    Unknown,
}

impl Value {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Unknown => None,
        }
    }
}

/// Values by the names of settings.
pub(super) type Settings = BTreeMap<&'static str, Value>;

/// What compilers are told to write for: `-release:17`, or `"-release", "17"`.
pub(super) fn release(all: &[Token]) -> Option<String> {
    all.iter().enumerate().find_map(|(index, token)| {
        let option = token.text()?.trim_start_matches('-');
        let value = match option.split_once(':') {
            Some(("release" | "java-output-version", value)) => Some(value),
            None if matches!(option, "release" | "java-output-version") => {
                all.get(index + 2)?.text()
            }
            _ => None,
        };
        value.map(str::to_owned)
    })
}

/// The statements of a file, each without the ends of its lines.
pub(super) fn statements(all: &[Token]) -> Vec<Vec<Token>> {
    let mut found: Vec<Vec<Token>> = Vec::new();
    let mut open: Vec<Token> = Vec::new();
    let mut depth = 0_usize;
    for (index, token) in all.iter().enumerate() {
        let ends = match token {
            Token::Sign('(' | '[' | '{') => {
                depth += 1;
                false
            }
            Token::Sign(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Sign(';') => depth == 0,
            Token::Sign('\n') => depth == 0 && ends(&open, all.get(index + 1)),
            _ => false,
        };
        if ends {
            found.push(std::mem::take(&mut open));
        } else if *token != Token::Sign('\n') {
            open.push(token.clone());
        }
    }
    found.push(open);
    found.retain(|statement| !statement.is_empty());
    found
}

/// Whether the end of a line ends the statement: it can end there, and what follows does not go on with it.
fn ends(statement: &[Token], next: Option<&Token>) -> bool {
    let complete = match statement.last() {
        Some(Token::Sign(sign)) => ")]}".contains(*sign),
        Some(_) => true,
        None => false,
    };
    complete && !matches!(next, Some(Token::Sign(sign)) if !"({@".contains(*sign))
}

/// `lazy val NAME = VALUE`, also with a type, and `def NAME = VALUE`.
pub(super) fn definition(statement: &[Token]) -> Option<(&str, &[Token])> {
    let keyword = statement
        .iter()
        .take(4)
        .position(|token| matches!(token.word(), Some("val" | "def")))?;
    let name = statement.get(keyword + 1)?.word()?;
    let mut depth = 0_usize;
    for (index, token) in statement.iter().enumerate().skip(keyword + 2) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Sign('=') if depth == 0 => return Some((name, statement.get(index + 1..)?)),
            _ => {}
        }
    }
    None
}

pub(super) fn is_project(value: &[Token]) -> bool {
    let mut words = value.iter().skip_while(|token| **token == Token::Sign('('));
    matches!(
        words.next().and_then(Token::word),
        Some("project" | "Project" | "crossProject")
    )
}

/// The plugins that `enablePlugins` names.
pub(super) fn enabled(all: &[Token]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (index, token) in all.iter().enumerate() {
        if token.word() != Some("enablePlugins") {
            continue;
        }
        match all.get(index + 1) {
            Some(Token::Word(name)) => {
                found.insert(name.clone());
            }
            Some(Token::Sign('(')) => {
                let inside = all
                    .iter()
                    .skip(index + 2)
                    .take_while(|token| **token != Token::Sign(')'));
                found.extend(inside.filter_map(Token::word).map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

/// The settings in some words.
pub(super) fn settings(all: &[Token], values: &BTreeMap<String, String>) -> Settings {
    let mut found = Settings::new();
    for (index, token) in all.iter().enumerate() {
        let Some(key) = KEYS.iter().find(|key| token.word() == Some(**key)) else {
            continue;
        };
        let before = all.get(..index).unwrap_or_default();
        let of_tests = before.last() == Some(&Token::Sign('/'))
            && matches!(
                before.iter().nth_back(1).and_then(Token::word),
                Some("Test" | "IntegrationTest" | "It")
            );
        if before.last() == Some(&Token::Sign('.')) || of_tests {
            continue;
        }
        if let Some(value) = assigned(all.get(index + 1..).unwrap_or_default()) {
            let text = text_of(value, values);
            found.insert(key, text.map_or(Value::Unknown, Value::Text));
        }
    }
    found
}

/// What follows `:=`, which may come after `in Compile` or `.in(assembly)`.
fn assigned(rest: &[Token]) -> Option<&[Token]> {
    let at = rest
        .iter()
        .take(7)
        .position(|token| *token == Token::Sign(':'))?;
    let scope = rest.get(..at)?;
    let scoped = scope.is_empty() || scope.iter().any(|token| token.word() == Some("in"));
    let equals = rest.get(at + 1) == Some(&Token::Sign('='));
    (scoped && equals).then(|| rest.get(at + 2..)).flatten()
}

/// The text that an expression surely is.
pub(super) fn text_of(value: &[Token], values: &BTreeMap<String, String>) -> Option<String> {
    let goes_on = |index: usize| {
        matches!(
            value.get(index),
            Some(Token::Sign('.' | '+' | '%' | '(' | '['))
        )
    };
    match value {
        [Token::Word(some), Token::Sign('('), rest @ ..] if some == "Some" => text_of(rest, values),
        [Token::Word(prefix), Token::Text(text), ..] if matches!(prefix.as_str(), "s" | "f") => {
            (!goes_on(2)).then(|| filled(text, values)).flatten()
        }
        [Token::Text(text), ..] if !goes_on(1) => Some(text.clone()),
        [Token::Word(name), ..] if !goes_on(1) => values.get(name).cloned(),
        _ => None,
    }
}

/// A text with values in it: `app-$version`, `${name}.jar`.
fn filled(text: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        let (name, after) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}')?,
            None => {
                let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        whole.push_str(values.get(name)?);
        rest = after;
        if whole.len() > 1024 {
            return None;
        }
    }
    whole.push_str(rest);
    Some(whole)
}
