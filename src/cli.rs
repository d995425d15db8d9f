//! The command line: arguments, what is printed, exit codes. Nothing below prints.

mod asked;
mod build;
mod builder;
mod cache;
mod caller;
mod detect;
mod doctor;
mod explain;
mod human;
mod images;
mod json;
mod lock;
mod logs;
mod packages;
mod plan;
mod prepare;
mod run;
mod shell;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use packwright_providers::Overrides;

use crate::cache::Cache;
use crate::engine::docker::parse_typed;
use crate::error::Failure;
use crate::image::ImageStore;
use crate::interrupt::Interrupt;
use crate::pipeline::{Secret, Secrets};
use crate::report::{Event, Report};
use asked::Asked;
use caller::Caller;

/// Turns a source repository into a small, reproducible OCI image, without a Dockerfile.
#[derive(Debug, Parser)]
#[command(
    name = "packwright",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten, next_help_heading = "Options of every command")]
    global: Global,
}

/// What every verb takes.
#[derive(Debug, Args)]
struct Global {
    /// Folder of caches, images and logs [default: ~/.cache/packwright]
    #[arg(
        long,
        global = true,
        env = "PACKWRIGHT_CACHE_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    cache_dir: Option<PathBuf>,
    /// Say only the result, warnings and errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Events or results as JSON on standard output, one value a line
    #[arg(long, global = true)]
    json: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build an image of a folder
    Build(Asked<Box<build::BuildArgs>>),
    /// Print what a build would do, as JSON or TOML, without doing it
    Plan(Asked<plan::PlanArgs>),
    /// Print the names of the providers that a build would use
    Detect(Asked<detect::DetectArgs>),
    /// Say why: each decision of the plan with its evidence
    Explain(Asked<explain::ExplainArgs>),
    /// Write the plan and what was found to files, as Railpack does
    Prepare(Asked<prepare::PrepareArgs>),
    /// Start an image, or build a folder and start it
    Run(Asked<run::RunArgs>),
    /// Open a shell where a folder's phases would run, with its files and its packages
    Shell(Asked<Box<shell::ShellArgs>>),
    /// Write the packages of a folder's plan, exactly, to packwright.lock beside it
    Lock(Asked<Box<lock::LockArgs>>),
    /// List or remove local images
    #[command(subcommand)]
    Images(images::ImagesVerb),
    /// List or empty the caches
    #[command(subcommand)]
    Cache(cache::CacheVerb),
    /// Print the log of the last build, or of an earlier one
    Logs(Asked<logs::LogsArgs>),
    /// Say what this machine has of what builds need
    Doctor(Asked<doctor::DoctorArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What changes a plan, on every verb that plans.
#[derive(Debug, Default, Args)]
struct PlanFlags {
    /// Set a variable, or a NIXPACKS_ setting; KEY alone takes the value from the environment
    #[arg(long, short, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read the configuration from this file instead of nixpacks.toml
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read Railpack's configuration from this file instead of railpack.json
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    config_file: Option<PathBuf>,
    /// Accepted for Railpack's sake: versions come from what the app says
    #[arg(long, value_name = "PACKAGE", hide = true)]
    previous: Vec<String>,
    /// A plan as JSON text, laid over everything but the flags
    #[arg(long, value_name = "JSON")]
    json_plan: Option<String>,
    /// Replace the install command
    #[arg(long, short, value_name = "COMMAND")]
    install_cmd: Option<String>,
    /// Replace the build command
    #[arg(long, short, value_name = "COMMAND")]
    build_cmd: Option<String>,
    /// Replace the start command
    #[arg(long, short, value_name = "COMMAND")]
    start_cmd: Option<String>,
    /// Add a tool or Nix package
    #[arg(long, short, value_name = "PACKAGE")]
    pkgs: Vec<String>,
    /// Add a Debian package
    #[arg(long, short, value_name = "PACKAGE")]
    apt: Vec<String>,
    /// Add a library
    #[arg(long, value_name = "PACKAGE")]
    libs: Vec<String>,
    /// Run the test phase too
    #[arg(long)]
    test: bool,
}

impl PlanFlags {
    fn overrides(&self) -> anyhow::Result<Overrides> {
        Ok(Overrides {
            config_file: self.config.clone(),
            railpack_file: self.config_file.clone(),
            env_are_secrets: Caller::of_process() == Caller::Railpack,
            env: variables(&self.env)?,
            json_plan: self.json_plan.clone(),
            install_cmd: self.install_cmd.clone(),
            build_cmd: self.build_cmd.clone(),
            start_cmd: self.start_cmd.clone(),
            pkgs: self.pkgs.clone(),
            apt: self.apt.clone(),
            libs: self.libs.clone(),
            test: self.test,
        })
    }
}

/// Secrets as flags give them: `NAME` from the environment, `NAME=VALUE`, `NAME=@FILE`, or as Docker has them,
/// `id=NAME,src=FILE` and `id=NAME,env=VARIABLE`.
fn secrets(flags: &[String]) -> anyhow::Result<Secrets> {
    let of_environment = |name: &str, variable: &str| {
        std::env::var(variable).map_err(|error| {
            let reason = without_value(&error);
            Failure::usage(format!("--secret {name}: {variable}: {reason}"))
        })
    };
    let of_file = |name: &str, file: &str| {
        std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("--secret {name}: {file}: {error}")))
    };
    let mut secrets = Secrets::default();
    for flag in flags {
        let (name, value) = if flag.starts_with("id=") {
            let (_, mut fields) =
                parse_typed("--secret", &format!("type=secret,{flag}")).map_err(Failure::from)?;
            let name = fields.remove("id").unwrap_or_default();
            let file = fields.remove("src").or_else(|| fields.remove("source"));
            let value = match (file, fields.remove("env")) {
                (Some(file), _) => of_file(&name, &file)?,
                (None, Some(variable)) => of_environment(&name, &variable)?,
                (None, None) => of_environment(&name, &name)?,
            };
            (name, value)
        } else {
            match flag.split_once('=') {
                None => (flag.clone(), of_environment(flag, flag)?),
                Some((name, value)) => {
                    let value = match value.strip_prefix('@') {
                        Some(file) => of_file(name, file)?,
                        None => value.to_owned(),
                    };
                    (name.to_owned(), value)
                }
            }
        };
        if name.is_empty() || value.contains('\0') {
            return Err(Failure::usage(format!(
                "--secret {name}: it needs a name, and a value without NUL"
            ))
            .into());
        }
        secrets.0.insert(name, Secret::new(value));
    }
    Ok(secrets)
}

/// Why a variable cannot be had, without what is in it.
fn without_value(error: &std::env::VarError) -> &'static str {
    match error {
        std::env::VarError::NotPresent => "it is not set",
        std::env::VarError::NotUnicode(_) => "its value is not UTF-8",
    }
}

/// `KEY=VALUE` pairs; a bare `KEY` takes the process's value and must have one, but for those who call another program.
fn variables(pairs: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for pair in pairs {
        let (name, value) = match pair.split_once('=') {
            Some(("", _)) => {
                let message = format!("--env {pair}: there is no name before the =");
                return Err(Failure::usage(message).into());
            }
            Some((name, value)) => (name, value.to_owned()),
            None => match std::env::var(pair) {
                Ok(value) => (pair.as_str(), value),
                Err(std::env::VarError::NotPresent)
                    if Caller::of_process() != Caller::Packwright =>
                {
                    text::say(&format!(
                        "warning: --env {}: it is not set",
                        text::escape(pair)
                    ));
                    continue;
                }
                Err(error) => {
                    let reason = without_value(&error);
                    return Err(Failure::usage(format!("--env {pair}: {reason}")).into());
                }
            },
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

impl Global {
    /// The folder of caches, images and logs.
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.cache_dir {
            return std::path::absolute(folder)
                .with_context(|| format!("find {}", folder.display()));
        }
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .map(|folder| folder.join("packwright"))
            .ok_or_else(|| {
                Failure::usage("neither HOME nor PACKWRIGHT_CACHE_DIR is set".to_owned()).into()
            })
    }

    fn cache(&self) -> anyhow::Result<Cache> {
        Ok(Cache::open(&self.folder()?).map_err(Failure::from)?)
    }

    fn store(&self) -> anyhow::Result<ImageStore> {
        Ok(ImageStore::open(&self.folder()?.join("images")).map_err(Failure::from)?)
    }

    /// Colours for standard error.
    fn colours(&self) -> bool {
        use io::IsTerminal;
        let set = |name: &str| {
            std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
        };
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto if set("CLICOLOR_FORCE") => true,
            Color::Auto => {
                io::stderr().is_terminal()
                    && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
            }
        }
    }
}

/// Sends each event to several places.
struct Tee(Vec<Arc<dyn Report>>);

impl Report for Tee {
    fn event(&self, event: Event) {
        if let [first @ .., last] = self.0.as_slice() {
            for report in first {
                report.event(event.clone());
            }
            last.event(event);
        }
    }
}

/// Parses the arguments, runs the verb, prints its error; the exit code is the result.
pub fn main() -> ExitCode {
    let caller = Caller::of_process();
    let command = caller.dress(Cli::command());
    let parsed = command
        .try_get_matches_from(caller.arranged(std::env::args_os().collect()))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and versions are no errors; a closed pipe is nobody's problem.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.global.json;
    let colours = cli.global.colours();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let failure = Failure::of(&error);
            print_error(&error, failure.as_ref(), colours, json);
            let code = failure.map_or(1, |failure| failure.code);
            ExitCode::from(caller.exit_code(code))
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = cli.global;
    match cli.verb {
        Verb::Plan(args) => plan::run(&args, &global),
        Verb::Detect(args) => detect::run(&args, &global),
        Verb::Explain(args) => explain::run(&args, &global),
        Verb::Prepare(args) => prepare::run(&args, &global),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "packwright", &mut script);
            print(&script)
        }
        Verb::Doctor(args) => doctor::run(&args, &global),
        // These read and write trees that belong to several ids, as root of a namespace if need be.
        verb => match crate::engine::native::become_root().map_err(Failure::from)? {
            Some(code) => Ok(code),
            None => as_root(verb, &global),
        },
    }
}

fn as_root(verb: Verb, global: &Global) -> anyhow::Result<ExitCode> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match verb {
        Verb::Build(args) => build::run(&args, global),
        Verb::Run(args) => run::run(&args, global),
        Verb::Shell(args) => shell::run(*args.0, global),
        Verb::Lock(args) => lock::run(*args.0, global),
        Verb::Images(verb) => images::run(&verb, global),
        Verb::Cache(verb) => cache::run(&verb, global),
        Verb::Logs(args) => logs::run(&args, global),
        Verb::Plan(_)
        | Verb::Detect(_)
        | Verb::Explain(_)
        | Verb::Doctor(_)
        | Verb::Prepare(_)
        | Verb::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a result to standard output. A reader that went away is quiet success.
fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn print_error(error: &anyhow::Error, failure: Option<&Failure>, colours: bool, json: bool) {
    let hint = failure.and_then(|failure| failure.hint.clone());
    let chain: Vec<String> = error
        .chain()
        .map(|cause| text::escape(&cause.to_string()))
        .collect();
    let details = failure
        .map(|failure| failure.details.clone())
        .unwrap_or_default();
    let (red, plain) = if colours {
        ("\x1b[1;31m", "\x1b[0m")
    } else {
        ("", "")
    };
    let mut lines = Vec::new();
    for (depth, cause) in chain.iter().enumerate() {
        if depth == 0 {
            lines.push(format!("{red}error{plain}: {cause}"));
        } else if !chain[depth - 1].contains(cause.as_str()) {
            lines.push(format!("  {cause}"));
        }
    }
    lines.extend(
        details
            .iter()
            .map(|line| format!("  | {}", text::escape(line))),
    );
    lines.extend(
        hint.iter()
            .map(|hint| format!("hint: {}", text::escape(hint))),
    );
    text::say(&lines.join("\n"));
    if json {
        let object =
            serde_json::json!({ "event": "error", "message": chain.join(": "), "hint": hint });
        let _ = writeln!(io::stdout(), "{object}");
    }
}

/// Lets the signals that ask for the end raise `interrupt`. The first one asks; a second one, or
/// one while nothing runs that could be asked, ends the process.
fn handle_signals(interrupt: &Interrupt) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let first = interrupt.count() == 0;
            interrupt.raise(signal);
            if !(first && interrupt.is_heard()) {
                // Let the engine take its processes along before this one ends.
                std::thread::sleep(std::time::Duration::from_millis(300));
                std::process::exit(128 + signal);
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_given_by_value_by_file_and_as_docker_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "of a file\n").unwrap();
        let file = file.display();
        let read = |flag: &str| secrets(&[flag.to_owned()]);
        for (flag, name, value) in [
            ("A=b=c".to_owned(), "A", "b=c"),
            (format!("A=@{file}"), "A", "of a file\n"),
            (format!("id=A,src={file}"), "A", "of a file\n"),
            (format!("id=A,source={file}"), "A", "of a file\n"),
        ] {
            assert_eq!(read(&flag).unwrap().0[name].reveal(), value, "{flag}");
        }
        // PATH is set wherever this runs.
        let path = std::env::var("PATH").unwrap();
        for flag in ["PATH", "id=PATH", "id=PATH,env=PATH"] {
            assert_eq!(read(flag).unwrap().0["PATH"].reveal(), path, "{flag}");
        }
        for wrong in [
            "=x",
            "NOT_SET_ANYWHERE",
            "A=@/not/there",
            "id=A,src=/not/there",
            "A=\0",
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.starts_with("--secret"), "{wrong}: {error}");
        }
    }
}
