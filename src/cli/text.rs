//! Text of others on its way to a terminal.
//!
//! File names, messages and the output of commands may hold control characters that move the
//! cursor, write the clipboard or reorder what is read. Ours show them, output loses them.

use std::io::{self, Write};

/// Makes every control and direction character visible.
pub fn escape(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || character == '\t' {
            clean.push(character);
        } else if character.is_control() || reorders(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// Writes a line to standard error at once: what another process writes there cannot come between.
///
/// A reader that went away must not end a build, so errors are not looked at.
pub fn say(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The longest title of a step, in characters.
const TITLE: usize = 120;

/// A title that fits a line: of several commands the first ones. `plan` and the log of the output have all.
pub fn brief(title: &str) -> String {
    if title.chars().count() <= TITLE {
        return title.to_owned();
    }
    let mut kept = 0;
    for (end, _) in title.match_indices(" && ") {
        if title[..end].chars().count() <= TITLE {
            kept = end;
        }
    }
    match kept {
        0 => title.chars().take(TITLE).chain(['…']).collect(),
        kept => format!("{} && …", &title[..kept]),
    }
}

/// Removes control sequences from a command's output; colours stay where they are wanted.
pub fn strip(line: &str, colours: bool) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut coloured = false;
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                let sequence = escape_sequence(&mut rest);
                if colours && is_colour(&sequence) {
                    coloured = true;
                    clean.push('\x1b');
                    clean.push_str(&sequence);
                }
            }
            '\t' => clean.push('\t'),
            // A progress bar that overwrites itself: the last state is what one would see.
            '\r' => clean.clear(),
            character if character.is_control() || reorders(character) => {}
            character => clean.push(character),
        }
    }
    if coloured {
        clean.push_str("\x1b[0m");
    }
    clean
}

/// `[1;31m`: other sequences that end in `m` change the keyboard or hide control characters.
fn is_colour(sequence: &str) -> bool {
    let numbers = sequence
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|numbers| {
        numbers
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':')
    })
}

/// Takes the rest of an escape sequence: `[` up to a letter, `]` up to its end, or one character.
fn escape_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut sequence = String::new();
    let Some(kind) = rest.next() else {
        return sequence;
    };
    sequence.push(kind);
    match kind {
        '[' => {
            for character in rest.by_ref() {
                sequence.push(character);
                if ('\x40'..='\x7e').contains(&character) {
                    break;
                }
            }
        }
        ']' | 'P' | '_' | '^' => {
            while let Some(character) = rest.next() {
                if character == '\x07' {
                    break;
                }
                if character == '\x1b' && rest.peek() == Some(&'\\') {
                    rest.next();
                    break;
                }
            }
        }
        _ => {}
    }
    sequence
}

/// Unicode's characters that change the direction of what follows.
fn reorders(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_text_shows_what_others_hide() {
        assert_eq!(
            escape("a\x1b]8;;x\x07b\r\u{202e}c"),
            "a\\u{1b}]8;;x\\u{7}b\\u{d}\\u{202e}c"
        );
    }

    #[test]
    fn output_keeps_colours_alone_and_only_on_demand() {
        let line = "\x1b[31mred\x1b[0m \x1b]52;c;YQ==\x07\x1b[2Jx\u{202e}y";
        assert_eq!(strip(line, false), "red xy");
        assert_eq!(strip(line, true), "\x1b[31mred\x1b[0m xy\x1b[0m");
        assert_eq!(
            strip("\x1b[\r\x08mx\x1b[>4;2my\x1b[38:5:1mz", true),
            "xy\x1b[38:5:1mz\x1b[0m"
        );
        assert_eq!(strip("10%\r20%\r30%", false), "30%");
    }

    #[test]
    fn a_long_title_keeps_its_first_commands() {
        let long = "x".repeat(110);
        assert_eq!(brief("install: a && b"), "install: a && b");
        assert_eq!(
            brief(&format!("a: {long} && b && {long}")),
            format!("a: {long} && b && …")
        );
        assert_eq!(brief(&"ä".repeat(150)), "ä".repeat(120) + "…");
    }
}
