//! Images are the same bytes from the same content, are accepted by tools of others, and every
//! damaged blob is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use packwright::image::{
    Compression, Destination, ImageError, ImageSpec, ImageStore, Layer, LayerContent, WrittenImage,
    export, write_layer,
};
use sha2::{Digest, Sha256};

struct Place {
    home: tempfile::TempDir,
    store: ImageStore,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = ImageStore::open(&home.path().join("images")).unwrap();
        Self { home, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A tree with everything that layers have to carry.
    fn tree(&self) -> PathBuf {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("bin")).unwrap();
        fs::create_dir_all(tree.join("d".repeat(120)).join("e".repeat(120))).unwrap();
        fs::write(tree.join("bin/program"), vec![7; 3 << 20]).unwrap();
        fs::set_permissions(tree.join("bin/program"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::hard_link(tree.join("bin/program"), tree.join("bin/other")).unwrap();
        std::os::unix::fs::symlink("../bin/program", tree.join("link")).unwrap();
        fs::write(
            tree.join("d".repeat(120))
                .join("e".repeat(120))
                .join("deep"),
            "deep",
        )
        .unwrap();
        fs::write(tree.join("name with\nnewline"), "x").unwrap();
        tree
    }

    fn image(&self) -> WrittenImage {
        let base = LayerContent::from_tree(&self.tree(), &|_| true, false).unwrap();
        let mut top = LayerContent::new();
        top.add_bytes(Path::new("app/server.js"), 0o644, b"x".to_vec())
            .unwrap();
        let layers = [base, top].map(|content| Layer {
            descriptor: write_layer(&content, &self.store, Compression::default()).unwrap(),
            comment: "a layer".to_owned(),
        });
        let spec = ImageSpec {
            layers: layers.to_vec(),
            env: vec!["PATH=/bin".to_owned()],
            entrypoint: vec!["/bin/program".to_owned()],
            cmd: vec!["--flag \"quoted\" \\ $HOME".to_owned()],
            working_dir: "/app".to_owned(),
            labels: BTreeMap::from([("org.example".to_owned(), "1".to_owned())]),
            ..ImageSpec::default()
        };
        self.store
            .write_image(&spec, &["test/app:1".to_owned(), "other".to_owned()])
            .unwrap()
    }

    fn export(
        &self,
        image: &WrittenImage,
        text: &str,
    ) -> Result<(), packwright::image::ImageError> {
        let destination: Destination = text.parse().unwrap();
        export(
            &self.store,
            &image.manifest_digest,
            &["test/app:1".to_owned()],
            &destination,
        )
    }
}

/// Runs a tool of others; a missing one is an error in CI and told elsewhere.
fn tool(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{program} {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{program}: {error}");
            eprintln!("SKIPPED: {program} is not installed");
            None
        }
    }
}

#[test]
fn the_same_content_has_the_same_digest_in_two_stores() {
    assert_eq!(Place::new().image(), Place::new().image());
}

#[test]
fn a_layer_holds_what_its_tree_holds() {
    let place = Place::new();
    let image = place.image();
    let to = place.path("rootfs");
    place
        .export(&image, &format!("rootfs:{}", to.display()))
        .unwrap();
    let mode = |path: &str| fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("bin/program"), 0o4755);
    assert_eq!(fs::read(to.join("bin/other")).unwrap().len(), 3 << 20);
    assert_eq!(
        fs::read_link(to.join("link")).unwrap(),
        Path::new("../bin/program")
    );
    assert_eq!(
        fs::read_to_string(to.join("d".repeat(120)).join("e".repeat(120)).join("deep")).unwrap(),
        "deep"
    );
    assert!(to.join("name with\nnewline").exists());
    assert_eq!(fs::read_to_string(to.join("app/server.js")).unwrap(), "x");
    for path in ["bin", "bin/program", "link"] {
        let meta = fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!(meta.mtime(), 1, "{path} has the time of its archive");
    }
    let again = place.export(&image, &format!("rootfs:{}", to.display()));
    assert!(
        again.is_err(),
        "a folder that holds something is not written over"
    );
}

#[test]
fn deletions_of_an_overlay_become_whiteouts() {
    let place = Place::new();
    let tree = place.path("upper");
    fs::create_dir_all(tree.join("opaque")).unwrap();
    fs::create_dir_all(tree.join("way/to/mount")).unwrap();
    let device = rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    );
    device.unwrap();
    let opaque = tree.join("opaque");
    rustix::fs::setxattr(
        &opaque,
        "user.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let keep = |path: &Path| path != Path::new("way/to/mount");
    let content = LayerContent::from_tree(&tree, &keep, true).unwrap();
    let layer = write_layer(&content, &place.store, Compression::None).unwrap();
    let blob = fs::read(place.store.blob_path(&layer.digest).unwrap()).unwrap();
    let mut archive = tar::Archive::new(&blob[..]);
    let names: Vec<PathBuf> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().into_owned())
        .collect();
    let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    assert_eq!(names, [".wh.gone", "opaque/", "opaque/.wh..wh..opq"]);
}

#[test]
fn a_users_file_that_looks_like_a_whiteout_is_refused() {
    let mut content = LayerContent::new();
    assert!(
        content
            .add_bytes(Path::new("app/.wh.x"), 0o644, Vec::new())
            .is_err()
    );
}

/// A layer with the source file `dir/file`, which `change` touches between its hash and its use.
fn layer_of_a_file_that(change: fn(&Path)) -> Result<(), ImageError> {
    let place = Place::new();
    let app = place.path("app");
    fs::create_dir_all(app.join("dir")).unwrap();
    fs::write(app.join("dir/file"), "1234").unwrap();
    let folder = std::sync::Arc::new(fs::File::open(&app).unwrap().into());
    let hash = Sha256::digest("1234").into();
    let inside = Path::new("dir/file");
    let mut content = LayerContent::new();
    content.add_source_file(&folder, inside, hash, &Path::new("app").join(inside), 0o644)?;
    change(&app);
    let result = write_layer(&content, &place.store, Compression::default());
    let blobs = fs::read_dir(place.store.root().join("blobs/sha256")).unwrap();
    assert_eq!(blobs.count(), usize::from(result.is_ok()));
    result.map(drop)
}

#[test]
fn a_source_file_that_changes_before_it_is_read_is_an_error() {
    let changed = |change| {
        let result = layer_of_a_file_that(change);
        assert!(matches!(result, Err(ImageError::Changed(_))), "{result:?}");
    };
    assert!(layer_of_a_file_that(|_| ()).is_ok());
    changed(|app| fs::write(app.join("dir/file"), "12345").unwrap());
    changed(|app| fs::write(app.join("dir/file"), "123").unwrap());
    changed(|app| fs::write(app.join("dir/file"), "4321").unwrap());
}

#[test]
fn a_folder_that_is_swapped_for_a_link_is_not_followed() {
    let result = layer_of_a_file_that(|app| {
        fs::rename(app.join("dir"), app.with_file_name("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", app.join("dir")).unwrap();
    });
    assert!(matches!(result, Err(ImageError::Io { .. })), "{result:?}");
}

#[test]
fn every_damaged_blob_is_noticed_and_nothing_is_delivered() {
    let place = Place::new();
    let image = place.image();
    let blobs: Vec<PathBuf> = fs::read_dir(place.store.root().join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(blobs.len() >= 4);
    for blob in blobs {
        let good = fs::read(&blob).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let mut longer = good.clone();
        longer.push(0);
        for bad in [flipped, longer, good[..good.len() - 1].to_vec()] {
            fs::write(&blob, bad).unwrap();
            for kind in ["oci-archive", "docker-archive", "oci", "rootfs"] {
                let to = place.path(kind);
                // A layout keeps the good blobs of an earlier attempt and needs them no more.
                let _ = fs::remove_dir_all(&to);
                let result = place.export(&image, &format!("{kind}:{}", to.display()));
                assert!(result.is_err(), "{kind} {}", blob.display());
                assert!(!to.exists(), "{kind}");
            }
        }
        fs::write(&blob, good).unwrap();
    }
    place
        .export(
            &image,
            &format!("oci-archive:{}", place.path("good").display()),
        )
        .unwrap();
}

#[test]
fn an_exported_layout_leaves_the_users_own_files_alone() {
    let place = Place::new();
    let image = place.image();
    let folder = place.path("project");
    fs::create_dir_all(folder.join("tmp")).unwrap();
    fs::write(folder.join("tmp/mine"), "mine").unwrap();
    let file = fs::File::options()
        .write(true)
        .open(folder.join("tmp/mine"))
        .unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let destination = Destination::OciLayout(folder.clone());
    export(&place.store, &image.manifest_digest, &[], &destination).unwrap();
    assert!(folder.join("index.json").is_file());
    assert_eq!(fs::read_to_string(folder.join("tmp/mine")).unwrap(), "mine");
}

#[test]
fn an_archive_is_written_into_a_pipe_and_does_not_replace_it() {
    let place = Place::new();
    let image = place.image();
    let pipe = place.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::read(pipe).unwrap().len())
    };
    let destination = format!("oci-archive:{}", pipe.display()).parse().unwrap();
    export(&place.store, &image.manifest_digest, &[], &destination).unwrap();
    assert!(reader.join().unwrap() > 10_240);
    assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());
}

#[test]
fn a_truncated_blob_is_replaced_by_the_next_build() {
    let place = Place::new();
    let image = place.image();
    let folder = place.store.root().join("blobs/sha256");
    let mut blobs = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        blobs.push((path.clone(), fs::read(&path).unwrap()));
        fs::write(&path, "").unwrap();
    }
    fs::remove_dir_all(place.path("tree")).unwrap();
    assert_eq!(place.image(), image);
    for (path, bytes) in blobs {
        assert!(fs::read(&path).unwrap() == bytes, "{}", path.display());
    }
}

#[test]
fn what_killed_builds_left_of_blobs_is_removed() {
    let place = Place::new();
    let tmp = place.store.root().join("tmp");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for name in ["left", "held", "new"] {
        fs::write(tmp.join(name), "part of a blob").unwrap();
        if name != "new" {
            let file = fs::File::options()
                .write(true)
                .open(tmp.join(name))
                .unwrap();
            file.set_modified(long_ago).unwrap();
        }
    }
    let held = fs::File::open(tmp.join("held")).unwrap();
    held.lock().unwrap();
    ImageStore::open(place.store.root()).unwrap();
    let exists = ["left", "held", "new"].map(|name| tmp.join(name).exists());
    assert_eq!(exists, [false, true, true]);
}

#[test]
fn blobs_of_an_image_that_is_being_written_are_not_removed_with_another() {
    let place = Place::new();
    let image = place.image();
    let mut content = LayerContent::new();
    content
        .add_bytes(Path::new("app/new"), 0o644, b"new".to_vec())
        .unwrap();
    let writing = place.store.hold().unwrap();
    let layer = write_layer(&content, &place.store, Compression::default()).unwrap();
    std::thread::scope(|scope| {
        let removal = scope.spawn(|| place.store.remove(&image.manifest_digest).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(place.store.has_layer(&layer));
        let spec = ImageSpec {
            layers: vec![Layer {
                descriptor: layer.clone(),
                comment: String::new(),
            }],
            ..ImageSpec::default()
        };
        place.store.write_image(&spec, &["b".to_owned()]).unwrap();
        drop(writing);
        assert!(removal.join().unwrap() > 0);
    });
    assert!(place.store.has_layer(&layer));
}

#[test]
fn a_damaged_image_is_listed_as_such_and_hides_no_other() {
    let place = Place::new();
    let image = place.image();
    let manifest = place.store.blob_path(&image.manifest_digest).unwrap();
    fs::write(manifest, "{}").unwrap();
    let images = place.store.list().unwrap();
    assert_eq!(images.len(), 2);
    assert!(images.iter().all(|image| image.damaged));
    place.store.remove("other").unwrap();
    assert_eq!(place.store.list().unwrap().len(), 1);
}

#[test]
fn names_move_and_removing_the_last_one_frees_the_blobs() {
    let place = Place::new();
    let image = place.image();
    let names: Vec<String> = place
        .store
        .list()
        .unwrap()
        .into_iter()
        .map(|image| image.name)
        .collect();
    assert_eq!(names, ["other:latest", "test/app:1"]);
    assert_eq!(place.store.find("other").unwrap(), image.manifest_digest);
    assert_eq!(
        place.store.find(&image.manifest_digest[7..19]).unwrap(),
        image.manifest_digest
    );
    assert_eq!(place.store.remove("other").unwrap(), 0);
    assert!(place.store.remove("test/app:1").unwrap() > 0);
    assert!(place.store.find("test/app:1").is_err());
    assert_eq!(
        fs::read_dir(place.store.root().join("blobs/sha256"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn skopeo_and_umoci_accept_the_layout_and_the_archives() {
    let place = Place::new();
    let image = place.image();
    let layout = place.path("layout").display().to_string();
    place.export(&image, &format!("oci:{layout}")).unwrap();
    let archive = place.path("image.tar").display().to_string();
    place
        .export(&image, &format!("oci-archive:{archive}"))
        .unwrap();
    let docker = place.path("docker.tar").display().to_string();
    place
        .export(&image, &format!("docker-archive:{docker}"))
        .unwrap();
    for source in [
        format!("oci:{layout}:test/app:1"),
        format!("oci-archive:{archive}"),
        format!("docker-archive:{docker}"),
    ] {
        let Some(text) = tool("skopeo", &["inspect", "--config", &source]) else {
            return;
        };
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            config["config"]["Cmd"][0], "--flag \"quoted\" \\ $HOME",
            "{source}"
        );
    }
    let copy = place.path("copy").display().to_string();
    tool(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            &format!("oci-archive:{archive}"),
            &format!("dir:{copy}"),
        ],
    );
    // umoci takes no colon in a tag.
    let plain = place.path("plain").display().to_string();
    tool(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            &format!("oci-archive:{archive}"),
            &format!("oci:{plain}:one"),
        ],
    );
    let bundle = place.path("bundle").display().to_string();
    if tool(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &format!("{plain}:one"),
            &bundle,
        ],
    )
    .is_some()
    {
        assert_eq!(
            fs::read_to_string(Path::new(&bundle).join("rootfs/app/server.js")).unwrap(),
            "x"
        );
    }
}
