//! Who builds: the sandbox of this machine or a daemon, and what a daemon is told.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::engine::docker::{
    Address, BuildKit, DEFAULT_SOCKET, DaemonError, DaemonOptions, Engine, Exported, Host, Typed,
    parse_cache, parse_typed,
};
use crate::environment::Machine;
use crate::image::Reference;
use crate::pipeline::Builder;
use crate::report::{Event, Report};

/// Which engine builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum EngineName {
    /// The sandbox, unless a flag or the machine asks for a daemon
    #[default]
    Auto,
    /// Namespaces of this machine
    Native,
    /// Docker Engine, or buildkitd
    Docker,
}

/// Flags about daemons; those of nixpacks have its names.
#[derive(Debug, Clone, Default, Args)]
#[expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these are texts for a terminal"
)]
pub struct DaemonFlags {
    /// Who builds; auto says which it took and why
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub engine: EngineName,
    /// Do not hand the image to Docker Engine
    #[arg(long)]
    pub no_load: bool,
    /// Docker Engine's address: unix://PATH or tcp://HOST:PORT [env: DOCKER_HOST]
    #[arg(long, value_name = "ADDRESS")]
    pub docker_host: Option<String>,
    /// Reach Docker Engine over TLS; 0 for not [env: DOCKER_TLS_VERIFY]
    #[arg(long, value_name = "YES", num_args = 0..=1, default_missing_value = "1")]
    pub docker_tls_verify: Option<String>,
    /// Folder with ca.pem, cert.pem and key.pem [env: DOCKER_CERT_PATH]
    #[arg(long, value_name = "DIR")]
    pub docker_cert_path: Option<PathBuf>,
    /// Build in this buildkitd: unix://PATH, tcp://HOST:PORT, docker-container://NAME
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BUILDKIT_HOST",
        hide_env_values = true
    )]
    pub buildkit_host: Option<String>,
    /// Let the builder push the image to the registry that its name says
    #[arg(long)]
    pub push: bool,
    /// Where the builder writes to: type=oci,dest=FILE, type=docker, type=tar, type=local,dest=DIR, registry
    #[arg(long, value_name = "OUTPUT")]
    pub docker_output: Option<String>,
    /// Build for this platform, such as linux/amd64
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Vec<String>,
    /// Find steps of other builds here: an image, type=registry,ref=IMAGE, or type=local,src=DIR
    #[arg(long, value_name = "CACHE")]
    pub cache_from: Vec<String>,
    /// Keep the steps of this build for others: type=registry,ref=IMAGE,mode=max or type=local,dest=DIR,mode=max
    #[arg(long, value_name = "CACHE")]
    pub cache_to: Vec<String>,
    /// Keep the steps of this build in the image
    #[arg(long)]
    pub inline_cache: bool,
    /// Keep cache directories in this image of Docker Engine's too, for when the daemon has lost its own
    #[arg(long, value_name = "IMAGE")]
    pub incremental_cache_image: Option<Reference>,
    /// A line of /etc/hosts in phases, NAME:ADDRESS; such builds use the host's network
    #[arg(long, value_name = "HOST")]
    pub add_host: Vec<String>,
    /// Network of phases: host or none
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Limit the memory of phases, such as 2g; the classic builder alone does
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Limit the processor time of phases, in microseconds; the classic builder alone does
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_quota: Option<i64>,
}

/// Who was chosen.
pub enum Choice {
    /// The sandbox; afterwards the image goes to Docker Engine when there is one.
    Native(Option<Engine>),
    /// A daemon.
    Daemon(Builder, Box<DaemonOptions>),
}

/// What the environment says of Docker.
#[derive(Debug, Default)]
struct Surroundings {
    host: Option<String>,
    verify: Option<String>,
    certificates: Option<PathBuf>,
}

impl Surroundings {
    fn read() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            host: set("DOCKER_HOST"),
            verify: set("DOCKER_TLS_VERIFY"),
            certificates: set("DOCKER_CERT_PATH").map(PathBuf::from),
        }
    }
}

/// Warned of where it has no effect.
const CACHE_IMAGE: &str = "--incremental-cache-image";

impl DaemonFlags {
    /// Chooses, and says why.
    pub fn choose(&self, report: &dyn Report) -> Result<Choice, DaemonError> {
        let around = Surroundings::read();
        let reason = match self.engine {
            EngineName::Native => {
                self.refuse_flags_of_daemons()?;
                return Ok(self.native("--engine says so", &around, report));
            }
            EngineName::Docker => Some("--engine says so".to_owned()),
            EngineName::Auto => self.reason_for_daemon(),
        };
        if let Some(reason) = reason {
            return self.daemon(&reason, &around, report);
        }
        match crate::engine::native::obstacle() {
            None => Ok(self.native("this machine can make a sandbox", &around, report)),
            Some(obstacle) => {
                match self.daemon(&format!("no sandbox here: {obstacle}"), &around, report) {
                    Err(DaemonError::Unreachable { .. }) => {
                        Ok(self.native("no daemon answers", &around, report))
                    }
                    other => other,
                }
            }
        }
    }

    /// The machine that the image is for, when it is said. A Dockerfile comes with an environment for one.
    pub fn machine(&self) -> Result<Option<Machine>, DaemonError> {
        match self.platform.as_slice() {
            [] => Ok(None),
            [one] => Machine::named(one).map(Some).ok_or_else(|| {
                let reason = "only linux/amd64 and linux/arm64 are known, one in each build";
                wrong("--platform", one, reason)
            }),
            several => {
                let reason = "there is one in each build: build for each by itself";
                Err(wrong("--platform", &several.join(","), reason))
            }
        }
    }

    /// Flags that only a daemon obeys.
    fn asked_of_daemon(&self) -> Vec<&'static str> {
        let foreign = self
            .platform
            .iter()
            .any(|platform| Machine::named(platform) != Machine::own());
        let flags = [
            ("--buildkit-host", self.buildkit_host.is_some()),
            ("--push", self.push),
            ("--docker-output", self.docker_output.is_some()),
            ("--platform", foreign),
            ("--cache-from", !self.cache_from.is_empty()),
            ("--cache-to", !self.cache_to.is_empty()),
            ("--inline-cache", self.inline_cache),
            (CACHE_IMAGE, self.incremental_cache_image.is_some()),
            ("--add-host", !self.add_host.is_empty()),
            ("--network", self.network.is_some()),
            ("--memory", self.memory.is_some()),
            ("--cpu-quota", self.cpu_quota.is_some()),
        ];
        let asked = flags.into_iter().filter(|(_, set)| *set);
        asked.map(|(flag, _)| flag).collect()
    }

    fn reason_for_daemon(&self) -> Option<String> {
        let asked = self.asked_of_daemon();
        (!asked.is_empty()).then(|| format!("{} asks for it", asked.join(" and ")))
    }

    /// What the sandbox would have to leave undone.
    fn refuse_flags_of_daemons(&self) -> Result<(), DaemonError> {
        let mut asked = self.asked_of_daemon();
        // That one is warned of.
        asked.retain(|flag| *flag != CACHE_IMAGE);
        if asked.is_empty() {
            return Ok(());
        }
        Err(DaemonError::Argument {
            flag: "--engine",
            text: "native".to_owned(),
            reason: format!("the sandbox cannot do what {} asks", asked.join(" and ")),
        })
    }

    fn native(&self, reason: &str, around: &Surroundings, report: &dyn Report) -> Choice {
        decided(report, "native", reason);
        if let Some(image) = &self.incremental_cache_image {
            let message = format!(
                "--incremental-cache-image {image} has no effect: the sandbox keeps cache directories in its cache folder"
            );
            report.event(Event::Warning { message });
        }
        if self.no_load {
            return Choice::Native(None);
        }
        let named = self.docker_host.is_some() || around.host.is_some();
        if !named && !std::path::Path::new(DEFAULT_SOCKET.trim_start_matches("unix://")).exists() {
            return Choice::Native(None);
        }
        match self
            .engine_host(around)
            .and_then(|host| Engine::connect(&host))
        {
            Ok(engine) => Choice::Native(Some(engine)),
            // Who names a daemon means it; who has none is told nothing.
            Err(error) => {
                if named {
                    let message = format!("the image is not handed to Docker: {error}");
                    report.event(Event::Warning { message });
                }
                Choice::Native(None)
            }
        }
    }

    fn daemon(
        &self,
        reason: &str,
        around: &Surroundings,
        report: &dyn Report,
    ) -> Result<Choice, DaemonError> {
        let mut options = self.options()?;
        if let Some(text) = &self.buildkit_host {
            let certificates = text
                .starts_with("tcp://")
                .then(|| self.certificates(around))
                .flatten();
            let host = Host::parse(text, certificates)?;
            let engine = match host.address {
                Address::Container(_) => Some(Engine::connect(&self.engine_host(around)?)?),
                _ => None,
            };
            if options.export == Exported::Engine {
                options.export = Exported::Nowhere;
                report.event(Event::Warning {
                    message: "the image stays in the builder's cache: say --push or --docker-output type=oci,dest=FILE".to_owned(),
                });
            }
            let daemon = BuildKit::connect(host, engine)?;
            decided(report, &format!("buildkitd {}", daemon.version), reason);
            return Ok(Choice::Daemon(Builder::BuildKit(daemon), Box::new(options)));
        }
        let engine = Engine::connect(&self.engine_host(around)?)?;
        let limits = options.memory.is_some() || options.cpu_quota.is_some();
        let classic = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let builder = if !classic && engine.has_buildkit() {
            let with = if limits {
                ", whose BuildKit has no limits"
            } else {
                " with BuildKit"
            };
            decided(report, &format!("docker {}{with}", engine.version), reason);
            Builder::Engine(engine)
        } else {
            let why = if classic {
                "DOCKER_BUILDKIT=0"
            } else {
                "it has no BuildKit"
            };
            let choice = format!("docker {}, its classic builder ({why})", engine.version);
            decided(report, &choice, reason);
            Builder::Classic(engine)
        };
        Ok(Choice::Daemon(builder, Box::new(options)))
    }

    fn engine_host(&self, around: &Surroundings) -> Result<Host, DaemonError> {
        let text = self.docker_host.as_ref().or(around.host.as_ref());
        let text = text.map_or(DEFAULT_SOCKET, String::as_str);
        let verify = self.docker_tls_verify.as_ref().or(around.verify.as_ref());
        let tls = verify.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        let tls = tls || text.starts_with("https://");
        let certificates = tls.then(|| self.certificates(around)).flatten();
        if tls && certificates.is_none() && !text.starts_with("unix:") {
            return Err(DaemonError::Argument {
                flag: "--docker-tls-verify",
                text: text.to_owned(),
                reason: "there are no certificates: name their folder with --docker-cert-path"
                    .to_owned(),
            });
        }
        Host::parse(text, certificates)
    }

    fn certificates(&self, around: &Surroundings) -> Option<PathBuf> {
        let given = self
            .docker_cert_path
            .clone()
            .or(around.certificates.clone());
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        given.or_else(|| home().filter(|folder| folder.join("ca.pem").exists()))
    }

    fn options(&self) -> Result<DaemonOptions, DaemonError> {
        let typed = |flag, texts: &[String]| -> Result<Vec<Typed>, DaemonError> {
            texts.iter().map(|text| parse_cache(flag, text)).collect()
        };
        let mut cache_to = typed("--cache-to", &self.cache_to)?;
        if self.inline_cache {
            cache_to.push(("inline".to_owned(), BTreeMap::new()));
        }
        let network = match self.network.as_deref() {
            None | Some("default" | "bridge") => {
                (!self.add_host.is_empty()).then(|| "host".to_owned())
            }
            Some(network @ ("host" | "none")) => Some(network.to_owned()),
            Some(other) => {
                return Err(wrong(
                    "--network",
                    other,
                    "it must be host, none or default",
                ));
            }
        };
        Ok(DaemonOptions {
            platform: self
                .machine()?
                .map(|machine| format!("linux/{}", machine.debian())),
            add_hosts: self
                .add_host
                .iter()
                .map(|text| host(text))
                .collect::<Result<_, _>>()?,
            network,
            memory: self.memory.as_deref().map(bytes).transpose()?,
            cpu_quota: self.cpu_quota,
            cache_from: typed("--cache-from", &self.cache_from)?,
            cache_to,
            cache_image: self
                .incremental_cache_image
                .as_ref()
                .map(ToString::to_string),
            export: self.export()?,
        })
    }

    fn export(&self) -> Result<Exported, DaemonError> {
        let Some(text) = &self.docker_output else {
            return Ok(if self.push {
                Exported::Registry
            } else {
                Exported::Engine
            });
        };
        let typed = if text.contains('=') {
            parse_typed("--docker-output", text)?
        } else {
            // As with docker build: a folder alone.
            (
                "local".to_owned(),
                BTreeMap::from([("dest".to_owned(), text.clone())]),
            )
        };
        let (kind, mut attributes) = typed;
        let dest = attributes.remove("dest");
        let attributes: HashMap<String, String> = attributes.into_iter().collect();
        let pushes = self.push || attributes.get("push").is_some_and(|value| value == "true");
        match (kind.as_str(), dest) {
            ("registry", _) => Ok(Exported::Registry),
            ("image", _) if pushes => Ok(Exported::Registry),
            ("image" | "docker", None) => Ok(Exported::Engine),
            (_, Some(dest)) if dest == "-" => Err(wrong(
                "--docker-output",
                text,
                "standard output belongs to the result; name a file",
            )),
            ("oci" | "docker" | "tar" | "local", Some(dest)) => Ok(Exported::File {
                kind,
                attributes,
                path: dest.into(),
            }),
            (_, None) => Err(wrong("--docker-output", text, "it must say dest=FILE")),
            _ => Err(wrong(
                "--docker-output",
                text,
                "its type must be oci, docker, tar, local, image or registry",
            )),
        }
    }
}

fn decided(report: &dyn Report, choice: &str, reason: &str) {
    report.event(Event::Decided {
        subject: "engine".to_owned(),
        choice: choice.to_owned(),
        reason: reason.to_owned(),
    });
}

fn wrong(flag: &'static str, text: &str, reason: &str) -> DaemonError {
    DaemonError::Argument {
        flag,
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}

/// `name:address` of `NAME:ADDRESS` or `NAME=ADDRESS`.
fn host(text: &str) -> Result<String, DaemonError> {
    let split = text.split_once(['=', ':']);
    let pair = split.map(|(name, address)| (name, address.trim_matches(['[', ']'])));
    match pair {
        Some((name, address)) if !name.is_empty() && address.parse::<IpAddr>().is_ok() => {
            Ok(format!("{name}:{address}"))
        }
        _ => Err(wrong(
            "--add-host",
            text,
            "it must be NAME:ADDRESS, with a number as address",
        )),
    }
}

/// `512m`, `2g`, `1048576`.
fn bytes(text: &str) -> Result<i64, DaemonError> {
    let wrong = || wrong("--memory", text, "it must be a number with b, k, m or g");
    let lower = text.to_ascii_lowercase();
    let lower = lower.trim_end_matches('b');
    let (digits, factor) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 1 << 10),
        Some(b'm') => (&lower[..lower.len() - 1], 1 << 20),
        Some(b'g') => (&lower[..lower.len() - 1], 1_i64 << 30),
        _ => (lower, 1),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_sandbox_cannot_do_asks_for_a_daemon() {
        let mut flags = DaemonFlags::default();
        assert_eq!(flags.reason_for_daemon(), None);
        let own = if cfg!(target_arch = "x86_64") {
            "linux/amd64"
        } else {
            "linux/arm64"
        };
        flags.platform = vec![own.to_owned()];
        assert_eq!(flags.reason_for_daemon(), None);
        flags.platform = vec!["linux/s390x".to_owned()];
        flags.push = true;
        assert_eq!(
            flags.reason_for_daemon().unwrap(),
            "--push and --platform asks for it"
        );
    }

    #[test]
    fn outputs_are_read_as_docker_reads_them() {
        let export = |text: &str| {
            let flags = DaemonFlags {
                docker_output: Some(text.to_owned()),
                ..DaemonFlags::default()
            };
            flags.export()
        };
        assert!(
            matches!(export("out").unwrap(), Exported::File { kind, path, .. } if kind == "local" && path.as_os_str() == "out")
        );
        assert!(
            matches!(export("type=oci,dest=a.tar").unwrap(), Exported::File { kind, .. } if kind == "oci")
        );
        assert_eq!(export("type=registry").unwrap(), Exported::Registry);
        assert_eq!(export("type=image,push=true").unwrap(), Exported::Registry);
        assert!(export("type=oci").is_err() && export("type=floppy,dest=a").is_err());
    }

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        assert_eq!(host("a.test:10.0.0.1").unwrap(), "a.test:10.0.0.1");
        assert_eq!(host("a=[::1]").unwrap(), "a:::1");
        for text in ["a", "a:", ":10.0.0.1", "a:b.test"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(bytes("2g").unwrap(), 2 << 30);
        assert_eq!(bytes("512MB").unwrap(), 512 << 20);
        assert_eq!(bytes("1000").unwrap(), 1000);
        assert!(bytes("-1").is_err() && bytes("x").is_err() && bytes("").is_err());
    }
}
