//! Which files of the source a compiled program reads when it runs.
//!
//! Owns the conventions: folders such as `templates/` and `migrations/`, wherever they are, and data beside the manifest.
//! A program is compiled from everything else, so the image does without it.

use std::collections::BTreeSet;

use crate::plan::PlanError;
use crate::repo::{FileKind, Repo};

/// Folders that programs read, by what web frameworks call them.
const FOLDERS: &[&str] = &[
    "assets",
    "config",
    "content",
    "data",
    "dist",
    "i18n",
    "locales",
    "migrations",
    "public",
    "resources",
    "static",
    "templates",
    "translations",
    "views",
    "www",
];

/// Folders at the root that programs do not read.
const ASIDE: &[&str] = &[
    "target",
    "vendor",
    "node_modules",
    "tests",
    "test",
    "docs",
    "examples",
    "build",
    "lib",
    "spec",
    "Tests",
];

/// Endings of data beside the manifest.
const ENDINGS: &[&str] = &[
    "cfg", "conf", "crt", "csv", "db", "env", "htm", "html", "ini", "json", "pem", "sql", "sqlite",
    "sqlite3", "tmpl", "toml", "tpl", "txt", "xml", "yaml", "yml",
];

/// Manifests and the configuration of tools, which no program reads.
const TOOLING: &[&str] = &[
    "Cargo.toml",
    "CMakeLists.txt",
    "CMakePresets.json",
    "Makefile.toml",
    "Taskfile.yml",
    "analysis_options.yaml",
    "bacon.toml",
    "book.toml",
    "clippy.toml",
    "codecov.yml",
    "compile_commands.json",
    "compose.yaml",
    "compose.yml",
    "conanfile.txt",
    "cliff.toml",
    "deny.toml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "fly.toml",
    "meson_options.txt",
    "mise.toml",
    "nixpacks.json",
    "nixpacks.toml",
    "package-lock.json",
    "package.json",
    "package.yaml",
    "pom.xml",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "pubspec.yaml",
    "railpack.json",
    "railway.json",
    "railway.toml",
    "render.yaml",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "shard.yml",
    "stack.yaml",
    "taskfile.yml",
    "tsconfig.json",
    "vcpkg.json",
    "expect.toml",
];

/// What of the source stays in the image beside a program, as entries of `start.onlyIncludeFiles`.
pub(crate) fn beside_program(repo: &Repo) -> Result<Vec<String>, PlanError> {
    let mut found = Vec::new();
    let mut level = BTreeSet::from([String::new()]);
    // At the root, in its folders, and in theirs.
    for _ in 0..3 {
        let mut folders = BTreeSet::new();
        for parent in &level {
            let entries = repo.list(parent)?.into_iter();
            let inside = entries.filter(|entry| entry.kind == FileKind::Directory);
            folders.extend(
                inside
                    .map(|entry| entry.path)
                    .filter(|path| !is_aside(path)),
            );
        }
        for path in &folders {
            let name = path.rsplit('/').next().unwrap_or_default();
            let below = |known: &String| path.starts_with(&format!("{known}/"));
            if FOLDERS.contains(&name) && !found.iter().any(below) {
                found.push(path.clone());
            }
        }
        level = folders;
    }
    for entry in repo.list("")? {
        let ending = std::path::Path::new(&entry.name)
            .extension()
            .and_then(|ending| ending.to_str());
        let data = ending.is_some_and(|ending| ENDINGS.contains(&ending));
        let tooling = TOOLING.contains(&entry.name.as_str()) || entry.name.starts_with('.');
        let prose = entry.name.to_ascii_uppercase().starts_with("README")
            || entry.name.to_ascii_uppercase().starts_with("LICENSE");
        if entry.kind == FileKind::File && data && !tooling && !prose {
            found.push(entry.path);
        }
    }
    // What a front end's build makes is not there yet.
    if repo.in_image("package.json") {
        for folder in ["build", "dist", "public", "static"] {
            if !found.iter().any(|known| known == folder) {
                found.push(folder.to_owned());
            }
        }
    }
    Ok(found)
}

/// Whether a path is below a folder of what tools made, of tests or of documents.
fn is_aside(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    first.starts_with('.') || ASIDE.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_by_convention_and_data_stay_and_sources_do_not() {
        let repo = Repo::in_memory(&[
            ("Cargo.toml", ""),
            ("Rocket.toml", ""),
            ("README.txt", ""),
            ("src/main.rs", ""),
            ("templates/a/static/x", ""),
            ("crates/web/migrations/1.sql", ""),
            ("target/debug/build/x", ""),
            ("vendor/a/static/x", ""),
            ("tests/data/x", ""),
        ]);
        assert_eq!(
            beside_program(&repo).unwrap(),
            ["templates", "crates/web/migrations", "Rocket.toml"]
        );
    }

    #[test]
    fn a_front_end_is_expected() {
        let repo = Repo::in_memory(&[("package.json", "{}"), ("public/x", "")]);
        assert_eq!(
            beside_program(&repo).unwrap(),
            ["public", "build", "dist", "static"]
        );
    }
}
