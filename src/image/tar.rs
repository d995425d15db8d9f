//! Tar headers with fixed times, numeric owners and no names, in ustar form where that suffices.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Seconds since 1970 of every entry. Not 0, which some programs take for "unknown".
pub const TIME: u64 = 1;

const BLOCK: usize = 512;
/// The largest size and id that ustar's octal fields hold.
const LARGEST_SIZE: u64 = 0o77_777_777_777;
const LARGEST_ID: u32 = 0o7_777_777;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with a body.
    File,
    /// Another name of an earlier file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A folder.
    Directory,
}

/// One header.
#[derive(Debug)]
pub struct Header<'a> {
    /// What it is.
    pub kind: Kind,
    /// Relative path.
    pub path: &'a Path,
    /// Target of a link; empty otherwise.
    pub link: &'a Path,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Length of the body.
    pub size: u64,
}

/// Writes a header, with a PAX header before it when ustar cannot express it.
pub fn write_header(to: &mut dyn Write, header: &Header<'_>) -> io::Result<()> {
    let mut path = header.path.as_os_str().as_bytes().to_vec();
    if header.kind == Kind::Directory {
        path.push(b'/');
    }
    let link = header.link.as_os_str().as_bytes();
    let mut pax = Vec::new();
    if split(&path).is_none() {
        record(&mut pax, "path", &path);
    }
    if link.len() > 100 {
        record(&mut pax, "linkpath", link);
    }
    for (name, id) in [("uid", header.owner.0), ("gid", header.owner.1)] {
        if id > LARGEST_ID {
            record(&mut pax, name, id.to_string().as_bytes());
        }
    }
    if header.size > LARGEST_SIZE {
        record(&mut pax, "size", header.size.to_string().as_bytes());
    }
    if !pax.is_empty() {
        let extra = Header {
            kind: Kind::File,
            path: Path::new("pax"),
            link: Path::new(""),
            mode: 0o644,
            owner: (0, 0),
            size: pax.len() as u64,
        };
        to.write_all(&block(&extra, b"pax", b"", b'x'))?;
        to.write_all(&pax)?;
        write_padding(to, pax.len() as u64)?;
    }
    let kind = match header.kind {
        Kind::File => b'0',
        Kind::HardLink => b'1',
        Kind::Symlink => b'2',
        Kind::Directory => b'5',
    };
    to.write_all(&block(header, &path, link, kind))
}

/// Fills a body up to whole blocks.
pub fn write_padding(to: &mut dyn Write, size: u64) -> io::Result<()> {
    let beyond = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if beyond == 0 {
        Ok(())
    } else {
        to.write_all(&[0; BLOCK][beyond..])
    }
}

/// Ends an archive.
pub fn write_end(to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])
}

/// A PAX record: its own length in decimal, the key, the value.
fn record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length += 1;
    }
    pax.extend(format!("{length} {key}=").into_bytes());
    pax.extend(value);
    pax.push(b'\n');
}

/// The prefix and name fields of a path, if it fits.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let slashes = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at);
    slashes
        .filter(|at| *at > 0 && *at <= 155 && *at + 1 < path.len())
        .find(|at| path.len() - at - 1 <= 100)
        .map(|at| (&path[..at], &path[at + 1..]))
}

fn block(header: &Header<'_>, path: &[u8], link: &[u8], kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let (prefix, name) = split(path).unwrap_or_else(|| (b"", &path[..100]));
    block[..name.len()].copy_from_slice(name);
    let link = &link[..link.len().min(100)];
    let size = if header.size > LARGEST_SIZE {
        0
    } else {
        header.size
    };
    let id = |id: u32| if id > LARGEST_ID { 0 } else { u64::from(id) };
    octal(&mut block[100..108], u64::from(header.mode & 0o7777));
    octal(&mut block[108..116], id(header.owner.0));
    octal(&mut block[116..124], id(header.owner.1));
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], TIME);
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[345..345 + prefix.len()].copy_from_slice(prefix);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
    block
}

/// An octal number with leading zeros and a final NUL.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field.copy_from_slice(format!("{value:0digits$o}\0").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn every_path_owner_and_size_is_read_back() {
        let deep: String = "d".repeat(90) + "/" + &"e".repeat(90) + "/" + &"f".repeat(120);
        for (path, link, owner) in [
            ("short", "", (0, 0)),
            (&"n".repeat(100), "", (1, 2)),
            (&("p/".repeat(60) + "name"), "", (0, 0)),
            (&deep, &deep, (4_000_000_000, 70_000)),
            ("ünï\ncode", "../..", (0, 0)),
        ] {
            let mut bytes = Vec::new();
            let kind = if link.is_empty() {
                Kind::File
            } else {
                Kind::Symlink
            };
            let header = Header {
                kind,
                path: Path::new(path),
                link: Path::new(link),
                mode: 0o4755,
                owner,
                size: 0,
            };
            write_header(&mut bytes, &header).unwrap();
            write_end(&mut bytes).unwrap();
            let mut archive = ::tar::Archive::new(&bytes[..]);
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap(), PathBuf::from(path));
            assert_eq!(entry.header().mode().unwrap(), 0o4755);
            assert_eq!(entry.header().mtime().unwrap(), TIME);
            if owner.0 <= LARGEST_ID {
                assert_eq!(entry.header().uid().unwrap(), u64::from(owner.0));
            }
            if !link.is_empty() {
                assert_eq!(entry.link_name().unwrap().unwrap(), PathBuf::from(link));
            }
        }
    }

    #[test]
    fn a_records_length_counts_itself() {
        for size in [1, 80, 90, 91, 92, 93, 94, 95, 985, 990, 995] {
            let mut pax = Vec::new();
            record(&mut pax, "path", &vec![b'x'; size]);
            let length: usize = String::from_utf8_lossy(&pax)
                .split(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(length, pax.len(), "{size}");
        }
    }
}
