//! An allocator that only moves forward. An instance lives for one call and its memory is dropped whole, so giving memory
//! back is work for nobody. The first 256 KiB are static: most calls never grow the memory, which spares the host a
//! change of page protection on each.
//!
//! Two cases are worth more than nothing: the *last* allocation grows and shrinks in place (a string or a vector being
//! filled), and freeing it takes it back.

/// Where the next allocation goes, and where the room ends. Plain numbers, so that this half is safe and testable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    next: usize,
    end: usize,
}

impl Cursor {
    /// Room from `start` to `end`.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { next: start, end }
    }

    /// Takes `size` bytes aligned to `align` (a power of two), asking `grow` for more room if there isn't enough. `grow` is
    /// given the number of bytes that are missing at least and answers where new room starts and ends.
    pub(crate) fn take(
        &mut self,
        size: usize,
        align: usize,
        grow: impl FnOnce(usize) -> Option<(usize, usize)>,
    ) -> Option<usize> {
        if let Some(start) = self.fit(size, align) {
            return Some(start);
        }
        let (start, end) = grow(size.checked_add(align)?)?;
        // Room that adjoins the old is one with it; otherwise what was left of the old is given up.
        if start != self.end || self.end == 0 {
            self.next = start;
        }
        self.end = end;
        self.fit(size, align)
    }

    fn fit(&mut self, size: usize, align: usize) -> Option<usize> {
        let start = self.next.checked_add(align.wrapping_sub(1))? & !align.wrapping_sub(1);
        let end = start.checked_add(size)?;
        if end > self.end {
            return None;
        }
        self.next = end;
        Some(start)
    }

    /// Resizes the allocation at `start` in place if it was the last one and there is room, or if it shrinks.
    pub(crate) fn resize(&mut self, start: usize, old: usize, new: usize) -> bool {
        let last = start.checked_add(old) == Some(self.next);
        match start.checked_add(new) {
            Some(end) if last && end <= self.end => {
                self.next = end;
                true
            }
            _ => new <= old,
        }
    }

    /// Takes the allocation at `start` back if it was the last one.
    pub(crate) fn free(&mut self, start: usize, size: usize) {
        if start.checked_add(size) == Some(self.next) {
            self.next = start;
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "bump-allocator"))]
mod global {
    //! The half that hands out pointers.
    #![allow(unsafe_code, reason = "a global allocator is unsafe by definition; wasm32 without threads has one thread")]

    use core::{
        alloc::{GlobalAlloc, Layout},
        cell::{Cell, UnsafeCell},
        mem::MaybeUninit,
        ptr,
    };

    use super::Cursor;

    /// What the arguments, the results and the manifest of a pack with fifty actions take, with room.
    const ARENA: usize = 256 << 10;
    /// The unit of `memory.grow`.
    const PAGE: usize = 64 << 10;
    /// Pages to grow by at least: growing is a host call and a change of protection, so it should be rare.
    const STEP: usize = 16;

    #[repr(align(16))]
    struct Arena(UnsafeCell<MaybeUninit<[u8; ARENA]>>);
    // SAFETY: a component of this contract has no threads.
    unsafe impl Sync for Arena {}

    struct Bump {
        /// `None` until the first allocation: the arena's address is not known to a constant.
        cursor: Cell<Option<Cursor>>,
    }
    // SAFETY: as above.
    unsafe impl Sync for Bump {}

    static MEMORY: Arena = Arena(UnsafeCell::new(MaybeUninit::uninit()));

    #[global_allocator]
    static ALLOCATOR: Bump = Bump { cursor: Cell::new(None) };

    fn grow(missing: usize) -> Option<(usize, usize)> {
        let need = missing.div_ceil(PAGE);
        for pages in [need.max(STEP), need] {
            let before = core::arch::wasm32::memory_grow::<0>(pages);
            if before != usize::MAX {
                let start = before.checked_mul(PAGE)?;
                // The very last page ends where a 32-bit address wraps round: leave one byte of it unused.
                return Some((start, start.saturating_add(pages.checked_mul(PAGE)?)));
            }
        }
        None
    }

    impl Bump {
        fn with<T>(&self, work: impl FnOnce(&mut Cursor) -> T) -> T {
            let start = MEMORY.0.get() as usize;
            let mut cursor = self.cursor.get().unwrap_or(Cursor::new(start, start + ARENA));
            let answer = work(&mut cursor);
            self.cursor.set(Some(cursor));
            answer
        }
    }

    // SAFETY: `Cursor::take` never hands out the same bytes twice unless they were given back through `free` or `resize`,
    // and never bytes outside the arena or what `memory.grow` added.
    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match self.with(|cursor| cursor.take(layout.size(), layout.align(), grow)) {
                Some(start) => ptr::with_exposed_provenance_mut(start),
                None => ptr::null_mut(),
            }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            self.with(|cursor| cursor.free(at as usize, layout.size()));
        }

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if self.with(|cursor| cursor.resize(at as usize, layout.size(), size)) {
                return at;
            }
            match self.with(|cursor| cursor.take(size, layout.align(), grow)) {
                Some(start) => {
                    let to: *mut u8 = ptr::with_exposed_provenance_mut(start);
                    // SAFETY: `at` holds `layout.size()` bytes, the new allocation does not overlap it, and only a growing
                    // allocation gets here.
                    unsafe { ptr::copy_nonoverlapping(at, to, layout.size().min(size)) };
                    to
                }
                None => ptr::null_mut(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    fn no_room(_: usize) -> Option<(usize, usize)> {
        None
    }

    #[test]
    fn allocations_are_aligned_and_do_not_overlap() {
        let mut cursor = Cursor::new(3, 200);
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for (size, align) in [(1, 1), (8, 8), (3, 1), (16, 16), (5, 4)] {
            let start = cursor.take(size, align, no_room).unwrap_or(0);
            assert_eq!(start % align, 0, "aligned to {align}");
            assert!(taken.iter().all(|(at, len)| start >= at + len || start + size <= *at), "apart from the others");
            taken.push((start, size));
        }
    }

    #[test]
    fn the_last_allocation_grows_and_shrinks_in_place() {
        let mut cursor = Cursor::new(16, 100);
        let first = cursor.take(10, 1, no_room).unwrap_or(0);
        assert!(cursor.resize(first, 10, 40));
        let second = cursor.take(4, 1, no_room).unwrap_or(0);
        assert_eq!(second, first + 40);
        assert!(!cursor.resize(first, 40, 41), "another one follows");
        assert!(cursor.resize(first, 40, 30), "shrinking always works");
        cursor.free(second, 4);
        assert_eq!(cursor.take(4, 1, no_room), Some(second), "taken back");
        assert!(!cursor.resize(second, 4, 1000), "no room");
    }

    #[test]
    fn growing_joins_room_that_adjoins() {
        let mut cursor = Cursor::new(16, 64);
        assert!(cursor.take(40, 8, no_room).is_some());
        assert_eq!(cursor.take(40, 8, |missing| (missing >= 40).then_some((64, 128))), Some(56));
        assert_eq!(cursor.take(64, 8, |_| Some((256, 512))), Some(256), "what is apart starts anew");
        assert_eq!(cursor.take(512, 8, no_room), None);
        assert_eq!(cursor.take(usize::MAX, 8, |_| Some((512, 1024))), None);
    }
}
