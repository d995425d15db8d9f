//! The ways in which ecosystems write ranges of versions, as ranges in npm's grammar.

/// A way to write ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// npm: `^22.1 || 24.x`.
    Npm,
    /// Version managers: `3.3`, `v3.3.1`, `ruby-3.3.1`, `temurin-21.0.1`.
    Plain,
    /// Ruby's gems and Mix: `~> 3.2`, `>= 3.1, < 4`; Mix's `and` and `or` too.
    Gem,
    /// Composer: `^8.2`, `~8.2`, `>=8.1 <9`, `8.*`, `8.1 - 8.4`, `^7.4|^8`.
    Composer,
}

impl Grammar {
    /// The same range in npm's grammar; what is wrong otherwise.
    pub(super) fn range(self, text: &str) -> Result<String, String> {
        match self {
            Self::Npm => Ok(text.to_owned()),
            Self::Plain => plain(text),
            Self::Gem => any_of(&text.replace(" or ", "||").replace(" and ", ","), gem),
            Self::Composer => any_of(&text.replace("||", "|").replace('|', "||"), composer),
        }
    }
}

/// Alternatives and, in each, conditions that all hold.
fn any_of(text: &str, condition: fn(&str) -> Result<String, String>) -> Result<String, String> {
    let alternatives: Result<Vec<String>, String> = text
        .split("||")
        .map(|all| {
            let parts: Result<Vec<String>, String> = conditions(all).map(condition).collect();
            Ok(parts?.join(" "))
        })
        .collect();
    Ok(alternatives?.join(" || "))
}

/// Splits at commas and at spaces that do not follow an operator; `a - b` stays one.
fn conditions(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let hyphen = text.contains(" - ");
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        if rest.is_empty() {
            return None;
        }
        if hyphen {
            return Some(std::mem::take(&mut rest));
        }
        let operator = rest
            .find(|letter: char| !"<>=!~^ ".contains(letter))
            .unwrap_or(rest.len());
        let end = rest[operator..]
            .find([',', ' ', '\t'])
            .map_or(rest.len(), |at| operator + at);
        let (one, after) = rest.split_at(end);
        rest = after;
        Some(one)
    })
}

fn plain(text: &str) -> Result<String, String> {
    let start = text
        .find(|letter: char| letter.is_ascii_digit())
        .ok_or("there is no number in it")?;
    // What comes before is a vendor's or the tool's name: ruby-, temurin-, v.
    if !text[..start]
        .chars()
        .all(|letter| letter.is_ascii_alphabetic() || "-_/@+.".contains(letter))
    {
        return Err("not a version".to_owned());
    }
    let numbers: Vec<&str> = text[start..]
        .split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .split('.')
        .take(3)
        .collect();
    Ok(numbers.join("."))
}

fn numbers(text: &str) -> Result<Vec<u64>, String> {
    let text = text.trim().trim_start_matches('v');
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    text[..end]
        .trim_end_matches('.')
        .split('.')
        .map(|part| {
            part.parse()
                .map_err(|_| format!("{text:?} is not a version"))
        })
        .collect()
}

fn dotted(numbers: &[u64]) -> String {
    let words: Vec<String> = numbers.iter().take(3).map(u64::to_string).collect();
    words.join(".")
}

/// The version above all that share all numbers but the last.
fn bump(numbers: &[u64]) -> String {
    let shared = numbers.len().min(3).saturating_sub(1).max(1);
    let mut upper = numbers[..shared].to_vec();
    if let Some(last) = upper.last_mut() {
        *last = last.saturating_add(1);
    }
    dotted(&upper)
}

fn split(condition: &str) -> (&str, &str) {
    let end = condition
        .find(|letter: char| !"<>=!~^".contains(letter))
        .unwrap_or(condition.len());
    let (operator, version) = condition.split_at(end);
    (operator, version.trim())
}

fn gem(condition: &str) -> Result<String, String> {
    let (operator, version) = split(condition);
    let numbers = numbers(version)?;
    match operator {
        "~>" => Ok(format!(">={} <{}", dotted(&numbers), bump(&numbers))),
        "" | "=" | "==" => Ok(dotted(&numbers)),
        ">" | ">=" | "<" | "<=" => Ok(format!("{operator}{}", dotted(&numbers))),
        "!=" => Ok(String::new()),
        other => Err(format!("{other:?} is not an operator")),
    }
}

fn composer(condition: &str) -> Result<String, String> {
    let plain = condition.split('@').next().unwrap_or_default().trim();
    if plain == "*" || plain.contains(" - ") {
        return Ok(plain.to_owned());
    }
    let (operator, version) = split(plain);
    let wild = version.trim_end_matches(".*").trim_end_matches(".x");
    let numbers = numbers(wild)?;
    match operator {
        "~" => Ok(format!(">={} <{}", dotted(&numbers), bump(&numbers))),
        "^" | ">" | ">=" | "<" | "<=" => Ok(format!("{operator}{}", dotted(&numbers))),
        "" | "=" | "==" => Ok(dotted(&numbers)),
        "!=" | "<>" => Ok(String::new()),
        other => Err(format!("{other:?} is not an operator")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(grammar: Grammar, wishes: &[(&str, &str)]) {
        for (wish, range) in wishes {
            assert_eq!(grammar.range(wish).as_deref(), Ok(*range), "{wish}");
            assert!(nodejs_semver::Range::parse(range).is_ok(), "{range}");
        }
    }

    #[test]
    fn version_managers_write_names_before_numbers() {
        all(
            Grammar::Plain,
            &[
                ("3.3", "3.3"),
                ("ruby-3.3.1", "3.3.1"),
                ("v1.2.3-rc1", "1.2.3"),
                ("temurin-21.0.1+12", "21.0.1"),
                ("17.0.9-tem", "17.0.9"),
                ("21.0.2.1", "21.0.2"),
            ],
        );
        assert!(Grammar::Plain.range("banana").is_err());
    }

    #[test]
    fn gems_and_mix() {
        all(
            Grammar::Gem,
            &[
                ("~> 3.2", ">=3.2 <4"),
                ("~> 3.2.1", ">=3.2.1 <3.3"),
                (">= 3.0, < 4", ">=3.0 <4"),
                ("3.3.1", "3.3.1"),
                ("~> 1.14 or ~> 1.15.2", ">=1.14 <2 || >=1.15.2 <1.16"),
                (">= 1.14.0 and < 2.0.0", ">=1.14.0 <2.0.0"),
            ],
        );
        assert!(Grammar::Gem.range("~> banana").is_err());
    }

    #[test]
    fn composer_s_tilde_frees_the_last_number() {
        all(
            Grammar::Composer,
            &[
                ("^8.2", "^8.2"),
                ("~8.2", ">=8.2 <9"),
                ("~8.2.1", ">=8.2.1 <8.3"),
                (">=8.1 <9", ">=8.1 <9"),
                (">=8.1,<9", ">=8.1 <9"),
                ("8.3.*", "8.3"),
                ("^7.4|^8.0", "^7.4 || ^8.0"),
                ("8.1 - 8.4", "8.1 - 8.4"),
                (">= 8.1", ">=8.1"),
            ],
        );
    }
}
