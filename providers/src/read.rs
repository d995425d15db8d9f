//! Reads JSON, TOML, YAML and XML into types, with errors that say where.
//!
//! Owns positions, keys and suggestions. What the types mean is for their owners.

use std::marker::PhantomData;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::plan::{PlanError, keys_beside};

/// Lenient JSON: unknown keys are the ecosystem's business.
pub(crate) fn json<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PlanError> {
    // Which key is being read takes long to keep, and only errors say it.
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| json_error(file, &error))?;
    deserializer
        .end()
        .map_err(|error| json_syntax(file, String::new(), &error))?;
    Ok(value)
}

/// Lenient JSON with comments and commas before closing signs.
pub(crate) fn jsonc<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PlanError> {
    json(file, &without_comments(text))
}

/// JSON for parsers that know no comments, with everything where it was.
fn without_comments(text: &str) -> String {
    let mut plain = text.to_owned();
    // What it cannot read, the parser refuses.
    let _ = json_strip_comments::strip(&mut plain);
    plain
}

/// Lenient TOML.
pub(crate) fn toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PlanError> {
    if let Ok(value) = toml::from_str(text) {
        return Ok(value);
    }
    let deserializer = toml::Deserializer::parse(text)
        .map_err(|error| toml_error(file, text, String::new(), &error))?;
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| toml_error(file, text, key(error.path()), error.inner()))
}

/// Lenient YAML.
pub(crate) fn yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, PlanError> {
    serde_saphyr::from_str(text).map_err(|error| yaml_error(file, &error))
}

/// The value of a key of a YAML document's table. What follows it is not read: lock files are long, and say first what they are.
pub(crate) fn yaml_head<T: DeserializeOwned>(
    file: &str,
    text: &str,
    key: &str,
) -> Result<Option<T>, PlanError> {
    let mut found = None;
    let head = Head {
        key,
        found: &mut found,
    };
    let read = serde_saphyr::with_deserializer_from_str(text, |document| {
        document.deserialize_option(head)
    });
    match read {
        Err(error) if found.is_none() => Err(yaml_error(file, &error)),
        _ => Ok(found),
    }
}

/// Stops at a key, with an error, since the rest of the document has to be left.
struct Head<'a, T> {
    key: &'a str,
    found: &'a mut Option<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Head<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a table")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, document: D) -> Result<(), D::Error> {
        document.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                *self.found = Some(map.next_value()?);
                return Err(serde::de::Error::custom("enough"));
            }
            map.next_value::<serde::de::IgnoredAny>()?;
        }
        Ok(())
    }
}

fn yaml_error(file: &str, error: &serde_saphyr::Error) -> PlanError {
    let place = error.location();
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX).max(1);
    PlanError::Invalid {
        file: file.to_owned(),
        line: place.map_or(1, |place| number(place.line())),
        column: place.map_or(1, |place| number(place.column())),
        key: String::new(),
        message: error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// XML as a tree with positions.
pub(crate) fn xml<'a>(file: &str, text: &'a str) -> Result<roxmltree::Document<'a>, PlanError> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: false,
        ..roxmltree::ParsingOptions::default()
    };
    let text = text.trim_start_matches('\u{feff}');
    roxmltree::Document::parse_with_options(text, options).map_err(|error| {
        let place = error.pos();
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX).max(1);
        PlanError::Invalid {
            file: file.to_owned(),
            line: number(place.row),
            column: number(place.col),
            key: String::new(),
            message: error.to_string(),
        }
    })
}

/// Our own schema in JSON: unknown keys become warnings.
pub(crate) fn json_strict<T: DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<(T, Vec<String>), PlanError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let value: Result<T, _> =
        serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let value = value.map_err(|error| json_syntax(file, key(&track.path()), &error))?;
    deserializer
        .end()
        .map_err(|error| json_syntax(file, String::new(), &error))?;
    Ok((value, warnings(file, unknown)))
}

/// [`json_strict`] with comments and commas before closing signs.
pub(crate) fn jsonc_strict<T: DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<(T, Vec<String>), PlanError> {
    json_strict(file, &without_comments(text))
}

/// Our own schema in TOML: unknown keys become warnings.
pub(crate) fn toml_strict<T: DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<(T, Vec<String>), PlanError> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = toml::Deserializer::parse(text)
        .map_err(|error| toml_error(file, text, String::new(), &error))?;
    let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
    let value: Result<T, _> =
        serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let value = value.map_err(|error| toml_error(file, text, key(&track.path()), &error))?;
    Ok((value, warnings(file, unknown)))
}

/// The nearest of some names, when one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near =
        |known: &&str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let best = known.into_iter().min_by_key(near)?;
    (near(&best) <= (name.len() / 3).max(1)).then(|| best.to_owned())
}

/// The 1-based line of the first line that contains a text, as evidence.
pub(crate) fn line_of(text: &str, needle: &str) -> Option<usize> {
    text.lines()
        .position(|line| line.contains(needle))
        .map(|index| index + 1)
}

/// A table whose entries keep the order in which they are written.
pub(crate) struct InOrder<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = InOrder<T>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(InOrder(entries))
    }
}

fn key(path: &serde_path_to_error::Path) -> String {
    let key = path.to_string();
    // "." is the path of the whole document, "?" a place before the first key.
    if matches!(key.as_str(), "." | "?") {
        String::new()
    } else {
        key
    }
}

fn json_error(file: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> PlanError {
    json_syntax(file, key(error.path()), error.inner())
}

fn json_syntax(file: &str, key: String, error: &serde_json::Error) -> PlanError {
    // The text ends in " at line 1 column 2", which goes in front instead.
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message)
        .to_owned();
    let key = if error.is_data() { key } else { String::new() };
    PlanError::Invalid {
        file: file.to_owned(),
        line: error.line().max(1),
        column: error.column().max(1),
        key,
        message,
    }
}

fn toml_error(file: &str, text: &str, key: String, error: &toml::de::Error) -> PlanError {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    PlanError::Invalid {
        file: file.to_owned(),
        line,
        column,
        key,
        message: error.message().replace('\n', "; "),
    }
}

fn warnings(file: &str, unknown: Vec<String>) -> Vec<String> {
    let sentence = |path: String| {
        let last = path.rsplit('.').next().unwrap_or_default();
        let advice = nearest(last, keys_beside(&path).iter().copied())
            .map(|name| format!("; did you mean {name}?"))
            .unwrap_or_default();
        format!("{file}: unknown key {path} is ignored{advice}")
    };
    let mut warnings: Vec<String> = unknown.into_iter().map(sentence).collect();
    warnings.sort();
    warnings
}
