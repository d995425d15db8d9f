//! Reads build.zig, which is a program, for the calls that say what it makes.
//!
//! Branches are read as if all of them ran.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Style, Token, tokens};

use super::zon::field;

/// What build.zig says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// Names of programs, those that are installed alone when any is. Names that are no literal are missing.
    pub(super) programs: Vec<String>,
    /// Names of libraries of the system.
    pub(super) libraries: Vec<String>,
    /// Whether the processor can be chosen on the command line.
    pub(super) takes_target: bool,
    /// Whether `-Doptimize` is an option.
    pub(super) takes_optimize: bool,
    /// Whether more than programs is installed: files to serve, shared libraries.
    pub(super) installs_more: bool,
}

/// No call that is looked at has more words than this before its name.
const WORD_LIMIT: usize = 200;

/// Calls that install something else than a program.
const INSTALLS_MORE: [&str; 9] = [
    "addInstallBinFile",
    "addInstallDirectory",
    "addInstallFile",
    "addInstallFileWithDir",
    "addInstallLibFile",
    "addSharedLibrary",
    "installBinFile",
    "installDirectory",
    "installFile",
];

/// A program: the variable that holds it, and its name or the constant that does.
struct Program {
    variable: String,
    name: Token,
}

impl Script {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = tokens(text, Style::Slashes);
        let mut script = Self::default();
        let mut programs = Vec::new();
        let mut installed: BTreeSet<&str> = BTreeSet::new();
        let mut constants: BTreeMap<&str, &str> = BTreeMap::new();
        // The variable whose declaration is being read.
        let mut variable = "";
        for (at, token) in tokens.iter().enumerate() {
            let rest = tokens.get(at + 1..).unwrap_or_default();
            let Some(word) = token.word() else {
                if *token == Token::Sign(';') {
                    variable = "";
                }
                continue;
            };
            match (word, rest) {
                ("const" | "var", [Token::Word(name), after @ ..]) => {
                    variable = name;
                    if let [Token::Sign('='), Token::Text(text), Token::Sign(';'), ..] = after {
                        constants.insert(name, text);
                    }
                }
                ("addExecutable", [Token::Sign('('), arguments @ ..]) => {
                    programs.extend(name_of(arguments).map(|name| Program {
                        variable: variable.to_owned(),
                        name: name.clone(),
                    }));
                }
                ("installArtifact", [Token::Sign('('), Token::Word(program), ..]) => {
                    installed.insert(program);
                }
                (
                    "linkSystemLibrary" | "linkSystemLibrary2",
                    [Token::Sign('('), Token::Text(library), ..],
                ) => script.libraries.push(library.clone()),
                _ => script.note(word, rest),
            }
        }
        let any = programs
            .iter()
            .any(|program| installed.contains(program.variable.as_str()));
        for program in programs {
            let name = match &program.name {
                Token::Word(constant) => constants.get(constant.as_str()).copied(),
                other => other.text(),
            };
            if let Some(name) = name
                && (!any || installed.contains(program.variable.as_str()))
                && !script.programs.iter().any(|known| known == name)
            {
                script.programs.push(name.to_owned());
            }
        }
        script
    }

    /// Takes what the mere use of a name says.
    fn note(&mut self, word: &str, rest: &[Token]) {
        match word {
            "standardTargetOptions" => self.takes_target = true,
            "standardOptimizeOption" => {
                // With a preferred mode the option is `-Drelease`.
                let preferred = rest
                    .iter()
                    .take(WORD_LIMIT)
                    .take_while(|token| **token != Token::Sign(')'))
                    .any(|token| token.word() == Some("preferred_optimize_mode"));
                self.takes_optimize = !preferred;
            }
            // `.linkage = .dynamic` of a library.
            "dynamic" => self.installs_more = true,
            word if INSTALLS_MORE.contains(&word) => self.installs_more = true,
            _ => {}
        }
    }
}

/// The value of `.name` in `.{ .name = "shop", ... }`, when nothing is computed.
fn name_of(arguments: &[Token]) -> Option<&Token> {
    let mut depth = 0_usize;
    for (at, token) in arguments.iter().take(WORD_LIMIT).enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth = depth.checked_sub(1)?,
            Token::Sign('.') if depth == 1 => {
                if let Some(("name", [value, Token::Sign(',' | '}'), ..])) = field(&arguments[at..])
                {
                    return Some(value);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `zig init` of 0.15 writes, without its comments.
    const INIT: &str = r#"const std = @import("std");
pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const mod = b.addModule("shop", .{ .root_source_file = b.path("src/root.zig"), .target = target });
    const exe = b.addExecutable(.{
        .root_module = b.createModule(.{
            .root_source_file = b.path("src/main.zig"),
            .imports = &.{ .{ .name = "gone", .module = mod } },
        }),
        .name = "shop",
    });
    b.installArtifact(exe);
    const run_cmd = b.addRunArtifact(exe);
    const mod_tests = b.addTest(.{ .root_module = mod });
}"#;

    #[test]
    fn what_zig_init_writes_is_understood() {
        let script = Script::parse(INIT);
        let expected = Script {
            programs: vec!["shop".to_owned()],
            takes_target: true,
            takes_optimize: true,
            ..Script::default()
        };
        assert_eq!(script, expected);
    }

    #[test]
    fn programs_that_are_installed_come_alone_and_constants_are_names() {
        let script = Script::parse(
            "const server = \"web\"; pub fn build(b: *B) void { const gen = b.addExecutable(.{ .name = \"gen\" });\n\
             const optimize = b.standardOptimizeOption(.{ .preferred_optimize_mode = .ReleaseFast });\n\
             const exe = b.addExecutable(.{ .name = server, .c = '\"' });\n\
             exe.linkSystemLibrary(\"sqlite3\"); b.installArtifact(exe); b.installDirectory(.{}); }",
        );
        assert_eq!(script.programs, ["web"]);
        assert_eq!(script.libraries, ["sqlite3"]);
        assert!(!script.takes_optimize && !script.takes_target && script.installs_more);
    }

    #[test]
    fn a_name_that_is_computed_is_no_name() {
        let script = Script::parse("const e = b.addExecutable(.{ .name = b.fmt(\"a{}\", .{1}) });");
        assert_eq!(script.programs, [""; 0]);
        let script = Script::parse("const e = b.addExecutable(.{ .name = \"a\" ++ x });");
        assert_eq!(script.programs, [""; 0]);
    }
}
