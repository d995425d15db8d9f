//! Python packages that need something of the system.
//!
//! Owns the table of what they need to be compiled and to run. Packages that come as complete wheels are not in it. What a
//! package needs is read from its own installation notes, and whether it has wheels from the index (2026-11).

use std::collections::BTreeSet;

use crate::languages::strings;
use crate::libraries::Needs;
use crate::provider::Decision;

/// A Python package, and the entries of a plan that it needs.
struct Need {
    names: &'static [&'static str],
    /// Packages that bring the same themselves.
    unless: &'static [&'static str],
    compiles: bool,
    build: &'static [&'static str],
    run: &'static [&'static str],
}

/// Compiled from its source, because the index has no wheel for Linux.
const fn compiled(
    names: &'static [&'static str],
    build: &'static [&'static str],
    run: &'static [&'static str],
) -> Need {
    Need {
        names,
        unless: &[],
        compiles: true,
        build,
        run,
    }
}

/// Loads a library or calls a program when it runs.
const fn uses(names: &'static [&'static str], run: &'static [&'static str]) -> Need {
    Need {
        compiles: false,
        ..compiled(names, &[], run)
    }
}

const NEEDS: &[Need] = &[
    compiled(
        &["psycopg2", "psycopg-c", "psycopg[c]"],
        &["postgresql.dev"],
        &["postgresql.lib"],
    ),
    Need {
        unless: &[
            "psycopg-binary",
            "psycopg[binary]",
            "psycopg-c",
            "psycopg[c]",
        ],
        ..uses(&["psycopg"], &["postgresql.lib"])
    },
    compiled(
        &["mysqlclient", "mariadb"],
        &["mariadb-connector-c.dev", "pkg-config"],
        &["mariadb-connector-c.out"],
    ),
    compiled(
        &["pylibmc"],
        &["libmemcached.dev", "zlib.dev"],
        &["libmemcached.out"],
    ),
    uses(&["pyodbc"], &["unixODBC"]),
    compiled(
        &["python-ldap"],
        &["cyrus_sasl.dev", "openldap.dev"],
        &["cyrus_sasl.out", "openldap.out"],
    ),
    compiled(&["gssapi"], &["krb5.dev"], &["krb5.out"]),
    // Its program holds a whole Python.
    compiled(&["uwsgi"], &[], &["libpython"]),
    compiled(&["annoy", "hnswlib", "netifaces"], &[], &[]),
    compiled(&["dlib", "face-recognition"], &["cmake"], &[]),
    compiled(
        &["pycairo", "rlpycairo"],
        &["cairo.dev", "pkg-config"],
        &["cairo.out"],
    ),
    uses(&["cairocffi", "cairosvg"], &["cairo.out"]),
    uses(
        &["weasyprint"],
        &["dejavu_fonts", "fontconfig.out", "pango.out"],
    ),
    uses(
        &["ffmpeg-python", "openai-whisper", "pydub", "yt-dlp"],
        &["ffmpeg"],
    ),
    uses(&["pdf2image"], &["poppler_utils"]),
    compiled(&["pdftotext"], &["poppler.dev"], &["poppler.out"]),
    uses(&["pytesseract", "tesserocr"], &["tesseract"]),
    uses(&["ocrmypdf"], &["ghostscript", "tesseract"]),
    uses(&["camelot-py"], &["ghostscript"]),
    Need {
        unless: &["python-magic-bin"],
        ..uses(&["python-magic"], &["libmagic"])
    },
    Need {
        unless: &["opencv-contrib-python-headless", "opencv-python-headless"],
        ..uses(
            &["opencv-contrib-python", "opencv-python"],
            &["glib", "libGL"],
        )
    },
    Need {
        unless: &["pyvips-binary", "pyvips[binary]"],
        ..uses(&["pyvips"], &["libvips"])
    },
    uses(&["wand"], &["libmagickwand"]),
    uses(&["pyzbar"], &["zbar"]),
    uses(&["graphviz", "pydot", "pygraphviz"], &["graphviz"]),
    uses(&["pyenchant"], &["enchant.out"]),
    compiled(&["pyicu"], &["icu.dev", "pkg-config"], &["icu.out"]),
    compiled(&["pyaudio"], &["portaudio.dev"], &["portaudio.out"]),
    uses(&["sounddevice"], &["portaudio.out"]),
    compiled(&["gdal"], &["gdal.dev"], &["gdal.out"]),
    uses(&["pyspark", "tabula-py"], &["jre"]),
    // Its own browser is another one, which `playwright install` fetches; the libraries are the same.
    uses(&["playwright"], &["chromium"]),
];

/// What all packages need together.
#[derive(Default)]
pub(super) struct Libraries {
    pub(super) compiles: bool,
    pub(super) needs: Needs,
}

/// What the packages of these names need; `from_source` are those for which a lock file has no wheel.
pub(super) fn of(names: &BTreeSet<String>, from_source: &[String]) -> Libraries {
    let mut all = Libraries::default();
    for need in NEEDS {
        let name = need.names.iter().find(|name| names.contains(**name));
        let Some(name) = name.filter(|_| !need.unless.iter().any(|name| names.contains(*name)))
        else {
            continue;
        };
        if need.compiles {
            let tools = [&["gcc"], need.build].concat().join(", ");
            let reason = format!("{name} has no wheels; at build time alone");
            all.needs
                .decisions
                .push(Decision::new("compiler", tools, reason));
        }
        if !need.run.is_empty() {
            let reason = format!("{name} uses it");
            all.needs
                .decisions
                .push(Decision::new("library", need.run.join(", "), reason));
        }
        all.compiles |= need.compiles;
        all.needs.build.extend(need.build);
        all.needs.run.extend(need.run);
    }
    if let (Some(name), false) = (from_source.first(), all.compiles) {
        let reason =
            format!("{name} is locked without a wheel, so it is built; at build time alone");
        all.needs
            .decisions
            .push(Decision::new("compiler", "gcc", reason));
        all.compiles = true;
    }
    all
}

impl Libraries {
    /// The entries of a setup phase: what stays is asked for there as well.
    pub(super) fn asked(&self) -> Vec<String> {
        let mut entries = strings(if self.compiles { &["gcc"] } else { &[] });
        entries.extend(self.needs.asked());
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_package_is_in_two_rows() {
        let mut names: Vec<&str> = NEEDS
            .iter()
            .flat_map(|need| need.names.iter().copied())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_package_that_brings_its_library_asks_for_none() {
        let of = |names: &[&str]| of(&names.iter().map(|name| (*name).to_owned()).collect(), &[]);
        assert_eq!(of(&["psycopg"]).asked(), ["postgresql.lib"]);
        assert_eq!(of(&["psycopg", "psycopg[binary]"]).asked(), [""; 0]);
        assert_eq!(
            of(&["psycopg", "psycopg[c]"]).asked(),
            ["gcc", "postgresql.dev", "postgresql.lib"]
        );
    }

    #[test]
    fn what_a_lock_file_has_no_wheel_of_is_compiled() {
        let found = of(&BTreeSet::new(), &["docopt".to_owned()]);
        assert_eq!(found.asked(), ["gcc"]);
        assert!(found.needs.decisions[0].reason.starts_with("docopt"));
    }
}
