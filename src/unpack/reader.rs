//! Reads tar as a stream of entries: ustar, GNU long names, PAX.
//!
//! Stricter than the `tar` crate's reader, because archives come from strangers and two readers
//! that disagree about an archive are how one of them gets fooled (RUSTSEC-2025-0111,
//! RUSTSEC-2026-0066 to -0068): a PAX size wins, malformed PAX records, global records that would
//! rename entries, sparse files, sizes on entries without content, and a missing end are refused.
//! Extended headers are bounded. Touches no file system.

use std::io::{self, Read};

use super::UnpackError;

const BLOCK: usize = 512;

/// Extended headers above this are refused: names and the records we know need a few KiB.
const EXTENDED_LIMIT: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    /// A device node or FIFO.
    Special,
}

/// One entry's header, PAX and GNU extensions applied.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: i64,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
}

/// Reads entries one after the other; between two calls of [`TarReader::next`] it is a reader
/// of the entry's content.
pub(super) struct TarReader<R> {
    inner: R,
    left: u64,
    padding: u64,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry, whatever was read of the one before; `None` at the archive's end.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else {
                if extended {
                    return Err(malformed("an extended header without its entry"));
                }
                return Ok(None);
            };
            let raw = header.as_old();
            let size = number(&raw.size, "size")?;
            match header.entry_type().as_byte() {
                b'x' => extensions.merge(&self.extended(size)?)?,
                b'g' => refuse_global(&self.extended(size)?)?,
                b'L' => once(&mut extensions.path, self.long_name(size)?)?,
                b'K' => once(&mut extensions.link, self.long_name(size)?)?,
                _ => return self.entry(&header, size, extensions).map(Some),
            }
            extended = true;
        }
    }

    fn entry(
        &mut self,
        header: &tar::Header,
        size: u64,
        ext: Extensions,
    ) -> Result<Entry, UnpackError> {
        let raw = header.as_old();
        let path = ext.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match header.entry_type().as_byte() {
            // Before POSIX a directory was a file whose name ends with a slash.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            other => {
                let kind = char::from(other).escape_default();
                return Err(refused(
                    &path,
                    format!("entries of type '{kind}' are not supported"),
                ));
            }
        };
        let size = ext.size.unwrap_or(size);
        if kind != Kind::File && size != 0 {
            return Err(refused(
                &path,
                "an entry that is no file has content".to_owned(),
            ));
        }
        let link = ext
            .link
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        self.left = size;
        self.padding = padding(size);
        Ok(Entry {
            link,
            kind,
            size,
            mode: u32::try_from(number(&raw.mode, "mode")? & 0o7777).unwrap_or(0),
            uid: ext.uid.map_or_else(|| number(&raw.uid, "uid"), Ok)?,
            gid: ext.gid.map_or_else(|| number(&raw.gid, "gid"), Ok)?,
            mtime: ext.mtime.map_or_else(|| signed(&raw.mtime), Ok)?,
            path,
        })
    }

    /// One header block; `None` after the end blocks and nothing but zeros behind them.
    fn header(&mut self) -> Result<Option<tar::Header>, UnpackError> {
        let mut header = tar::Header::new_old();
        let block = header.as_mut_bytes();
        self.inner
            .read_exact(block)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => malformed("it ends without its end blocks"),
                _ => UnpackError::Read(error),
            })?;
        if block.iter().all(|byte| *byte == 0) {
            self.rest_is_zero()?;
            return Ok(None);
        }
        if !checksum_matches(block) {
            return Err(malformed("the checksum of a header does not match"));
        }
        Ok(Some(header))
    }

    fn rest_is_zero(&mut self) -> Result<(), UnpackError> {
        let mut buffer = [0; 8192];
        loop {
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(malformed("something follows its end")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::Read(error)),
            }
        }
    }

    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        let skip = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.inner).take(skip), &mut io::sink())
            .map_err(UnpackError::Read)?;
        if skipped != skip {
            return Err(malformed("it is cut off"));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        if size > EXTENDED_LIMIT {
            return Err(UnpackError::Limit {
                what: "bytes in an extended header",
                limit: EXTENDED_LIMIT,
            });
        }
        (self.left, self.padding) = (size, padding(size));
        let mut content = Vec::new();
        self.read_to_end(&mut content).map_err(UnpackError::Read)?;
        Ok(content)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.extended(size)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..want])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut off",
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl Extensions {
    /// Takes over the PAX records that we know (POSIX.1-2017, pax, "pax Extended Header").
    fn merge(&mut self, records: &[u8]) -> Result<(), UnpackError> {
        for record in PaxRecords(records) {
            let (key, value) = record?;
            match key {
                b"path" => once(&mut self.path, value.to_vec())?,
                b"linkpath" => once(&mut self.link, value.to_vec())?,
                b"size" => once(&mut self.size, decimal(value)?)?,
                b"uid" => once(&mut self.uid, decimal(value)?)?,
                b"gid" => once(&mut self.gid, decimal(value)?)?,
                b"mtime" => once(&mut self.mtime, seconds(value)?)?,
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(malformed("sparse files are not supported"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Readers differ in whether a global header applies to the entries after it; where it would
/// matter the archive is refused. `git archive` writes one that holds a comment.
fn refuse_global(records: &[u8]) -> Result<(), UnpackError> {
    for record in PaxRecords(records) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
            return Err(malformed("a global header names or sizes entries"));
        }
    }
    Ok(())
}

/// Splits `LENGTH KEY=VALUE\n` records.
struct PaxRecords<'a>(&'a [u8]);

impl<'a> Iterator for PaxRecords<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), UnpackError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self
            .split()
            .ok_or_else(|| malformed("an extended header is not well-formed"));
        if record.is_err() {
            self.0 = &[];
        }
        Some(record)
    }
}

impl<'a> PaxRecords<'a> {
    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let space = self.0.iter().take(8).position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(&self.0[..space]).ok()?).ok()?;
        let record = self.0.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        self.0 = &self.0[length..];
        (equals > 0).then(|| (&record[..equals], &record[equals + 1..]))
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), UnpackError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("an entry is described twice by extended headers")),
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn checksum_matches(block: &[u8; BLOCK]) -> bool {
    let is_sum = |index: usize| (148..156).contains(&index);
    let unsigned: u64 = block
        .iter()
        .enumerate()
        .map(|(i, byte)| u64::from(if is_sum(i) { b' ' } else { *byte }))
        .sum();
    octal(&block[148..156]).is_some_and(|stored| stored == unsigned)
}

/// An octal field: spaces, digits, then a space, a NUL or the end.
fn octal(field: &[u8]) -> Option<u64> {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    let digits = field[..end].trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// An octal or (GNU) base-256 field that is not negative.
fn number(field: &[u8], name: &'static str) -> Result<u64, UnpackError> {
    let value = if field[0] & 0x80 == 0 {
        octal(field)
    } else {
        base256(field).and_then(|value| u64::try_from(value).ok())
    };
    value.ok_or_else(|| malformed(&format!("the {name} of an entry is no valid number")))
}

fn signed(field: &[u8]) -> Result<i64, UnpackError> {
    let value = if field[0] & 0x80 == 0 {
        octal(field).and_then(|v| i64::try_from(v).ok())
    } else {
        base256(field)
    };
    value.ok_or_else(|| malformed("the time of an entry is no valid number"))
}

/// Two's complement over the whole field, its top bit being the marker.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative {
        i64::from(field[0]) - 256
    } else {
        i64::from(field[0] & 0x7f)
    };
    field[1..].iter().try_fold(first, |value, byte| {
        value.checked_mul(256)?.checked_add(i64::from(*byte))
    })
}

fn decimal(text: &[u8]) -> Result<u64, UnpackError> {
    let valid = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let value = std::str::from_utf8(text)
        .ok()
        .filter(|_| valid)
        .and_then(|text| text.parse().ok());
    value.ok_or_else(|| malformed("a number in an extended header is not valid"))
}

/// Whole seconds of a PAX time, which may be negative and have a fraction.
fn seconds(text: &[u8]) -> Result<i64, UnpackError> {
    let whole = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let (negative, digits) = whole
        .strip_prefix(b"-")
        .map_or((false, whole), |digits| (true, digits));
    let value = i64::try_from(decimal(digits)?).map_err(|_| malformed("a time is out of range"))?;
    Ok(if negative { -value } else { value })
}

fn malformed(reason: &str) -> UnpackError {
    UnpackError::Malformed {
        reason: reason.to_owned(),
    }
}

pub(super) fn refused(path: &[u8], reason: String) -> UnpackError {
    use std::os::unix::ffi::OsStrExt;
    UnpackError::Refused {
        path: std::path::PathBuf::from(std::ffi::OsStr::from_bytes(path)),
        reason,
    }
}
