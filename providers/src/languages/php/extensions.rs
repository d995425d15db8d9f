//! PHP's extensions: which there are, and which of them every PHP has.
//!
//! Owns the names. Which packages they are is for the environment's catalog.

use crate::read;

/// Extensions that belong to PHP as it is installed, without asking.
const INCLUDED: &[&str] = &[
    "bcmath",
    "calendar",
    "core",
    "ctype",
    "curl",
    "date",
    "dom",
    "exif",
    "ffi",
    "fileinfo",
    "filter",
    "ftp",
    "gettext",
    "gmp",
    "hash",
    "iconv",
    "json",
    "libxml",
    "mbstring",
    "mysqli",
    "mysqlnd",
    "openssl",
    "pcntl",
    "pcre",
    "pdo",
    "pdo_mysql",
    "pdo_pgsql",
    "pdo_sqlite",
    "pgsql",
    "phar",
    "posix",
    "random",
    "readline",
    "reflection",
    "session",
    "shmop",
    "simplexml",
    "sockets",
    "sodium",
    "spl",
    "sqlite3",
    "standard",
    "sysvmsg",
    "sysvsem",
    "sysvshm",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
    "xsl",
    "zend-opcache",
    "opcache",
    "zip",
    "zlib",
];

/// Extensions that are tools of their own in a plan, `php-ext-NAME`.
pub const SEPARATE: &[&str] = &[
    "amqp",
    "apcu",
    "ast",
    "bz2",
    "dba",
    "ds",
    "enchant",
    "excimer",
    "gd",
    "gearman",
    "gmagick",
    "gnupg",
    "igbinary",
    "imagick",
    "imap",
    "inotify",
    "interbase",
    "intl",
    "ldap",
    "mailparse",
    "maxminddb",
    "mcrypt",
    "memcache",
    "memcached",
    "mongodb",
    "msgpack",
    "oauth",
    "odbc",
    "pcov",
    "ps",
    "pspell",
    "psr",
    "raphf",
    "redis",
    "rrd",
    "smbclient",
    "snmp",
    "soap",
    "solr",
    "ssh2",
    "stomp",
    "sybase",
    "tidy",
    "uopz",
    "uploadprogress",
    "uuid",
    "xdebug",
    "xmlrpc",
    "yac",
    "yaml",
    "zmq",
    "zstd",
];

/// Drivers that come with an extension of another name.
const WITHIN: &[(&str, &str)] = &[
    ("pdo_dblib", "sybase"),
    ("pdo_firebird", "interbase"),
    ("pdo_odbc", "odbc"),
];

/// What a name asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// Every PHP has it.
    Included,
    /// A tool of its own.
    Separate(&'static str),
    /// Nobody has it; the nearest name there is.
    Unknown(Option<String>),
}

/// What `ext-NAME` asks for; `name` is without the prefix.
pub(super) fn find(name: &str) -> Extension {
    let name = name.to_ascii_lowercase();
    if INCLUDED.contains(&name.as_str()) {
        return Extension::Included;
    }
    let of = WITHIN
        .iter()
        .find(|(driver, _)| *driver == name)
        .map_or(name.as_str(), |(_, extension)| *extension);
    match SEPARATE.iter().find(|known| **known == of) {
        Some(known) => Extension::Separate(known),
        None => Extension::Unknown(read::nearest(
            &name,
            SEPARATE.iter().chain(INCLUDED).copied(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_found_in_their_extension_and_slips_get_the_nearest_name() {
        assert_eq!(find("PDO_MySQL"), Extension::Included);
        assert_eq!(find("gd"), Extension::Separate("gd"));
        assert_eq!(find("pdo_odbc"), Extension::Separate("odbc"));
        assert_eq!(
            find("imagik"),
            Extension::Unknown(Some("imagick".to_owned()))
        );
        assert_eq!(find("swoole"), Extension::Unknown(None));
    }

    #[test]
    fn no_extension_is_in_two_lists() {
        assert!(SEPARATE.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(SEPARATE.iter().all(|name| !INCLUDED.contains(name)));
    }
}
