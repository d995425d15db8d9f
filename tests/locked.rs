//! A uv.lock is obeyed. It names the index it was made with, so it is made here, by a build, and not kept.

mod common;

use std::fs;

/// The first build locks: uv runs inside a phase, and the lock is taken out of the image's root filesystem.
const LOCKING: &str = r#"
[phases.setup]
nixPkgs = ["...", "uv"]

[phases.build]
cmds = ["uv lock"]

[start]
cmd = "true"
"#;

#[test]
fn a_uv_lock_is_installed_frozen_and_a_source_edit_does_not_install_again() {
    if !common::is_root() {
        return common::skip("the lock is taken out of a root filesystem, as root");
    }
    let home = common::copy_of_example("python-fastapi-uv");
    let app = home.path().join("app");
    fs::write(app.join("nixpacks.toml"), LOCKING).unwrap();
    let root = home.path().join("root");
    common::build(
        &app,
        "locked:locking",
        &["--output", &format!("rootfs:{}", root.display())],
    );

    fs::remove_file(app.join("nixpacks.toml")).unwrap();
    fs::copy(root.join("app/uv.lock"), app.join("uv.lock")).unwrap();
    let before = fs::read(app.join("uv.lock")).unwrap();
    common::build(&app, "locked:fastapi", &[]);
    assert!(
        before == fs::read(app.join("uv.lock")).unwrap(),
        "the build changed uv.lock"
    );

    let server = common::Server::start(
        "locked:fastapi".as_ref(),
        &std::collections::BTreeMap::new(),
    );
    assert!(server.ask("/sum?terms=1,2").body.contains("\"total\":3"));
    server.stop();

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let source = fs::read_to_string(app.join("main.py")).unwrap();
    fs::write(app.join("main.py"), format!("{source}\n# {now}\n")).unwrap();
    let edited = common::build(&app, "locked:fastapi", &[]);
    assert!(
        !edited
            .steps_run()
            .iter()
            .any(|step| step.contains("install")),
        "{:?}",
        edited.steps_run()
    );
    assert_eq!(edited.layers_written, 1);
}
