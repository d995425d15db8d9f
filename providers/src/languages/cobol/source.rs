//! Reads a COBOL source for its format, its name and the programs that it calls.

/// How the columns of a source are used.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Columns 1 to 6 are numbers, 7 says what the line is, 73 and above are names. The compiler's default.
    #[default]
    Fixed,
    Free,
}

/// What a source says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) format: Format,
    /// Names of the programs in it, in capitals.
    pub(super) names: Vec<String>,
    /// Names of programs that it calls, in capitals, without those in variables.
    pub(super) calls: Vec<String>,
    /// Whether it is called by others: it takes parameters, or is a function.
    pub(super) called: bool,
}

impl Source {
    pub(super) fn parse(text: &str) -> Self {
        let format = format(text);
        let words: Vec<String> = text
            .lines()
            .filter_map(|line| content(line, format))
            .flat_map(|line| words(&line))
            .collect();
        let mut source = Self {
            format,
            ..Self::default()
        };
        for (at, word) in words.iter().enumerate() {
            let rest = words.get(at + 1..).unwrap_or_default();
            match (word.as_str(), rest) {
                ("PROGRAM-ID" | "FUNCTION-ID", [dot, name, ..]) if dot == "." => {
                    source.called |= word == "FUNCTION-ID";
                    source.names.push(bare(name).to_owned());
                }
                ("CALL", [name, ..]) if name.starts_with('"') => {
                    source.calls.push(bare(name).to_owned());
                }
                ("PROCEDURE", [division, using, ..])
                    if division == "DIVISION" && using == "USING" =>
                {
                    source.called = true;
                }
                _ => {}
            }
        }
        source
    }
}

/// A name without the quotes that it may have.
fn bare(name: &str) -> &str {
    name.trim_matches('"')
}

/// The format by the first line that says something: its words start before column 8 in the free one.
fn format(text: &str) -> Format {
    for line in text.lines().map(str::trim_end) {
        let start = line.trim_start();
        if start.is_empty() || start.starts_with(['*', '/', '$']) {
            continue;
        }
        // >>SOURCE FORMAT IS FREE is for the compiler, which reads it.
        let numbered = line.starts_with(|letter: char| letter.is_ascii_digit());
        let early = !line.starts_with('\t') && line.len() - start.len() < 7;
        if early && !numbered && start.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return Format::Free;
        }
        return Format::Fixed;
    }
    Format::Fixed
}

/// The part of a line that is code.
fn content(line: &str, format: Format) -> Option<String> {
    let code = match format {
        Format::Free => line.to_owned(),
        Format::Fixed if line.starts_with('\t') => line.to_owned(),
        Format::Fixed => {
            let mut letters = line.chars().skip(6);
            if matches!(letters.next()?, '*' | '/') {
                return None;
            }
            letters.take(65).collect()
        }
    };
    Some(code)
}

/// Words in capitals, full stops, and strings behind one quotation mark; comments end the line.
fn words(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("*>") {
            break;
        }
        if matches!(first, '"' | '\'') {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find(first).unwrap_or(inner.len());
            found.push(format!("\"{}", inner[..end].to_uppercase()));
            rest = inner.get(end + 1..).unwrap_or_default().trim_start();
            continue;
        }
        let in_word = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
        let end = rest
            .find(|letter: char| !in_word(letter))
            .unwrap_or(rest.len());
        let end = if end == 0 { first.len_utf8() } else { end };
        found.push(rest[..end].to_uppercase());
        rest = rest[end..].trim_start();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_source_has_its_code_from_column_eight_on() {
        let source = Source::parse(concat!(
            "000100* PROGRAM-ID. GONE.\n",
            "000200 IDENTIFICATION DIVISION.\n",
            "000300 PROGRAM-ID. Shop.\n",
            "000400 PROCEDURE DIVISION.\n",
            "000500     CALL 'greet' USING NAME *> CALL 'gone'\n",
            "000600     CALL WS-NAME. DISPLAY \"CALL 'x'\".\n",
        ));
        let expected = Source {
            format: Format::Fixed,
            names: vec!["SHOP".to_owned()],
            calls: vec!["GREET".to_owned()],
            called: false,
        };
        assert_eq!(source, expected);
    }

    #[test]
    fn a_source_whose_words_start_early_is_free() {
        let source = Source::parse(
            "*> greets\nidentification division.\nprogram-id. \"greet\".\nprocedure division using name.\n",
        );
        assert_eq!(source.format, Format::Free);
        assert_eq!(source.names, ["GREET"]);
        assert!(source.called);
        for fixed in [
            "       ID DIVISION.\n",
            "\tID DIVISION.\n",
            "000100 ID DIVISION.\n",
            ">>SOURCE FREE\n",
            "",
        ] {
            assert_eq!(Source::parse(fixed).format, Format::Fixed, "{fixed}");
        }
    }
}
