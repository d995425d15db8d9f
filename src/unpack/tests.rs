//! Archives as an attacker makes them, with a canary outside the root that must not change.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

/// A root to unpack into and, beside it, what must not be touched.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("root")).unwrap();
        fs::create_dir(home.path().join("outside")).unwrap();
        fs::write(home.path().join("outside/canary"), "alive").unwrap();
        fs::set_permissions(
            home.path().join("outside/canary"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        Self { home }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.home.path().join("root").join(path)
    }

    fn unpack_with(
        &self,
        archive: &[u8],
        options: &UnpackOptions,
    ) -> Result<Unpacked, UnpackError> {
        let result = unpack_tar(archive, &Root::open(&self.path("")).unwrap(), options);
        let canary = self.home.path().join("outside/canary");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
        assert_eq!(fs::metadata(&canary).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::metadata(&canary).unwrap().nlink(), 1);
        assert_eq!(
            fs::read_dir(self.home.path().join("outside"))
                .unwrap()
                .count(),
            1
        );
        assert_eq!(fs::read_dir(self.home.path()).unwrap().count(), 2);
        result
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_with(archive, &UnpackOptions::default())
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn outside(&self) -> String {
        self.home
            .path()
            .join("outside")
            .to_str()
            .unwrap()
            .to_owned()
    }
}

/// Writes archives without any check.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn entry(mut self, kind: u8, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(7);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name.as_bytes(), b"", 0o644, content.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.entry(b'5', name.as_bytes(), b"", 0o755, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name.as_bytes(), target.as_bytes(), 0o777, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name.as_bytes(), target.as_bytes(), 0o644, b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            content.extend(format!("{length} {key}=").bytes());
            content.extend(*value);
            content.push(b'\n');
        }
        self.entry(b'x', b"pax", b"", 0o644, &content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn archive() -> Archive {
    Archive::default()
}

fn reason(result: Result<Unpacked, UnpackError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn plain_archives_keep_content_modes_links_and_times() {
    let place = Place::new();
    let tar = archive()
        .dir("bin/")
        .entry(b'0', b"bin/tool", b"", 0o755, b"#!")
        .symlink("bin/sh", "tool")
        .hard_link("bin/other", "bin/tool")
        .dir("tmp")
        .entry(b'5', b"tmp", b"", 0o1777, b"")
        .end();
    let done = place
        .unpack_with(
            &tar,
            &UnpackOptions {
                list: true,
                ..UnpackOptions::default()
            },
        )
        .unwrap();
    assert_eq!((done.entries, done.bytes, done.skipped), (6, 2, 0));
    assert_eq!(done.paths[1], Path::new("bin/tool"));
    let tool = fs::metadata(place.path("bin/tool")).unwrap();
    assert_eq!(
        (tool.mode() & 0o7777, tool.nlink(), tool.mtime()),
        (0o755, 2, 7)
    );
    assert_eq!(fs::metadata(place.path("bin")).unwrap().mtime(), 7);
    assert_eq!(
        fs::metadata(place.path("tmp")).unwrap().mode() & 0o7777,
        0o1777
    );
    assert_eq!(
        fs::read_link(place.path("bin/sh")).unwrap(),
        Path::new("tool")
    );
}

#[test]
fn parents_that_the_archive_leaves_out_are_made() {
    let place = Place::new();
    place.unpack(&archive().file("a/b/c", "x").end()).unwrap();
    assert_eq!(
        fs::metadata(place.path("a/b")).unwrap().mode() & 0o7777,
        0o755
    );
}

#[test]
fn dots_and_absolute_names_stay_inside_or_are_refused() {
    let place = Place::new();
    assert!(
        reason(place.unpack(&archive().file("../outside/canary", "dead").end())).contains("..")
    );
    assert!(
        reason(place.unpack(&archive().file("a/../../outside/x", "dead").end())).contains("..")
    );
    let absolute = format!("{}/canary", place.outside());
    place
        .unpack(&archive().file(&absolute, "inside").end())
        .unwrap();
    assert_eq!(place.text(absolute.trim_start_matches('/')), "inside");
}

#[test]
fn a_file_through_a_symbolic_link_lands_inside() {
    let place = Place::new();
    let outside = place.outside();
    let tar = archive()
        .symlink("abs", &outside)
        .file("abs/canary", "dead")
        .end();
    assert!(
        place.unpack(&tar).is_err(),
        "the link leads nowhere inside the root"
    );
    let tar = archive()
        .symlink("up", "../outside")
        .file("up/canary", "dead")
        .end();
    assert!(place.unpack(&tar).is_err());
    let tar = archive()
        .dir("usr/bin")
        .symlink("bin", "/usr/bin")
        .file("bin/tool", "in")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text("usr/bin/tool"), "in");
    let tar = archive()
        .dir("real")
        .symlink("deep", "../../../real")
        .file("deep/f", "in")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text("real/f"), "in");
}

#[test]
fn a_file_or_folder_over_a_symbolic_link_replaces_it_and_changes_nothing_behind_it() {
    let place = Place::new();
    let outside = place.outside();
    let canary = format!("{outside}/canary");
    let tar = archive()
        .symlink("f", &canary)
        .file("f", "new")
        .symlink("d", &outside)
        .entry(b'5', b"d/", b"", 0o777, b"")
        .file("d/canary", "new")
        .symlink("e", &outside)
        .entry(b'5', b"e//.//", b"", 0o777, b"")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text("f"), "new");
    assert_eq!(place.text("d/canary"), "new");
    assert!(fs::symlink_metadata(place.path("e")).unwrap().is_dir());
}

#[test]
fn links_that_were_there_before_do_not_lead_out_either() {
    let place = Place::new();
    symlink(place.outside(), place.path("old")).unwrap();
    assert!(
        place
            .unpack(&archive().file("old/canary", "dead").end())
            .is_err()
    );
    assert!(
        place
            .unpack(&archive().file("old/new/x", "dead").end())
            .is_err()
    );
    let options = UnpackOptions {
        whiteouts: Whiteouts::Apply,
        ..UnpackOptions::default()
    };
    place
        .unpack_with(&archive().file("old/.wh.canary", "").end(), &options)
        .unwrap();
    place
        .unpack_with(&archive().file("old/.wh..wh..opq", "").end(), &options)
        .unwrap();
    place
        .unpack_with(&archive().file(".wh.old", "").end(), &options)
        .unwrap();
    assert!(fs::symlink_metadata(place.path("old")).is_err());
}

#[test]
fn as_dpkg_does_a_folder_over_a_link_to_a_folder_leaves_the_link() {
    let place = Place::new();
    let options = UnpackOptions {
        through_links: true,
        owners: true,
        ..UnpackOptions::default()
    };
    let tar = archive()
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .entry(b'5', b"lib/", b"", 0o700, b"")
        .file("lib/x", "in")
        .end();
    place.unpack_with(&tar, &options).unwrap();
    assert_eq!(place.text("usr/lib/x"), "in");
    assert_eq!(
        fs::metadata(place.path("usr/lib")).unwrap().mode() & 0o7777,
        0o755
    );
    let tar = archive()
        .symlink("out", &place.outside())
        .entry(b'5', b"out", b"", 0o777, b"")
        .end();
    place.unpack_with(&tar, &options).unwrap();
}

#[test]
fn hard_links_reach_nothing_outside_and_only_what_is_there() {
    let place = Place::new();
    let canary = format!("{}/canary", place.outside());
    assert!(reason(place.unpack(&archive().hard_link("l", &canary).end())).contains("not there"));
    assert!(
        reason(place.unpack(&archive().hard_link("l", "../outside/canary").end())).contains("..")
    );
    assert!(
        reason(place.unpack(&archive().hard_link("l", "later").file("later", "x").end()))
            .contains("not there")
    );
    assert!(
        reason(
            place.unpack(
                &archive()
                    .file("self", "x")
                    .hard_link("self", "./self")
                    .end()
            )
        )
        .contains("itself")
    );
    assert!(reason(place.unpack(&archive().dir("d").hard_link("l", "d").end())).contains("folder"));
    let through = archive()
        .symlink("s", &place.outside())
        .hard_link("l", "s/canary")
        .end();
    assert!(place.unpack(&through).is_err());
    let to_link = archive()
        .symlink("s", &canary)
        .hard_link("l", "s")
        .file("l", "new")
        .end();
    place.unpack(&to_link).unwrap();
    assert_eq!(place.text("l"), "new");
}

#[test]
fn a_hard_link_replaces_what_is_there() {
    let place = Place::new();
    place
        .unpack(
            &archive()
                .file("a", "a")
                .file("b", "b")
                .hard_link("b", "a")
                .end(),
        )
        .unwrap();
    assert_eq!(place.text("b"), "a");
}

#[test]
fn of_duplicates_the_last_wins() {
    let place = Place::new();
    let tar = archive()
        .file("x", "1")
        .dir("x")
        .file("x/inner", "2")
        .file("x", "3")
        .dir("y/z")
        .file("y/z/f", "f")
        .symlink("y", "elsewhere")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text("x"), "3");
    assert_eq!(
        fs::read_link(place.path("y")).unwrap(),
        Path::new("elsewhere")
    );
}

#[test]
fn a_replaced_folder_is_not_written_to_through_its_old_descriptor() {
    let place = Place::new();
    let tar = archive()
        .dir("a")
        .file("a/one", "1")
        .symlink("a", "b")
        .dir("b")
        .file("a/two", "2")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text("b/two"), "2");
}

#[test]
fn setuid_survives_only_with_owners() {
    let place = Place::new();
    let tar = archive().entry(b'0', b"su", b"", 0o4755, b"x").end();
    place.unpack(&tar).unwrap();
    assert_eq!(
        fs::metadata(place.path("su")).unwrap().mode() & 0o7777,
        0o755
    );
    place
        .unpack_with(
            &tar,
            &UnpackOptions {
                owners: true,
                ..UnpackOptions::default()
            },
        )
        .unwrap();
    assert_eq!(
        fs::metadata(place.path("su")).unwrap().mode() & 0o7777,
        0o4755
    );
}

#[test]
fn devices_and_fifos_are_left_out() {
    let place = Place::new();
    let tar = archive()
        .entry(b'3', b"null", b"", 0o666, b"")
        .entry(b'4', b"disk", b"", 0o666, b"")
        .entry(b'6', b"pipe", b"", 0o666, b"")
        .file("f", "x")
        .end();
    let done = place.unpack(&tar).unwrap();
    assert_eq!((done.entries, done.skipped), (1, 3));
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1);
}

#[test]
fn a_pax_size_wins() {
    let place = Place::new();
    // The header says 0, so a reader that ignores PAX would take the content for headers.
    let inner = archive().file("hidden", "x").0;
    let mut tar = archive()
        .pax(&[("size", inner.len().to_string().as_bytes())])
        .file("outer", "")
        .0;
    tar.extend(&inner);
    tar.extend([0; 1024]);
    let done = place.unpack(&tar).unwrap();
    assert_eq!(done.entries, 1);
    assert_eq!(fs::read(place.path("outer")).unwrap(), inner);
}

#[test]
fn names_are_bytes_of_any_length() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let gnu = format!("gnu/{long}");
    let tar = archive()
        .pax(&[("path", long.as_bytes()), ("mtime", b"-5.25")])
        .file("short", "pax")
        .entry(
            b'L',
            b"././@LongLink",
            b"",
            0,
            format!("{gnu}\0").as_bytes(),
        )
        .file("short", "gnu")
        .pax(&[("path", b"caf\xe9\n\x1b[0m")])
        .file("short", "latin")
        .end();
    place.unpack(&tar).unwrap();
    assert_eq!(place.text(&long), "pax");
    assert_eq!(fs::metadata(place.path(&long)).unwrap().mtime(), -5);
    assert_eq!(place.text(&gnu), "gnu");
    assert!(
        place
            .path("")
            .join(OsStr::from_bytes(b"caf\xe9\n\x1b[0m"))
            .exists()
    );
    assert!(
        place
            .unpack(&archive().pax(&[("path", b"a\0b")]).file("s", "").end())
            .is_err()
    );
    let too_long = "n".repeat(300);
    assert!(
        place
            .unpack(
                &archive()
                    .pax(&[("path", too_long.as_bytes())])
                    .file("s", "")
                    .end()
            )
            .is_err()
    );
}

#[test]
fn malformed_archives_are_refused() {
    let place = Place::new();
    let good = archive().file("f", "content").end();
    let mut broken = vec![
        ("cut in the content", good[..600].to_vec()),
        ("cut in a header", good[..300].to_vec()),
        ("no end blocks", good[..1024].to_vec()),
        (
            "garbage behind",
            [good.clone(), b"garbage".to_vec()].concat(),
        ),
        (
            "checksum",
            good.iter()
                .enumerate()
                .map(|(i, b)| if i == 0 { b'g' } else { *b })
                .collect(),
        ),
    ];
    for (what, record) in [
        ("length", "99 path=x\n"),
        ("no equals", "5 ab\n"),
        ("no digits", "path=x\n"),
        ("twice", "10 path=a\n10 path=b\n"),
    ] {
        broken.push((
            what,
            archive()
                .entry(b'x', b"p", b"", 0, record.as_bytes())
                .file("f", "")
                .end(),
        ));
    }
    broken.push((
        "global path",
        archive()
            .entry(b'g', b"p", b"", 0, b"10 path=a\n")
            .file("f", "")
            .end(),
    ));
    broken.push((
        "sparse",
        archive()
            .pax(&[("GNU.sparse.major", b"1")])
            .file("f", "")
            .end(),
    ));
    broken.push(("old sparse", archive().entry(b'S', b"s", b"", 0, b"").end()));
    broken.push((
        "directory with content",
        archive().entry(b'5', b"d", b"", 0, b"x").end(),
    ));
    broken.push((
        "extended header alone",
        archive().pax(&[("path", b"x")]).end(),
    ));
    for (what, tar) in broken {
        let result = place.unpack(&tar);
        assert!(result.is_err(), "{what} was accepted");
    }
}

#[test]
fn comments_in_global_headers_are_harmless() {
    let place = Place::new();
    let tar = archive()
        .entry(b'g', b"p", b"", 0, b"13 comment=a\n")
        .file("f", "x")
        .end();
    assert_eq!(place.unpack(&tar).unwrap().entries, 1);
}

#[test]
fn limits_hold_before_anything_is_written_beyond_them() {
    let place = Place::new();
    let limits = |bytes, entries| UnpackOptions {
        limits: Limits { bytes, entries },
        ..UnpackOptions::default()
    };
    let tar = archive().file("a", "12345").file("b", "12345").end();
    assert!(place.unpack_with(&tar, &limits(10, 2)).is_ok());
    assert!(reason(place.unpack_with(&tar, &limits(9, 2))).contains("9 bytes"));
    assert!(reason(place.unpack_with(&tar, &limits(10, 1))).contains("1 entries"));
    let huge = archive()
        .pax(&[("size", b"9223372036854775807")])
        .file("huge", "")
        .end();
    assert!(reason(place.unpack(&huge)).contains("bytes"));
    let mut header = archive()
        .entry(b'x', b"p", b"", 0, &vec![b'x'; 2 << 20])
        .file("f", "")
        .end();
    assert!(reason(place.unpack(&header)).contains("extended header"));
    header.truncate(512);
    assert!(place.unpack(&header).is_err());
}

#[test]
fn ids_that_do_not_fit_are_refused_not_wrapped() {
    let place = Place::new();
    let owners = UnpackOptions {
        owners: true,
        ..UnpackOptions::default()
    };
    for id in ["4294967295", "4294967296", "18446744073709551615"] {
        let tar = archive().pax(&[("uid", id.as_bytes())]).file("f", "").end();
        assert!(
            reason(place.unpack_with(&tar, &owners)).contains("no valid ids"),
            "{id}"
        );
        assert!(place.unpack(&tar).is_ok());
    }
}

#[test]
fn stripping_and_prefix_apply_to_hard_links_too() {
    let place = Place::new();
    let keep = |path: &Path| !path.starts_with("docs");
    let options = UnpackOptions {
        strip_components: 1,
        prefix: Path::new("opt/tool"),
        keep: Some(&keep),
        ..UnpackOptions::default()
    };
    let tar = archive()
        .dir("package")
        .file("package/a", "x")
        .hard_link("package/b", "package/a")
        .file("package/docs/c", "")
        .file("top", "")
        .end();
    assert_eq!(place.unpack_with(&tar, &options).unwrap().entries, 2);
    assert_eq!(place.text("opt/tool/b"), "x");
    assert!(!place.path("opt/tool/docs").exists());
}

#[test]
fn whiteouts_remove_what_is_below_and_spare_their_own_layer_in_any_order() {
    let lower = archive()
        .file("d/old", "")
        .file("d/sub/old", "")
        .file("gone", "")
        .file("x/old", "")
        .end();
    let entries: [fn(Archive) -> Archive; 5] = [
        |a| a.file("d/.wh..wh..opq", ""),
        |a| a.file("d/sub/new", "n"),
        |a| a.file("d/.wh.old", ""),
        |a| a.file(".wh.gone", ""),
        |a| a.file(".wh.x", "").file("x/new", "n"),
    ];
    for turn in 0..entries.len() {
        let place = Place::new();
        let options = UnpackOptions {
            whiteouts: Whiteouts::Apply,
            ..UnpackOptions::default()
        };
        place.unpack(&lower).unwrap();
        let mut upper = archive();
        for index in 0..entries.len() {
            upper = entries[(index + turn) % entries.len()](upper);
        }
        place.unpack_with(&upper.end(), &options).unwrap();
        for gone in ["d/old", "d/sub/old", "gone", "x/old"] {
            assert!(!place.path(gone).exists(), "{gone} in turn {turn}");
        }
        assert_eq!(
            (place.text("d/sub/new"), place.text("x/new")),
            ("n".to_owned(), "n".to_owned())
        );
    }
}

#[test]
fn whiteouts_become_overlay_markers() {
    let place = Place::new();
    let options = UnpackOptions {
        whiteouts: Whiteouts::Overlay,
        ..UnpackOptions::default()
    };
    let tar = archive()
        .dir("d")
        .file("d/.wh..wh..opq", "")
        .file("d/.wh.y", "")
        .file(".wh.x", "")
        .file("z", "")
        .file(".wh.z", "")
        .end();
    place.unpack_with(&tar, &options).unwrap();
    for path in ["x", "d/y"] {
        let meta = fs::symlink_metadata(place.path(path)).unwrap();
        assert_eq!((meta.mode() & 0o170_000, meta.rdev()), (0o020_000, 0));
    }
    let mut value = [0; 8];
    let count =
        rustix::fs::getxattr(place.path("d"), "user.overlay.opaque", &mut value[..]).unwrap();
    assert_eq!(&value[..count], b"y");
    assert_eq!(place.text("z"), "");
}

#[test]
fn nonsense_whiteouts_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", ".wh..wh.plnk", "a/.wh.b/c"] {
        for whiteouts in [Whiteouts::Apply, Whiteouts::Overlay, Whiteouts::Refuse] {
            let place = Place::new();
            let options = UnpackOptions {
                whiteouts,
                ..UnpackOptions::default()
            };
            assert!(
                place
                    .unpack_with(&archive().file(name, "").end(), &options)
                    .is_err(),
                "{name}"
            );
        }
    }
    let place = Place::new();
    assert!(place.unpack(&archive().file(".wh.x", "").end()).is_err());
}

#[test]
fn the_root_api_is_confined_too() {
    let place = Place::new();
    symlink(place.outside(), place.path("out")).unwrap();
    symlink("../outside/canary", place.path("link")).unwrap();
    let root = Root::open(&place.path("")).unwrap();
    assert!(
        root.file(Path::new("out/x"), 0o644, &mut &b"x"[..], 9)
            .is_err()
    );
    assert!(root.mkdir(Path::new("out/x"), 0o755).is_err());
    root.remove(Path::new("out/canary")).unwrap();
    root.set_owner(Path::new("link"), 0, 0).unwrap();
    assert_eq!(
        root.file(Path::new("link"), 0o600, &mut &b"new"[..], 3)
            .unwrap(),
        3
    );
    assert!(
        root.file(Path::new("big"), 0o600, &mut &b"1234"[..], 3)
            .is_err()
    );
    root.mkdir(Path::new("a/b"), 0o700).unwrap();
    root.symlink(Path::new("a/s"), Path::new("b")).unwrap();
    root.file(Path::new("a/s/f"), 0o644, &mut &b"f"[..], 9)
        .unwrap();
    root.hard_link(Path::new("/h"), Path::new("/a/b/f"))
        .unwrap();
    assert_eq!(place.text("h"), "f");
    root.remove(Path::new("a")).unwrap();
    assert!(!place.path("a").exists());
    place.unpack(&archive().end()).unwrap();
}

/// The `tar` crate and GNU tar read the same as we do.
#[test]
fn gnu_tar_archives_are_read() {
    let source = tempfile::tempdir().unwrap();
    let deep: PathBuf = std::iter::repeat_n("level", 60).collect();
    fs::create_dir_all(source.path().join(&deep)).unwrap();
    fs::write(source.path().join(&deep).join("f"), "deep").unwrap();
    fs::hard_link(
        source.path().join(&deep).join("f"),
        source.path().join("hard"),
    )
    .unwrap();
    for format in ["gnu", "pax", "posix", "ustar", "v7"] {
        let mut command = std::process::Command::new("tar");
        command
            .args(["--format", format, "-cf", "-", "-C"])
            .arg(source.path());
        // ustar and v7 cannot hold the deep name.
        let output = command
            .arg(if matches!(format, "ustar" | "v7") {
                "hard"
            } else {
                "."
            })
            .output()
            .unwrap();
        assert!(output.status.success());
        let place = Place::new();
        place.unpack(&output.stdout).unwrap();
        assert_eq!(place.text("hard"), "deep", "{format}");
    }
}

#[test]
fn only_a_file_inside_becomes_a_program() {
    let place = Place::new();
    fs::write(place.path("tool"), "").unwrap();
    fs::set_permissions(place.path("tool"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(place.path("dir")).unwrap();
    let canary = place.home.path().join("outside/canary");
    symlink(&canary, place.path("link")).unwrap();
    symlink(place.outside(), place.path("out")).unwrap();
    let root = Root::open(&place.path("")).unwrap();
    root.make_executable(Path::new("tool")).unwrap();
    assert_eq!(
        fs::metadata(place.path("tool")).unwrap().mode() & 0o777,
        0o755
    );
    for path in ["dir", "link", "out/canary", "nothing"] {
        assert!(root.make_executable(Path::new(path)).is_err(), "{path}");
    }
    assert_eq!(fs::metadata(canary).unwrap().mode() & 0o777, 0o640);
}
