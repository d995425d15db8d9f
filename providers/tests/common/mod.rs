//! What the tests of this crate share: where the examples are.

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of examples, sorted.
pub fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// The name of an example.
pub fn name(example: &Path) -> &str {
    example.file_name().unwrap().to_str().unwrap()
}
