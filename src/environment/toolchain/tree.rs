//! Unpacks the artifacts of a toolchain into `opt/<tool>-<version>`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Layout, Package, Toolchain, named};
use crate::environment::lock::{Artifact, LockedToolchain};
use crate::environment::{EnvironmentError, Registry, io_error};
use crate::unpack::{Limits, Root, UnpackOptions, unpack_tar};

/// No toolchain that is known has a quarter of either.
const LIMITS: Limits = Limits {
    bytes: 4 << 30,
    entries: 500_000,
};

/// The most bytes of a package's manifest.
const MANIFEST_LIMIT: u64 = 1 << 20;

/// Of the rules below; part of the trees' keys.
pub(crate) const FORMAT: &str = "1";

/// The folder of a toolchain, relative to the root.
pub(crate) fn folder(toolchain: &LockedToolchain) -> String {
    format!("opt/{}-{}", toolchain.tool, toolchain.version)
}

/// Paths of a toolchain that only building with it needs.
pub(crate) fn build_only(toolchain: &LockedToolchain) -> Vec<String> {
    let folder = folder(toolchain);
    let globs = named(&toolchain.tool).map_or(&[][..], |tool| tool.build_only);
    globs
        .iter()
        .map(|glob| format!("{folder}/{glob}"))
        .collect()
}

/// Unpacks a toolchain's artifacts, which are at `files` in their order, into a root at `fs_dir`.
pub(crate) fn make(
    fs_dir: &Path,
    toolchain: &LockedToolchain,
    files: &[PathBuf],
) -> Result<(), EnvironmentError> {
    std::fs::create_dir_all(fs_dir).map_err(io_error("create", fs_dir))?;
    let root = Root::open(fs_dir).map_err(|source| EnvironmentError::Unpack {
        what: fs_dir.display().to_string(),
        source,
    })?;
    let folder = folder(toolchain);
    for (artifact, file) in toolchain.artifacts.iter().zip(files) {
        let target = Target {
            fs_dir,
            root: &root,
            folder: &folder,
            artifact,
            file,
        };
        match made(&toolchain.tool, artifact)? {
            Made::Package(layout) => target.place(layout)?,
            Made::Library => target.jar(&library(artifact))?,
        }
    }
    Ok(())
}

/// What an artifact of a tool is.
enum Made {
    Package(Layout),
    /// A jar that the tool loads.
    Library,
}

/// What the table says of an artifact of a tool.
fn made(tool: &str, artifact: &Artifact) -> Result<Made, EnvironmentError> {
    if named(tool).is_some_and(Toolchain::on_python) {
        return Ok(Made::Package(Layout::PythonProgram));
    }
    let is_it = |package: &Package| {
        package.registry.name() == artifact.registry
            && (package.amd64 == artifact.name || package.arm64 == artifact.name)
    };
    let library = |tool: &Toolchain| {
        artifact.registry == Registry::Maven.name()
            && tool
                .libraries
                .iter()
                .any(|(name, _)| *name == artifact.name)
    };
    if named(tool).is_some_and(library) {
        return Ok(Made::Library);
    }
    let packages = named(tool).into_iter().flat_map(|tool| {
        let companions = tool.companions.iter().map(|companion| companion.package);
        tool.packages.iter().copied().chain(companions)
    });
    let mut layouts = packages
        .filter(is_it)
        .map(|package| Made::Package(package.layout));
    layouts.next().ok_or_else(|| EnvironmentError::Malformed {
        what: "the lock".to_owned(),
        reason: format!(
            "{tool} is not made of {} {}",
            artifact.registry, artifact.name
        ),
    })
}

/// The place of a jar that a tool loads.
fn library(artifact: &Artifact) -> String {
    let name = artifact.name.replace(':', "_");
    format!("lib/{name}-{}.jar", artifact.version)
}

/// One artifact on its way into a tool's folder.
struct Target<'a> {
    fs_dir: &'a Path,
    root: &'a Root,
    folder: &'a str,
    artifact: &'a Artifact,
    file: &'a Path,
}

impl Target<'_> {
    fn place(&self, layout: Layout) -> Result<(), EnvironmentError> {
        match layout {
            Layout::Folder(links) => {
                self.tarball(self.folder, &|_| true)?;
                self.links(links)
            }
            Layout::NodeModule {
                name,
                without,
                settings,
            } => {
                let inside = format!("lib/node_modules/{name}");
                self.tarball(&format!("{}/{inside}", self.folder), &|path| {
                    !without.iter().any(|folder| path.starts_with(folder))
                })?;
                if let Some((name, text)) = settings {
                    let path = format!("{inside}/{name}");
                    self.file(&path, 0o644, &mut text.as_bytes(), LIMITS.bytes)?;
                }
                self.programs_of_manifest(&inside)
            }
            Layout::File(name, folder) => {
                let into = format!("{}/{folder}", self.folder);
                self.tarball(&into, &|path| path == Path::new(name))
            }
            Layout::Scripts => self.scripts(),
            Layout::WheelFolder(name, links) => {
                self.wheel_folder(name)?;
                self.links(links)
            }
            Layout::PythonProgram => self.python_wheel(),
            Layout::GoModule => self.go_module(),
            Layout::Jar {
                path,
                name,
                script,
                beside,
            } => {
                self.jar(path)?;
                for (path, text) in beside {
                    self.file(path, 0o644, &mut text.as_bytes(), LIMITS.bytes)?;
                }
                let script = script.replace("{folder}", &format!("/{}", self.folder));
                let bin = format!("bin/{name}");
                self.file(&bin, 0o755, &mut script.as_bytes(), LIMITS.bytes)
            }
        }
    }

    /// The archive as it is, at a place below the tool's folder.
    fn jar(&self, path: &str) -> Result<(), EnvironmentError> {
        let mut jar = File::open(self.file).map_err(io_error("open", self.file))?;
        self.file(path, 0o644, &mut jar, LIMITS.bytes)
    }

    fn failed(&self) -> impl Fn(crate::unpack::UnpackError) -> EnvironmentError {
        let what = self.artifact.file.clone();
        move |source| EnvironmentError::Unpack {
            what: what.clone(),
            source,
        }
    }

    fn malformed<E: std::fmt::Display>(&self) -> impl Fn(E) -> EnvironmentError {
        let what = self.artifact.file.clone();
        move |error| EnvironmentError::Malformed {
            what: what.clone(),
            reason: error.to_string(),
        }
    }

    /// Writes a file below the tool's folder.
    fn file(
        &self,
        path: &str,
        mode: u32,
        content: &mut dyn Read,
        limit: u64,
    ) -> Result<(), EnvironmentError> {
        let path = format!("{}/{path}", self.folder);
        self.root
            .file(Path::new(&path), mode, content, limit)
            .map(drop)
            .map_err(self.failed())
    }

    /// A name in `bin` for a program, which not every archive lets people run.
    fn link(&self, name: &str, target: &str) -> Result<(), EnvironmentError> {
        let (link, program) = (
            format!("{}/bin/{name}", self.folder),
            match target.strip_prefix("../") {
                Some(above) => format!("{}/{above}", self.folder),
                None => format!("{}/bin/{target}", self.folder),
            },
        );
        self.root
            .make_executable(Path::new(&program))
            .and_then(|()| self.root.symlink(Path::new(&link), Path::new(target)))
            .map_err(self.failed())
    }

    fn links(&self, links: &[(&str, &str)]) -> Result<(), EnvironmentError> {
        links
            .iter()
            .try_for_each(|(name, target)| self.link(name, target))
    }

    /// A tarball of npm, whose one folder becomes `into`.
    fn tarball(&self, into: &str, keep: &dyn Fn(&Path) -> bool) -> Result<(), EnvironmentError> {
        let file = File::open(self.file).map_err(io_error("open", self.file))?;
        let options = UnpackOptions {
            strip_components: 1,
            prefix: Path::new(into),
            keep: Some(keep),
            limits: LIMITS,
            ..UnpackOptions::default()
        };
        unpack_tar(GzDecoder::new(BufReader::new(file)), self.root, &options)
            .map(drop)
            .map_err(self.failed())
    }

    /// Links the programs that the manifest of a package below the tool's folder names.
    fn programs_of_manifest(&self, inside: &str) -> Result<(), EnvironmentError> {
        let path = self
            .fs_dir
            .join(self.folder)
            .join(inside)
            .join("package.json");
        let plain = std::fs::symlink_metadata(&path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MANIFEST_LIMIT);
        if !plain {
            return Err(self.malformed()("it has no package.json"));
        }
        let bytes = std::fs::read(&path).map_err(io_error("read", &path))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(self.malformed())?;
        for (name, target) in &manifest.bin {
            let target = target.trim_start_matches("./");
            if name.contains('/') || target.split('/').any(|part| matches!(part, "" | "..")) {
                return Err(self.malformed()("its programs have strange names"));
            }
            self.link(name, &format!("../{inside}/{target}"))?;
        }
        Ok(())
    }

    fn archive(&self) -> Result<zip::ZipArchive<BufReader<File>>, EnvironmentError> {
        let file = File::open(self.file).map_err(io_error("open", self.file))?;
        let archive = zip::ZipArchive::new(BufReader::new(file)).map_err(self.malformed())?;
        if archive.len() as u64 > LIMITS.entries {
            return Err(self.malformed()("it has too many entries"));
        }
        Ok(archive)
    }

    /// The programs of a wheel: `<name>-<version>.data/scripts/*`, into `bin`.
    fn scripts(&self) -> Result<(), EnvironmentError> {
        let written = self.wheel(&|path| {
            let (_, name) = path.split_once(".data/scripts/")?;
            let program = !name.is_empty() && !name.contains('/');
            program.then(|| (format!("bin/{name}"), 0o555))
        })?;
        match written {
            0 => Err(self.malformed()("it has no programs")),
            _ => Ok(()),
        }
    }

    fn wheel_folder(&self, folder: &str) -> Result<(), EnvironmentError> {
        let written = self.wheel(&|path| {
            let inside = path.strip_prefix(folder)?.strip_prefix('/')?;
            let file = !inside.is_empty() && !inside.ends_with('/');
            file.then(|| (inside.to_owned(), 0o444))
        })?;
        match written {
            0 => Err(self.malformed()("it has no such folder")),
            _ => Ok(()),
        }
    }

    /// A wheel of a program written in Python: its modules into `lib`, a script for each command that the program's own
    /// wheel names into `bin`.
    fn python_wheel(&self) -> Result<(), EnvironmentError> {
        self.wheel(&|path| {
            let (folder, inside) = path.split_once('/').unwrap_or(("", path));
            let module = match folder.strip_suffix(".data") {
                None => path,
                Some(_) => inside
                    .strip_prefix("purelib/")
                    .or_else(|| inside.strip_prefix("platlib/"))?,
            };
            let file = !module.is_empty() && !module.ends_with('/');
            file.then(|| (format!("lib/{module}"), 0o444))
        })?;
        if !self
            .folder
            .starts_with(&format!("opt/{}-", self.artifact.name))
        {
            return Ok(());
        }
        let mut archive = self.archive()?;
        let names = archive
            .file_names()
            .filter_map(Result::ok)
            .map(std::borrow::Cow::into_owned);
        let points = names
            .into_iter()
            .find(|name| name.ends_with(".dist-info/entry_points.txt"));
        let points = points.ok_or_else(|| self.malformed()("it has no entry points"))?;
        let entry = archive.by_name(&points).map_err(self.malformed())?;
        let mut text = String::new();
        let read = Read::take(entry, MANIFEST_LIMIT).read_to_string(&mut text);
        read.map_err(io_error("read", self.file))?;
        for (name, module, function) in commands(&text) {
            let script = PYTHON_SCRIPT
                .replace("{folder}", &format!("/{}", self.folder))
                .replace("{module}", module)
                .replace("{function}", function);
            self.file(
                &format!("bin/{name}"),
                0o755,
                &mut script.as_bytes(),
                LIMITS.bytes,
            )?;
        }
        Ok(())
    }

    /// The files of a wheel for which `place` has a path below the tool's folder, with at least
    /// the mode that it says. Returns how many there are.
    fn wheel(
        &self,
        place: &dyn Fn(&str) -> Option<(String, u32)>,
    ) -> Result<u64, EnvironmentError> {
        let mut archive = self.archive()?;
        let (mut written, mut total) = (0, 0);
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(self.malformed())?;
            let name = entry.name().map_err(self.malformed())?.into_owned();
            let Some((path, least)) = place(&name) else {
                continue;
            };
            let size = entry.size();
            total += size;
            if total > LIMITS.bytes {
                return Err(self.malformed()("it is too large"));
            }
            let mode = entry.unix_mode().unwrap_or(0o644) & 0o755 | least;
            self.file(&path, mode, &mut Read::take(&mut entry, size), size)?;
            written += 1;
        }
        Ok(written)
    }

    /// A Go toolchain module: its files, hashed as Go does, with the modes that Go gives them.
    fn go_module(&self) -> Result<(), EnvironmentError> {
        let mut archive = self.archive()?;
        let prefix = format!("{}@{}/", self.artifact.name, self.artifact.version);
        let names: Result<Vec<String>, _> = archive
            .file_names()
            .map(|name| name.map(std::borrow::Cow::into_owned))
            .collect();
        let mut names = names.map_err(self.malformed())?;
        names.sort();
        let mut listing = Sha256::new();
        let mut total = 0;
        for name in &names {
            let mut entry = archive.by_name(name).map_err(self.malformed())?;
            let inside = name
                .strip_prefix(&prefix)
                .ok_or_else(|| self.malformed()("it has files of another module"))?;
            total += entry.size();
            if total > LIMITS.bytes {
                return Err(self.malformed()("it is too large"));
            }
            let size = entry.size();
            let mut hashed = Hashed {
                inner: Read::take(&mut entry, size),
                hash: Sha256::new(),
            };
            let (path, mode) = go_place(inside);
            self.file(&path, mode, &mut hashed, size)?;
            listing.update(format!("{}  {name}\n", hex::encode(hashed.hash.finalize())));
        }
        let found = format!(
            "h1:{}",
            base64::engine::general_purpose::STANDARD.encode(listing.finalize())
        );
        if found == self.artifact.hash {
            return Ok(());
        }
        let _ = std::fs::remove_file(self.file);
        Err(EnvironmentError::Mismatch {
            what: self.artifact.file.clone(),
            expected: self.artifact.hash.clone(),
            found,
            authority: "the checksum database",
        })
    }
}

/// What runs a command of a program written in Python. Its modules are found before those of the app; what it starts does
/// not see them. It leaves no byte code: that would be in the image.
const PYTHON_SCRIPT: &str = "#!/usr/bin/python3 -s
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, \"{folder}/lib\")

from {module} import {function} as main

sys.exit(main())
";

/// The commands of a list of entry points: name, module, function.
fn commands(text: &str) -> Vec<(&str, &str, &str)> {
    let plain = |word: &str, more: &str| {
        let sign = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
        !word.is_empty() && word.chars().all(sign)
    };
    let mut section = "";
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name.trim();
        } else if let (Some((name, target)), "console_scripts") = (line.split_once('='), section) {
            let target = target.split('[').next().unwrap_or_default();
            let (module, function) = target.split_once(':').unwrap_or((target, ""));
            let (name, module, function) = (name.trim(), module.trim(), function.trim());
            if plain(name, "_-.") && plain(module, "_.") && plain(function, "_") {
                found.push((name, module, function));
            }
        }
    }
    found
}

/// The path and mode of a file of a Go toolchain module.
fn go_place(inside: &str) -> (String, u32) {
    // A module cannot hold other modules, so their go.mod files carry another name in it.
    let path = match inside.rsplit_once('/') {
        Some((dir, "_go.mod")) => format!("{dir}/go.mod"),
        None if inside == "_go.mod" => "go.mod".to_owned(),
        _ => inside.to_owned(),
    };
    let program = inside.starts_with("bin/") || inside.starts_with("pkg/tool/");
    (path, if program { 0o755 } else { 0o644 })
}

/// What is read of a package.json.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    bin: BTreeMap<String, String>,
}

struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_the_console_scripts_with_plain_names() {
        let text = "[console_scripts]\npdm = pdm.core:main\nbad/name = a:b\nx = a:b;c\n\n[other]\ny = a:b\n";
        assert_eq!(commands(text), [("pdm", "pdm.core", "main")]);
    }
}
