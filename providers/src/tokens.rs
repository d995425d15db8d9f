//! Words of manifests that are programs: calls, strings and names, without comments.
//!
//! Owns splitting text as several languages write it. What the calls mean is for the providers.

/// How a language writes comments and strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `//`, nested or plain `/* */`, `"..."`, `"""..."""`: Swift. Zig too, whose lines of `\\` and letters as `'"'` are strings.
    Slashes,
    /// As `Slashes`, with `'...'` and `'''...'''` too: Groovy. Kotlin fits as well.
    Groovy,
    /// As `Slashes`, with comments in comments, `'x'`, and names in backticks: Scala. The end of a line is a sign.
    Scala,
    /// `#`, `#[[ ]]`, `"..."`, `[[...]]`; arguments need no quotes: `CMake`.
    Cmake,
    /// `#`, `'...'`, `'''...'''`: Meson.
    Meson,
    /// `#`, `'...'`, `"..."`, `"""..."""`; names may have `?` and `!`: Elixir. Perl too.
    Hash,
    /// `--`, `--[[ ]]`, `'...'`, `"..."`, `[[...]]`: Lua.
    Dashes,
    /// `;`, `"..."`; whatever is no bracket belongs to a name: Lisp and its relatives.
    Lisp,
    /// `#`, `'...'`, `"..."`, both also three times; a plain string ends with its line: Python.
    Python,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name, number or argument without quotes.
    Word(String),
    /// The text of a string, without its quotes.
    Text(String),
    /// Any other sign.
    Sign(char),
}

impl Token {
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The tokens of a text. Whatever is not closed ends with the text.
pub(crate) fn tokens(text: &str, style: Style) -> Vec<Token> {
    let placed = placed(text, style).into_iter();
    placed.map(|(_, token)| token).collect()
}

/// The same, each with the byte at which it starts.
pub(crate) fn placed(text: &str, style: Style) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = comment(rest, style) {
            rest = after;
        } else if first.is_whitespace() {
            let again = matches!(found.last(), Some((_, Token::Sign('\n'))));
            if first == '\n' && style == Style::Scala && !again {
                found.push((text.len() - rest.len(), Token::Sign('\n')));
            }
            rest = after_first(rest);
        } else if let Some((word, after)) = name_in_backticks(rest, style) {
            found.push((text.len() - rest.len(), Token::Word(word.to_owned())));
            rest = after;
        } else if let Some((content, after)) = string(rest, style) {
            found.push((text.len() - rest.len(), Token::Text(content)));
            rest = after;
        } else {
            let end = rest
                .find(|letter| !in_word(letter, style))
                .unwrap_or(rest.len());
            if end == 0 {
                found.push((text.len() - rest.len(), Token::Sign(first)));
                rest = after_first(rest);
            } else {
                let (word, after) = rest.split_at(end);
                let place = text.len() - rest.len();
                found.push((place, Token::Word(word.to_owned())));
                rest = after;
            }
        }
    }
    found
}

fn after_first(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

fn in_word(letter: char, style: Style) -> bool {
    match style {
        Style::Cmake => !letter.is_whitespace() && !"()#\"".contains(letter),
        Style::Slashes
        | Style::Groovy
        | Style::Scala
        | Style::Meson
        | Style::Dashes
        | Style::Python => letter.is_alphanumeric() || letter == '_',
        Style::Hash => letter.is_alphanumeric() || "_?!".contains(letter),
        Style::Lisp => !letter.is_whitespace() && !"()[]\";".contains(letter),
    }
}

/// What follows a comment that the text starts with.
fn comment(text: &str, style: Style) -> Option<&str> {
    let after = |end: &str| text.find(end).map_or("", |at| &text[at + end.len()..]);
    match style {
        // The end of the line is no part of it.
        Style::Scala if text.starts_with("//") => {
            Some(&text[text.find('\n').unwrap_or(text.len())..])
        }
        Style::Scala if text.starts_with("/*") => Some(after_nested(text)),
        Style::Slashes | Style::Groovy if text.starts_with("//") => Some(after("\n")),
        Style::Slashes | Style::Groovy if text.starts_with("/*") => Some(after("*/")),
        Style::Cmake if text.starts_with("#[[") => Some(after("]]")),
        // The end of the line stays: it says where a statement ends.
        Style::Python if text.starts_with('#') => {
            Some(&text[text.find('\n').unwrap_or(text.len())..])
        }
        Style::Cmake | Style::Meson | Style::Hash if text.starts_with('#') => Some(after("\n")),
        Style::Dashes if text.starts_with("--[[") => Some(after("]]")),
        Style::Dashes if text.starts_with("--") => Some(after("\n")),
        Style::Lisp if text.starts_with(';') => Some(after("\n")),
        _ => None,
    }
}

/// What follows a comment that may have others in it.
fn after_nested(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
            if depth == 0 {
                return rest;
            }
        } else if rest.is_empty() {
            return rest;
        } else {
            rest = after_first(rest);
        }
    }
}

fn name_in_backticks(text: &str, style: Style) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('`').filter(|_| style == Style::Scala)?;
    inner.split_once('`')
}

/// What follows a character such as `'x'` or `'\n'`; `'name` is a symbol instead.
fn character(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('\'')?;
    let escaped = inner.strip_prefix('\\');
    let length = match escaped {
        Some(after) if after.starts_with('u') => 6,
        Some(after) => 1 + after.chars().next()?.len_utf8(),
        None => inner.chars().next()?.len_utf8(),
    };
    let (content, after) = inner.split_at_checked(length)?;
    Some((content.to_owned(), after.strip_prefix('\'')?))
}

/// A string that the text starts with, and what follows it.
fn string(text: &str, style: Style) -> Option<(String, &str)> {
    if style == Style::Scala && text.starts_with('\'') {
        return character(text);
    }
    let long = match style {
        Style::Groovy | Style::Python if text.starts_with('\'') => "'''",
        Style::Slashes
        | Style::Groovy
        | Style::Scala
        | Style::Hash
        | Style::Lisp
        | Style::Python => "\"\"\"",
        Style::Cmake | Style::Dashes => "[[",
        Style::Meson => "'''",
    };
    if let Some(inner) = text.strip_prefix(long) {
        let end = if long == "[[" { "]]" } else { long };
        let at = inner.find(end).unwrap_or(inner.len());
        let after = inner.get(at + end.len()..).unwrap_or_default();
        return Some((inner[..at].to_owned(), after));
    }
    if style == Style::Slashes
        && let Some(line) = text.strip_prefix("\\\\")
    {
        let at = line.find('\n').unwrap_or(line.len());
        return Some((line[..at].to_owned(), &line[at..]));
    }
    let quotes = match style {
        Style::Meson => "'",
        Style::Slashes | Style::Groovy | Style::Hash | Style::Dashes | Style::Python => "'\"",
        Style::Scala | Style::Cmake | Style::Lisp => "\"",
    };
    let quote = text
        .chars()
        .next()
        .filter(|first| quotes.contains(*first))?;
    let inner = text.strip_prefix(quote)?;
    let mut content = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => content.extend(letters.next()),
            letter if letter == quote => break,
            '\n' if style == Style::Python => break,
            letter => content.push(letter),
        }
    }
    Some((content, letters.as_str()))
}

/// A call: its name, and the tokens between its brackets.
pub(crate) type Call<'a> = (&'a str, &'a [Token]);

/// The calls of a text, outer ones before those inside them. Each token is looked at once, however deep calls are.
pub(crate) fn calls(tokens: &[Token]) -> Vec<Call<'_>> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut open: Vec<Option<usize>> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => {
                let name = index.checked_sub(1).and_then(|before| tokens.get(before));
                let call = *token == Token::Sign('(') && name.and_then(Token::word).is_some();
                open.push(call.then_some(found.len()));
                if call {
                    found.push((index, tokens.len()));
                }
            }
            Token::Sign(')' | ']' | '}') => {
                if let Some(call) = open.pop().flatten().and_then(|call| found.get_mut(call)) {
                    call.1 = index;
                }
            }
            _ => {}
        }
    }
    found
        .into_iter()
        .filter_map(|(start, end)| {
            let name = tokens.get(start.checked_sub(1)?)?.word()?;
            Some((name, tokens.get(start + 1..end)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    fn text(text: &str) -> Token {
        Token::Text(text.to_owned())
    }

    #[test]
    fn comments_say_nothing_and_strings_keep_their_signs() {
        assert_eq!(
            tokens(
                "a /* b( */ (\"c // \\\" d\") // e\n\\\\ f \"\n",
                Style::Slashes
            ),
            [
                word("a"),
                Token::Sign('('),
                text("c // \" d"),
                Token::Sign(')'),
                text(" f \"")
            ]
        );
        assert_eq!(
            tokens(
                "add(a-b ${c} # d\n [[e)]] \"f g\")#[[ x\n ]] y",
                Style::Cmake
            ),
            [
                word("add"),
                Token::Sign('('),
                word("a-b"),
                word("${c}"),
                text("e)"),
                text("f g"),
                Token::Sign(')'),
                word("y")
            ]
        );
        assert_eq!(
            tokens("f('a''', '''b'c''') # 'd'", Style::Meson),
            [
                word("f"),
                Token::Sign('('),
                text("a"),
                text(""),
                Token::Sign(','),
                text("b'c"),
                Token::Sign(')')
            ]
        );
        assert_eq!(
            tokens("mod? 'a # b' # c\n\"d\"", Style::Hash),
            [word("mod?"), text("a # b"), text("d")]
        );
        assert_eq!(
            tokens("a --[[ b\n ]] = [[c]] -- d", Style::Dashes),
            [word("a"), Token::Sign('='), text("c")]
        );
        assert_eq!(
            tokens("(name a-b.c) ; (d\n\"e;\"", Style::Lisp),
            [
                Token::Sign('('),
                word("name"),
                word("a-b.c"),
                Token::Sign(')'),
                text("e;")
            ]
        );
        assert_eq!(tokens("\"ünclosed", Style::Slashes), [text("ünclosed")]);
    }

    #[test]
    fn lines_of_scala_end_and_symbols_are_no_strings() {
        assert_eq!(
            tokens(
                "a /* b /* c */ \n d */ := '\"' // e\n\n`f-g` 'h '\\'' \"\"\"i\"\"\" 'ü' '",
                Style::Scala
            ),
            [
                word("a"),
                Token::Sign(':'),
                Token::Sign('='),
                text("\""),
                Token::Sign('\n'),
                word("f-g"),
                Token::Sign('\''),
                word("h"),
                text("\\'"),
                text("i"),
                text("ü"),
                Token::Sign('\''),
            ]
        );
        assert_eq!(tokens("/* /* */ a", Style::Scala), []);
    }

    #[test]
    fn calls_have_arguments_and_inner_calls() {
        let all = tokens(
            "Package(name: \"a\", targets: [.target(name: \"b\")])",
            Style::Slashes,
        );
        let calls = calls(&all);
        assert_eq!(
            calls.iter().map(|call| call.0).collect::<Vec<_>>(),
            ["Package", "target"]
        );
        assert_eq!(calls[1].1[0], word("name"));
    }
}
