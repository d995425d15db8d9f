//! The programs that this one can stand for: by a link of their name, callers find it where they look for them.

use std::ffi::OsString;
use std::path::Path;

/// Under whose name this program was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Its own.
    Packwright,
    /// That of nixpacks.
    Nixpacks,
    /// That of Railpack, for which every `--env` is a secret of the build.
    Railpack,
}

/// nixpacks' flags of all verbs, whose value is the next argument.
const VALUED: [&str; 16] = [
    "--json-plan",
    "-i",
    "--install-cmd",
    "-b",
    "--build-cmd",
    "-s",
    "--start-cmd",
    "-p",
    "--pkgs",
    "-a",
    "--apt",
    "--libs",
    "-e",
    "--env",
    "-c",
    "--config",
];

impl Caller {
    /// By the first of the process' arguments.
    pub fn of_process() -> Self {
        Self::of(std::env::args_os().next())
    }

    fn of(program: Option<OsString>) -> Self {
        let program = program.unwrap_or_default();
        match Path::new(&program)
            .file_name()
            .and_then(|name| name.to_str())
        {
            Some("nixpacks") => Self::Nixpacks,
            Some("railpack") => Self::Railpack,
            _ => Self::Packwright,
        }
    }

    /// The command line under this name, with the version that callers compare.
    pub fn dress(self, command: clap::Command) -> clap::Command {
        let (name, version) = match self {
            Self::Packwright => return command,
            Self::Nixpacks => (
                "nixpacks",
                concat!("1.41.0 (packwright ", env!("CARGO_PKG_VERSION"), ")"),
            ),
            Self::Railpack => (
                "railpack",
                concat!("0.23.0 (packwright ", env!("CARGO_PKG_VERSION"), ")"),
            ),
        };
        command.name(name).bin_name(name).version(version)
    }

    /// Arguments in the order that is read here: nixpacks takes flags about the plan before the verb too.
    pub fn arranged(self, mut args: Vec<OsString>) -> Vec<OsString> {
        if self != Self::Nixpacks {
            return args;
        }
        let mut at = 1;
        while let Some(flag) = args.get(at).and_then(|arg| arg.to_str()) {
            if !flag.starts_with('-') {
                let verb = args.remove(at);
                args.insert(1, verb);
                break;
            }
            at += if VALUED.contains(&flag) { 2 } else { 1 };
        }
        args
    }

    /// The exit code: callers of the others know one code of failure, and for wrong arguments clap's.
    pub fn exit_code(self, code: u8) -> u8 {
        let temporary = self == Self::Railpack && code == 75;
        if self == Self::Packwright || temporary || code >= 128 {
            code
        } else {
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_whom_this_program_stands_for() {
        let of = |name: &str| Caller::of(Some(name.into()));
        assert_eq!(of("/usr/local/bin/nixpacks"), Caller::Nixpacks);
        assert_eq!(of("railpack"), Caller::Railpack);
        assert_eq!(of("/nixpacks/packwright"), Caller::Packwright);
        assert_eq!(Caller::of(None), Caller::Packwright);
        assert_eq!(
            [22, 75, 130].map(|code| Caller::Nixpacks.exit_code(code)),
            [1, 1, 130]
        );
        assert_eq!(
            [22, 75, 130].map(|code| Caller::Railpack.exit_code(code)),
            [1, 75, 130]
        );
        assert_eq!(Caller::Packwright.exit_code(22), 22);
    }

    #[test]
    fn nixpacks_flags_may_stand_before_the_verb() {
        let arranged = |caller: Caller, line: &str| {
            let args = line.split(' ').map(OsString::from).collect();
            caller
                .arranged(args)
                .join(" ".as_ref())
                .into_string()
                .unwrap()
        };
        let line = "nixpacks --env A=1 --config=x -s plan plan --format toml .";
        assert_eq!(
            arranged(Caller::Nixpacks, line),
            "nixpacks plan --env A=1 --config=x -s plan --format toml ."
        );
        assert_eq!(arranged(Caller::Packwright, line), line);
        for line in [
            "nixpacks",
            "nixpacks --env",
            "nixpacks build .",
            "nixpacks -V",
        ] {
            assert_eq!(arranged(Caller::Nixpacks, line), line);
        }
    }
}
