//! What arrives from elsewhere, in memory and no longer than it may be.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

/// Takes bytes in up to a bound, and fails at the first one beyond.
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

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(if self.take(more) { Ok(more.len()) } else { Err(io::ErrorKind::FileTooLarge.into()) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
