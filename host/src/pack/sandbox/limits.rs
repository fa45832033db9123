//! What one call of a guest may use, each number with its reason, and the limiter that holds memory to it.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// How often the epoch moves. Ten milliseconds keep a runaway guest from holding a worker thread longer than a person
/// would notice, and cost nothing measurable.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Largest linear memory of an instance, all memories together. The stock packs use one page of 64 KiB and an arena of
/// 256 KiB; a JavaScript or Python interpreter inside a pack needs some 20 MiB.
pub(super) const MEMORY_BYTES: usize = 64 << 20;

/// Elements of one table. An interpreter has some ten thousand functions.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Core instances of one component: the module, adapters and shims of `wit-component`, with room.
pub(super) const INSTANCES: usize = 16;

/// Tables of one component, and memories.
pub(super) const TABLES: usize = 16;
/// One memory a module; adapters may add one each.
pub(super) const MEMORIES: usize = 4;

/// Stack of guest code. Deep recursion traps here and not in the host.
pub(super) const STACK_BYTES: usize = 512 << 10;

/// Calls of the import in one call of the guest. A diagnosis asks a dozen statements.
pub(super) const QUERIES: u32 = 64;

/// The limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Time in which guest code computes.
    pub cpu: Duration,
    /// Time from start to end, waiting for the database included.
    pub wall: Duration,
    /// Bytes that may cross the boundary in one lift or lower.
    pub boundary_bytes: usize,
}

impl Limits {
    /// `describe` is pure and runs at load: a manifest of some hundred KiB, well under a millisecond of computing; an
    /// interpreter needs longer to wake up.
    pub const DESCRIBE: Self =
        Self { cpu: Duration::from_secs(2), wall: Duration::from_secs(10), boundary_bytes: 8 << 20 };
    /// `validate` looks at a few arguments.
    pub const VALIDATE: Self =
        Self { cpu: Duration::from_millis(500), wall: Duration::from_secs(2), boundary_bytes: 1 << 20 };

    /// `preview` and `run` within a wall time that the statements' own timeouts decide.
    #[must_use]
    pub fn for_call(wall: Duration) -> Self {
        Self { cpu: Duration::from_secs(2), wall, boundary_bytes: 8 << 20 }
    }

    /// The CPU time in ticks, at least two: the first tick may come at once.
    pub(super) fn cpu_slices(self) -> u64 {
        u64::try_from(self.cpu.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1).max(2)
    }
}

/// Counts memory over all memories of an instance and remembers which limit was hit.
pub(super) struct Limiter {
    memory: usize,
    hit: Option<&'static str>,
}

impl Limiter {
    pub(super) fn new(_: Limits) -> Self {
        Self { memory: 0, hit: None }
    }

    /// The limit that made the guest fail, if one did.
    pub(super) fn hit(&self) -> Option<&'static str> {
        self.hit
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > MEMORY_BYTES {
            self.hit = Some("memory");
            return Err(wasmtime::Error::msg("memory limit"));
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            self.hit = Some("table");
            return Err(wasmtime::Error::msg("table limit"));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
