//! What a daemon passes on from a command's two streams, as lines.

use crate::report::Stream;

/// A line without an end is told in pieces of this length.
const LONGEST: usize = 64 << 10;

/// What came after the last line's end, by stream.
#[derive(Default)]
pub(super) struct Lines {
    rest: [Vec<u8>; 2],
}

impl Lines {
    /// Takes more bytes of a stream and tells the lines that are whole now.
    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8], tell: &mut dyn FnMut(&str)) {
        let rest = &mut self.rest[usize::from(stream == Stream::Stderr)];
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            rest.extend_from_slice(piece);
            let whole = rest.strip_suffix(b"\n");
            if whole.is_some() || rest.len() >= LONGEST {
                tell(&String::from_utf8_lossy(whole.unwrap_or(rest)));
                rest.clear();
            }
        }
    }

    /// Tells what has no end of a line.
    pub(super) fn end(&mut self, tell: &mut dyn FnMut(Stream, &str)) {
        for (rest, stream) in self.rest.iter_mut().zip([Stream::Stdout, Stream::Stderr]) {
            if !rest.is_empty() {
                tell(stream, &String::from_utf8_lossy(rest));
                rest.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_for_each_stream_and_the_last_one_is_told_too() {
        let mut lines = Lines::default();
        let mut told = Vec::new();
        for (stream, bytes) in [
            (Stream::Stdout, "one\ntw"),
            (Stream::Stderr, "err"),
            (Stream::Stdout, "o\n\nthr"),
        ] {
            lines.take(stream, bytes.as_bytes(), &mut |line| {
                told.push(line.to_owned());
            });
        }
        assert_eq!(told, ["one", "two", ""]);
        let mut rest = Vec::new();
        lines.end(&mut |stream, line| rest.push((stream, line.to_owned())));
        assert_eq!(
            rest,
            [
                (Stream::Stdout, "thr".to_owned()),
                (Stream::Stderr, "err".to_owned())
            ]
        );
    }

    #[test]
    fn a_line_that_does_not_end_is_told_in_pieces() {
        let mut lines = Lines::default();
        let mut told = 0;
        lines.take(Stream::Stdout, &vec![b'x'; LONGEST * 2 + 1], &mut |_| {
            told += 1;
        });
        for _ in 0..4 {
            lines.take(Stream::Stdout, &vec![b'x'; LONGEST / 2], &mut |_| told += 1);
        }
        assert!(told >= 2, "{told}");
    }
}
