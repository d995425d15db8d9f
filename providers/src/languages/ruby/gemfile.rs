//! Reads what a Gemfile says outright: gems, the Ruby, and whether it needs other files.
//!
//! A Gemfile is a program. Its words, strings and comments are told apart, and calls with literal arguments are taken;
//! what it computes is not guessed: Gemfile.lock has the result.

use std::collections::BTreeMap;

/// What a Gemfile says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gemfile {
    /// Names of gems, each with its line.
    pub(super) gems: BTreeMap<String, usize>,
    /// The Ruby that it asks for.
    pub(super) ruby: Option<Wish>,
    /// Why it needs more than itself and its lock.
    pub(super) reads: Option<String>,
}

/// A `ruby` call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Conditions as they are written, joined by commas; empty where only a file is named.
    pub(super) version: String,
    /// `file: ".ruby-version"`.
    pub(super) file: Option<String>,
    /// `engine: "jruby"`.
    pub(super) engine: Option<String>,
    pub(super) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// A string without interpolation.
    Text(String),
    /// A string or expression whose value only Ruby knows.
    Unknown,
    Sign(char),
    End,
}

impl Gemfile {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut gemfile = Self::default();
        for (index, (token, line)) in tokens.iter().enumerate() {
            let begins = index == 0
                || matches!(
                    &tokens.get(index - 1),
                    Some((Token::End | Token::Sign('{' | '|'), _))
                )
                || matches!(&tokens.get(index - 1), Some((Token::Word(word), _)) if word == "do" || word == "then" || word == "else");
            if let Token::Word(word) = token
                && begins
            {
                let call = Call::read(tokens.get(index + 1..).unwrap_or_default());
                gemfile.call(word, &call, *line);
            }
        }
        gemfile
    }

    fn call(&mut self, name: &str, call: &Call, line: usize) {
        match name {
            "gem" => {
                let Some(gem) = call.texts.first() else {
                    return;
                };
                self.gems.insert(gem.clone(), line);
                if call.options.contains_key("path") {
                    self.reads = Some(format!("{gem} is installed from a local path"));
                }
            }
            "ruby" => {
                let file = call.options.get("file").cloned().flatten();
                if file.is_some() || !call.texts.is_empty() {
                    self.ruby = Some(Wish {
                        version: call.texts.join(", "),
                        file,
                        engine: call.options.get("engine").cloned().flatten(),
                        line,
                    });
                }
            }
            "gemspec" => self.reads = Some("gemspec names files of the source".to_owned()),
            "path" => self.reads = Some("gems are installed from a local path".to_owned()),
            "eval_gemfile" | "instance_eval" | "require_relative" | "load" => {
                self.reads = Some(format!("{name} reads another file"));
            }
            _ => {}
        }
    }
}

/// The literal arguments of a call.
#[derive(Default)]
struct Call {
    texts: Vec<String>,
    /// By key; `None` for a value that is not a string.
    options: BTreeMap<String, Option<String>>,
}

impl Call {
    /// Reads until the statement ends; a line that ends in a comma goes on.
    fn read(tokens: &[(Token, usize)]) -> Self {
        let mut call = Self::default();
        let mut depth = 0_usize;
        let mut before = &Token::End;
        let mut key: Option<String> = None;
        for (index, (token, _)) in tokens.iter().enumerate() {
            let next = tokens.get(index + 1).map(|next| &next.0);
            match token {
                Token::End if depth == 0 && *before != Token::Sign(',') => break,
                Token::End => continue,
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Token::Word(word)
                    if depth == 0 && matches!(word.as_str(), "if" | "unless" | "do") =>
                {
                    break;
                }
                // `path: x` and `:path => x`.
                Token::Word(word)
                    if next == Some(&Token::Sign(':')) || *before == Token::Sign(':') =>
                {
                    call.options.insert(word.clone(), None);
                    key = Some(word.clone());
                }
                Token::Text(text) => match &key {
                    Some(key) => {
                        call.options
                            .entry(key.clone())
                            .or_default()
                            .get_or_insert_with(|| text.clone());
                    }
                    None => call.texts.push(text.clone()),
                },
                // Positional arguments that are not literal make the rest unknown.
                Token::Word(_) | Token::Unknown if key.is_none() && call.texts.is_empty() => break,
                _ => {}
            }
            before = token;
        }
        call
    }
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut comment = false;
    for (index, line) in text.lines().enumerate() {
        if line == "__END__" {
            break;
        }
        if comment || line.starts_with("=begin") {
            comment = !line.starts_with("=end");
            continue;
        }
        words(line, &mut |token| tokens.push((token, index + 1)));
        tokens.push((Token::End, index + 1));
    }
    tokens
}

fn words(line: &str, push: &mut dyn FnMut(Token)) {
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => return,
            '"' | '\'' => {
                let (token, length) = string(rest, first);
                push(token);
                length
            }
            ';' => {
                push(Token::End);
                1
            }
            letter
                if letter.is_alphanumeric() || letter == '_' || letter == '@' || letter == '$' =>
            {
                let end = rest
                    .find(|letter: char| !(letter.is_alphanumeric() || "_@$?!".contains(letter)))
                    .unwrap_or(rest.len());
                push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
                end
            }
            '%' => {
                push(Token::Unknown);
                1
            }
            sign => {
                push(Token::Sign(sign));
                sign.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
}

/// A string that ends on its line, and its length with the quotes.
fn string(text: &str, quote: char) -> (Token, usize) {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    let mut plain = true;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ if letter == quote => {
                let token = if plain {
                    Token::Text(value)
                } else {
                    Token::Unknown
                };
                return (token, at + quote.len_utf8());
            }
            '#' if quote == '"' && letters.peek().is_some_and(|(_, next)| *next == '{') => {
                plain = false;
            }
            _ => value.push(letter),
        }
    }
    (Token::Unknown, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Gemfile::parse(text).gems.into_keys().collect()
    }

    #[test]
    fn gems_are_calls_and_not_comments_or_strings() {
        let text = "source 'x' # gem 'no'\ngem \"rails\", \"~> 7.1\"\n=begin\ngem 'no'\n=end\n\
            group :test do\n  gem('rspec', require: false)\nend\nputs \"gem 'no'\"\n\
            gem 'pg' if ENV['X']\ngem \"a-#{b}\"\ngem name\n__END__\ngem 'no'\n";
        assert_eq!(names(text), ["pg", "rails", "rspec"]);
    }

    #[test]
    fn the_ruby_is_a_version_a_range_or_a_file() {
        let wish = |text: &str| Gemfile::parse(text).ruby;
        assert_eq!(wish("ruby '3.3.0'").unwrap().version, "3.3.0");
        assert_eq!(
            wish("ruby '>= 3.1', '< 4'\n").unwrap().version,
            ">= 3.1, < 4"
        );
        assert_eq!(wish("\nruby('3.3.0')\n").unwrap().line, 2);
        assert_eq!(
            wish("ruby file: '.ruby-version'").unwrap().file.unwrap(),
            ".ruby-version"
        );
        let jruby = wish("ruby '3.1.4', :engine => 'jruby', engine_version: '9.4'").unwrap();
        assert_eq!(
            (jruby.version.as_str(), jruby.engine.as_deref()),
            ("3.1.4", Some("jruby"))
        );
        assert_eq!(wish("ruby ENV['RUBY'] || '3.1'\n# ruby '2.7'\n"), None);
    }

    #[test]
    fn other_files_are_told() {
        let reads = |text: &str| Gemfile::parse(text).reads;
        assert_eq!(
            reads("gem 'a', path: 'engines/a'").unwrap(),
            "a is installed from a local path"
        );
        assert_eq!(
            reads("gem 'a',\n  :path => 'engines/a'").unwrap(),
            "a is installed from a local path"
        );
        assert!(reads("gemspec\n").is_some() && reads("eval_gemfile 'x'").is_some());
        assert_eq!(reads("gem 'a', git: 'https://x/path'"), None);
    }

    #[test]
    fn nothing_makes_it_panic() {
        for text in [
            "gem '",
            "gem \"\\",
            "ruby",
            "ruby file:",
            "gem(",
            "%w[gem]",
            "é \"é",
            "gem 'é\\",
        ] {
            Gemfile::parse(text);
        }
    }
}
