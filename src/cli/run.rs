//! `packwright run`: an image, or a folder that is built first, started in the native sandbox.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use super::build::BuildArgs;
use super::{Global, PlanFlags, text};
use crate::engine::native::Native;
use crate::error::Failure;
use crate::image::Reference;
use crate::interrupt::Interrupt;
use crate::pipeline::run::Container;
use crate::pipeline::{BuildOptions, PipelineError};
use crate::report::Silent;

/// Ports that are tried when none is given.
const PORTS: std::ops::Range<u16> = 3000..3100;

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A local image, or a folder to build first
    what: String,
    /// Set a variable of the app; KEY alone takes the value from the environment
    #[arg(long, short, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// The port that the app is told to listen on, as PORT [default: the first free one from 3000]
    #[arg(long, short, value_name = "PORT")]
    port: Option<u16>,
    /// Run this instead of the start command
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the verb; the container's exit code is the result.
pub fn run(args: &RunArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let mut variables = super::variables(&args.env)?;
    let interrupt = Interrupt::default();
    super::handle_signals(&interrupt)?;
    let digest = match find_or_build(args, global, &interrupt) {
        Ok(digest) => digest,
        Err(error) => {
            let not_found = matches!(error, PipelineError::StartNotFound { .. });
            let mut failure = Failure::from(error);
            if not_found {
                failure.code = 127;
            }
            return Err(failure.into());
        }
    };
    let port = match args
        .port
        .or_else(|| variables.get("PORT").and_then(|port| port.parse().ok()))
    {
        Some(port) => port,
        None => free_port(),
    };
    variables
        .entry("PORT".to_owned())
        .or_insert_with(|| port.to_string());
    let (cache, store, engine) = (global.cache()?, global.store()?, Native::default());
    let container = Container {
        cache: &cache,
        store: &store,
        engine: &engine,
        report: &Silent,
        interrupt: &interrupt,
    };
    let ended = Arc::new(AtomicBool::new(false));
    if args.command.is_empty() && !global.quiet {
        announce(port, Arc::clone(&ended));
    }
    let exit = container
        .start(&digest, &variables, &args.command)
        .map_err(Failure::from)?;
    ended.store(true, Ordering::SeqCst);
    if exit.code() == 127 {
        text::say(
            "hint: a program was not found in the image; packwright run IMAGE -- ls looks inside",
        );
    }
    Ok(ExitCode::from(u8::try_from(exit.code()).unwrap_or(1)))
}

/// The digest of what is to run. A folder is what looks like a path, or is one and no image.
fn find_or_build(
    args: &RunArgs,
    global: &Global,
    interrupt: &Interrupt,
) -> Result<String, PipelineError> {
    let path = Path::new(&args.what);
    let looks_like_path = args.what.starts_with('.') || args.what.starts_with('/');
    if !looks_like_path {
        let folder = global
            .folder()
            .map_err(|error| PipelineError::Folder(error.to_string()))?;
        let store = crate::image::ImageStore::open(&folder.join("images"))?;
        match store.find(&args.what) {
            Ok(digest) => return Ok(digest),
            Err(error) if !path.is_dir() => return Err(error.into()),
            Err(_) => {}
        }
    }
    let flags = PlanFlags {
        env: args.env.clone(),
        ..PlanFlags::default()
    };
    let build = BuildArgs::of(PathBuf::from(&args.what), flags);
    let options: BuildOptions = build.plain_options();
    super::build::build(&options, global, interrupt, global.json)
        .map(|built| built.image.manifest_digest)
}

impl BuildArgs {
    /// Options of a build without flags of its own: the start's variables are not the build's.
    fn plain_options(&self) -> BuildOptions {
        let full = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = Reference::from_folder(&full.file_name().unwrap_or_default().to_string_lossy());
        BuildOptions {
            source: self.path.clone(),
            names: vec![name.to_string()],
            ..BuildOptions::default()
        }
    }
}

fn free_port() -> u16 {
    PORTS
        .into_iter()
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or(PORTS.start)
}

/// Prints the URL once the port answers. Says nothing when something else answered there before.
fn announce(port: u16, ended: Arc<AtomicBool>) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let answers = move || TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok();
    if answers() {
        text::say(&format!(
            "warning: something listens on port {port} already"
        ));
        return;
    }
    std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            if answers() {
                text::say(&format!("listening on http://127.0.0.1:{port}"));
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
