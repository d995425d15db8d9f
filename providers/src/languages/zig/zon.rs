//! Reads build.zig.zon, Zig's object notation: fields in braces, strings, names after a dot.

use crate::tokens::{Style, Token, tokens};

/// What build.zig.zon says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Zon {
    /// `.name = .shop`, or a string before Zig 0.14.
    pub(super) name: Option<String>,
    /// The least Zig that will do.
    pub(super) minimum: Option<String>,
}

impl Zon {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Slashes);
        let mut zon = Self::default();
        let mut depth = 0_usize;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') => depth = depth.saturating_sub(1),
                Token::Sign('.') if depth == 1 => {
                    let Some((name, value)) = field(&tokens[at..]) else {
                        continue;
                    };
                    match name {
                        "name" => zon.name = literal(value),
                        "minimum_zig_version" => zon.minimum = literal(value),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        zon
    }
}

/// `.name = `, and what follows.
pub(super) fn field(tokens: &[Token]) -> Option<(&str, &[Token])> {
    match tokens {
        [
            Token::Sign('.'),
            Token::Word(name),
            Token::Sign('='),
            value @ ..,
        ] => Some((name, value)),
        _ => None,
    }
}

/// `"text"`, `.name` or `.@"name"`.
fn literal(tokens: &[Token]) -> Option<String> {
    match tokens {
        [Token::Text(text), ..]
        | [Token::Sign('.'), Token::Word(text), ..]
        | [Token::Sign('.'), Token::Sign('@'), Token::Text(text), ..] => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_package_are_told_from_those_of_dependencies() {
        let zon = Zon::parse(
            ".{\n    // .name = .gone,\n    .dependencies = .{ .zap = .{ .name = \"zap\" } },\n    .name = .@\"my-shop\",\n    .minimum_zig_version = \"0.15.2\",\n}",
        );
        assert_eq!(zon.name.as_deref(), Some("my-shop"));
        assert_eq!(zon.minimum.as_deref(), Some("0.15.2"));
    }

    #[test]
    fn a_name_is_a_literal_of_either_kind_or_none() {
        for (text, name) in [
            (".{ .name = .shop }", Some("shop")),
            (".{ .name = \"shop\" }", Some("shop")),
            (".{ .name = 3 }", None),
            (".{ .name", None),
            ("", None),
        ] {
            assert_eq!(Zon::parse(text).name.as_deref(), name, "{text}");
        }
    }
}
