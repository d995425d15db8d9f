//! The kinds of machines that packages are for.

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Machine {
    /// That of this program; none where nothing is known to run on it.
    pub fn own() -> Option<Self> {
        Self::named(std::env::consts::ARCH)
    }

    /// By any of its names, such as `linux/amd64`, `x86_64` and `arm64/v8`.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("linux/").unwrap_or(name) {
            "amd64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "arm64/v8" | "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Its name in Debian, and in images.
    pub fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its name in Nix.
    pub fn nix(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux",
            Self::Arm64 => "aarch64-linux",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_as_docker_names_them() {
        for name in ["linux/arm64", "arm64", "linux/arm64/v8", "aarch64"] {
            assert_eq!(Machine::named(name), Some(Machine::Arm64), "{name}");
        }
        for name in [
            "linux/arm/v7",
            "windows/amd64",
            "linux/amd64,linux/arm64",
            "",
        ] {
            assert_eq!(Machine::named(name), None, "{name}");
        }
    }
}
