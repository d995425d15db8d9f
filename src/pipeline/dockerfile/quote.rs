//! Texts as a Dockerfile writes them.
//!
//! Builders take an instruction apart twice: its words, with quotes and backslashes; then variables
//! in each. Arguments in JSON go without both, except those of COPY and ADD, which know variables.

/// A word in double quotes, of which builders make exactly `text`. Line breaks cannot be written.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        if matches!(letter, '\\' | '"' | '$') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

/// Whether [`quoted`] can say it: one line, short enough for builders that read lines of 64 KiB.
pub fn can_be_quoted(text: &str) -> bool {
    text.len() < 30_000 && !text.contains(['\n', '\r', '\0'])
}

/// Whether an argument may have this name.
pub fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    let first = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic() || letter == b'_');
    first && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// A path of the build context as COPY takes it: neither variables nor patterns.
pub fn context_path(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    for letter in path.chars() {
        match letter {
            '*' | '?' | '[' => {
                plain.push('[');
                plain.push(letter);
                plain.push(']');
            }
            '\\' | '$' | '"' | '\'' => {
                plain.push('\\');
                plain.push(letter);
            }
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builders_take_apart_is_escaped() {
        assert_eq!(quoted(r#"a "b" $c \d"#), r#""a \"b\" \$c \\d""#);
        assert!(can_be_quoted("ü\u{2028}\t") && !can_be_quoted("a\nb"));
        assert!(is_name("A_1") && !is_name("1A") && !is_name("a-b") && !is_name(""));
        assert_eq!(context_path("app/[id]/$x.js"), "app/[[]id]/\\$x.js");
    }
}
