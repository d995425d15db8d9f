use super::*;

const PACKAGE: (&str, &str) = (
    "Cargo.toml",
    "[package]\nname = \"x\"\nedition = \"2024\"\n",
);
const MAIN: (&str, &str) = ("src/main.rs", "fn main() {}");
const LOCK: (&str, &str) = ("Cargo.lock", "version = 4\n");

fn propose(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Proposal, PlanError> {
    crate::languages::asked(&Rust, files, variables)
}

fn commands(proposal: &Proposal) -> Vec<String> {
    proposal.plan.phases["build"].cmds.clone().unwrap()
}

#[test]
fn a_package_is_built_and_only_its_program_stays() {
    let proposal = propose(&[PACKAGE, MAIN, LOCK], &[]).unwrap();
    assert_eq!(proposal.tools(), ["rust@1.96"]);
    assert_eq!(
        commands(&proposal),
        [
            "mkdir -p bin",
            REFRESH,
            "cargo build --release",
            "cp target/release/x bin"
        ]
    );
    let start = proposal.plan.start.unwrap();
    assert_eq!(start.cmd.as_deref(), Some("./bin/x"));
    assert_eq!(start.only_include_files.unwrap(), ["./bin/x"]);
    assert_eq!(start.nix_pkgs.unwrap(), [""; 0]);
    assert!(proposal.warnings.is_empty());
}

const MANY: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"x\"\ndefault-run = \"b\"\n[[bin]]\nname = \"b\"\npath = \"src/b.rs\"\n[[bin]]\nname = \"never\"\nrequired-features = [\"f\"]\n",
    ),
    MAIN,
    LOCK,
    ("src/bin/c.rs", ""),
    ("src/bin/d/main.rs", ""),
    ("src/bin/never.rs", ""),
];

#[test]
fn of_several_programs_the_named_one_starts() {
    let proposal = propose(MANY, &[]).unwrap();
    let copied: Vec<_> = commands(&proposal)
        .into_iter()
        .filter(|line| line.starts_with("cp"))
        .collect();
    assert_eq!(
        copied,
        [
            "cp target/release/x bin",
            "cp target/release/b bin",
            "cp target/release/c bin",
            "cp target/release/d bin"
        ]
    );
    assert_eq!(proposal.plan.start.unwrap().cmd.unwrap(), "./bin/b");
    let proposal = propose(MANY, &[("NIXPACKS_RUST_BIN", "d")]).unwrap();
    assert_eq!(proposal.plan.start.unwrap().cmd.unwrap(), "./bin/d");
}

const WORKSPACE: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[workspace]\nmembers = [\"crates/*\"]\nexclude = [\"crates/a\"]\n[workspace.package]\nrust-version = \"1.99\"\n",
    ),
    ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
    ("crates/a/src/main.rs", ""),
    (
        "crates/b/Cargo.toml",
        "[package]\nname = \"b\"\nrust-version.workspace = true\n",
    ),
    ("crates/b/src/main.rs", ""),
    (
        "crates/c/Cargo.toml",
        "[package]\nname = \"c\"\nrust-version = \"1.70\"\n",
    ),
    ("crates/c/src/main.rs", ""),
    ("crates/lib/Cargo.toml", "[package]\nname = \"lib\"\n"),
    ("crates/lib/src/lib.rs", ""),
    LOCK,
];

#[test]
fn a_workspace_builds_its_first_program_or_the_named_one() {
    let proposal = propose(WORKSPACE, &[]).unwrap();
    assert_eq!(proposal.tools(), ["rust@>=1.99"]);
    assert!(commands(&proposal).contains(&"cargo build --release --package b".to_owned()));
    for (variable, value) in [
        ("NIXPACKS_CARGO_WORKSPACE", "c"),
        ("NIXPACKS_CARGO_WORKSPACE", "crates/c"),
        ("NIXPACKS_RUST_BIN", "c"),
    ] {
        let proposal = propose(WORKSPACE, &[(variable, value)]).unwrap();
        assert_eq!(proposal.tools(), ["rust@1.96"]);
        assert_eq!(proposal.plan.start.unwrap().cmd.unwrap(), "./bin/c");
    }
    let error = propose(WORKSPACE, &[("NIXPACKS_CARGO_WORKSPACE", "z")]).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("no package \"z\" with a program; there are b, c")
    );
}

#[test]
fn version_files_come_before_manifests() {
    let all = [
        PACKAGE,
        MAIN,
        LOCK,
        (".rust-version", "1.81"),
        ("rust-toolchain", "1.82\n"),
        ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.83\"\n"),
    ];
    assert_eq!(propose(&all, &[]).unwrap().tools(), ["rust@1.83"]);
    assert_eq!(propose(&all[..5], &[]).unwrap().tools(), ["rust@1.82"]);
    assert_eq!(
        propose(&all, &[("NIXPACKS_RUST_VERSION", "1.80")])
            .unwrap()
            .tools(),
        ["rust@1.80"]
    );
}

#[test]
fn crates_of_the_system_bring_libraries_unless_they_bring_the_source() {
    let lock = "[[package]]\nname = \"openssl-sys\"\ndependencies = [\"cc\", \"pkg-config\"]\n[[package]]\nname = \"cc\"\n\
        [[package]]\nname = \"pkg-config\"\n[[package]]\nname = \"libsqlite3-sys\"\ndependencies = [\"cc\"]\n";
    let proposal = propose(&[PACKAGE, MAIN, ("Cargo.lock", lock)], &[]).unwrap();
    assert_eq!(
        proposal.tools(),
        [
            "rust@1.96",
            "gcc",
            "pkg-config",
            "openssl.dev",
            "openssl.out"
        ]
    );
    assert_eq!(
        proposal.plan.start.unwrap().nix_pkgs.unwrap(),
        ["openssl.out"]
    );
}

#[test]
fn webassembly_is_run_by_wasmtime() {
    let files = [
        PACKAGE,
        MAIN,
        LOCK,
        (".cargo/config.toml", "[build]\ntarget = \"wasm32-wasi\"\n"),
    ];
    let proposal = propose(&files, &[]).unwrap();
    assert_eq!(
        commands(&proposal)[2..],
        [
            "cargo build --release --target wasm32-wasi",
            "cp target/wasm32-wasi/release/x.wasm bin"
        ]
    );
    assert_eq!(
        proposal.plan.start.unwrap().cmd.unwrap(),
        "wasmtime ./bin/x.wasm"
    );
}

#[test]
fn a_library_is_a_weak_claim_and_has_no_start() {
    let repo = Repo::in_memory(&[PACKAGE, ("src/lib.rs", "")]);
    assert_eq!(
        Rust.detect(&repo).unwrap().unwrap().strength,
        Strength::Weak
    );
    let proposal = propose(&[PACKAGE, ("src/lib.rs", "")], &[]).unwrap();
    assert!(proposal.plan.start.is_none() && proposal.without_start.is_some());
}

#[test]
fn a_broken_manifest_says_where() {
    let error = propose(&[("Cargo.toml", "[package]\nname = 3\n")], &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Cargo.toml:2:8: package.name"),
        "{error}"
    );
}
