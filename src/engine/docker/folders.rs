//! The folders of this machine that the steps of a build come from and go to, as `type=local` of `--cache-from` and
//! `--cache-to` asks.
//!
//! The daemon is told of each by a name of this build's, not by its path; the reason of an error may have that.

use std::path::Path;
use std::sync::Arc;

use super::content::ContentServer;
use super::layout::{Descriptor, Digest, Layout};
use super::request::{FOLDER, Typed};
use super::{DaemonError, DaemonOptions, Message, Teller};

/// The tag of steps where no other is asked for.
const TAG: &str = "latest";

/// The folders of one build.
#[derive(Default)]
pub(super) struct Folders {
    /// With the daemon's name for each.
    open: Vec<(String, Arc<Layout>)>,
    kept: Option<Kept>,
}

/// Where the steps of this build go to.
struct Kept {
    layout: Arc<Layout>,
    path: String,
    tag: String,
}

impl Folders {
    /// Opens what the options name, and makes of these what the daemon understands. A folder without usable steps is told
    /// of, and the build goes on without them.
    pub(super) fn prepare(
        options: &mut DaemonOptions,
        tell: &mut Teller<'_>,
    ) -> Result<Self, DaemonError> {
        let mut folders = Self::default();
        for (kind, attributes) in &mut options.cache_to {
            if kind != FOLDER {
                continue;
            }
            let path = attributes.get("dest").cloned().unwrap_or_default();
            if folders.kept.is_some() {
                return Err(DaemonError::Argument {
                    flag: "--cache-to",
                    text: format!("type={FOLDER},dest={path}"),
                    reason: "steps go to one folder".to_owned(),
                });
            }
            let layout = Layout::make(Path::new(&path));
            let layout = layout.map(Arc::new).map_err(|source| DaemonError::Io {
                action: format!("keep steps in {path}"),
                source,
            })?;
            let tag = attributes.remove("tag").unwrap_or_else(|| TAG.to_owned());
            attributes.insert("dest".to_owned(), folders.add(Arc::clone(&layout)));
            folders.kept = Some(Kept { layout, path, tag });
        }
        // Of several answers the last one counts, and it has to be the folder's.
        options.cache_to.sort_by_key(|(kind, _)| kind == FOLDER);
        let mut warn = |path: &str, reason: &str| {
            let text = format!("no steps of other builds: {path}: {reason}");
            tell(Message::Warning(text));
        };
        options.cache_from.retain_mut(|typed| {
            if typed.0 != FOLDER {
                return true;
            }
            let path = typed.1.get("src").cloned().unwrap_or_default();
            match find(&path, typed) {
                Ok((layout, digest)) => {
                    typed.1.remove("tag");
                    let name = folders.add(Arc::new(layout));
                    typed.1.insert("src".to_owned(), name);
                    typed.1.insert("digest".to_owned(), digest.to_string());
                    true
                }
                Err(reason) => {
                    warn(&path, &reason);
                    false
                }
            }
        });
        Ok(folders)
    }

    fn add(&mut self, layout: Arc<Layout>) -> String {
        let name = format!("folder-{}", self.open.len());
        // BuildKit puts the kind before it.
        self.open.push((format!("{FOLDER}:{name}"), layout));
        name
    }

    /// What the daemon reaches them through, where there are any.
    pub(super) fn server(&self) -> Option<ContentServer> {
        (!self.open.is_empty()).then(|| ContentServer::new(self.open.iter().cloned()))
    }

    /// Gives the steps that the daemon kept their tag; `manifest` is what it says of them.
    pub(super) fn finish(
        &self,
        manifest: Option<&str>,
        tell: &mut Teller<'_>,
    ) -> Result<(), DaemonError> {
        let Some(kept) = &self.kept else {
            return Ok(());
        };
        let Some(manifest) = manifest else {
            let text = format!("no steps were kept in {}: the builder gave none", kept.path);
            tell(Message::Warning(text));
            return Ok(());
        };
        let failed =
            |reason: String| DaemonError::Export(format!("the steps in {}: {reason}", kept.path));
        let manifest: Descriptor =
            serde_json::from_str(manifest).map_err(|error| failed(error.to_string()))?;
        let examined = kept.layout.examine(&manifest.digest);
        examined.map_err(|error| failed(error.to_string()))?;
        let tagged = kept.layout.tag(&kept.tag, manifest);
        tagged.map_err(|source| DaemonError::Io {
            action: format!("name the steps in {}", kept.path),
            source,
        })
    }
}

impl Drop for Folders {
    /// A build that ends in the middle leaves nothing half written, even while the daemon still writes.
    fn drop(&mut self) {
        for (_, layout) in &self.open {
            layout.close();
        }
    }
}

/// The folder and the manifest of its steps, or why there are none.
fn find(path: &str, (_, attributes): &Typed) -> Result<(Layout, Digest), String> {
    let text = |error: std::io::Error| error.to_string();
    let layout = Layout::open(Path::new(path)).map_err(text)?;
    let digest = match attributes.get("digest") {
        Some(digest) => Digest::try_from(digest.clone())?,
        None => {
            let tag = attributes.get("tag").map_or(TAG, String::as_str);
            let found = layout.tagged(tag).map_err(text)?;
            let found = found.ok_or_else(|| format!("nothing has the tag {tag}"))?;
            found.digest
        }
    };
    layout.examine(&digest).map_err(text)?;
    Ok((layout, digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn folder(name: &str, path: &Path) -> Typed {
        let path = path.display().to_string();
        let attributes = BTreeMap::from([(name.to_owned(), path), ("mode".into(), "max".into())]);
        (FOLDER.to_owned(), attributes)
    }

    fn prepare(
        from: Vec<Typed>,
        to: Vec<Typed>,
    ) -> (DaemonOptions, Result<Folders, DaemonError>, Vec<Message>) {
        let mut options = DaemonOptions {
            cache_from: from,
            cache_to: to,
            ..DaemonOptions::default()
        };
        let mut said = Vec::new();
        let folders = Folders::prepare(&mut options, &mut |message| said.push(message));
        (options, folders, said)
    }

    fn put(layout: &Layout, bytes: &[u8]) -> Digest {
        let mut ingest = layout.begin().unwrap();
        ingest.write(bytes).unwrap();
        layout.commit(ingest, None).unwrap()
    }

    #[test]
    fn what_one_build_keeps_is_found_by_the_next_one_and_no_path_is_told() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let (options, folders, said) =
            prepare(vec![folder("src", &path)], vec![folder("dest", &path)]);
        let folders = folders.unwrap();
        // The first build finds nothing.
        assert!(
            matches!(&said[..], [Message::Warning(text)] if text.contains("nothing has the tag latest")),
            "{said:?}"
        );
        assert!(options.cache_from.is_empty());
        assert_eq!(options.cache_to[0].1["dest"], "folder-0");
        assert_eq!(options.cache_to[0].1["mode"], "max");
        assert!(folders.server().is_some());
        let digest = put(&folders.open[0].1, b"{}");
        let manifest = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":2}}"#);
        folders.finish(Some(&manifest), &mut |_| {}).unwrap();
        let (options, _, said) = prepare(vec![folder("src", &path)], Vec::new());
        assert_eq!(said, []);
        let attributes = &options.cache_from[0].1;
        assert_eq!(
            (attributes["src"].as_str(), &attributes["digest"]),
            ("folder-0", &digest.to_string())
        );
        drop(folders);
        assert_eq!(std::fs::read_dir(path.join("ingest")).unwrap().count(), 0);
    }

    #[test]
    fn a_builder_that_keeps_nothing_or_something_else_is_told_of() {
        let home = tempfile::tempdir().unwrap();
        let to = || vec![folder("dest", home.path())];
        let mut said = Vec::new();
        let (_, folders, _) = prepare(Vec::new(), to());
        folders
            .unwrap()
            .finish(None, &mut |message| said.push(message))
            .unwrap();
        assert!(
            matches!(&said[..], [Message::Warning(text)] if text.contains("no steps were kept")),
            "{said:?}"
        );
        for manifest in [
            "{",
            r#"{"digest":"sha256:../x","size":1}"#,
            &format!(r#"{{"digest":"sha256:{}","size":1}}"#, "a".repeat(64)),
        ] {
            let (_, folders, _) = prepare(Vec::new(), to());
            let refused = folders.unwrap().finish(Some(manifest), &mut |_| {});
            assert!(
                matches!(refused, Err(DaemonError::Export(_))),
                "{refused:?}"
            );
        }
        assert!(!home.path().join("index.json").exists());
    }

    #[test]
    fn steps_go_to_one_folder() {
        let home = tempfile::tempdir().unwrap();
        let to = ["a", "b"].map(|name| folder("dest", &home.path().join(name)));
        let (_, folders, _) = prepare(Vec::new(), to.into());
        assert!(matches!(folders, Err(DaemonError::Argument { .. })));
    }
}
