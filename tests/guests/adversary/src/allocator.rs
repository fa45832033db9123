//! The allocator of this guest: the standard one, and on demand one that calls the host from inside an allocation. The
//! host allocates in a guest's memory while it hands over a result, so this is a call of the host from within the host.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicBool, Ordering},
};

use lockgate_pack::bindings::lockgate::pack::query;

/// Whether the next allocation calls the host.
pub(crate) static REENTER: AtomicBool = AtomicBool::new(false);

struct Reentrant;

#[global_allocator]
static ALLOCATOR: Reentrant = Reentrant;

// SAFETY: every request is passed on to the standard allocator.
#[allow(unsafe_code, reason = "an allocator can't be written otherwise")]
unsafe impl GlobalAlloc for Reentrant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REENTER.swap(false, Ordering::Relaxed) {
            drop(query::execute("answer", &[]));
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(ptr, layout) }
    }
}
