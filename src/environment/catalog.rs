//! Which source has which tool, and what the names of nixpkgs mean here.
//!
//! Plans ask for tools (`nodejs@22`) and people write nixpkgs attributes (`nodejs_20`, `ffmpeg`);
//! this table says what they become. Versions are chosen elsewhere.

use super::EnvironmentError;
use super::toolchain::{TOOLCHAINS, Toolchain, named};

/// What one entry of a plan becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A toolchain in a range of versions, empty for any.
    Toolchain(&'static Toolchain, String),
    /// A tool of Debian's in a range of versions; its version decides the suite.
    Suited(&'static str, String),
    /// Debian packages; the first of each group that the suite has.
    Debian(Vec<Vec<String>>),
    /// Always there.
    Nothing,
}

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
    python("trixie", "3.13.5"), python("bookworm", "3.11.2"), python("bullseye", "3.9.2"), python("sid", "3.14.10"),
    ruby("trixie", "3.3.14"), ruby("bookworm", "3.1.7"), ruby("bullseye", "2.7.4"),
    // The applications that Elixir's own ones and Phoenix name are packages of their own.
    suited("elixir", "trixie", "1.18.3", ELIXIR), suited("elixir", "bookworm", "1.14.0", ELIXIR),
    suited("erlang", "trixie", "27.3.4", ERLANG), suited("erlang", "bookworm", "25.2.3", ERLANG),
    suited("ghc", "trixie", "9.6.6", "ghc libgmp-dev zlib1g-dev"), suited("ghc", "bookworm", "9.0.2", "ghc libgmp-dev zlib1g-dev"),
    suited("lua", "trixie", "5.4.7", "lua5.4"), suited("lua", "trixie", "5.3.6", "lua5.3"), suited("lua", "trixie", "5.2.4", "lua5.2"), suited("lua", "trixie", "5.1.5", "lua5.1"),
    suited("lua", "bookworm", "5.4.4", "lua5.4"), suited("lua", "bookworm", "5.3.6", "lua5.3"),
    suited("ocaml", "trixie", "5.3.0", "ocaml libc6-dev"), suited("ocaml", "bookworm", "4.13.1", "ocaml libc6-dev"),
    suited("perl", "trixie", "5.40.1", "perl"), suited("perl", "bookworm", "5.36.0", "perl"), suited("perl", "bullseye", "5.32.1", "perl"),
    jdk("trixie", "21.0.13", "openjdk-21-jdk-headless"), jdk("trixie", "25.0.5", "openjdk-25-jdk-headless"),
    jdk("bookworm", "17.0.21", "openjdk-17-jdk-headless"),
    jdk("bullseye", "11.0.32", "openjdk-11-jdk-headless"), jdk("bullseye", "17.0.20", "openjdk-17-jdk-headless"),
    jre("trixie", "21.0.13", "openjdk-21-jre-headless"), jre("trixie", "25.0.5", "openjdk-25-jre-headless"),
    jre("bookworm", "17.0.21", "openjdk-17-jre-headless"),
    jre("bullseye", "11.0.32", "openjdk-11-jre-headless"), jre("bullseye", "17.0.20", "openjdk-17-jre-headless"),
    suited("gradle", "trixie", "4.4.1", "gradle"), suited("gradle", "bookworm", "4.4.1", "gradle"), suited("gradle", "bullseye", "4.4.1", "gradle"),
    suited("crystal", "trixie", "1.14.0", "crystal shards"),
    // The browsers' compiler, which every suite gets anew. Older ones of bookworm and bullseye cannot read today's registry.
    suited("rust", "trixie", "1.96.0", "rustc-web cargo-web libc6-dev"), suited("rust", "trixie", "1.85.1", "rustc cargo libc6-dev"),
    suited("rust", "bookworm", "1.96.0", "rustc-web cargo-web libc6-dev"), suited("rust", "bullseye", "1.96.0", "rustc-web cargo-web libc6-dev"),
    suited("swift", "trixie", "6.0.3", "swiftlang libc6-dev libstdc++-14-dev"),
];

/// Tools whose newer versions of the same major build what was made for older ones, by their own promise.
pub const NEWER_WILL_DO: [&str; 1] = ["rust"];

/// Attributes of nixpkgs, and tools of plans, that are Debian packages: name, packages. A `|` in
/// the packages separates names of different suites.
#[rustfmt::skip]
const DEBIAN: &[(&str, &str)] = &[
    ("alsa-lib.dev", "libasound2-dev"), ("alsa-lib.out", "libasound2t64|libasound2"), ("asio", "libasio-dev"),
    ("autoconf", "autoconf"), ("automake", "automake"), ("bison", "bison"), ("boehmgc.dev", "libgc-dev"),
    ("boehmgc.out", "libgc1"),
    ("boost.dev", "libboost-dev libboost-date-time-dev libboost-filesystem-dev libboost-program-options-dev libboost-regex-dev libboost-system-dev libboost-thread-dev"),
    ("boost.out", "libboost-date-time1.83.0|libboost-date-time1.74.0 libboost-filesystem1.83.0|libboost-filesystem1.74.0 libboost-program-options1.83.0|libboost-program-options1.74.0 libboost-regex1.83.0|libboost-regex1.74.0 libboost-thread1.83.0|libboost-thread1.74.0"),
    ("brotli", "brotli"), ("bzip2", "bzip2"), ("cabal-install", "cabal-install"), ("cairo", "libcairo2 libcairo2-dev"),
    ("catch2", "catch2"), ("chromium", "chromium"), ("clang", "clang"), ("cli11", "libcli11-dev"), ("cmake", "cmake"),
    ("composer", "composer unzip"), ("cpanminus", "cpanminus make"), ("curl", "curl"),
    ("curl.dev", "libcurl4-openssl-dev"), ("curl.out", "libcurl4t64|libcurl4"), ("cxxopts", "libcxxopts-dev"),
    ("dbus.dev", "libdbus-1-dev"), ("dbus.out", "libdbus-1-3"), ("dnsutils", "dnsutils"), ("dune", "ocaml-dune"),
    ("eigen", "libeigen3-dev"), ("exiftool", "libimage-exiftool-perl"), ("ffmpeg", "ffmpeg"), ("ffmpeg-full", "ffmpeg"),
    ("file", "file"), ("fish", "fish"), ("flex", "flex"), ("fmt.dev", "libfmt-dev"),
    ("fmt.out", "libfmt10|libfmt9|libfmt7"), ("fontconfig", "fontconfig"), ("fontconfig.dev", "libfontconfig-dev"),
    ("fontconfig.out", "libfontconfig1"), ("freetype", "libfreetype6 libfreetype-dev"),
    ("freetype.dev", "libfreetype-dev"), ("freetype.out", "libfreetype6"), ("gcc", "build-essential"),
    ("gdk-pixbuf", "libgdk-pixbuf-2.0-0"), ("gettext", "gettext"), ("ghostscript", "ghostscript"), ("git", "git"),
    ("git-lfs", "git-lfs"), ("glib", "libglib2.0-0t64|libglib2.0-0"), ("gmp", "libgmp-dev"), ("gmp.dev", "libgmp-dev"),
    ("gmp.out", "libgmp10"), ("gnu-cobol", "gnucobol4 libc6-dev libdb-dev"),
    ("gnu-cobol.out", "libcob5t64|libcob5 libdb5.3t64|libdb5.3"), ("gnumake", "make"), ("gnupg", "gnupg"),
    ("gnutar", "tar"), ("graphicsmagick", "graphicsmagick"), ("graphviz", "graphviz"),
    ("gtest", "libgtest-dev libgmock-dev"), ("guile", "guile-3.0"), ("hiredis.dev", "libhiredis-dev"),
    ("brotli", "brotli"), ("bzip2", "bzip2"), ("cairo", "libcairo2 libcairo2-dev"), ("catch2", "catch2"),
    ("chromium", "chromium"), ("clang", "clang"), ("cli11", "libcli11-dev"), ("clojure", "clojure"), ("cmake", "cmake"),
    ("composer", "composer unzip"), ("curl", "curl"), ("curl.dev", "libcurl4-openssl-dev"),
    ("curl.out", "libcurl4t64|libcurl4"), ("cxxopts", "libcxxopts-dev"), ("dbus.dev", "libdbus-1-dev"),
    ("dbus.out", "libdbus-1-3"), ("dnsutils", "dnsutils"), ("eigen", "libeigen3-dev"),
    ("exiftool", "libimage-exiftool-perl"), ("ffmpeg", "ffmpeg"), ("ffmpeg-full", "ffmpeg"), ("file", "file"),
    ("fish", "fish"), ("flex", "flex"), ("fmt.dev", "libfmt-dev"), ("fmt.out", "libfmt10|libfmt9|libfmt7"), ("fontconfig", "fontconfig"),
    ("fontconfig.dev", "libfontconfig-dev"), ("fontconfig.out", "libfontconfig1"),
    ("freetype", "libfreetype6 libfreetype-dev"), ("freetype.dev", "libfreetype-dev"), ("freetype.out", "libfreetype6"),
    ("gcc", "build-essential"), ("gdk-pixbuf", "libgdk-pixbuf-2.0-0"), ("gettext", "gettext"),
    ("ghostscript", "ghostscript"), ("git", "git"), ("git-lfs", "git-lfs"), ("glib", "libglib2.0-0t64|libglib2.0-0"),
    ("gmp", "libgmp-dev"), ("gmp.dev", "libgmp-dev"), ("gmp.out", "libgmp10"),
    ("gnu-cobol", "gnucobol4 libc6-dev libdb-dev"), ("gnu-cobol.out", "libcob5t64|libcob5 libdb5.3t64|libdb5.3"),
    ("gnumake", "make"), ("gnupg", "gnupg"), ("gnutar", "tar"), ("graphicsmagick", "graphicsmagick"),
    ("graphviz", "graphviz"), ("gtest", "libgtest-dev libgmock-dev"), ("hiredis.dev", "libhiredis-dev"),
    ("hiredis.out", "libhiredis1.1.0|libhiredis0.14"), ("httplib.dev", "libcpp-httplib-dev"),
    ("httplib.out", "libcpp-httplib0.18|libcpp-httplib0.11"), ("imagemagick", "imagemagick"), ("iproute2", "iproute2"),
    ("jemalloc", "libjemalloc2"), ("jq", "jq"), ("jsoncpp.dev", "libjsoncpp-dev"),
    ("jsoncpp.out", "libjsoncpp26|libjsoncpp25|libjsoncpp24"), ("ksh", "ksh93u+m"), ("leiningen", "leiningen"), ("libclang", "libclang-dev"),
    ("libev.out", "libev4t64|libev4"), ("libevent.dev", "libevent-dev"), ("libevent.out", "libevent-2.1-7t64|libevent-2.1-7"), ("libffi", "libffi-dev"),
    ("libffi.out", "libffi8|libffi7"), ("libheif", "libheif1"), ("libiconv", ""),
    ("libjpeg", "libjpeg62-turbo libjpeg-dev"), ("libmicrohttpd.dev", "libmicrohttpd-dev"),
    ("libmicrohttpd.out", "libmicrohttpd12t64|libmicrohttpd12"), ("libmysqlclient", "default-libmysqlclient-dev"),
    ("libpng", "libpng-dev"), ("libpqxx.dev", "libpqxx-dev"), ("libpqxx.out", "libpqxx-7.10|libpqxx-6.4"),
    ("libsodium.dev", "libsodium-dev"), ("libsodium.out", "libsodium23"), ("libtool", "libtool"),
    ("libudev.dev", "libudev-dev"), ("libudev.out", "libudev1"), ("libuuid", "uuid-dev"), ("libuuid.dev", "uuid-dev"),
    ("libuuid.out", "libuuid1"), ("libuv.dev", "libuv1-dev"), ("libuv.out", "libuv1t64|libuv1"),
    ("libvips", "libvips42t64|libvips42"), ("libwebp", "webp libwebp-dev"), ("libxml2", "libxml2-dev"),
    ("libxml2.dev", "libxml2-dev"), ("libxml2.out", "libxml2"), ("libxslt", "libxslt1-dev"), ("libyaml", "libyaml-dev"),
    ("libyaml.dev", "libyaml-dev"), ("libyaml.out", "libyaml-0-2"), ("lsof", "lsof"), ("luarocks", "luarocks"),
    ("mariadb", "mariadb-client"), ("mariadb-client", "mariadb-client"),
    ("mariadb-connector-c.dev", "libmariadb-dev libmariadb-dev-compat"), ("mariadb-connector-c.out", "libmariadb3"),
    ("maven", "maven"),
    ("meson", "meson"), ("mysql80", "default-mysql-client"), ("nano", "nano"), ("ncurses.dev", "libncurses-dev"),
    ("ncurses.out", "libncurses6 libtinfo6"), ("netcat", "netcat-openbsd"), ("nginx", "nginx-light|nginx"),
    ("ninja", "ninja-build"), ("nlohmann_json", "nlohmann-json3-dev"), ("numactl.out", "libnuma1"),
    ("openssh", "openssh-client"), ("openssl", "openssl libssl-dev"), ("openssl.dev", "libssl-dev"),
    ("openssl.out", "libssl3t64|libssl3|libssl1.1"), ("pango", "libpango-1.0-0 libpangocairo-1.0-0"),
    ("patchelf", "patchelf"), ("pcre2.dev", "libpcre2-dev"), ("pcre2.out", "libpcre2-8-0"), ("php-ext-amqp", "php-amqp"),
    ("php-ext-apcu", "php-apcu"), ("php-ext-ast", "php-ast"), ("php-ext-bz2", "php-bz2"),
    ("php-ext-dba", "php8.4-dba|php8.2-dba|php7.4-dba"), ("php-ext-ds", "php-ds"), ("php-ext-enchant", "php-enchant"),
    ("php-ext-excimer", "php-excimer"), ("php-ext-gd", "php-gd"), ("php-ext-gearman", "php-gearman"),
    ("php-ext-gmagick", "php-gmagick"), ("php-ext-gnupg", "php-gnupg"), ("php-ext-igbinary", "php-igbinary"),
    ("php-ext-imagick", "php-imagick"), ("php-ext-imap", "php-imap"), ("php-ext-inotify", "php-inotify"),
    ("php-ext-interbase", "php-interbase"), ("php-ext-intl", "php-intl"), ("php-ext-ldap", "php-ldap"),
    ("php-ext-mailparse", "php-mailparse"), ("php-ext-maxminddb", "php-maxminddb"), ("php-ext-mcrypt", "php-mcrypt"),
    ("php-ext-memcache", "php-memcache"), ("php-ext-memcached", "php-memcached"), ("php-ext-mongodb", "php-mongodb"),
    ("php-ext-msgpack", "php-msgpack"), ("php-ext-oauth", "php-oauth"), ("php-ext-odbc", "php-odbc"),
    ("php-ext-pcov", "php-pcov"), ("php-ext-ps", "php-ps"), ("php-ext-pspell", "php-pspell|php8.4-pspell"),
    ("php-ext-psr", "php-psr"), ("php-ext-raphf", "php-raphf"), ("php-ext-redis", "php-redis"),
    ("php-ext-rrd", "php-rrd"), ("php-ext-smbclient", "php-smbclient"), ("php-ext-snmp", "php-snmp"),
    ("php-ext-soap", "php-soap"), ("php-ext-solr", "php-solr"), ("php-ext-ssh2", "php-ssh2"),
    ("php-ext-stomp", "php-stomp"), ("php-ext-sybase", "php-sybase"), ("php-ext-tidy", "php-tidy"),
    ("php-ext-uopz", "php-uopz"), ("php-ext-uploadprogress", "php-uploadprogress"), ("php-ext-uuid", "php-uuid"),
    ("php-ext-xdebug", "php-xdebug"), ("php-ext-xmlrpc", "php-xmlrpc"), ("php-ext-yac", "php-yac"),
    ("php-ext-yaml", "php-yaml"), ("php-ext-zmq", "php-zmq"), ("php-ext-zstd", "php-zstd"), ("pkg-config", "pkg-config"),
    ("pkgconf", "pkgconf"), ("poppler_utils", "poppler-utils"), ("postgresql", "postgresql-client libpq-dev"),
    ("postgresql.dev", "libpq-dev"), ("postgresql.lib", "libpq5"), ("procps", "procps"),
    ("protobuf", "protobuf-compiler"), ("protobuf.dev", "libprotobuf-dev protobuf-compiler"),
    ("protobuf.out", "libprotobuf32t64|libprotobuf32|libprotobuf23"), ("psmisc", "psmisc"),
    ("rdkafka.dev", "librdkafka-dev"), ("rdkafka.out", "librdkafka1"), ("readline", "libreadline-dev"),
    ("readline.dev", "libreadline-dev"), ("readline.out", "libreadline8t64|libreadline8"), ("rebar3", "rebar3"),
    ("redis", "redis-tools"), ("rsync", "rsync"), ("spdlog.dev", "libspdlog-dev"),
    ("spdlog.out", "libspdlog1.15|libspdlog1.10|libspdlog1"), ("sqlite", "sqlite3 libsqlite3-dev"),
    ("sqlite.dev", "libsqlite3-dev"), ("sqlite.out", "libsqlite3-0"), ("strace", "strace"), ("tbb.dev", "libtbb-dev"),
    ("tbb.out", "libtbb12|libtbb2"), ("tesseract", "tesseract-ocr"), ("tini", "tini"), ("tree", "tree"),
    ("tzdata", "tzdata"), ("unzip", "unzip"), ("util-linux", "util-linux"), ("vim", "vim-tiny"),
    ("vips", "libvips-tools libvips-dev"), ("wget", "wget"), ("which", ""), ("wkhtmltopdf", "wkhtmltopdf"),
    ("xz", "xz-utils"), ("yaml-cpp.dev", "libyaml-cpp-dev"),
    ("yaml-cpp.out", "libyaml-cpp0.8|libyaml-cpp0.7|libyaml-cpp0.6"), ("zeromq.dev", "libzmq3-dev"),
    ("zeromq.out", "libzmq5"), ("zip", "zip"), ("zlib", "zlib1g-dev"), ("zlib.dev", "zlib1g-dev"), ("zlib.out", "zlib1g"),
    ("zsh", "zsh"), ("zstd", "zstd"), ("zstd.dev", "libzstd-dev"), ("zstd.out", "libzstd1"),
];

/// Known tools that no source here has, and what to do.
const ELSEWHERE: &[(&str, &str)] = &[
    ("dart", FETCH_IT),
    ("dotnet-aspnetcore", FETCH_IT),
    ("dotnet-runtime", FETCH_IT),
    ("dotnet-sdk", FETCH_IT),
    ("gleam", FETCH_IT),
    (
        "haunt",
        "Debian has it in its newest suites alone: set PACKWRIGHT_SUITE=sid and name it in aptPkgs",
    ),
    ("stack", FETCH_IT),
];

const FETCH_IT: &str =
    "fetch it in the commands of phases.setup in nixpacks.toml, and leave it out of nixPkgs there";

/// Attributes that every root has already.
const ALWAYS: [&str; 11] = [
    "bash",
    "bashInteractive",
    "cacert",
    "coreutils",
    "findutils",
    "glibc",
    "gnugrep",
    "gnused",
    "gawk",
    "gzip",
    "stdenv.cc.cc.lib",
];

/// What a plan's entry (`nodejs@22`, `nodejs_20`, `ffmpeg`) becomes.
pub fn needs(entry: &str) -> Result<Need, EnvironmentError> {
    let entry = entry.trim();
    let attribute = entry.strip_prefix("pkgs.").unwrap_or(entry);
    let alias = ALIASES.iter().find(|(name, _)| *name == attribute);
    let attribute = alias.map_or(attribute, |(_, tool)| *tool);
    let (name, range) = attribute
        .split_once('@')
        .map_or((attribute, None), |(n, r)| (n, Some(r.trim())));
    let wish = || range.unwrap_or_default().to_owned();
    if let Some(tool) = named(name) {
        return Ok(Need::Toolchain(tool, wish()));
    }
    if let Some(row) = SUITED.iter().find(|row| row.tool == name) {
        return Ok(Need::Suited(row.tool, wish()));
    }
    if range.is_none()
        && let Some(need) = versioned_attribute(name)
    {
        return Ok(need);
    }
    if ALWAYS.contains(&name) {
        return Ok(Need::Nothing);
    }
    if let Some((tool, remedy)) = ELSEWHERE.iter().find(|(tool, _)| *tool == name) {
        return Err(EnvironmentError::Elsewhere {
            tool: (*tool).to_owned(),
            remedy,
        });
    }
    match DEBIAN.iter().find(|(attribute, _)| *attribute == name) {
        Some((_, _))
            if range
                .is_some_and(|range| !range.is_empty() && range != "*" && range != "latest") =>
        {
            Err(EnvironmentError::NoVersion {
                tool: name.to_owned(),
                range: range.unwrap_or_default().to_owned(),
                available: "Debian has one version in each suite; ask for it without a version"
                    .to_owned(),
            })
        }
        Some((_, "")) => Ok(Need::Nothing),
        Some((_, packages)) => Ok(Need::Debian(
            packages
                .split(' ')
                .map(|group| group.split('|').map(str::to_owned).collect())
                .collect(),
        )),
        None => Err(EnvironmentError::Unknown {
            kind: "tool or package".to_owned(),
            name: name.to_owned(),
            nearest: nearest(name, names()),
        }),
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    TOOLCHAINS
        .iter()
        .map(|tool| tool.name)
        .chain(SUITED.iter().map(|row| row.tool))
        .chain(DEBIAN.iter().map(|(name, _)| *name))
        .chain(ALWAYS)
}

/// Names of nixpkgs for toolchains, as an entry of a plan.
const ALIASES: &[(&str, &str)] = &[
    ("nodePackages.npm", "npm"),
    ("nodePackages.pnpm", "pnpm"),
    ("nodePackages.yarn", "yarn"),
    ("nodejs-slim", "nodejs"),
    ("yarn-berry", "yarn@>=2"),
];

/// `nodejs_20`, `nodejs-18_x`, `pnpm-9_x`, `go_1_24`: a toolchain, a separator, numbers.
fn versioned_toolchain(name: &str) -> Option<Need> {
    let split = name
        .find(['_', '-'])
        .or_else(|| name.find(char::is_numeric))?;
    let (tool, rest) = name.split_at_checked(split)?;
    let rest = rest.trim_start_matches(['_', '-']);
    let numbers = rest.strip_suffix("_x").unwrap_or(rest);
    let tool = named(tool)?;
    let legal = numbers
        .split('_')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    legal.then(|| Need::Toolchain(tool, numbers.replace('_', ".")))
}

/// `python311`, `python312Full`, `gcc13`, `postgresql_16`, and toolchains with a version.
fn versioned_attribute(name: &str) -> Option<Need> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let plain = name.replacen("nodejs-slim_", "nodejs_", 1);
    if let Some(need) = versioned_toolchain(&plain) {
        return Some(need);
    }
    if let Some(rest) = name.strip_prefix("python") {
        let version = rest.trim_end_matches("Full").trim_end_matches("Minimal");
        return match version.split_at_checked(1) {
            Some((major @ ("2" | "3"), "")) => Some(Need::Suited("python", major.to_owned())),
            Some(("3", minor)) if digits(minor) => {
                Some(Need::Suited("python", format!("3.{minor}")))
            }
            _ => None,
        };
    }
    if let Some(rest) = name.strip_prefix("php") {
        return php_attribute(rest);
    }
    if let Some(version) = name.strip_prefix("ruby_") {
        return version
            .split('_')
            .all(digits)
            .then(|| Need::Suited("ruby", version.replace('_', ".")));
    }
    if let Some(version) = name.strip_prefix("jdk").filter(|version| digits(version)) {
        return Some(Need::Suited("jdk", version.to_owned()));
    }
    let debian = |package: String| Some(Need::Debian(vec![vec![package]]));
    if let Some(major) = name
        .strip_prefix("postgresql_")
        .filter(|major| digits(major))
    {
        return debian(format!("postgresql-client-{major}"));
    }
    if let Some(major) = name.strip_prefix("gcc").filter(|major| digits(major)) {
        return debian(format!("g++-{major}"));
    }
    name.strip_prefix("openssl_")
        .and_then(|_| debian("openssl".to_owned()))
}

/// What follows `php`: `83`, `83Packages.composer`, `83Extensions.redis`.
fn php_attribute(rest: &str) -> Option<Need> {
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, member) = rest.split_at(end);
    if let Some(tool) = member.strip_prefix("Packages.") {
        return (tool == "composer").then(|| needs(tool).ok()).flatten();
    }
    if let Some(extension) = member.strip_prefix("Extensions.") {
        return needs(&format!("php-ext-{extension}")).ok();
    }
    let (major, minor) = digits.split_at_checked(1)?;
    (member.is_empty() && !minor.is_empty())
        .then(|| Need::Suited("php", format!("{major}.{minor}")))
}

/// Up to three names that look like `name`, best first.
pub(super) fn nearest<'a>(name: &str, among: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = among
        .filter(|other| other.len().abs_diff(name.len()) <= 12)
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(score, _)| *score > 0.84)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(name: &str, range: &str) -> Need {
        Need::Toolchain(named(name).unwrap(), range.to_owned())
    }

    #[test]
    fn tools_keep_their_range() {
        assert_eq!(needs("nodejs@22").unwrap(), toolchain("nodejs", "22"));
        assert_eq!(needs("go@>=1.21").unwrap(), toolchain("go", ">=1.21"));
        assert_eq!(
            needs("python@~3.12").unwrap(),
            Need::Suited("python", "~3.12".to_owned())
        );
        assert_eq!(needs("uv").unwrap(), toolchain("uv", ""));
    }

    #[test]
    fn attributes_of_nixpkgs_become_tools() {
        for (attribute, need) in [
            ("nodejs_20", toolchain("nodejs", "20")),
            ("nodejs-18_x", toolchain("nodejs", "18")),
            ("nodejs-slim", toolchain("nodejs", "")),
            ("nodejs-slim_22", toolchain("nodejs", "22")),
            ("npm-9_x", toolchain("npm", "9")),
            ("pnpm_9", toolchain("pnpm", "9")),
            ("yarn-berry", toolchain("yarn", ">=2")),
            ("python311", Need::Suited("python", "3.11".to_owned())),
            ("python312Full", Need::Suited("python", "3.12".to_owned())),
            ("python3", Need::Suited("python", "3".to_owned())),
            ("go_1_24", toolchain("go", "1.24")),
            ("zig_0_13", toolchain("zig", "0.13")),
            ("php84", Need::Suited("php", "8.4".to_owned())),
            ("ruby_3_3", Need::Suited("ruby", "3.3".to_owned())),
            (
                "php84Extensions.redis",
                Need::Debian(vec![vec!["php-redis".to_owned()]]),
            ),
            ("pkgs.cacert", Need::Nothing),
        ] {
            assert_eq!(needs(attribute).unwrap(), need, "{attribute}");
        }
    }

    #[test]
    fn alternatives_of_suites_stay_alternatives() {
        let Need::Debian(groups) = needs("nginx").unwrap() else {
            panic!()
        };
        assert_eq!(groups, [vec!["nginx-light".to_owned(), "nginx".to_owned()]]);
    }

    #[test]
    fn an_unknown_name_tells_the_nearest_ones() {
        let error = needs("imagemagik").unwrap_err().to_string();
        assert!(error.contains("did you mean imagemagick"), "{error}");
    }

    #[test]
    fn a_tool_that_nobody_here_has_is_said_with_what_to_do() {
        let error = needs("dotnet-sdk@10").unwrap_err();
        assert!(matches!(error, EnvironmentError::Elsewhere { .. }));
        assert_eq!(
            error.to_string(),
            "dotnet-sdk is in neither Debian nor a language registry"
        );
    }

    #[test]
    fn a_version_of_a_plain_package_is_refused() {
        assert!(matches!(
            needs("ffmpeg@5"),
            Err(EnvironmentError::NoVersion { .. })
        ));
    }

    #[test]
    fn every_entry_of_the_table_is_sorted_and_resolves() {
        assert!(DEBIAN.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, _) in DEBIAN {
            assert!(needs(name).is_ok(), "{name}");
            assert!(
                SUITED.iter().all(|row| row.tool != *name),
                "{name} is twice"
            );
        }
    }

    #[test]
    fn every_extension_of_php_is_a_package() {
        for extension in packwright_providers::languages::php::extensions::SEPARATE {
            assert!(
                needs(&format!("php-ext-{extension}")).is_ok(),
                "{extension}"
            );
        }
    }

    #[test]
    fn every_version_of_a_suite_is_one_of_a_suite_that_there_is() {
        for row in SUITED {
            assert!(
                super::super::debian::SUITES.contains(&row.suite),
                "{}",
                row.suite
            );
            assert!(nodejs_semver::Version::parse(row.version).is_ok());
        }
    }
}
