//! What was kept of a body.

use bytes::{Bytes, BytesMut};

/// The data that was kept. Small frames are put together, so that what is kept per frame has a bound, too.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) chunks: Vec<Bytes>,
    /// Small frames that wait for more of their kind.
    pub(super) tail: BytesMut,
    pub(super) bytes: usize,
}

impl Kept {
    const SMALL: usize = 1024;

    pub(super) fn push(&mut self, data: &Bytes) {
        self.bytes += data.len();
        if data.len() >= Self::SMALL {
            self.seal();
            self.chunks.push(data.clone());
            return;
        }
        self.tail.extend_from_slice(data);
        if self.tail.len() >= 4 * Self::SMALL {
            self.seal();
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(self.tail.split().freeze());
        }
    }

    pub(super) fn chunk(&mut self, index: usize) -> Option<Bytes> {
        if index == self.chunks.len() {
            self.seal();
        }
        self.chunks.get(index).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len() + usize::from(!self.tail.is_empty())
    }

    pub(super) fn bytes_from(&self, index: usize) -> u64 {
        let given: usize = self.chunks.iter().take(index).map(Bytes::len).sum();
        (self.bytes - given) as u64
    }
}
