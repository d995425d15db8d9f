//! The tools whose version a suite of Debian decides, one row for each version.

/// One version of a tool in one suite of Debian.
#[derive(Debug, PartialEq, Eq)]
pub struct Suited {
    /// The tool's name in plans.
    pub tool: &'static str,
    /// The suite.
    pub suite: &'static str,
    /// Its version there, three numbers.
    pub version: &'static str,
    /// Packages that running needs, by spaces.
    pub packages: &'static str,
    /// Further packages for phases.
    pub for_build: &'static str,
    /// Further packages for phases that have a C compiler.
    pub for_compiling: &'static str,
}

const fn suited(
    tool: &'static str,
    suite: &'static str,
    version: &'static str,
    packages: &'static str,
) -> Suited {
    Suited {
        tool,
        suite,
        version,
        packages,
        for_build: "",
        for_compiling: "",
    }
}

const fn python(suite: &'static str, version: &'static str) -> Suited {
    Suited {
        for_build: "python3-venv",
        for_compiling: "python3-dev",
        ..suited("python", suite, version, "python3 python-is-python3")
    }
}

const PHP_OF_8: &str = "php-cli php-fpm php-bcmath php-curl php-gmp php-mbstring php-mysql php-pgsql php-sqlite3 php-xml php-zip systemd-standalone-tmpfiles";

const fn ruby(suite: &'static str, version: &'static str) -> Suited {
    Suited {
        for_compiling: "ruby-dev",
        ..suited("ruby", suite, version, "ruby bundler")
    }
}

const ERLANG: &str = "erlang-base erlang-crypto erlang-inets erlang-os-mon erlang-parsetools erlang-public-key erlang-runtime-tools erlang-ssl erlang-syntax-tools erlang-xmerl";
const ELIXIR: &str = "elixir erlang-base erlang-crypto erlang-dev erlang-eunit erlang-inets erlang-os-mon erlang-parsetools erlang-public-key erlang-runtime-tools erlang-ssl erlang-syntax-tools erlang-tools erlang-xmerl";

/// Modules that are written in C need its headers.
const fn lua(
    suite: &'static str,
    version: &'static str,
    package: &'static str,
    headers: &'static str,
) -> Suited {
    Suited {
        for_compiling: headers,
        ..suited("lua", suite, version, package)
    }
}

const fn jdk(suite: &'static str, version: &'static str, package: &'static str) -> Suited {
    suited("jdk", suite, version, package)
}

const fn jre(suite: &'static str, version: &'static str, package: &'static str) -> Suited {
    suited("jre", suite, version, package)
}

/// The tools whose version a suite decides; several versions of a tool may be in one suite.
/// Source: the archive's indexes, 2026-11-23.
#[rustfmt::skip]
pub const SUITED: &[Suited] = &[
    suited("php", "trixie", "8.4.28", PHP_OF_8), suited("php", "bookworm", "8.2.36", PHP_OF_8),
    suited("php", "bullseye", "7.4.33", "php-cli php-fpm php-bcmath php-curl php-gmp php-json php-mbstring php-mysql php-pgsql php-sqlite3 php-xml php-zip"),
    python("trixie", "3.13.5"),
    python("bookworm", "3.11.2"),
    python("bullseye", "3.9.2"),
    python("sid", "3.14.10"),
    ruby("trixie", "3.3.14"),
    ruby("bookworm", "3.1.7"),
    ruby("bullseye", "2.7.4"),
    // The applications that Elixir's own ones and Phoenix name are packages of their own.
    suited("elixir", "trixie", "1.18.3", ELIXIR), suited("elixir", "bookworm", "1.14.0", ELIXIR),
    suited("erlang", "trixie", "27.3.4", ERLANG), suited("erlang", "bookworm", "25.2.3", ERLANG),
    suited("ghc", "trixie", "9.6.6", "ghc libgmp-dev zlib1g-dev"),
    suited("ghc", "bookworm", "9.0.2", "ghc libgmp-dev zlib1g-dev"),
    lua("trixie", "5.4.7", "lua5.4", "liblua5.4-dev"),
    lua("trixie", "5.3.6", "lua5.3", "liblua5.3-dev"),
    lua("trixie", "5.2.4", "lua5.2", "liblua5.2-dev"),
    lua("trixie", "5.1.5", "lua5.1", "liblua5.1-dev"),
    lua("bookworm", "5.4.4", "lua5.4", "liblua5.4-dev"),
    lua("bookworm", "5.3.6", "lua5.3", "liblua5.3-dev"),
    suited("ocaml", "trixie", "5.3.0", "ocaml libc6-dev"),
    suited("ocaml", "bookworm", "4.13.1", "ocaml libc6-dev"),
    suited("perl", "trixie", "5.40.1", "perl"),
    suited("perl", "bookworm", "5.36.0", "perl"),
    suited("perl", "bullseye", "5.32.1", "perl"),
    jdk("trixie", "21.0.13", "openjdk-21-jdk-headless"),
    jdk("trixie", "25.0.5", "openjdk-25-jdk-headless"),
    jdk("bookworm", "17.0.21", "openjdk-17-jdk-headless"),
    jdk("bullseye", "11.0.32", "openjdk-11-jdk-headless"),
    jdk("bullseye", "17.0.20", "openjdk-17-jdk-headless"),
    jre("trixie", "21.0.13", "openjdk-21-jre-headless"),
    jre("trixie", "25.0.5", "openjdk-25-jre-headless"),
    jre("bookworm", "17.0.21", "openjdk-17-jre-headless"),
    jre("bullseye", "11.0.32", "openjdk-11-jre-headless"),
    jre("bullseye", "17.0.20", "openjdk-17-jre-headless"),
    suited("gradle", "trixie", "4.4.1", "gradle"),
    suited("gradle", "bookworm", "4.4.1", "gradle"),
    suited("gradle", "bullseye", "4.4.1", "gradle"),
    suited("haunt", "sid", "0.4.0", "haunt"),
    suited("crystal", "trixie", "1.14.0", "crystal shards"),
    // The browsers' compiler, which every suite gets anew. Older ones of bookworm and bullseye cannot read today's registry.
    suited("rust", "trixie", "1.96.0", "rustc-web cargo-web libc6-dev"),
    suited("rust", "trixie", "1.85.1", "rustc cargo libc6-dev"),
    suited("rust", "bookworm", "1.96.0", "rustc-web cargo-web libc6-dev"),
    suited("rust", "bullseye", "1.96.0", "rustc-web cargo-web libc6-dev"),
    suited("swift", "trixie", "6.0.3", "swiftlang libc6-dev libstdc++-14-dev"),
];

/// Tools whose newer versions build what was made for older ones, by their own promise, and the oldest major that this holds for.
pub const NEWER_WILL_DO: [(&str, u64); 3] = [("crystal", 1), ("rust", 1), ("swift", 5)];
