//! Files that users name: whole or not at all, and devices and pipes written to instead of replaced.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Whether a path is a device or a pipe: written to, never replaced by a file.
pub fn is_stream(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// A file beside `path`, which takes its place by `persist`, and is gone without.
pub fn beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".packwright-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
}

/// Writes a text to a file that everybody may read.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if is_stream(path) {
        return fs::write(path, text);
    }
    let staged = beside(path, 0o644)?;
    fs::write(staged.path(), text)?;
    staged.persist(path)?;
    Ok(())
}
