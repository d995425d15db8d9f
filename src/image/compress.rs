//! A blob's way to disk: cut into blocks, compressed on all cores, hashed before and after.
//!
//! Each block of a fixed size is a gzip member of its own; the members in order are one gzip
//! stream. So the bytes depend on the content alone, not on the number of cores or on how much
//! was written at a time (which changes what a streaming deflate library puts out).
//!
//! The library is libdeflate, which compresses whole blocks: measured on the 125 MB of node's
//! binary, its level 6 takes half the time of gzip's and gives 1 % less, its level 9 2 % less.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use libdeflater::{CompressionLvl, Compressor as Deflate};
use sha2::{Digest, Sha256};

/// Bytes of a block. Larger blocks compress a little better, smaller ones share work better.
const BLOCK: usize = 4 << 20;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Gzip of this level, 1 to 12.
    Gzip(i32),
    /// Not at all.
    None,
}

impl Compression {
    /// For layers that are written once and used by many images.
    pub const THOROUGH: Self = Self::Gzip(9);
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(6)
    }
}

/// What went through a [`Compressor`].
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the bytes that came in.
    pub raw_hash: [u8; 32],
    /// How many.
    pub raw_size: u64,
    /// SHA-256 of the bytes that went out.
    pub hash: [u8; 32],
    /// How many.
    pub size: u64,
}

type Block = (usize, Arc<Vec<u8>>);
type HashAndSize = ([u8; 32], u64);

/// Compresses what is written to it into a sink.
pub struct Compressor {
    buffer: Vec<u8>,
    next: usize,
    blocks: Option<SyncSender<Block>>,
    raw: Option<SyncSender<Arc<Vec<u8>>>>,
    hasher: Option<JoinHandle<HashAndSize>>,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<io::Result<HashAndSize>>>,
}

impl Compressor {
    /// Starts the workers; the output goes to `sink` in order.
    pub fn new(sink: impl Write + Send + 'static, compression: Compression) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (blocks, work) = sync_channel::<Block>(cores);
        let (done, results) = sync_channel::<(usize, Vec<u8>)>(cores);
        let (raw, to_hash) = sync_channel::<Arc<Vec<u8>>>(cores);
        let work = Arc::new(Mutex::new(work));
        let workers = (0..cores)
            .map(|_| {
                let (work, done) = (Arc::clone(&work), done.clone());
                std::thread::spawn(move || compress_blocks(&work, &done, compression))
            })
            .collect();
        Self {
            buffer: Vec::with_capacity(BLOCK),
            next: 0,
            blocks: Some(blocks),
            raw: Some(raw),
            hasher: Some(std::thread::spawn(move || hash_blocks(&to_hash))),
            workers,
            writer: Some(std::thread::spawn(move || write_blocks(&results, sink))),
        }
    }

    /// Waits for everything to be written.
    pub fn finish(mut self) -> io::Result<Written> {
        self.flush_block()?;
        drop((self.blocks.take(), self.raw.take()));
        let joined = |error: &str| io::Error::other(error.to_owned());
        let hasher = self.hasher.take().ok_or_else(|| joined("no hasher"))?;
        let writer = self.writer.take().ok_or_else(|| joined("no writer"))?;
        let (raw_hash, raw_size) = hasher.join().map_err(|_| joined("the hasher panicked"))?;
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| joined("a compressor panicked"))?;
        }
        let (hash, size) = writer.join().map_err(|_| joined("the writer panicked"))??;
        Ok(Written {
            raw_hash,
            raw_size,
            hash,
            size,
        })
    }

    fn flush_block(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() && self.next > 0 {
            return Ok(());
        }
        let block = Arc::new(std::mem::replace(
            &mut self.buffer,
            Vec::with_capacity(BLOCK),
        ));
        let sent = self
            .raw
            .as_ref()
            .is_some_and(|raw| raw.send(Arc::clone(&block)).is_ok())
            && self
                .blocks
                .as_ref()
                .is_some_and(|blocks| blocks.send((self.next, block)).is_ok());
        self.next += 1;
        if sent {
            Ok(())
        } else {
            Err(self.writers_error())
        }
    }

    /// The workers are gone early only when the sink failed.
    fn writers_error(&mut self) -> io::Error {
        drop((self.blocks.take(), self.raw.take()));
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BLOCK {
            self.flush_block()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash_blocks(blocks: &Receiver<Arc<Vec<u8>>>) -> HashAndSize {
    let (mut hash, mut size) = (Sha256::new(), 0);
    for block in blocks {
        hash.update(block.as_slice());
        size += block.len() as u64;
    }
    (hash.finalize().into(), size)
}

fn compress_blocks(
    work: &Mutex<Receiver<Block>>,
    done: &SyncSender<(usize, Vec<u8>)>,
    compression: Compression,
) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, block)) = next else { return };
        if done.send((number, compress(&block, compression))).is_err() {
            return;
        }
    }
}

fn compress(block: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => block.to_vec(),
        Compression::Gzip(level) => {
            let mut deflate = Deflate::new(CompressionLvl::new(level).unwrap_or_default());
            let mut bytes = vec![0; deflate.gzip_compress_bound(block.len())];
            // The bound leaves no room for the only error, that the output does not fit.
            let length = deflate.gzip_compress(block, &mut bytes).unwrap_or(0);
            bytes.truncate(length);
            bytes
        }
    }
}

/// Writes blocks in their order; those that come early wait.
fn write_blocks(
    results: &Receiver<(usize, Vec<u8>)>,
    mut sink: impl Write,
) -> io::Result<HashAndSize> {
    let (mut hash, mut size, mut next) = (Sha256::new(), 0, 0);
    let mut early = BTreeMap::new();
    for (number, bytes) in results {
        early.insert(number, bytes);
        while let Some(bytes) = early.remove(&next) {
            hash.update(&bytes);
            sink.write_all(&bytes)?;
            size += bytes.len() as u64;
            next += 1;
        }
    }
    sink.flush()?;
    Ok((hash.finalize().into(), size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn run(data: &[u8], piece: usize) -> (Written, Vec<u8>) {
        let sink = Shared::default();
        let mut compressor = Compressor::new(sink.clone(), Compression::default());
        for part in data.chunks(piece) {
            compressor.write_all(part).unwrap();
        }
        let written = compressor.finish().unwrap();
        let bytes = sink.0.lock().unwrap().clone();
        (written, bytes)
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_size_of_the_writes() {
        let data: Vec<u8> = (0..5 * BLOCK / 2)
            .map(|n| u8::try_from(n * n % 251).unwrap())
            .collect();
        let (one, first) = run(&data, 4096);
        let (two, second) = run(&data, 1 << 20);
        assert_eq!(one, two);
        assert_eq!(first, second);
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&first[..])
            .read_to_end(&mut back)
            .unwrap();
        assert!(back == data);
        assert_eq!(one.raw_hash, <[u8; 32]>::from(Sha256::digest(&data)));
        assert_eq!(one.hash, <[u8; 32]>::from(Sha256::digest(&first)));
    }

    #[test]
    fn a_sink_that_fails_is_an_error_and_not_a_hang() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut compressor = Compressor::new(Full, Compression::None);
        let failed = (0..40).find_map(|_| compressor.write_all(&vec![1; BLOCK]).err());
        let error = match failed {
            Some(error) => error,
            None => compressor.finish().unwrap_err(),
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
