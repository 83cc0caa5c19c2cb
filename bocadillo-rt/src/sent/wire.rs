//! Finds the frames that end a stream in the outgoing bytes of HTTP/2.

use super::resets::Resets;

/// How many bytes are copied at a time to replace a code: as many as h2 buffers.
const COPIED: usize = 16 * 1024;

/// DATA and HEADERS: the frames that can carry END_STREAM.
const ENDING_TYPES: [u8; 2] = [0x0, 0x1];
const END_STREAM: u8 = 0x1;
const HEAD_LEN: usize = 9;

/// Follows the frame heads of one connection.
///
/// It reads bytes when they are first *offered* to the IO. A write buffer offers the bytes that were not
/// accepted again, in front of new ones.
#[derive(Debug, Default)]
pub(super) struct Wire {
    protocol: Spoken,
    /// How many bytes the IO has accepted, and how many it was offered, from the beginning.
    accepted: u64,
    offered: u64,
    /// Bytes left of the current frame's payload.
    payload: usize,
    head: [u8; HEAD_LEN],
    head_len: usize,
    resets: Resets,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Unknown,
    /// Every response begins with `HTTP/1`: as a frame's length, that `H` would be 4.7 MB.
    Http1,
    Http2,
}

impl Wire {
    /// Reads the bytes that a write offers; returns how many of the newly offered frames end their stream.
    pub(super) fn offer<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]>) -> usize {
        if self.protocol == Spoken::Http1 {
            return 0;
        }
        let mut position = self.accepted;
        let mut ends = 0;
        for chunk in chunks {
            let known = self
                .offered
                .saturating_sub(position)
                .min(chunk.len() as u64);
            position += chunk.len() as u64;
            self.offered = self.offered.max(position);
            // Not more than the chunk's length.
            let new = &chunk[known as usize..];
            ends += self.feed(new, position - new.len() as u64);
        }
        ends
    }

    pub(super) fn is_http1(&self) -> bool {
        self.protocol == Spoken::Http1
    }

    pub(super) fn accept(&mut self, bytes: usize) {
        self.accepted += bytes as u64;
        if self.has_resets() {
            self.resets.accept(self.accepted);
        }
    }

    /// Returns whether the offered bytes hold a code to replace.
    #[inline]
    pub(super) fn has_resets(&self) -> bool {
        !self.resets.is_empty()
    }

    /// Returns the bytes for the IO in place of the offered ones.
    #[cold]
    pub(super) fn replaced<'a>(&self, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(COPIED);
        for chunk in chunks {
            let room = COPIED - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        self.resets.replace(&mut bytes, self.accepted);
        bytes
    }

    fn feed(&mut self, mut bytes: &[u8], position: u64) -> usize {
        let end = position + bytes.len() as u64;
        let mut ends = 0;
        while let Some(&first) = bytes.first() {
            if self.protocol == Spoken::Unknown {
                self.protocol = if first == b'H' {
                    Spoken::Http1
                } else {
                    Spoken::Http2
                };
            }
            if self.protocol == Spoken::Http1 {
                return 0;
            }
            bytes = self.skip_payload(bytes, end - bytes.len() as u64);
            bytes = self.read_head(bytes);
            if self.head_len == HEAD_LEN {
                ends += usize::from(self.enter_frame());
            }
        }
        ends
    }

    fn skip_payload<'a>(&mut self, bytes: &'a [u8], position: u64) -> &'a [u8] {
        let skipped = self.payload.min(bytes.len());
        self.resets.feed(&bytes[..skipped], position);
        self.payload -= skipped;
        &bytes[skipped..]
    }

    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let read = (HEAD_LEN - self.head_len).min(bytes.len());
        self.head[self.head_len..self.head_len + read].copy_from_slice(&bytes[..read]);
        self.head_len += read;
        &bytes[read..]
    }

    /// Returns whether the frame whose head is complete ends its stream.
    fn enter_frame(&mut self) -> bool {
        let [a, b, c, kind, flags, ..] = self.head;
        self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
        self.head_len = 0;
        self.resets.enter_frame(kind);
        ENDING_TYPES.contains(&kind) && flags & END_STREAM != 0
    }
}

/// What hyper writes before a response, if the request expects it.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Returns whether bytes of HTTP/1 begin with the head of a final response, or have it after the interim
/// response.
pub(super) fn has_final_head(bytes: &[u8]) -> bool {
    let is_final = |head: &[u8]| {
        let status = &head[b"HTTP/1.1 ".len()..];
        head.starts_with(b"HTTP/1.") && (status[0] != b'1' || status == b"101")
    };
    let mut heads = bytes.windows(b"HTTP/1.1 200".len());
    heads.by_ref().take(INTERIM.len() + 1).any(is_final)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interim_response_is_no_head() {
        assert!(!has_final_head(INTERIM));
        for from in 0..=INTERIM.len() {
            let mut bytes = INTERIM[from..].to_vec();
            assert!(!has_final_head(&bytes));
            bytes.extend(b"HTTP/1.0 202 Accepted\r\n\r\n");
            assert!(has_final_head(&bytes), "after {from} bytes of it");
        }
        assert!(has_final_head(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"));
    }

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let len = (payload as u32).to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(HEAD_LEN + payload, 0xff);
        bytes
    }

    fn offer(wire: &mut Wire, bytes: &[u8]) -> usize {
        wire.offer([bytes].into_iter())
    }

    #[test]
    fn counts_frames_that_end_a_stream() {
        let mut bytes = frame(4, 0, 6);
        bytes.extend(frame(1, 4 | 1, 20));
        bytes.extend(frame(0, 0, 300));
        bytes.extend(frame(0, 1, 0));
        assert_eq!(offer(&mut Wire::default(), &bytes), 2);
    }

    #[test]
    fn acknowledged_settings_are_no_end() {
        assert_eq!(offer(&mut Wire::default(), &frame(4, 1, 0)), 0);
    }

    #[test]
    fn sees_heads_that_arrive_in_pieces() {
        let mut bytes = frame(0, 0, 40);
        bytes.extend(frame(0, 1, 3));
        for size in 1..bytes.len() {
            let mut wire = Wire::default();
            let ends: usize = bytes
                .chunks(size)
                .map(|chunk| {
                    let ends = offer(&mut wire, chunk);
                    wire.accept(chunk.len());
                    ends
                })
                .sum();
            assert_eq!(ends, 1, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_offered_again_counts_once() {
        let mut wire = Wire::default();
        let first = frame(1, 1, 10);
        assert_eq!(offer(&mut wire, &first), 1);
        wire.accept(4);
        let mut again = first[4..].to_vec();
        again.extend(frame(1, 1, 2));
        assert_eq!(offer(&mut wire, &again), 1);
    }

    #[test]
    fn http1_is_left_alone() {
        let mut wire = Wire::default();
        assert_eq!(offer(&mut wire, b"HTTP/1.1 200 OK\r\n\r\n"), 0);
        wire.accept(19);
        assert_eq!(offer(&mut wire, &frame(0, 1, 0)), 0);
    }

    /// RST_STREAM of stream 1.
    fn reset(code: u8) -> Vec<u8> {
        vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code]
    }

    #[test]
    fn cancel_becomes_an_internal_error_however_it_is_offered() {
        let sent = [
            frame(0, 0, 30),
            reset(8),
            reset(8),
            frame(0, 1, 3),
            reset(1),
            reset(8),
        ]
        .concat();
        let expected = [
            frame(0, 0, 30),
            reset(2),
            reset(2),
            frame(0, 1, 3),
            reset(1),
            reset(2),
        ]
        .concat();
        for size in 1..sent.len() {
            let (mut wire, mut written) = (Wire::default(), Vec::new());
            while written.len() < sent.len() {
                // All that is left is offered, and a part of it accepted, as by a socket that is full.
                let left = &sent[written.len()..];
                offer(&mut wire, left);
                let given = match wire.has_resets() {
                    true => wire.replaced([left].into_iter()),
                    false => left.to_vec(),
                };
                let accepted = size.min(given.len());
                written.extend_from_slice(&given[..accepted]);
                wire.accept(accepted);
            }
            assert_eq!(written, expected, "{size} at a time");
        }
    }

    #[test]
    fn what_has_nothing_to_replace_is_not_copied() {
        let mut wire = Wire::default();
        let bytes = [frame(0, 0, 8), reset(2), frame(0, 1, 8)].concat();
        offer(&mut wire, &bytes);
        assert!(!wire.has_resets());
    }
}
