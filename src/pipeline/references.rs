//! Store paths that the results of phases name, and what becomes of those that the image does not have.
//!
//! What a program needs to start (its loader and libraries, the interpreter of a script, the target of a
//! link) is brought in, with all that it needs itself. What other text names is more often a trace of the build
//! than a need, so it is warned of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache, ReadRef, elf};
use packwright_providers::BuildPlan;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::assemble;
use super::phases::Results;
use super::{Build, PipelineError};
use crate::environment::{Closure, Roots};
use crate::report::Event;

/// Beside a step's tree: what its files name.
const FILE: &str = "references.json";

/// The beginning of a store path, as far as its hash.
static HASH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("/nix/store/([0-9a-z]{32})-").expect("it is a regular expression"));

/// As much of a file is looked at in one piece, and so much again at the border of two.
const PIECE: usize = 1 << 20;
const BORDER: usize = 64;

/// What the files of one tree name.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct References {
    /// File and store path, where the file cannot be used without.
    needed: BTreeSet<(PathBuf, String)>,
    /// File and store path, where the text of the file has it.
    named: BTreeSet<(PathBuf, String)>,
}

/// Finds what a tree of changes names of a closure, and writes it beside the tree.
pub fn note(step: &Path, tree: &Path, closure: &Closure) -> io::Result<()> {
    if closure.is_empty() {
        return Ok(());
    }
    let paths = closure.paths().filter_map(|path| {
        let hash = HASH.captures(path.path.as_bytes())?.get(1)?.as_bytes();
        Some((hash.to_vec(), path.path.as_str()))
    });
    let mut search = Search {
        tree,
        paths: paths.collect(),
        found: References::default(),
    };
    search.folder(Path::new(""))?;
    fs::write(step.join(FILE), serde_json::to_vec(&search.found)?)
}

/// Brings into the image what its files need, and warns of what they only name.
pub fn bring(
    build: &Build<'_>,
    plan: &BuildPlan,
    roots: &mut Roots,
    results: &Results,
) -> Result<(), PipelineError> {
    if roots.around.build_store.is_empty() {
        return Ok(());
    }
    let mut all = References::default();
    for (index, step) in results.steps.iter().enumerate() {
        let file = step.dir.with_file_name(FILE);
        let read = fs::read(&file).map_err(|e| PipelineError::io("read", &file, e))?;
        let found: References = serde_json::from_slice(&read)
            .map_err(|e| PipelineError::io("read", &file, e.into()))?;
        let stays = assemble::stays(plan, roots, results, index)?;
        let stay = |found: BTreeSet<(PathBuf, String)>| {
            found
                .into_iter()
                .filter(|(file, _)| stays(file))
                .collect::<Vec<_>>()
        };
        all.needed.extend(stay(found.needed));
        all.named.extend(stay(found.named));
    }
    let around = &mut roots.around;
    for (file, path) in all.needed {
        if !around.run_store.contains(&path) {
            around.run_store.bring(&path, &around.build_store);
            build.report.event(Event::Decided {
                subject: "image".to_owned(),
                choice: format!("with {path}"),
                reason: format!("/{} needs it", file.display()),
            });
        }
    }
    let mut named: BTreeMap<String, (PathBuf, usize)> = BTreeMap::new();
    for (file, path) in all.named {
        if !around.run_store.contains(&path) {
            named.entry(path).or_insert((file, 0)).1 += 1;
        }
    }
    for (path, (file, count)) in named {
        let others = match count {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!(
            "/{}{others} names {path}, which is not in the image: if the app uses it, add its package to start.nixPkgs",
            file.display()
        );
        build.report.event(Event::Warning { message });
    }
    Ok(())
}

/// A tree that is searched for the paths of a closure.
struct Search<'a> {
    tree: &'a Path,
    /// By their hashes.
    paths: BTreeMap<Vec<u8>, &'a str>,
    found: References,
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(self.tree.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                self.needs(&path, target.as_os_str().as_bytes());
            } else if kind.is_file() {
                self.file(&path, &entry.path())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, place: &Path) -> io::Result<()> {
        let mut file = File::open(place)?;
        let mut piece = Vec::with_capacity(PIECE);
        fill(&mut file, &mut piece)?;
        if piece.starts_with(&elf::ELFMAG) {
            for text in needs_of_program(File::open(place)?) {
                self.needs(path, &text);
            }
            return Ok(());
        }
        if piece.starts_with(b"#!") {
            let line = piece
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            self.needs(path, line);
        }
        // Other binary files are data to whoever reads them.
        let text = !piece.iter().take(8192).any(|byte| *byte == 0);
        while text && !piece.is_empty() {
            self.names(path, &piece);
            if piece.len() < PIECE {
                break;
            }
            piece.drain(..PIECE - BORDER);
            fill(&mut file, &mut piece)?;
        }
        Ok(())
    }

    fn paths_in(&self, text: &[u8]) -> Vec<String> {
        let hashes = HASH.captures_iter(text);
        hashes
            .filter_map(|found| self.paths.get(found.get(1)?.as_bytes()))
            .map(|path| (*path).to_owned())
            .collect()
    }

    fn needs(&mut self, file: &Path, text: &[u8]) {
        let paths = self.paths_in(text).into_iter();
        self.found
            .needed
            .extend(paths.map(|path| (file.to_owned(), path)));
    }

    fn names(&mut self, file: &Path, text: &[u8]) {
        let paths = self.paths_in(text).into_iter();
        self.found
            .named
            .extend(paths.map(|path| (file.to_owned(), path)));
    }
}

/// Reads until a piece is full, or the file ends.
fn fill(file: &mut File, piece: &mut Vec<u8>) -> io::Result<()> {
    let missing = (PIECE - piece.len()) as u64;
    file.take(missing).read_to_end(piece).map(drop)
}

/// The loader of a program or library, and where it looks for libraries. What is no sound program has none.
fn needs_of_program(file: File) -> Vec<Vec<u8>> {
    let cache = ReadCache::new(file);
    match FileKind::parse(&cache) {
        Ok(FileKind::Elf64) => texts_of::<elf::FileHeader64<Endianness>, _>(&cache),
        Ok(FileKind::Elf32) => texts_of::<elf::FileHeader32<Endianness>, _>(&cache),
        _ => Ok(Vec::new()),
    }
    .unwrap_or_default()
}

fn texts_of<'data, E: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
    data: R,
) -> object::read::Result<Vec<Vec<u8>>> {
    let header = E::parse(data)?;
    let endian = header.endian()?;
    let mut texts = Vec::new();
    for segment in header.program_headers(endian, data)? {
        texts.extend(segment.interpreter(endian, data)?.map(<[u8]>::to_vec));
    }
    let dynamic = header.sections(endian, data)?.dynamic_table(endian, data)?;
    for entry in dynamic.iter().filter(object::read::elf::Dynamic::is_string) {
        texts.push(dynamic.string(entry)?.to_vec());
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const TOOL: &str = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-tool-1";
    const LIBRARY: &str = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-lib";

    fn found(fill: impl FnOnce(&Path)) -> References {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("fs");
        fs::create_dir_all(tree.join("app")).unwrap();
        fill(&tree.join("app"));
        let text = format!("{TOOL}\nabc\n10\n\n1\n{LIBRARY}\n{LIBRARY}\ndef\n5\n\n0\n");
        let closure = Closure::read(&text, Path::new("/")).unwrap();
        note(home.path(), &tree, &closure).unwrap();
        serde_json::from_slice(&fs::read(home.path().join(FILE)).unwrap()).unwrap()
    }

    fn pair(file: &str, path: &str) -> (PathBuf, String) {
        (Path::new("app").join(file), path.to_owned())
    }

    #[test]
    fn links_and_first_lines_need_and_other_text_names() {
        let found = found(|app| {
            symlink(format!("{TOOL}/bin/tool"), app.join("link")).unwrap();
            fs::write(
                app.join("script"),
                format!("#!{TOOL}/bin/tool\n# {LIBRARY}/x\n"),
            )
            .unwrap();
            fs::write(app.join("data"), format!("\0{TOOL}/bin/tool")).unwrap();
            let other = TOOL.replace("aaa", "ccc");
            fs::write(app.join("other"), other).unwrap();
        });
        let needed = [pair("link", TOOL), pair("script", TOOL)];
        assert_eq!(found.needed, BTreeSet::from(needed));
        let named = [pair("script", TOOL), pair("script", LIBRARY)];
        assert_eq!(found.named, BTreeSet::from(named));
    }

    #[test]
    fn a_path_at_the_border_of_two_pieces_is_found() {
        for before in [PIECE - 60, PIECE - 20, PIECE - 1, PIECE, 3 * PIECE - 100] {
            let found = found(|app| {
                let text = format!("{}{TOOL}/x", "x".repeat(before));
                fs::write(app.join("long"), text).unwrap();
            });
            assert_eq!(
                found.named,
                BTreeSet::from([pair("long", TOOL)]),
                "{before}"
            );
        }
    }

    #[test]
    fn a_program_needs_its_loader_and_a_damaged_one_is_no_panic() {
        let own = std::env::current_exe().unwrap();
        let texts = needs_of_program(File::open(&own).unwrap());
        let has = |part: &str| texts.iter().any(|text| text.ends_with(part.as_bytes()));
        assert!(has("libc.so.6"), "{texts:?}");
        assert!(
            texts
                .iter()
                .any(|text| text.windows(3).any(|part| part == b"ld-"))
        );
        let whole = fs::read(&own).unwrap();
        let damaged = tempfile::NamedTempFile::new().unwrap();
        for length in [4, 20, 64, 100, 1000, 5000] {
            fs::write(damaged.path(), &whole[..length]).unwrap();
            needs_of_program(File::open(damaged.path()).unwrap());
        }
    }
}
