//! C code in Go programs: which modules have it, and what the program's own files ask for.

use crate::libraries::{self, Needs};

/// Modules that are not whole without C, and the libraries that they link. Most bring their C code.
const MODULES: &[(&str, &[&str])] = &[
    ("github.com/DataDog/zstd", &[]),
    ("github.com/chai2010/webp", &[]),
    ("github.com/confluentinc/confluent-kafka-go", &[]),
    ("github.com/davidbyttow/govips", &["vips"]),
    ("github.com/google/gopacket", &["pcap"]),
    ("github.com/h2non/bimg", &["vips"]),
    ("github.com/marcboeker/go-duckdb", &[]),
    ("github.com/mattn/go-sqlite3", &[]),
    ("github.com/pebbe/zmq4", &["zmq"]),
    ("github.com/smacker/go-tree-sitter", &[]),
    ("github.com/tree-sitter/go-tree-sitter", &[]),
    ("github.com/valyala/gozstd", &[]),
    ("rogchap.com/v8go", &[]),
];

/// What C code needs, if there is any.
#[derive(Default)]
pub(super) struct Cgo {
    /// Who brings C code, the first that was found.
    pub(super) reason: Option<String>,
    pub(super) libraries: Needs,
}

impl Cgo {
    /// From the modules that a program needs and the text of its files.
    pub(super) fn read<'a>(
        requirements: impl Iterator<Item = &'a str>,
        files: &[(String, std::sync::Arc<str>)],
    ) -> Self {
        let mut reason = None;
        let mut names = Vec::new();
        for path in requirements {
            if let Some((_, linked)) = MODULES.iter().find(|(known, _)| is(path, known)) {
                reason.get_or_insert(format!("{path} has C code"));
                names.extend(linked.iter().map(|name| (*name).to_owned()));
            }
        }
        for (file, text) in files {
            if text.lines().any(imports_c) {
                reason.get_or_insert(format!("{file} imports \"C\""));
                names.extend(text.lines().flat_map(linked));
            }
        }
        let libraries = libraries::of(names.iter().map(String::as_str));
        Self { reason, libraries }
    }
}

/// Whether a module is the known one, in any major version.
fn is(path: &str, known: &str) -> bool {
    path.strip_prefix(known).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix("/v")
                .is_some_and(|major| major.parse::<u32>().is_ok())
    })
}

fn imports_c(line: &str) -> bool {
    let line = line.trim();
    let import = line.strip_prefix("import").unwrap_or(line).trim();
    import == "\"C\""
}

/// The libraries of a `#cgo` line, by the names of pkg-config and the linker.
fn linked(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches("//").trim_start();
    let Some((key, value)) = line
        .strip_prefix("#cgo")
        .and_then(|rest| rest.split_once(':'))
    else {
        return Vec::new();
    };
    let words = value.split_whitespace();
    match key.split_whitespace().next_back() {
        Some("pkg-config") => words
            .filter(|word| !word.starts_with('-'))
            .map(str::to_owned)
            .collect(),
        // What the C compiler always has.
        Some("LDFLAGS") => words
            .filter_map(|word| word.strip_prefix("-l"))
            .filter(|name| !["m", "c", "dl", "pthread", "rt", "stdc++", "resolv"].contains(name))
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgo(requirements: &[&str], text: &str) -> Cgo {
        Cgo::read(
            requirements.iter().copied(),
            &[("main.go".to_owned(), text.into())],
        )
    }

    #[test]
    fn modules_with_c_code_are_known_in_every_major_version() {
        let modules = ["a.b/c", "github.com/confluentinc/confluent-kafka-go/v2"];
        assert_eq!(
            cgo(&modules, "").reason.unwrap(),
            "github.com/confluentinc/confluent-kafka-go/v2 has C code"
        );
        assert!(
            cgo(&["github.com/mattn/go-sqlite3-extra"], "")
                .reason
                .is_none()
        );
        let vips = cgo(&["github.com/davidbyttow/govips/v2"], "");
        assert_eq!(vips.libraries.kept(), ["libvips"]);
    }

    #[test]
    fn directives_name_libraries() {
        let text = "package main\n\n// #cgo pkg-config: --static zlib\n// #cgo linux LDFLAGS: -L/x -lcurl -lm\n// #include <zlib.h>\nimport \"C\"\n";
        let found = cgo(&[], text);
        assert_eq!(found.reason.unwrap(), "main.go imports \"C\"");
        assert_eq!(found.libraries.kept(), ["curl.out", "zlib.out"]);
        assert!(
            cgo(&[], "// #cgo LDFLAGS: -lz\nimport \"fmt\"\n")
                .reason
                .is_none()
        );
    }
}
