//! Writes what was gathered for a builder into a folder, as `nixpacks build --out` does.
//!
//! All of it or nothing: files are made aside and renamed together. The folder is often the app's, which
//! others wrote, so no link in it is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use minijinja::context;
use packwright_providers::{PlanError, Repo};
use tempfile::TempDir;

use super::context::{Context, bytes};
use super::dockerfile::{Dialect, Dockerfile, FOLDER, render};
use super::lock::Prepared;
use super::source::SourceTree;
use super::{Build, PipelineError};
use crate::engine::docker::{ContextBody, ContextFile};
use crate::environment::Machine;
use crate::report::Event;

impl Build<'_> {
    /// The Dockerfile alone.
    pub fn dockerfile(&self, machine: Option<Machine>) -> Result<String, PipelineError> {
        let prepared = self.prepare(machine)?;
        let source = self.read_source(&prepared.repo)?;
        let context = self.context(&prepared, &source, Dialect::Mounts)?;
        Ok(context.dockerfile.text)
    }

    /// Writes `.nixpacks/` into a folder. The app's files are not copied: the folder of the app is what is built.
    pub fn write_out(
        &self,
        out: &Path,
        machine: Option<Machine>,
    ) -> Result<PathBuf, PipelineError> {
        let prepared = self.prepare(machine)?;
        let source = self.read_source(&prepared.repo)?;
        let context = self.context(&prepared, &source, Dialect::Mounts)?;
        self.write_context(&context, &prepared, &source, out)
    }

    /// Writes what was gathered.
    pub(super) fn write_context(
        &self,
        context: &Context,
        prepared: &Prepared,
        source: &SourceTree,
        out: &Path,
    ) -> Result<PathBuf, PipelineError> {
        for name in context.dockerfile.arguments.keys() {
            self.report.event(Event::Warning {
                message: format!(
                    "the value of {name} has line breaks, which a Dockerfile cannot hold: pass it with --build-arg, as .nixpacks/build.sh does"
                ),
            });
        }
        // What the environment is for, wherever the script is run.
        let machine = prepared.machine.or_else(Machine::own);
        let script = self.build_script(&context.dockerfile, machine)?;
        let rules = ignore_rules(&prepared.repo, source)?;
        let mut files = context.files.clone();
        for (name, mode, text) in [
            ("build.sh", 0o755, script),
            ("Dockerfile.dockerignore", 0o644, rules),
        ] {
            let mut file = bytes(name, mode, &text);
            file.path = Path::new(FOLDER).join(&file.path);
            files.push(file);
        }
        let folder = out.join(FOLDER);
        refuse_obstacles(out, &files)?;
        let _listening = self.interrupt.listen();
        let mut staged = Staged::new(out)?;
        for file in &files {
            if self.interrupt.count() > 0 {
                return Err(PipelineError::Interrupted(self.interrupt.signal()));
            }
            staged.add(file)?;
        }
        staged.persist()?;
        for name in OURS {
            forget_old(&folder.join(name), out, &files)?;
        }
        Ok(folder)
    }

    /// `build.sh`: the call that builds the folder, with what the Dockerfile cannot say.
    fn build_script(
        &self,
        dockerfile: &Dockerfile,
        machine: Option<Machine>,
    ) -> Result<String, PipelineError> {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let pairs = |map: &BTreeMap<String, String>| -> Vec<String> {
            map.iter()
                .map(|(name, value)| quote(&format!("{name}={value}")))
                .collect()
        };
        let names: Vec<String> = self.options.names.iter().map(|name| quote(name)).collect();
        render(
            include_str!("../../templates/build.sh"),
            context! {
                names,
                machine => machine.map(Machine::debian),
                arguments => pairs(&dockerfile.arguments),
                labels => pairs(&dockerfile.labels),
                secrets => dockerfile.secrets.keys().cloned().collect::<Vec<_>>(),
            },
        )
    }
}

/// Folders below `.nixpacks` that are an export's whole content: what an earlier one left there may go.
const OURS: [&str; 2] = ["environment", "assets"];

fn is_ours(path: &Path) -> bool {
    OURS.iter()
        .any(|name| path.starts_with(Path::new(FOLDER).join(name)))
}

/// No folder on the way to a file may be a symbolic link, and nothing of another kind may be in the way.
fn refuse_obstacles(out: &Path, files: &[ContextFile]) -> Result<(), PipelineError> {
    let refuse = |path: &Path, reason: &str| {
        Err(PipelineError::io(
            "write into",
            path,
            io::Error::other(reason.to_owned()),
        ))
    };
    let above = files.iter().flat_map(|file| file.path.ancestors().skip(1));
    let folders: BTreeSet<&Path> = above.filter(|path| !path.as_os_str().is_empty()).collect();
    for folder in folders {
        let path = out.join(folder);
        if path.is_symlink() {
            return refuse(
                &path,
                "it is a symbolic link, which may lead elsewhere; remove it",
            );
        }
        if path.exists() && !path.is_dir() && !is_ours(folder) {
            return refuse(&path, "it is no folder; remove it");
        }
    }
    for file in files.iter().filter(|file| !is_ours(&file.path)) {
        let path = out.join(&file.path);
        if path.is_dir() && !path.is_symlink() {
            return refuse(
                &path,
                "a file of this name is to be written; remove the folder",
            );
        }
    }
    Ok(())
}

/// Files that are made and not in place yet: they are in a folder of their own, which goes with all that is left in it.
struct Staged<'a> {
    out: &'a Path,
    files: Vec<(PathBuf, &'a Path)>,
    aside: TempDir,
    made: Made,
}

/// Folders that were made; those that stay empty go.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl<'a> Staged<'a> {
    fn new(out: &'a Path) -> Result<Self, PipelineError> {
        let folder = out.join(FOLDER);
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let made = Made(missing.map(Path::to_owned).collect());
        let failed = |error| PipelineError::io("create", &folder, error);
        fs::create_dir_all(&folder).map_err(failed)?;
        let aside = tempfile::Builder::new()
            .prefix(".packwright-")
            .tempdir_in(&folder);
        Ok(Self {
            out,
            files: Vec::new(),
            aside: aside.map_err(failed)?,
            made,
        })
    }

    fn add(&mut self, file: &'a ContextFile) -> Result<(), PipelineError> {
        let staged = self.aside.path().join(self.files.len().to_string());
        let path = self.out.join(&file.path);
        let write = || -> io::Result<()> {
            let mut to = fs::File::create_new(&staged)?;
            match &file.body {
                ContextBody::File(from) => {
                    io::copy(&mut fs::File::open(from)?, &mut to).map(drop)?;
                }
                ContextBody::Bytes(bytes) => to.write_all(bytes)?,
                ContextBody::Directory | ContextBody::Symlink(_) | ContextBody::Beneath { .. } => {}
            }
            to.set_permissions(fs::Permissions::from_mode(file.mode))
        };
        let failed = |error| PipelineError::io("write", &path, error);
        // Its name or the package's says its content, so one of the same length is the same.
        if let ContextBody::File(from) = &file.body
            && same_length(&path, from).map_err(failed)?
        {
            return Ok(());
        }
        write().map_err(failed)?;
        self.files.push((staged, &file.path));
        Ok(())
    }

    fn persist(mut self) -> Result<(), PipelineError> {
        for (staged, file) in &self.files {
            let path = self.out.join(file);
            if is_ours(file) {
                make_way(self.out, file).map_err(|e| PipelineError::io("remove", &path, e))?;
            }
            let parent = path.parent().unwrap_or(self.out);
            fs::create_dir_all(parent).map_err(|e| PipelineError::io("create", parent, e))?;
            fs::rename(staged, &path).map_err(|e| PipelineError::io("rename to", &path, e))?;
        }
        self.made.0.clear();
        Ok(())
    }
}

/// Removes what an earlier export has where this one has a folder, and the other way round.
fn make_way(out: &Path, file: &Path) -> io::Result<()> {
    for folder in file.ancestors().skip(1).filter(|folder| is_ours(folder)) {
        let path = out.join(folder);
        if path.exists() && !path.is_dir() {
            fs::remove_file(path)?;
        }
    }
    let path = out.join(file);
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

fn same_length(path: &Path, from: &Path) -> io::Result<bool> {
    if path.is_symlink() || !path.exists() {
        return Ok(false);
    }
    Ok(path.metadata()?.len() == from.metadata()?.len())
}

/// Removes files of an earlier export that this one does not have.
fn forget_old(folder: &Path, out: &Path, files: &[ContextFile]) -> Result<(), PipelineError> {
    if folder.is_symlink() {
        return fs::remove_file(folder).map_err(|e| PipelineError::io("remove", folder, e));
    }
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let wanted = files
            .iter()
            .any(|file| out.join(&file.path).starts_with(&path));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            forget_old(&path, out, files)?;
            // Goes only when nothing is left in it.
            let _ = fs::remove_dir(&path);
        } else if !wanted {
            fs::remove_file(&path).map_err(|e| PipelineError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

/// `Dockerfile.dockerignore`: the app's own rules, then by name what is left out of images here, then `.nixpacks` back.
fn ignore_rules(repo: &Repo, source: &SourceTree) -> Result<String, PipelineError> {
    let mut rules = "# What builds of this folder do not see. Written by packwright.\n".to_owned();
    if let Some(own) = repo.text(".dockerignore").map_err(PlanError::from)? {
        // Builders know a byte order mark in the first line alone.
        rules += own.trim_start_matches('\u{feff}').trim_end();
        rules.push('\n');
    }
    for path in source.left_out()? {
        let name = letters(&path);
        let certain = name.iter().all(Option::is_some);
        if !certain
            && source
                .select(None)?
                .iter()
                .any(|kept| could_be(&name, &letters(&kept.path)))
        {
            return Err(PipelineError::Setting {
                key: ".dockerignore",
                value: path.to_string_lossy().into_owned(),
                reason: "is left out of images, and builders could not tell it from another name, which is not: rename it, or remove it",
            });
        }
        rules += &ignore_rule(&name);
        rules.push('\n');
    }
    rules += "!.nixpacks\n";
    Ok(rules)
}

/// The letters of a path; nothing for what a rule cannot say: control characters, and bytes that are not UTF-8.
fn letters(path: &Path) -> Vec<Option<char>> {
    let mut letters = Vec::new();
    for part in path.as_os_str().as_bytes().utf8_chunks() {
        let valid = part.valid().chars();
        letters.extend(valid.map(|letter| Some(letter).filter(|letter| !letter.is_control())));
        letters.extend(part.invalid().iter().map(|_| None));
    }
    letters
}

/// Whether the rule of a name is one for a path, too.
fn could_be(name: &[Option<char>], path: &[Option<char>]) -> bool {
    let fits = |(name, path): (&Option<char>, &Option<char>)| match name {
        Some(letter) => *path == Some(*letter),
        None => *path != Some('/'),
    };
    name.len() == path.len() && name.iter().zip(path).all(fits)
}

/// A pattern of this path.
fn ignore_rule(letters: &[Option<char>]) -> String {
    // A name may begin as a comment does.
    let mut rule = "/".to_owned();
    for (at, letter) in letters.iter().enumerate() {
        match *letter {
            None => rule.push('?'),
            Some(letter @ ('*' | '?' | '[' | '\\')) => rule.extend(['\\', letter]),
            // As an exception does.
            Some('!') if at == 0 => rule += "\\!",
            // Builders cut blanks off both ends.
            Some(letter) if (at == 0 || at + 1 == letters.len()) && letter.is_whitespace() => {
                rule.extend(['[', letter, ']']);
            }
            Some(letter) => rule.push(letter),
        }
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_odd_names_and_nothing_else() {
        for (path, rule) in [
            (&b"#a"[..], "/#a"),
            (b"!a", "/\\!a"),
            (b" a/ b ", "/[ ]a/ b[ ]"),
            ("a\u{a0}".as_bytes(), "/a[\u{a0}]"),
            (b"[a]*?\\", "/\\[a]\\*\\?\\\\"),
            (b"Icon\r", "/Icon?"),
            (b"a\nb\xff", "/a?b?"),
        ] {
            let name = letters(Path::new(std::ffi::OsStr::from_bytes(path)));
            assert_eq!(ignore_rule(&name), rule);
        }
        let could =
            |name: &str, path: &str| could_be(&letters(name.as_ref()), &letters(path.as_ref()));
        assert!(could("Icon\r", "Icon1") && could("Icon\r", "Icon\t"));
        assert!(!could("Icon\r", "Icon") && !could("Icon\r", "Icon/") && !could("Icon1", "Icon\r"));
    }

    #[test]
    fn what_is_not_put_in_place_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let file = bytes(Path::new(FOLDER).join("a/b"), 0o755, "text");
        let out = home.path().join("out");
        let mut staged = Staged::new(&out).unwrap();
        staged.add(&file).unwrap();
        assert!(out.join(FOLDER).exists());
        drop(staged);
        assert!(!out.exists());
        let mut staged = Staged::new(&out).unwrap();
        staged.add(&file).unwrap();
        staged.persist().unwrap();
        assert_eq!(fs::read_to_string(out.join(&file.path)).unwrap(), "text");
        assert_eq!(fs::read_dir(out.join(FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn what_an_earlier_export_left_in_the_way_goes_and_what_is_the_users_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path();
        let file = |name: &str| bytes(Path::new(FOLDER).join(name), 0o644, "text");
        for name in ["assets/nginx", "assets/nginx/site.conf", "assets/nginx"] {
            let file = file(name);
            refuse_obstacles(out, std::slice::from_ref(&file)).unwrap();
            let mut staged = Staged::new(out).unwrap();
            staged.add(&file).unwrap();
            staged.persist().unwrap();
            assert!(out.join(&file.path).is_file(), "{name}");
        }
        fs::create_dir_all(out.join(FOLDER).join("build.sh")).unwrap();
        assert!(refuse_obstacles(out, &[file("build.sh")]).is_err());
        fs::write(out.join(FOLDER).join("x"), "").unwrap();
        assert!(refuse_obstacles(out, &[file("x/y")]).is_err());
    }
}
