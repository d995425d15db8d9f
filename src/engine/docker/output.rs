//! The file or folder of this machine that a daemon's output becomes: made aside, and put there when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::DaemonError;
use super::request::Exported;
use crate::unpack::{Root, UnpackOptions, unpack_tar};
use crate::whole;

/// The kind of output that is a folder; daemons are asked for its archive.
const FOLDER: &str = "local";

/// An output that is on its way.
pub(super) struct Output {
    staged: tempfile::NamedTempFile,
    path: PathBuf,
    folder: bool,
}

impl Output {
    /// A place for what is exported, when that comes here.
    pub(super) fn prepare(export: &Exported) -> Result<Option<Self>, DaemonError> {
        let Exported::File { kind, path, .. } = export else {
            return Ok(None);
        };
        if whole::is_stream(path) {
            return Err(DaemonError::Argument {
                flag: "--docker-output",
                text: path.display().to_string(),
                reason: "it is a device or a pipe, which a file cannot replace".to_owned(),
            });
        }
        let folder = kind == FOLDER;
        if folder && let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(path))?;
        }
        let staged = whole::beside(path, 0o600).map_err(failed(path))?;
        Ok(Some(Self {
            staged,
            path: path.clone(),
            folder,
        }))
    }

    /// What a daemon is asked for when this is wanted: a folder's files come as one archive, which is unpacked here,
    /// by the rules for archives of others.
    pub(super) fn exporter(kind: &str) -> &str {
        if kind == FOLDER { "tar" } else { kind }
    }

    /// The file that the daemon writes to, open: a name could come back after its file is gone.
    pub(super) fn file(&self) -> Result<fs::File, DaemonError> {
        self.staged
            .as_file()
            .try_clone()
            .map_err(failed(&self.path))
    }

    /// Puts what the daemon wrote where it shall be.
    pub(super) fn finish(self) -> Result<(), DaemonError> {
        let failed = failed(&self.path);
        if !self.folder {
            return self
                .staged
                .persist(&self.path)
                .map(drop)
                .map_err(|error| failed(error.error));
        }
        fs::create_dir_all(&self.path).map_err(&failed)?;
        let archive = fs::File::open(self.staged.path()).map_err(&failed)?;
        // As with docker build, files belong to who asked for them.
        let options = UnpackOptions::default();
        Root::open(&self.path)
            .and_then(|root| unpack_tar(io::BufReader::new(archive), &root, &options))
            .map(drop)
            .map_err(|error| failed(io::Error::other(error)))
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> DaemonError {
    move |source| DaemonError::Destination {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn output(kind: &str, path: &Path) -> Output {
        let export = Exported::File {
            kind: kind.to_owned(),
            attributes: std::collections::HashMap::new(),
            path: path.to_owned(),
        };
        Output::prepare(&export).unwrap().unwrap()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("image.tar");
        let left = output("oci", &path);
        left.file().unwrap().write_all(b"half").unwrap();
        drop(left);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let done = output("oci", &path);
        done.file().unwrap().write_all(b"whole").unwrap();
        done.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let export = Exported::File {
            kind: "oci".to_owned(),
            attributes: std::collections::HashMap::new(),
            path: "/not/there/x.tar".into(),
        };
        let refused = Output::prepare(&export).err().unwrap();
        assert_eq!(refused.to_string(), "cannot write /not/there/x.tar");
        assert_eq!(crate::error::Failure::from(refused).code, 70);
    }

    #[test]
    fn a_folder_gets_what_the_archive_has_and_nothing_leaves_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o640);
        archive
            .append_data(&mut header, "app/x", "hi".as_bytes())
            .unwrap();
        let good = archive.into_inner().unwrap();
        let done = output(FOLDER, &path);
        done.file().unwrap().write_all(&good).unwrap();
        done.finish().unwrap();
        assert_eq!(fs::read_to_string(path.join("app/x")).unwrap(), "hi");
        // A name that leads out is refused.
        let mut bad = good;
        let name = b"../x\0";
        bad[..name.len()].copy_from_slice(name);
        let sum: u32 = bad[..512]
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                if (148..156).contains(&at) {
                    32
                } else {
                    u32::from(*byte)
                }
            })
            .sum();
        bad[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let refused = output(FOLDER, &path);
        refused.file().unwrap().write_all(&bad).unwrap();
        assert!(refused.finish().is_err());
        assert!(!home.path().join("a/x").exists());
    }
}
