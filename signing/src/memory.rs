//! Keeping secrets inside this process: out of core files, out of the sight of other processes, out of swap. For small
//! programs that hold a private key for a moment; what is asked for here holds for the whole process.
//!
//! The system decides how far it goes. Root, the kernel and whoever has the machine's memory in hand see everything, and
//! what a process was started with (its arguments and environment) lies in its memory before it can ask for anything.

use std::io;

/// How much of this process stays out of swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// All of it, whatever comes.
    Everything,
    /// What it has now, its stack and its heap, where small things such as keys will lie; not what it maps later.
    Present,
    /// Nothing. The limit on locked memory is too low, or the system has no such thing.
    Nothing,
}

/// No core file, and no other process of the same user may read this one's memory or environment, or trace it. To be
/// called before there is a secret. Children may not leave core files either.
///
/// # Errors
///
/// The system's answer, if it refuses.
pub fn keep_to_itself() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit is not asked when the kernel hands core files to a program; whether there may be one at all is.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Locks this process into memory, as far as its limit allows. To be called before there is a secret.
#[must_use]
pub fn lock() -> Locked {
    #[cfg(target_os = "linux")]
    return linux::lock();
    #[cfg(not(target_os = "linux"))]
    Locked::Nothing
}

/// Whether this machine swaps at all; if nobody says, it does.
#[must_use]
pub fn may_swap() -> bool {
    // A line of titles, then one for each place.
    std::fs::read_to_string("/proc/swaps").map_or(true, |swaps| swaps.lines().count() > 1)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, hint::black_box};

    use rustix::{
        mm::{MlockAllFlags, mlockall, munlockall},
        process::{Resource, Rlimit, getrlimit, setrlimit},
    };

    use super::Locked;

    /// What the costliest command maps at once, with room to spare: scrypt at its bound, a component, its copy.
    const WORKING_BYTES: usize = 512 * 1024 * 1024;

    /// What the stack may still grow by; past the limit that would end the process.
    const STACK_GROWTH_BYTES: u64 = 512 * 1024;

    /// Room for small things, in pieces that an allocator takes from its heap instead of mapping each.
    const HEAP_PIECES: usize = 4;
    const HEAP_PIECE_BYTES: usize = 64 * 1024;

    pub(super) fn lock() -> Locked {
        let mut limit = getrlimit(Resource::Memlock);
        if setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, ..limit }).is_ok() {
            limit.current = limit.maximum;
        }
        // Pages are locked when they are first used, so that what is reserved and never touched costs nothing.
        if mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok() {
            // From now on memory over the limit is refused, and that would be found out midway; so it is tried at once.
            if has_room(WORKING_BYTES) {
                return Locked::Everything;
            }
            let _ = munlockall();
        }
        make_heap();
        let size = mapped_bytes().and_then(|size| size.checked_add(STACK_GROWTH_BYTES));
        let fits = limit.current.is_none_or(|limit| size.is_some_and(|size| size <= limit));
        if fits && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT).is_ok() {
            return Locked::Present;
        }
        Locked::Nothing
    }

    fn has_room(bytes: usize) -> bool {
        let mut probe: Vec<u8> = Vec::new();
        let has_room = probe.try_reserve_exact(bytes).is_ok();
        // Otherwise a compiler may see that nothing is done with it, and not ask.
        black_box(&mut probe);
        has_room
    }

    /// Grows the heap and keeps it so: the last piece is never given back, and so neither is what lies before it.
    fn make_heap() {
        let mut pieces: Vec<Vec<u8>> = (0..HEAP_PIECES).map(|_| Vec::with_capacity(HEAP_PIECE_BYTES)).collect();
        if let Some(last) = black_box(&mut pieces).pop() {
            last.leak();
        }
    }

    /// The size of the address space, which is what the limit is compared with.
    fn mapped_bytes() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
        size.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    }
}
