//! What an app's expressions of Nix, its plan and its lock cannot do: read files, variables or store paths of the caller's.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::nix::{app, build, packwright, refused, run};

/// A folder of the caller's that no app has a say in.
struct Private {
    home: tempfile::TempDir,
    folder: PathBuf,
}

impl Private {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().canonicalize().unwrap();
        fs::write(folder.join("key"), "sekret-value").unwrap();
        fs::write(folder.join("default.nix"), "final: previous: { }\n").unwrap();
        Self { home, folder }
    }

    /// What a build of an app with this setup and this file says; the app has a link into the folder.
    #[track_caller]
    fn refused(&self, set: &Path, setup: &str, (name, text): (&str, &str)) -> String {
        let home = app(setup, "cmd = \"true\"");
        let app = home.path().join("app");
        fs::write(app.join(name), text).unwrap();
        std::os::unix::fs::symlink(self.home.path(), app.join("link")).unwrap();
        let (code, said) = refused(set, &app, &[]);
        assert!(code == 30 && !said.contains("sekret"), "{said}");
        said
    }
}

#[test]
fn an_expression_of_the_apps_reads_no_variable_of_the_process() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let expression = r#"nixExpr = '''[ (throw "saw <${builtins.getEnv "PLANTED"}>") ]'''"#;
    let home = app(expression, "cmd = \"true\"");
    let output = run(packwright(set, "build", &["--name", "nix-refused:test"])
        .arg(home.path().join("app"))
        .args(["--secret", "PLANTED"])
        .env("PLANTED", "sekret-value"));
    assert!(output.stderr.contains("saw <>"), "{output}");
}

#[test]
fn an_expression_of_the_apps_reads_no_file_outside_the_app() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let private = Private::new();
    let folder = private.folder.display().to_string();
    // Each of these would say what it read, in its third line.
    let read = |path: &str| format!("{{ which, ... }}:\n\nthrow (builtins.readFile {path})\n");
    for path in [
        format!("{folder}/key"),
        "./link/key".to_owned(),
        format!("(./. + \"/..{folder}/key\")"),
        format!("\"${{{folder}/key}}\""),
        format!("(builtins.fetchurl \"file://{folder}/key\")"),
        format!("\"${{builtins.fetchGit \"{folder}\"}}/key\""),
    ] {
        let said = private.refused(set, "nixExpr = \"own.nix\"", ("own.nix", &read(&path)));
        assert!(
            said.contains("evaluate own.nix, line 3: access to ")
                && said.contains("restrict-eval=false")
                && (said.contains(&folder) || said.contains("/key")),
            "{path}: {said}"
        );
    }
    // Features that read files without asking whether they may are off.
    let tree =
        format!("\"${{builtins.fetchTree {{ type = \"path\"; path = \"{folder}\"; }}}}/key\"");
    private.refused(set, "nixExpr = \"own.nix\"", ("own.nix", &read(&tree)));
}

#[test]
fn an_overlay_of_the_apps_reads_no_file_outside_the_app() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let private = Private::new();
    let overlay = format!(
        "final: previous:\n{{ which = throw (builtins.readFile {}/key); }}\n",
        private.folder.display()
    );
    let setup = "nixPkgs = [\"which\"]\nnixOverlays = [\"./overlay.nix\"]";
    let said = private.refused(set, setup, ("overlay.nix", &overlay));
    let place = "evaluate overlay.nix, line 2: access to ";
    assert!(said.contains(place), "{said}");
}

#[test]
fn a_plan_names_no_file_outside_the_app() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let private = Private::new();
    let folder = private.folder.display();
    for setup in [
        "nixExpr = \"link/default.nix\"".to_owned(),
        "nixOverlays = [\"./link/default.nix\"]".to_owned(),
        format!("nixOverlays = [\"{folder}\"]"),
        format!("nixpkgsArchive = \"path:{folder}\""),
        format!("nixpkgsArchive = \"git+file://{folder}\""),
        format!("nixpkgsArchive = \"file://{folder}/key\""),
        format!("nixpkgsArchive = \"file://{folder}/key#sha256-AAAA\""),
        // What Nix takes for a path, an option, an entry of a registry; what curl takes for another file.
        format!("nixpkgsArchive = \"x/../../../../../..{folder}\""),
        "nixpkgsArchive = \"--refresh\"".to_owned(),
        "nixpkgsArchive = \"flake:nixpkgs\"".to_owned(),
        format!("nixpkgsArchive = \"file://localhost{folder}/key\""),
        format!("nixpkgsArchive = \"file://{folder}%2Fkey\""),
    ] {
        let setup = format!("nixPkgs = [\"which\"]\n{setup}");
        let said = private.refused(set, &setup, ("x", ""));
        let reason = "which is no part of the app";
        assert!(said.contains(reason), "{setup}: {said}");
    }
}

#[test]
fn a_lock_of_the_apps_names_nothing_but_what_its_packages_give() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let private = Private::new();
    let home = app("nixPkgs = [\"which\"]", "cmd = \"which which\"");
    let app = home.path().join("app");
    let file = app.join("packwright.lock");
    run(packwright(set, "lock", &[]).arg(&app)).expect_success("lock");
    let text = fs::read_to_string(&file).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refused = |entry: &str, value: serde_json::Value| {
        let mut changed = lock.clone();
        *changed.pointer_mut(entry).unwrap() = value;
        fs::write(&file, changed.to_string()).unwrap();
        let (code, said) = refused(set, &app, &[]);
        assert!(code == 30 && !said.contains("sekret"), "{said}");
        said
    };
    let hash = "a".repeat(32);
    for path in [
        format!("/nix/store/{hash}-x/../../../etc"),
        format!("/etc/{hash}-x"),
        format!("/nix/store/{hash}-x\n/etc/passwd"),
    ] {
        let said = refused("/environment/run", path.into());
        assert!(
            said.contains("packwright.lock, environment.run: ")
                && said.contains("is no store path; packwright lock makes it anew"),
            "{said}"
        );
    }
    // A path of the store that is there, and another one's.
    let other = lock["environment"]["build"].clone();
    let said = refused("/environment/run", other);
    assert!(
        said.contains("packwright.lock, environment.run: its packages give /nix/store/"),
        "{said}"
    );

    let folder = private.folder.display().to_string();
    let nixpkgs = "/environment/sets/0/nixpkgs";
    let said = refused(nixpkgs, serde_json::json!({ "path": folder }));
    assert!(
        said.contains("packwright.lock names ") && said.contains("no part of the app"),
        "{said}"
    );
    let flake = serde_json::json!({ "flake": { "type": "path", "path": folder } });
    let said = refused(nixpkgs, flake);
    assert!(said.contains("has no narHash"), "{said}");
    // The app's own by the look of it, and another one to Nix.
    fs::create_dir_all(app.join("a/b/c")).unwrap();
    fs::create_dir(app.join("a/near")).unwrap();
    std::os::unix::fs::symlink("a/b/c", app.join("deep")).unwrap();
    let dots = app.join("deep/../../near").display().to_string();
    let nar_hash = format!("sha256-{}=", "A".repeat(43));
    for source in [
        serde_json::json!({ "path": "a" }),
        serde_json::json!({ "path": dots }),
        serde_json::json!({ "flake": { "type": "path", "path": folder, "narHash": nar_hash } }),
        serde_json::json!({ "flake": { "type": "git", "url": format!("file://{folder}"), "narHash": nar_hash } }),
        serde_json::json!({ "archive": { "url": format!("file://{folder}/key"), "hash": nar_hash } }),
    ] {
        let said = refused(nixpkgs, source);
        assert!(said.contains("no part of the app"), "{said}");
    }
    let source = "/environment/sets/0/packages/0/source";
    let said = refused(
        source,
        serde_json::json!({ "file": format!("{folder}/default.nix") }),
    );
    assert!(said.contains("no part of the app"), "{said}");
    let text = format!("(throw (builtins.readFile {folder}/key))");
    let said = refused(source, serde_json::json!({ "text": text }));
    assert!(said.contains("is forbidden in restricted mode"), "{said}");
}

#[test]
fn an_expression_of_the_apps_reads_the_apps_files_and_what_it_builds() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let home = app("nixExpr = \"own.nix\"", "cmd = \"own\"");
    let app = home.path().join("app");
    fs::write(
        app.join("own.nix"),
        "{ runCommand }:\nimport (runCommand \"built\" { } \"cp ${./part.nix} $out\") { inherit runCommand; text = builtins.readFile ./app.txt; }\n",
    )
    .unwrap();
    fs::write(
        app.join("part.nix"),
        "{ runCommand, text }: runCommand \"own\" { inherit text; } \"mkdir -p $out/bin; printf '#!/bin/sh\\necho %s\\n' $text >$out/bin/own; chmod +x $out/bin/own\"\n",
    )
    .unwrap();
    let layout = home.path().join("layout");
    build(set, &app, "nix-reads:test", &layout, &[]);
    let output = run(&mut common::packwright(["run", "nix-reads:test"])).expect_success("run");
    assert_eq!(output.stdout, "here\n", "{output}");
}

#[test]
fn a_nixpkgs_of_the_users_own_may_be_anywhere() {
    let Some(set) = common::nixpkgs_of_tests() else {
        return;
    };
    let own = tempfile::tempdir().unwrap();
    let text = format!("arguments: import {} arguments\n", set.display());
    fs::write(own.path().join("default.nix"), text).unwrap();
    let home = app("nixPkgs = [\"which\"]", "cmd = \"true\"");
    let (app, layout) = (home.path().join("app"), home.path().join("layout"));
    build(own.path(), &app, "nix-named:test", &layout, &[]);
}
