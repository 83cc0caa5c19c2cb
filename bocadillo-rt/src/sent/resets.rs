//! Replaces the error code of HTTP/2 resets.
//!
//! If a response is dropped before its end, h2 resets the stream with CANCEL ("no longer needed"), and hyper
//! cannot change the code. Some clients, such as Node, take CANCEL for a regular end: half a body looks
//! complete. But the server has failed, so the code becomes INTERNAL_ERROR on its way to the IO.

use std::collections::VecDeque;

const RST_STREAM: u8 = 0x3;
const CANCEL: u32 = 0x8;
const INTERNAL_ERROR: u8 = 0x2;
const CODE_LEN: usize = 4;

/// The positions of the codes among the bytes that were offered to the IO and not accepted.
#[derive(Debug, Default)]
pub(super) struct Resets {
    /// The code of the current RST_STREAM frame, and how many bytes of it were seen.
    code: Option<(u32, usize)>,
    /// The position of the last byte of each code that is CANCEL, in order.
    cancels: VecDeque<u64>,
}

impl Resets {
    pub(super) fn enter_frame(&mut self, kind: u8) {
        self.code = (kind == RST_STREAM).then_some((0, 0));
    }

    /// Reads a part of a frame's payload, at this position.
    #[inline]
    pub(super) fn feed(&mut self, payload: &[u8], position: u64) {
        if self.code.is_some() {
            self.read_code(payload, position);
        }
    }

    #[cold]
    fn read_code(&mut self, payload: &[u8], position: u64) {
        for (at, byte) in (position..).zip(payload) {
            let Some((code, length)) = &mut self.code else {
                return;
            };
            *code = *code << 8 | u32::from(*byte);
            *length += 1;
            if *length == CODE_LEN {
                if *code == CANCEL {
                    self.cancels.push_back(at);
                }
                self.code = None;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cancels.is_empty()
    }

    /// Replaces the codes in bytes that begin at this position.
    pub(super) fn replace(&self, bytes: &mut [u8], position: u64) {
        for at in &self.cancels {
            let at = usize::try_from(at - position).unwrap_or(usize::MAX);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = INTERNAL_ERROR;
            }
        }
    }

    /// Forgets what is before this position.
    pub(super) fn accept(&mut self, position: u64) {
        while self.cancels.front().is_some_and(|at| *at < position) {
            self.cancels.pop_front();
        }
    }
}
