//! Reads JavaScript and TypeScript far enough to know what a file imports and names.
//!
//! A tokenizer, no parser: comments, strings, templates and regular expressions are told apart, so that text in
//! them is never taken for code.

use crate::repo::Repo;

/// Endings of programs that need no compiler of the application's.
pub(crate) const ENDINGS: [&str; 6] = ["ts", "tsx", "js", "jsx", "mts", "mjs"];

/// Programs of some names at the root, then in `src/`; the likeliest name first.
pub(crate) fn programs(repo: &Repo, names: &[&str]) -> Vec<String> {
    ["", "src/"]
        .into_iter()
        .flat_map(|folder| names.iter().map(move |name| format!("{folder}{name}")))
        .flat_map(|stem| ENDINGS.map(|ending| format!("{stem}.{ending}")))
        .filter(|path| repo.is_file(path) && repo.in_image(path))
        .collect()
}

/// A piece of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier, a keyword or a number.
    Word(&'a str),
    /// The inside of a string or of a template, as it is written.
    Text(&'a str),
    /// Any other sign.
    Sign(char),
}

/// Words after which a slash begins a regular expression.
const BEFORE_EXPRESSION: [&str; 9] = [
    "await", "case", "delete", "in", "of", "return", "throw", "typeof", "void",
];

/// The tokens of a program; of a broken one, as many as there are.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    if rest.starts_with("#!") {
        rest = rest.find('\n').map_or("", |end| &rest[end..]);
    }
    while let Some(letter) = rest.chars().next() {
        let (token, length) = if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if matches!(letter, '"' | '\'' | '`') {
            let end = closing(&rest[1..], letter, letter == '`');
            let inside = rest.get(1..=end).unwrap_or_default();
            (Some(Token::Text(inside)), (end + 2).min(rest.len()))
        } else if is_word(letter) {
            let end = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
            (Some(Token::Word(&rest[..end])), end)
        } else if letter == '/' && expects_expression(found.last()) {
            (None, regular_expression(rest))
        } else if letter.is_whitespace() {
            (None, letter.len_utf8())
        } else {
            (Some(Token::Sign(letter)), letter.len_utf8())
        };
        found.extend(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    found
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

fn expects_expression(last: Option<&Token<'_>>) -> bool {
    match last {
        None => true,
        Some(Token::Word(word)) => BEFORE_EXPRESSION.contains(word),
        Some(Token::Text(_)) => false,
        Some(Token::Sign(sign)) => !matches!(sign, ')' | ']' | '}'),
    }
}

/// Where a string ends: the offset of its closing quote, or of the line's end when there is none.
fn closing(text: &str, quote: char, lines: bool) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == quote || (letter == '\n' && !lines) {
            return at;
        }
    }
    text.len()
}

/// The length of a regular expression, or of the sign alone when none ends on this line.
fn regular_expression(text: &str) -> usize {
    let (mut escaped, mut class) = (false, false);
    for (at, letter) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
            continue;
        }
        match letter {
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '/' if !class => return at + 1,
            '\n' => break,
            _ => {}
        }
    }
    1
}

/// The modules of Node.js that need no prefix.
const OF_NODE: [&str; 37] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "stream",
    "string_decoder",
    "timers",
    "tls",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "zlib",
];

/// Whether an import without a prefix is a module of Node.js: `fs`, `fs/promises`.
pub(crate) fn is_of_node(import: &str) -> bool {
    let name = import.split('/').next().unwrap_or_default();
    OF_NODE.contains(&name)
}

/// What a program imports: the texts of `import` and `export ... from`, and of `import(...)`.
pub(crate) fn imports<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    tokens
        .iter()
        .enumerate()
        .filter_map(|(at, token)| match token {
            _ if at > 0 && tokens[at - 1] == Token::Sign('.') => None,
            Token::Word("import") => imported(&tokens[at + 1..]),
            Token::Word("export") => match tokens.get(at + 1) {
                Some(Token::Sign('{' | '*') | Token::Word("type")) => source(&tokens[at + 1..]),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// What a program imports when it runs: without types, which are gone then.
pub(crate) fn imports_at_run_time<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut rest = tokens.to_vec();
    let of_types = |three: &[Token<'_>]| {
        let statement = matches!(three[0], Token::Word("import" | "export"));
        let default = three[2] == Token::Word("from");
        let names = matches!(three[2], Token::Word(_) | Token::Sign('{' | '*'));
        statement && three[1] == Token::Word("type") && names && !default
    };
    let types: Vec<usize> = tokens
        .windows(3)
        .enumerate()
        .filter(|(_, three)| of_types(three))
        .map(|(at, _)| at)
        .collect();
    for at in types {
        rest[at] = Token::Word("");
    }
    imports(&rest)
}

/// What a program requires: the texts of `require(...)`.
pub(crate) fn requires<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    tokens
        .windows(3)
        .filter_map(|three| match three {
            [Token::Word("require"), Token::Sign('('), Token::Text(text)] => Some(*text),
            _ => None,
        })
        .collect()
}

/// What an object literal of a configuration file says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Setting<'a> {
    /// Nothing.
    Absent,
    /// One literal: a text, or a word such as `true`.
    Literal(&'a str),
    /// Something that only running it tells.
    Computed,
}

/// The value at a path of keys (`build`, `outDir`) in an object that is itself no key's value.
pub(crate) fn setting<'a>(tokens: &[Token<'a>], path: &[&str]) -> Setting<'a> {
    // The keys of open brackets that are a key's value, and for each open bracket whether it is one.
    let mut keys: Vec<&str> = Vec::new();
    let mut open: Vec<bool> = Vec::new();
    let Some((last, above)) = path.split_last() else {
        return Setting::Absent;
    };
    let mut found = Setting::Absent;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '[' | '(') => {
                let key = key_before(tokens, at);
                open.push(!key.is_empty());
                keys.extend(Some(key).filter(|key| !key.is_empty()));
            }
            Token::Sign('}' | ']' | ')') => {
                let named = open.pop() == Some(true);
                keys.truncate(keys.len() - usize::from(named));
            }
            Token::Sign(':') if keys == above && key_before(tokens, at + 1) == *last => {
                let literal = match tokens.get(at + 1..at + 3) {
                    Some(
                        [
                            Token::Text(text) | Token::Word(text),
                            Token::Sign(',' | '}'),
                        ],
                    ) if !text.contains("${") => Setting::Literal(text),
                    _ => Setting::Computed,
                };
                found = match found {
                    Setting::Absent => literal,
                    other if other == literal => other,
                    _ => Setting::Computed,
                };
            }
            _ => {}
        }
    }
    found
}

/// The key whose colon is just before a token.
fn key_before<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    match at.checked_sub(2).and_then(|from| tokens.get(from..at)) {
        Some([Token::Word(key) | Token::Text(key), Token::Sign(':')]) => key,
        _ => "",
    }
}

fn imported<'a>(after: &[Token<'a>]) -> Option<&'a str> {
    match after {
        [Token::Text(text), ..] | [Token::Sign('('), Token::Text(text), ..] => Some(text),
        [Token::Word(_) | Token::Sign('{' | '*'), ..] => source(after),
        _ => None,
    }
}

/// The text after the next `from` of the same statement.
fn source<'a>(after: &[Token<'a>]) -> Option<&'a str> {
    let statement = after
        .iter()
        .position(|token| matches!(token, Token::Sign(';' | '=' | '(')))
        .unwrap_or(after.len());
    after[..statement].windows(2).find_map(|pair| match pair {
        [Token::Word("from"), Token::Text(text)] => Some(*text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports_of(text: &str) -> Vec<&str> {
        imports(&tokens(text))
    }

    #[test]
    fn every_form_of_import_is_found() {
        assert_eq!(
            imports_of(
                "#!/usr/bin/env deno\nimport a, { b as c } from \"x\";\nimport 'y'\nimport type { T } from 't'\n\
                 export * from `z`; export { d } from \"e\"\nawait import('f'); import * as g from 'h' with { type: 'json' }"
            ),
            ["x", "y", "t", "z", "e", "f", "h"]
        );
    }

    #[test]
    fn types_are_not_there_at_run_time() {
        let text = "import type { A } from 'a'; import type B from 'b'; export type { C } from 'c'; import type from 'd'; import { type E } from 'e'";
        assert_eq!(imports_at_run_time(&tokens(text)), ["d", "e"]);
    }

    #[test]
    fn comments_texts_and_properties_are_no_imports() {
        let text = "// import 'a'\n/* import 'b' */ const s = \"import 'c'\"; const r = /import 'd'/; \
                    x.import('e'); `import 'f'`; const n = 4 / 2; import.meta.url; const from = 'g'; export const h = from\n'i'";
        assert_eq!(imports_of(text), Vec::<&str>::new());
    }

    #[test]
    fn settings_are_found_at_their_own_path_alone() {
        let text = "// build: { outDir: 'a' }\nexport default defineConfig(({ mode }) => { return { plugins: [x({ build: { outDir: 'b' } })], \
                    build: { outDir: \"out\", ssr: true }, output: mode ? 'c' : 'd' } })";
        let tokens = tokens(text);
        assert_eq!(
            setting(&tokens, &["build", "outDir"]),
            Setting::Literal("out")
        );
        assert_eq!(
            setting(&tokens, &["build", "ssr"]),
            Setting::Literal("true")
        );
        assert_eq!(setting(&tokens, &["outDir"]), Setting::Absent);
        assert_eq!(setting(&tokens, &["output"]), Setting::Computed);
    }

    #[test]
    fn required_modules_are_found() {
        assert_eq!(
            requires(&tokens("const a = require('a/b'); // require('c')")),
            ["a/b"]
        );
    }

    #[test]
    fn broken_programs_end() {
        for text in [
            "'", "`", "/*", "\"\\", "/[", "import", "export {", "import {", "é'é",
        ] {
            assert!(imports_of(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn members_are_words_and_signs() {
        assert_eq!(
            tokens("Deno.serve(1)"),
            [
                Token::Word("Deno"),
                Token::Sign('.'),
                Token::Word("serve"),
                Token::Sign('('),
                Token::Word("1"),
                Token::Sign(')')
            ]
        );
    }
}
