//! The engine: built once, immutable after. Pooling with page-map reset where the machine allows it, on-demand where
//! address space is scarce; every WebAssembly feature that packs don't need is off.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    component::{Component, HasSelf, Linker},
};

use super::{
    Guest, SandboxError, bindings, error,
    limits::{INSTANCES, MEMORIES, MEMORY_BYTES, STACK_BYTES, TABLE_ELEMENTS, TABLES, TICK},
    query::Import,
};

/// Live instances at once. Calls above it wait; near the number of database connections is where throughput is best.
const LIVE: u32 = 64;

/// How long a call waits for an instance before it is refused.
const PERMIT_WAIT: Duration = Duration::from_secs(10);

/// The engine and all that every guest shares. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<Import>,
    live: Arc<Semaphore>,
}

impl Sandbox {
    /// Builds the engine, probing whether the pool's address space can be had.
    pub fn new() -> Result<Self, SandboxError> {
        let engine = match Engine::new(&config(true)) {
            Ok(engine) => engine,
            Err(e) => {
                tracing::warn!(error = %error::chain(&e), "no address space for pooled instances, allocating on demand");
                Engine::new(&config(false)).map_err(|e| SandboxError::Engine(error::chain(&e)))?
            }
        };
        let mut linker = Linker::new(&engine);
        bindings::lockgate::pack::query::add_to_linker::<_, HasSelf<Import>>(&mut linker, |state| state)
            .map_err(|e| SandboxError::Engine(error::chain(&e)))?;
        tick(&engine)?;
        let live = Arc::new(Semaphore::new(LIVE as usize));
        Ok(Self(Arc::new(Inner { engine, linker, live })))
    }

    /// Compiles a component. Slow (100 to 300 ms); bounded by the size that admission allows.
    pub(in crate::pack) fn compile(&self, bytes: &[u8]) -> Result<Component, SandboxError> {
        Component::new(self.engine(), bytes).map_err(|e| SandboxError::NotAComponent(error::chain(&e)))
    }

    /// Makes a compiled component ready to be called.
    pub(in crate::pack) fn guest(&self, component: &Component) -> Result<Guest, SandboxError> {
        Guest::new(self.clone(), component)
    }

    pub(in crate::pack) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(super) fn linker(&self) -> &Linker<Import> {
        &self.0.linker
    }

    /// A place for one live instance.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, SandboxError> {
        let wait = Arc::clone(&self.0.live).acquire_owned();
        match tokio::time::timeout(PERMIT_WAIT, wait).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(SandboxError::Overloaded),
        }
    }
}

fn config(pooled: bool) -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        .wasm_backtrace_max_frames(None)
        // 32 MiB of reservation a memory instead of 4 GiB: 4 GiB of address space in all, no measurable cost.
        .memory_reservation(MEMORY_BYTES as u64)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false)
        .wasm_stack_switching(false);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(LIVE)
            .total_core_instances(LIVE * 4)
            .total_memories(LIVE)
            .total_tables(LIVE * 4)
            .total_stacks(LIVE)
            .max_core_instances_per_component(u32::try_from(INSTANCES).unwrap_or(u32::MAX))
            .max_memories_per_component(u32::try_from(MEMORIES).unwrap_or(u32::MAX))
            .max_tables_per_component(u32::try_from(TABLES).unwrap_or(u32::MAX))
            .max_memory_size(MEMORY_BYTES)
            .table_elements(TABLE_ELEMENTS)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Moves the epoch until the engine is gone. The thread holds the engine weakly.
fn tick(engine: &Engine) -> Result<(), SandboxError> {
    let weak = engine.weak();
    std::thread::Builder::new()
        .name("lockgate-epoch".into())
        .spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(|_| ())
        .map_err(|e| SandboxError::Engine(e.to_string()))
}
