//! Reads Clojure and EDN into forms, without running anything.
//!
//! Owns the syntax: brackets, strings, metadata, quoting, and forms that are left out. What forms mean is for the files beside
//! this one.

use crate::plan::PlanError;

/// Forms within forms beyond this depth are refused.
const DEPTH: usize = 100;

/// A form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Symbols, numbers and characters.
    Symbol(String),
    /// Without its colon.
    Keyword(String),
    Text(String),
    List(Vec<Form>),
    Vector(Vec<Form>),
    /// Keys and values in turn.
    Map(Vec<Form>),
    Set(Vec<Form>),
    /// Metadata, and the form that has it.
    Meta(Box<Form>, Box<Form>),
    /// A form behind `'`, `` ` ``, `~`, `@` or `#`.
    Mark(char, Box<Form>),
}

impl Form {
    /// The form without metadata and quotes.
    pub(super) fn bare(&self) -> &Self {
        match self {
            Self::Meta(_, form) | Self::Mark('\'' | '`', form) => form.bare(),
            form => form,
        }
    }

    pub(super) fn symbol(&self) -> Option<&str> {
        match self.bare() {
            Self::Symbol(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn keyword(&self) -> Option<&str> {
        match self.bare() {
            Self::Keyword(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self.bare() {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is inside, in its order.
    pub(super) fn inside(&self) -> &[Self] {
        match self.bare() {
            Self::List(forms) | Self::Vector(forms) | Self::Map(forms) | Self::Set(forms) => forms,
            _ => &[],
        }
    }

    /// The arguments of a list that starts with a symbol.
    pub(super) fn call(&self, name: &str) -> Option<&[Self]> {
        let Self::List(forms) = self.bare() else {
            return None;
        };
        let (first, rest) = forms.split_first()?;
        (first.symbol() == Some(name)).then_some(rest)
    }

    /// The value of a keyword in a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self.bare() {
            Self::Map(forms) => value(forms, key),
            _ => None,
        }
    }

    /// Whether its metadata has a flag: `^:flag`, `^{:flag true}`.
    pub(super) fn is_flagged(&self, flag: &str) -> bool {
        match self {
            Self::Meta(meta, form) => {
                let set = meta.keyword() == Some(flag)
                    || meta.get(flag).and_then(Self::symbol) == Some("true");
                set || form.is_flagged(flag)
            }
            Self::Mark('\'' | '`', form) => form.is_flagged(flag),
            _ => false,
        }
    }
}

/// The value of a keyword among keys and values in turn.
pub(super) fn value<'a>(forms: &'a [Form], key: &str) -> Option<&'a Form> {
    let mut pairs = forms.chunks_exact(2);
    pairs.find_map(|pair| match pair {
        [name, value] if name.keyword() == Some(key) => Some(value),
        _ => None,
    })
}

/// The forms of a file.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Form>, PlanError> {
    let mut reader = Reader { rest: text };
    reader.forms(None, 0).map_err(|message| {
        let before = &text[..text.len() - reader.rest.len()];
        let line = before.rsplit('\n').next().unwrap_or_default();
        PlanError::Invalid {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            key: String::new(),
            message: message.to_owned(),
        }
    })
}

struct Reader<'a> {
    rest: &'a str,
}

type Read<T> = Result<T, &'static str>;

impl Reader<'_> {
    /// Forms until a closing sign, or until the end of the text.
    fn forms(&mut self, close: Option<char>, depth: usize) -> Read<Vec<Form>> {
        if depth > DEPTH {
            return Err("nested too deeply");
        }
        let mut found = Vec::new();
        loop {
            self.skip(depth)?;
            match (self.rest.chars().next(), close) {
                (None, None) => return Ok(found),
                (None, Some(_)) => return Err("a bracket is not closed"),
                (Some(sign), Some(close)) if sign == close => {
                    self.take(1);
                    return Ok(found);
                }
                _ => found.push(self.form(depth)?),
            }
        }
    }

    /// Passes over blanks, comments and forms that `#_` leaves out.
    fn skip(&mut self, depth: usize) -> Read<()> {
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
            if self.rest.starts_with(';') || self.rest.starts_with("#!") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if self.rest.starts_with("#_") {
                self.take(2);
                self.after(depth)?;
            } else {
                return Ok(());
            }
        }
    }

    /// The form that a sign before it needs.
    fn after(&mut self, depth: usize) -> Read<Form> {
        if depth > DEPTH {
            return Err("nested too deeply");
        }
        self.skip(depth + 1)?;
        self.form(depth + 1)
    }

    fn form(&mut self, depth: usize) -> Read<Form> {
        let first = self.rest.chars().next().ok_or("a form is missing")?;
        match first {
            '(' | '[' | '{' => {
                self.take(1);
                self.collection(first, depth)
            }
            ')' | ']' | '}' => Err("a bracket closes nothing"),
            '"' => {
                self.take(1);
                self.string().map(Form::Text)
            }
            '\\' => Ok(Form::Symbol(self.character())),
            '^' => {
                self.take(1);
                let meta = self.after(depth)?;
                Ok(Form::Meta(Box::new(meta), Box::new(self.after(depth)?)))
            }
            '\'' | '`' | '~' | '@' => {
                self.take(if self.rest.starts_with("~@") { 2 } else { 1 });
                Ok(Form::Mark(first, Box::new(self.after(depth)?)))
            }
            '#' => {
                self.take(1);
                self.dispatched(depth)
            }
            ':' => {
                let word = self.word();
                Ok(Form::Keyword(word.trim_start_matches(':').to_owned()))
            }
            _ => Ok(Form::Symbol(self.word())),
        }
    }

    fn collection(&mut self, open: char, depth: usize) -> Read<Form> {
        Ok(match open {
            '(' => Form::List(self.forms(Some(')'), depth + 1)?),
            '[' => Form::Vector(self.forms(Some(']'), depth + 1)?),
            _ => Form::Map(self.forms(Some('}'), depth + 1)?),
        })
    }

    /// What follows `#`: a set, a function, a regular expression, a tag with its form.
    fn dispatched(&mut self, depth: usize) -> Read<Form> {
        let first = self.rest.chars().next().ok_or("a form is missing")?;
        match first {
            '{' => {
                self.take(1);
                Ok(Form::Set(self.forms(Some('}'), depth + 1)?))
            }
            '(' | '"' | '\'' | '^' => Ok(Form::Mark('#', Box::new(self.after(depth)?))),
            '?' | '=' => {
                self.take(if self.rest.starts_with("?@") { 2 } else { 1 });
                Ok(Form::Mark('#', Box::new(self.after(depth)?)))
            }
            '#' => Ok(Form::Symbol(self.word())),
            _ => {
                if self.word().is_empty() {
                    return Err("a tag is missing");
                }
                Ok(Form::Mark('#', Box::new(self.after(depth)?)))
            }
        }
    }

    fn string(&mut self) -> Read<String> {
        let mut content = String::new();
        let mut letters = self.rest.chars();
        loop {
            match letters.next() {
                None => return Err("a string is not closed"),
                Some('"') => break,
                Some('\\') => match letters.next() {
                    Some('n') => content.push('\n'),
                    Some('t') => content.push('\t'),
                    other => content.extend(other),
                },
                Some(letter) => content.push(letter),
            }
        }
        self.rest = letters.as_str();
        Ok(content)
    }

    /// `\a`, `\newline`, `\(`.
    fn character(&mut self) -> String {
        let length = self.rest.chars().take(2).map(char::len_utf8).sum();
        let front = self.take(length).to_owned();
        front + &self.word()
    }

    /// Everything up to a blank or a bracket.
    fn word(&mut self) -> String {
        let ends = |letter: char| letter.is_whitespace() || "()[]{}\",;`~@^".contains(letter);
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        self.take(end).to_owned()
    }

    fn take(&mut self, length: usize) -> &str {
        let (front, rest) = self.rest.split_at(length);
        self.rest = rest;
        front
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Form {
        let forms = read("a.edn", text).unwrap();
        assert_eq!(forms.len(), 1, "{forms:?}");
        forms.into_iter().next().unwrap()
    }

    #[test]
    fn maps_and_vectors_have_what_is_written() {
        let form = one(
            "{:paths [\"src\" \"a\\\"b\"], ; :no\n :deps {a/b #:mvn{:version \"1\"}} #_#_ :gone [1] :n -1.5}",
        );
        let paths: Vec<_> = form
            .get("paths")
            .unwrap()
            .inside()
            .iter()
            .map(Form::text)
            .collect();
        assert_eq!(paths, [Some("src"), Some("a\"b")]);
        assert_eq!(form.get("n").unwrap().symbol(), Some("-1.5"));
        assert_eq!(form.get("gone"), None);
        assert_eq!(form.get("deps").unwrap().inside().len(), 2);
    }

    #[test]
    fn programs_have_marks_metadata_and_characters() {
        let form = one(
            "(defn- x [^:a b & {:keys [c]}] #(f % @y) #\"[\\\"(\" \\( \\newline #'z `(~@b) #?(:clj 1) #{1})",
        );
        let arguments = form.call("defn-").unwrap();
        assert_eq!(arguments[0].symbol(), Some("x"));
        assert!(arguments[1].inside()[0].is_flagged("a"));
        assert_eq!(arguments.len(), 10);
        assert_eq!(
            arguments[3].bare(),
            &Form::Mark('#', Box::new(Form::Text("[\"(".to_owned())))
        );
        assert_eq!(arguments[4].symbol(), Some("\\("));
        assert_eq!(one("'my/lib").symbol(), Some("my/lib"));
        assert!(one("^{:skip true} ^:b a").is_flagged("b"));
    }

    #[test]
    fn what_is_broken_names_its_place() {
        for (text, place) in [
            ("{:a\n [1 2)", "a.edn:2:6"),
            ("(a", "a.edn:1:3"),
            ("\n \"a", "a.edn:2:3"),
            ("'", "a.edn:1:2"),
            ("#", "a.edn:1:2"),
            ("^ü", "a.edn:1:3"),
        ] {
            let error = read("a.edn", text).unwrap_err().to_string();
            assert!(error.starts_with(place), "{text:?}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(read("a", &deep).unwrap_err().to_string().contains("deeply"));
        let marks = "'".repeat(100_000);
        assert!(
            read("a", &marks)
                .unwrap_err()
                .to_string()
                .contains("deeply")
        );
        let left_out = "#_".repeat(100_000);
        assert!(
            read("a", &left_out)
                .unwrap_err()
                .to_string()
                .contains("deeply")
        );
    }
}
