//! Python source, as far as it tells what a file makes: imports, assignments and functions at the left margin, calls.
//!
//! Owns splitting a file into statements by the language's own rules of lines, brackets and strings. No source is executed.

use std::collections::BTreeMap;

use crate::tokens::{Style, Token, calls, placed};

/// A file.
#[derive(Debug, Default)]
pub(super) struct Source {
    statements: Vec<Statement>,
    /// Names that imports bind, and what they stand for: `FastAPI` for `fastapi.FastAPI`.
    imports: BTreeMap<String, String>,
    /// Every module that is imported, in whatever way.
    modules: Vec<String>,
}

/// A statement; what a block holds are statements of their own.
#[derive(Debug)]
struct Statement {
    /// From 1.
    line: usize,
    indented: bool,
    tokens: Vec<Token>,
}

/// A name bound to what a call returned: `app = FastAPI()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    /// What is called, by its full name where an import tells: `fastapi.FastAPI`.
    pub(super) called: String,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let mut source = Self {
            statements: statements(text),
            ..Self::default()
        };
        for statement in &source.statements {
            for (name, path) in imported(&statement.tokens) {
                source.modules.push(path.clone());
                source.imports.insert(name, path);
            }
        }
        source
    }

    /// Whether a module or something of it is imported.
    pub(super) fn imports(&self, module: &str) -> bool {
        self.modules.iter().any(|path| {
            path.strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Whether a word is anywhere in the program, outside of strings and comments.
    pub(super) fn says(&self, word: &str) -> bool {
        let mut tokens = self.statements.iter().flat_map(|one| &one.tokens);
        tokens.any(|token| token.word() == Some(word))
    }

    /// The names at the left margin that are bound to a call's result, in order.
    pub(super) fn bound(&self) -> impl Iterator<Item = Bound<'_>> {
        self.at_margin().filter_map(|statement| {
            let (name, value) = assignment(&statement.tokens)?;
            let called = self.full_name(called(value)?);
            Some(Bound {
                line: statement.line,
                name,
                called,
            })
        })
    }

    /// The line and the text of the last `NAME = "text"` at the left margin.
    pub(super) fn text(&self, name: &str) -> Option<(usize, &str)> {
        let found = self.at_margin().filter_map(|statement| {
            let (left, value) = assignment(&statement.tokens)?;
            match value {
                [Token::Text(text)] if left == name => Some((statement.line, text.as_str())),
                _ => None,
            }
        });
        found.last()
    }

    /// The name at the left margin that is bound to an attribute of another: `server = app.server`.
    pub(super) fn alias(&self, of: &str, attribute: &str) -> Option<&str> {
        self.at_margin().find_map(|statement| {
            let (left, value) = assignment(&statement.tokens)?;
            match value {
                [Token::Word(object), Token::Sign('.'), Token::Word(one)] => {
                    (object == of && one == attribute).then_some(left)
                }
                _ => None,
            }
        })
    }

    /// The line of a function at the left margin.
    pub(super) fn function(&self, name: &str) -> Option<usize> {
        let is_it = |statement: &&Statement| {
            let mut words = statement.tokens.iter().map(Token::word);
            match (words.next().flatten(), words.next().flatten()) {
                (Some("def"), Some(found)) => found == name,
                (Some("async"), Some("def")) => words.next().flatten() == Some(name),
                _ => false,
            }
        };
        Some(self.at_margin().find(is_it)?.line)
    }

    /// The texts among the arguments of calls of a function, whatever object it belongs to, call by call.
    pub(super) fn arguments<'a>(
        &'a self,
        function: &'a str,
    ) -> impl Iterator<Item = (usize, Vec<&'a str>)> {
        self.statements.iter().flat_map(move |statement| {
            let found = calls(&statement.tokens).into_iter();
            found
                .filter(move |(name, _)| *name == function)
                .map(|(_, inside)| {
                    let texts = inside.iter().filter_map(Token::text).collect();
                    (statement.line, texts)
                })
        })
    }

    /// The tokens of the calls of a function at the left margin.
    pub(super) fn calls_of(&self, function: &str) -> Vec<&[Token]> {
        let found = self
            .at_margin()
            .flat_map(|statement| calls(&statement.tokens));
        found
            .filter(|(name, _)| *name == function)
            .map(|(_, inside)| inside)
            .collect()
    }

    fn at_margin(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|one| !one.indented)
    }

    /// A dotted name, with what its first part was imported as.
    fn full_name(&self, name: &[Token]) -> String {
        let mut words = name.iter().filter_map(Token::word);
        let first = words.next().unwrap_or_default();
        let first = self.imports.get(first).map_or(first, String::as_str);
        words.fold(first.to_owned(), |path, word| format!("{path}.{word}"))
    }
}

/// A keyword argument's value: what follows `name =` up to the next comma outside of brackets.
pub(super) fn keyword<'a>(arguments: &'a [Token], name: &str) -> Option<&'a [Token]> {
    let mut depth = 0_usize;
    let mut start = None;
    for (index, token) in arguments.iter().enumerate() {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Sign(',') if depth == 0 => {
                if let Some(start) = start {
                    return arguments.get(start..index);
                }
            }
            Token::Word(word) if depth == 0 && start.is_none() && word == name => {
                let follows = |place: usize| arguments.get(index + place);
                if follows(1) == Some(&Token::Sign('=')) && follows(2) != Some(&Token::Sign('=')) {
                    start = Some(index + 2);
                }
            }
            _ => {}
        }
    }
    arguments.get(start?..)
}

/// Splits a file: a statement starts with the first word of a line, outside of brackets and strings.
fn statements(text: &str) -> Vec<Statement> {
    let mut found: Vec<Statement> = Vec::new();
    let mut depth = 0_usize;
    let (mut line, mut before) = (1, 0);
    let tokens = placed(text, Style::Python).into_iter();
    for (place, token) in tokens.filter(|(_, token)| *token != Token::Sign('\\')) {
        let between = text.get(before..place).unwrap_or_default();
        before = place;
        line += between.matches('\n').count();
        // What is before the token on its line; nothing is looked at twice, however long a line is.
        let (above, indentation) = match between.rsplit_once('\n') {
            Some((above, indentation)) => (above, Some(indentation)),
            None => ("", found.is_empty().then_some(between)),
        };
        let continued = above.trim_end_matches('\r').ends_with('\\');
        let first =
            indentation.is_some_and(|one| one.trim().is_empty()) && !continued && depth == 0;
        match &token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        match found.last_mut() {
            Some(statement) if !first => statement.tokens.push(token),
            _ => found.push(Statement {
                line,
                indented: indentation.is_some_and(|one| !one.is_empty()),
                tokens: vec![token],
            }),
        }
    }
    found
}

/// `name: type = value` in its parts; the first name where several are bound.
fn assignment(tokens: &[Token]) -> Option<(&str, &[Token])> {
    let mut depth = 0_usize;
    let equals = tokens.iter().position(|token| {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == Token::Sign('=')
    })?;
    let (left, right) = tokens.split_at(equals);
    let name = left.first()?.word()?;
    // `a.b = c`, `a[0] = c`, `a += c` and `if a == c` bind no name.
    let plain = matches!(left.get(1), None | Some(Token::Sign(':' | ',')));
    let value = right.get(1..)?;
    (plain && value.first() != Some(&Token::Sign('='))).then_some((name, value))
}

/// The dotted name that an expression calls.
fn called(value: &[Token]) -> Option<&[Token]> {
    let is_name = |token: &Token| matches!(token, Token::Word(_) | Token::Sign('.'));
    let end = value.iter().position(|token| !is_name(token))?;
    let name = value.get(..end).filter(|name| !name.is_empty())?;
    (value.get(end) == Some(&Token::Sign('('))).then_some(name)
}

/// The names that an import binds, with what they stand for. A module that binds none is its own name.
fn imported(tokens: &[Token]) -> Vec<(String, String)> {
    match tokens.first().and_then(Token::word) {
        Some("import") => names(&tokens[1..])
            .map(|(path, alias)| match alias {
                Some(alias) => (alias.to_owned(), path),
                // `import a.b` binds `a`; what it stands for is itself.
                None => (path.split('.').next().unwrap_or_default().to_owned(), path),
            })
            .flat_map(|(name, path)| {
                let top = path.split('.').next() == Some(name.as_str());
                let whole = top.then(|| (path.clone(), path.clone()));
                let stands_for = if top { name.clone() } else { path };
                [Some((name, stands_for)), whole]
            })
            .flatten()
            .collect(),
        Some("from") => {
            let is_import = |token: &Token| token.word() == Some("import");
            let Some(split) = tokens.iter().position(is_import) else {
                return Vec::new();
            };
            let module = dotted(tokens.get(1..split).unwrap_or_default());
            let mut found = vec![(module.clone(), module.clone())];
            found.extend(names(tokens.get(split + 1..).unwrap_or_default()).map(
                |(name, alias)| {
                    let path = format!("{module}.{name}");
                    (alias.map_or(name, str::to_owned), path)
                },
            ));
            found
        }
        _ => Vec::new(),
    }
}

/// `a.b as c, d` as names with their aliases.
fn names(tokens: &[Token]) -> impl Iterator<Item = (String, Option<&str>)> {
    tokens
        .split(|token| matches!(token, Token::Sign(',' | '(' | ')')))
        .filter(|part| !part.is_empty())
        .map(|part| {
            let split = part.iter().position(|token| token.word() == Some("as"));
            let alias = split.and_then(|at| part.get(at + 1)?.word());
            (dotted(&part[..split.unwrap_or(part.len())]), alias)
        })
}

fn dotted(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Word(word) => text.push_str(word),
            Token::Sign(sign) => text.push(*sign),
            Token::Text(_) => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> Vec<(usize, String, String)> {
        let source = Source::new(text);
        let found = source.bound();
        found
            .map(|one| (one.line, one.name.to_owned(), one.called))
            .collect()
    }

    #[test]
    fn names_at_the_margin_are_bound_to_what_imports_say() {
        let text = "'''x = A()\n'''\nfrom fastapi import (\n  FastAPI as Api,  # why\n)\nimport aiohttp.web as w, flask\n\
                    app: Api = Api(\n  title=\"#\"\n)\nif app == Api():\n  inner = flask.Flask()\nb = w.Application()\n\
                    c, d = \\\n  fast_app()\ne.f = g()\nh = flask.Flask(1)\ni += j()\n";
        let expect = [
            (7, "app", "fastapi.FastAPI"),
            (12, "b", "aiohttp.web.Application"),
            (13, "c", "fast_app"),
            (16, "h", "flask.Flask"),
        ];
        let expect = expect.map(|(line, name, called)| (line, name.to_owned(), called.to_owned()));
        assert_eq!(bound(text), expect);
    }

    #[test]
    fn modules_count_however_they_are_imported() {
        let source = Source::new(
            "import a.b\nfrom c.d import e\nfrom .f import *\ndef g():\n  import h as i\n",
        );
        for (module, there) in [
            ("a", true),
            ("a.b", true),
            ("c", true),
            ("h", true),
            ("i", false),
            ("d", false),
            ("f", false),
        ] {
            assert_eq!(source.imports(module), there, "{module}");
        }
    }

    #[test]
    fn texts_functions_and_arguments_are_found() {
        let source = Source::new(
            "A = 'x' # y\nasync def make(a):\n  os.environ.setdefault('K', \"v\")\nserver = app.server\nA = 'z'\n",
        );
        assert_eq!(source.text("A"), Some((5, "z")));
        assert_eq!(source.function("make"), Some(2));
        assert_eq!(source.alias("app", "server"), Some("server"));
        assert_eq!(
            source.arguments("setdefault").next().unwrap(),
            (3, vec!["K", "v"])
        );
    }

    #[test]
    fn keywords_end_at_their_comma() {
        let source = Source::new("setup(name='a', install_requires=['b', f('c')], x=1)\n");
        let calls = source.calls_of("setup");
        let texts = |name| -> Vec<&str> {
            keyword(calls[0], name)
                .unwrap_or_default()
                .iter()
                .filter_map(Token::text)
                .collect()
        };
        assert_eq!(texts("name"), ["a"]);
        assert_eq!(texts("install_requires"), ["b", "c"]);
        assert_eq!(texts("b"), [""; 0]);
    }

    #[test]
    fn what_is_not_closed_ends_with_its_line_or_the_file() {
        assert_eq!(
            bound("a = 'x\nb = C()\nd = E("),
            [
                (2, "b".to_owned(), "C".to_owned()),
                (3, "d".to_owned(), "E".to_owned())
            ]
        );
    }
}
