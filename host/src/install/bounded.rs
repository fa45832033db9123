//! What arrives from elsewhere, in memory and no longer than it may be.

/// Takes bytes in up to a bound, and none beyond.
#[derive(Debug)]
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
}

impl Bounded {
    pub(super) fn new(limit: u64) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Whether these still fit; they are taken if they do.
    pub(super) fn take(&mut self, more: &[u8]) -> bool {
        let fits = (self.bytes.len() as u64).saturating_add(more.len() as u64) <= self.limit;
        if fits {
            self.bytes.extend_from_slice(more);
        }
        fits
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
