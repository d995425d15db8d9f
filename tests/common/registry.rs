//! A registry of images that tests start for themselves.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Running;

/// Who a registry with a password lets in.
pub const USER: &str = "somebody";
/// With this.
pub const PASSWORD: &str = "pass:word";
/// As htpasswd writes both.
pub const ACCOUNTS: &str =
    "somebody:$2y$05$abcdefghijklmnopqrstuuDIEddBSuRWBBEY6g5zv60IAP5bSSfki\n";

/// A registry on this machine, which ends with the value.
pub struct Registry {
    _process: Running,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Registry {
    /// Starts one whose files are below a folder; with accounts, it wants a password.
    pub fn start(home: &Path, accounts: Option<&str>) -> Self {
        let address = format!("127.0.0.1:{}", super::free_port());
        let folder = home.join("registry");
        let auth = accounts.map(|accounts| {
            let file = home.join("htpasswd");
            fs::write(&file, accounts).unwrap();
            format!(
                "auth: {{htpasswd: {{realm: here, path: {}}}}}\n",
                file.display()
            )
        });
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n{}",
            folder.display(),
            auth.unwrap_or_default()
        );
        let file = home.join("registry.yml");
        fs::write(&file, settings).unwrap();
        let mut process = Running::start(Command::new("docker-registry").arg("serve").arg(file));
        process.wait_for_output("listening on", Duration::from_secs(30));
        Self {
            _process: process,
            address,
        }
    }
}
