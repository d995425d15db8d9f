//! Reads what a mix.exs says outright: names, the Elixir, dependencies, releases and aliases.
//!
//! A mix.exs is a program. Only literals are taken; what it computes is not guessed.

use std::collections::BTreeSet;

use crate::tokens::{Style, Token, tokens};

/// What a mix.exs says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mix {
    /// The application's name.
    pub(super) app: Option<String>,
    /// The requirement on Elixir's version.
    pub(super) elixir: Option<String>,
    /// Names of dependencies.
    pub(super) dependencies: BTreeSet<String>,
    /// Names of releases, in their order.
    pub(super) releases: Vec<String>,
    /// Names of aliases.
    pub(super) aliases: Vec<String>,
    /// The folder of an umbrella's applications.
    pub(super) apps_path: Option<String>,
    /// Whether Git fetches a dependency.
    pub(super) git: bool,
    /// Why it needs more than itself and its lock.
    pub(super) reads: Option<String>,
}

impl Mix {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Hash);
        let mut mix = Self {
            releases: keys_of(&tokens, "releases"),
            aliases: keys_of(&tokens, "aliases"),
            ..Self::default()
        };
        for at in 0..tokens.len() {
            mix.read(tokens.get(at..).unwrap_or_default());
        }
        mix
    }

    /// What the first of these tokens begins.
    fn read(&mut self, tokens: &[Token]) {
        match tokens {
            [
                Token::Word(key),
                Token::Sign(':'),
                Token::Sign(':'),
                Token::Word(name),
                ..,
            ] if key == "app" => {
                self.app.get_or_insert_with(|| name.clone());
            }
            [Token::Word(key), Token::Sign(':'), Token::Text(value), ..] => match key.as_str() {
                "elixir" => {
                    self.elixir.get_or_insert_with(|| value.clone());
                }
                "apps_path" => self.apps_path = Some(value.clone()),
                "path" => self.reads = Some(format!("a dependency is in {value}")),
                "git" | "github" => self.git = true,
                _ => {}
            },
            [
                Token::Sign('{'),
                Token::Sign(':'),
                Token::Word(name),
                Token::Sign(','),
                ..,
            ] => {
                self.dependencies.insert(name.clone());
            }
            [
                Token::Word(module),
                Token::Sign('.'),
                Token::Word(function),
                ..,
            ] if matches!(module.as_str(), "File" | "Code") => {
                self.reads = Some(format!("mix.exs calls {module}.{function}"));
            }
            _ => {}
        }
    }
}

/// The keys of the list after `name:`, or of the list that the function `name` returns.
fn keys_of(tokens: &[Token], name: &str) -> Vec<String> {
    let is_name = |token: Option<&Token>| token.and_then(Token::word) == Some(name);
    let list = (0..tokens.len()).find_map(|at| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let defined = before
            .and_then(Token::word)
            .is_some_and(|word| matches!(word, "def" | "defp"));
        let after: &[Token] = match tokens.get(at + 1..)? {
            [Token::Sign(':'), Token::Sign('['), rest @ ..] => rest,
            rest if defined => {
                let open = rest.iter().position(|token| *token == Token::Sign('['))?;
                let ended = rest
                    .iter()
                    .take(open)
                    .any(|token| token.word() == Some("end"));
                rest.get(open + 1..).filter(|_| !ended)?
            }
            _ => return None,
        };
        is_name(tokens.get(at)).then_some(after)
    });
    keys(list.unwrap_or_default())
}

/// The keys of a keyword list whose opening bracket is gone.
fn keys(tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('[' | '{' | '(') => depth += 1,
            Token::Sign(']') if depth == 0 => break,
            Token::Sign(']' | '}' | ')') => depth = depth.saturating_sub(1),
            Token::Word(key) | Token::Text(key) if depth == 0 => {
                let first = at.checked_sub(1).and_then(|before| tokens.get(before));
                let begins = first.is_none_or(|token| *token == Token::Sign(','));
                if begins && tokens.get(at + 1) == Some(&Token::Sign(':')) {
                    found.push(key.clone());
                }
            }
            _ => {}
        }
    }
    found
}

/// The dependencies that a mix.lock has, and whether one comes from Git. A lock is one map of names to tuples.
pub(super) fn locked(text: &str) -> (BTreeSet<String>, bool) {
    let tokens = tokens(text, Style::Hash);
    let mut names = BTreeSet::new();
    let mut git = false;
    for window in tokens.windows(5) {
        if let [
            Token::Text(name),
            Token::Sign(':'),
            Token::Sign('{'),
            Token::Sign(':'),
            Token::Word(source),
        ] = window
        {
            names.insert(name.clone());
            git |= source == "git";
        }
    }
    (names, git)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_taken_and_comments_are_not() {
        let mix = Mix::parse(
            r#"
defmodule Hello.MixProject do
  use Mix.Project
  # app: :other, elixir: "~> 1.0"
  def project do
    [app: :hello, elixir: "~> 1.15", aliases: aliases(), deps: deps(),
     releases: [web: [applications: [hello: :permanent]], worker: []]]
  end
  defp deps do
    [{:phoenix, "~> 1.7"}, # {:gone, "1"}
     {:local, path: "../local"}, {:fork, github: "a/b"}]
  end
  defp aliases do
    [setup: ["deps.get", "assets.setup"], "assets.deploy": ["esbuild hello --minify"]]
  end
end"#,
        );
        assert_eq!(mix.app.as_deref(), Some("hello"));
        assert_eq!(mix.elixir.as_deref(), Some("~> 1.15"));
        assert_eq!(mix.releases, ["web", "worker"]);
        assert_eq!(mix.aliases, ["setup", "assets.deploy"]);
        assert_eq!(
            Vec::from_iter(mix.dependencies),
            ["fork", "local", "phoenix"]
        );
        assert!(mix.git);
        assert_eq!(mix.reads.as_deref(), Some("a dependency is in ../local"));
    }

    #[test]
    fn a_lock_names_dependencies_and_their_source() {
        let (names, git) = locked(
            r#"%{"jason": {:hex, :jason, "1.4.1", "ab", [:mix], [{:decimal, "~> 1.0", []}], "hexpm", "cd"},
  "fork": {:git, "https://example.org/fork.git", "0f", []},}"#,
        );
        assert_eq!(Vec::from_iter(names), ["fork", "jason"]);
        assert!(git);
    }
}
